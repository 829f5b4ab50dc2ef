//! Backends of different priority.

use std::time::{Duration, Instant};

use crate::client::{connect, get};
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::origin::Origin;

const HEALTH: &str =
    "health.path = \"/healthz\"\nhealth.interval = \"100ms\"\nhealth.timeout = \"1s\"\nretry.on = []";

/// The priority that serves.
fn serving(daemon: &Daemon) -> serde_json::Value {
    let pools: serde_json::Value = serde_json::from_str(&daemon.page("/api/v1/pools/crm").text()).unwrap();
    pools["priority"].clone()
}

#[test]
fn spares_step_in_one_after_another_and_traffic_comes_back_without_haste() {
    let origins = ["first", "second", "third"].map(Origin::answering);
    let [first, second, third] = &origins;
    let config = over(&[])
        .pool(HEALTH)
        .backend(&format!("name = \"third\", address = \"{}\", priority = 7", third.address))
        .backend(&format!("name = \"second\", address = \"{}\", backup = true", second.address))
        .backend(&format!("name = \"first\", address = \"{}\"", first.address));
    let daemon = Daemon::start(&config);
    assert_eq!((get(daemon.web, "/").text(), serving(&daemon)), ("first".into(), 0.into()));
    first.talk_garbage(true);
    until("the second serves", || (serving(&daemon) == 1).then_some(()));
    assert_eq!(get(daemon.web, "/").text(), "second");
    let took_over = daemon.logged("spare backends take over");
    assert_eq!((&took_over["pool"], &took_over["priority"]), (&"crm".into(), &1.into()));
    second.talk_garbage(true);
    until("the third serves", || (serving(&daemon) == 7).then_some(()));
    assert_eq!(get(daemon.web, "/").text(), "third");

    let healed = Instant::now();
    first.talk_garbage(false);
    let waiting = until("it is seen to be back", || {
        let backend = daemon.backend("first");
        (backend["state"] == "up").then_some(backend)
    });
    // On a machine that is busy itself two seconds may have passed by now.
    let why = waiting["reason"].as_str().unwrap();
    assert!(why == "comes back: spares serve until it has been up for 2s" || serving(&daemon) == 0, "{why}");
    let mut wire = connect(daemon.web);
    until("the first serves again", || match &*wire.get("/").unwrap().text() {
        "first" => Some(()),
        other => {
            assert_eq!(other, "third");
            None
        }
    });
    assert!(healed.elapsed() >= Duration::from_secs(2), "{:?}", healed.elapsed());
    assert_eq!((serving(&daemon), &daemon.backend("first")["priority"]), (0.into(), &0.into()));
    assert_eq!(
        (&daemon.backend("third")["priority"], &daemon.backend("third")["backup"]),
        (&7.into(), &true.into())
    );
    daemon.logged("spare backends step back");
}
