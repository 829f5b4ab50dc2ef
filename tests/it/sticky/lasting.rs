//! Cookies that outlive nodes, configurations, secrets, and their time.

use super::*;

#[test]
fn every_node_reads_it_and_so_does_a_changed_configuration() {
    let (origins, secrets) = (["a", "b", "c"].map(Origin::answering), Secrets::new(ONE));
    let [a, b, c] = &origins;
    let one = Daemon::start(&named(&[a, b]).pool(&secrets.lines()));
    // The other node names them in another order, and one more.
    let table = |name: &str, origin: &Origin| format!("name = \"{name}\", address = \"{}\"", origin.address);
    let turned = over(&[]).backend(&table("c", c)).backend(&table("b", b)).backend(&table("a", a));
    let other = Daemon::start(&turned.clone().pool(&secrets.lines()));
    let mut browser = Browser::default();
    browser.get(one.web);
    let home = browser.ask(one.web, 1);
    for _ in 0..4 {
        assert_eq!(browser.ask(one.web, 1) + &browser.ask(other.web, 1), home.repeat(2));
    }
    one.reload(&turned.pool(&secrets.lines()));
    assert_eq!(browser.ask(one.web, 6), home.repeat(6));
    assert_eq!(browser.given, 1);
    // The name stays, the machine behind it changes: the client follows the name.
    one.reload(&over(&[]).backend(&table("c", c)).backend(&table(&home, c)).pool(&secrets.lines()));
    assert_eq!(browser.ask(one.web, 2), "cc");
    assert_eq!(browser.given, 1);
    // The name goes: a new one.
    one.reload(&over(&[]).backend(&table("d", b)).pool(&secrets.lines()));
    assert_eq!(browser.ask(one.web, 2), "bb");
    assert_eq!(browser.given, 2);
}

#[test]
fn weight_0_takes_new_clients_alone() {
    let (origins, secrets) = (["a", "b"].map(Origin::answering), Secrets::new(ONE));
    let config = named(&origins.each_ref()).pool(&secrets.lines());
    let daemon = Daemon::start(&config);
    let mut browser = Browser::default();
    assert_eq!(browser.ask(daemon.web, 2), "aa");
    let [a, b] = origins.each_ref().map(|origin| origin.address);
    let without = over(&[])
        .backend(&format!("name = \"a\", address = \"{a}\", weight = 0"))
        .backend(&format!("name = \"b\", address = \"{b}\""))
        .pool(&secrets.lines());
    daemon.reload(&without);
    let new: String = (0..6).map(|_| Browser::default().ask(daemon.web, 1)).collect();
    assert_eq!((new, browser.ask(daemon.web, 6)), ("bbbbbb".into(), "aaaaaa".into()));
    assert_eq!(browser.given, 1);
}

#[test]
fn secrets_rotate_without_a_client_that_moves() {
    let (origins, secrets) = (["a", "b"].map(Origin::answering), Secrets::new(ONE));
    let config = named(&origins.each_ref()).pool(&secrets.lines());
    let daemon = Daemon::start(&config);
    let mut browsers = [Browser::default(), Browser::default()];
    for (lines, given) in [
        (ONE.to_owned(), 1),
        (format!("{ONE}{TWO}"), 1),
        (format!("{TWO}\n{ONE}"), 2), // from here on under the new one
        (TWO.to_owned(), 2),
    ] {
        secrets.write(&lines);
        daemon.reload(&config);
        for (browser, home) in browsers.iter_mut().zip(["a", "b"]) {
            assert_eq!(browser.ask(daemon.web, 3), home.repeat(3), "{lines}");
            assert_eq!(browser.given, given, "{lines}");
        }
    }
    // Another secret at once: everybody is new.
    secrets.write(ONE);
    daemon.reload(&config);
    browsers[1].ask(daemon.web, 1);
    assert_eq!(browsers[1].given, 3);
}

#[test]
fn a_cookie_has_its_time_and_who_comes_back_gets_more() {
    let (origins, secrets) = (["a", "b"].map(Origin::answering), Secrets::new(ONE));
    let config = named(&origins.each_ref()).pool(&secrets.lines()).pool("sticky.ttl = \"4s\"");
    let daemon = Daemon::start(&config);
    let mut browser = Browser::default();
    let answer = browser.get(daemon.web);
    assert!(answer.head.field("set-cookie").unwrap().contains("; Max-Age=4; "));
    let first = browser.clone();
    // Whole seconds are counted: two are over after three by any clock.
    for _ in 0..2 {
        let before = browser.given;
        wait(Duration::from_secs(3));
        assert_eq!(browser.ask(daemon.web, 2), "aa");
        assert_eq!(browser.given, before + 1, "once, when half of it was over");
    }
    // Who kept the first one for six seconds by himself is a stranger.
    let served: String = (0..2).map(|_| first.clone().ask(daemon.web, 1)).collect();
    assert!(served.contains('b'), "{served}");
    let mut late = first.clone();
    late.ask(daemon.web, 1);
    assert_eq!(late.given, 2);
}
