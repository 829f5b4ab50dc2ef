//! How each try of a request is told: those beside each other, and those that TLS ended.

use std::collections::BTreeSet;
use std::sync::{Mutex, mpsc};

use serde_json::Value;

use super::{ONE_WORKER, TRUSTED, explain, id_of, newest, tries};
use crate::client::{connect, get, once};
use crate::daemon::{Daemon, until};
use crate::hedging::{learn, patient};
use crate::message::Head;
use crate::origin::{Gate, Origin};
use crate::sticky::named;

/// Draws of the first of two backends; in so many each is drawn.
const MAX_DRAWS: usize = 40;

#[test]
fn a_hedge_is_told_with_the_try_that_was_cut_off() {
    let gate = Gate::default();
    let held = gate.clone();
    let slow = Origin::new(move |visit| {
        while let Some(request) = visit.request()? {
            if request.head.target().starts_with("/held") {
                held.pass();
            }
            visit.answer(200, "slow")?;
        }
        Ok(())
    });
    let quick = Origin::answering("quick");
    let daemon = Daemon::start(&named(&[&slow, &quick]).pool("hedge = true").server(ONE_WORKER));
    let mut wire = connect(daemon.web);
    learn(&daemon);
    // Every other one goes to the slow one first.
    let hedged = (0..4).map(|_| newest(&daemon, &id_of(&wire.get("/held").unwrap())));
    let hedged: Vec<Value> = hedged.filter(|told| told["hedge"] == "second").collect();
    assert!(!hedged.is_empty());
    for told in hedged {
        assert_eq!(tries(&told), [("a".into(), "canceled".into()), ("b".into(), "200".into())], "{told:#}");
        assert_eq!(told["retries"], 1);
    }
    gate.open();
}

#[test]
fn tries_are_told_in_the_order_in_which_they_began() {
    let (sender, receiver) = mpsc::channel();
    let (receiver, gate) = (Mutex::new(receiver), Gate::default());
    let held = gate.clone();
    let is_held = |head: &Head| head.target().starts_with("/held");
    // The one answers when the other has the request too.
    let wins = Origin::new(move |visit| {
        while let Some(request) = visit.request()? {
            if is_held(&request.head) {
                receiver.lock().unwrap().recv().unwrap();
            }
            visit.answer(200, "well")?;
        }
        Ok(())
    });
    let loses = Origin::new(move |visit| {
        while let Some(request) = visit.request()? {
            if is_held(&request.head) {
                sender.send(()).unwrap();
                held.pass();
            }
            visit.answer(200, "well")?;
        }
        Ok(())
    });
    let lines = "hedge = true\nbalance = \"random\"";
    let daemon = Daemon::start(&named(&[&wins, &loses]).pool(lines).server(ONE_WORKER));
    let mut wire = connect(daemon.web);
    learn(&daemon);
    let mut winners = BTreeSet::new();
    // By the turn each would go to the same one first, as it takes two.
    for _ in 0..MAX_DRAWS {
        let told = newest(&daemon, &id_of(&wire.get("/held").unwrap()));
        let mut expected = [("a".to_owned(), "200".to_owned()), ("b".into(), "canceled".into())];
        if told["hedge"] == "second" {
            expected.reverse();
        }
        assert_eq!(tries(&told), expected, "{told:#}");
        winners.insert(told["hedge"].as_str().unwrap().to_owned());
        if winners.len() == 2 {
            break;
        }
    }
    assert_eq!(winners.len(), 2, "{winners:?}");
    gate.open();
}

#[test]
fn a_backend_with_which_tls_fails_is_told_so() {
    let plain = Origin::new(|visit| visit.send("HTTP/1.1 400 Bad Request\r\n\r\n"));
    let lines = "[pool.crm.tls]\nserver_name = \"a.test\"";
    let daemon = Daemon::start(&named(&[&plain]).and(lines));
    let told = newest(&daemon, &id_of(&get(daemon.web, "/")));
    assert_eq!(tries(&told).last().unwrap(), &("a".to_owned(), "tls_error".to_owned()), "{told:#}");
    assert_eq!(told["reason"], "connect_error");
}

#[test]
fn a_response_that_broke_off_is_told_with_its_status() {
    let origin = Origin::new(|visit| {
        visit.request()?;
        visit.done();
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    });
    let daemon = Daemon::start(&named(&[&origin]).listener(TRUSTED));
    let fields = "Host: x\r\nX-Request-Id: cut\r\n";
    assert!(once(daemon.web, &format!("GET / HTTP/1.1\r\n{fields}\r\n")).is_err());
    let told = newest(&daemon, "cut");
    assert_eq!((&told["status"], &told["reason"]), (&200.into(), &"cut".into()), "{told:#}");
    assert_eq!((&told["tries"][0]["status"], &told["tries"][0]["failed"]), (&200.into(), &"cut".into()));
    assert!(explain(&daemon, "cut").1.contains("200, cut"));
}

#[test]
fn both_tries_are_told_that_were_ended_beside_each_other() {
    let gate = Gate::default();
    let slow = ["a", "b"].map(|name| patient(&gate, name));
    let server = "workers = 1\ndrain_timeout = \"100ms\"";
    let config = |origins: &[&Origin]| named(origins).pool("hedge = true").listener(TRUSTED).server(server);
    let daemon = Daemon::start(&config(&[&slow[0], &slow[1]]));
    let mut wire = connect(daemon.web);
    learn(&daemon);
    wire.send("GET /held HTTP/1.1\r\nHost: x\r\nX-Request-Id: held\r\n\r\n").unwrap();
    until("both have it", || slow.iter().all(|origin| origin.in_flight() == 1).then_some(()));
    let new = Origin::answering("new");
    daemon.reload(&config(&[&new]));
    let told = newest(&daemon, "held");
    let mut ended = tries(&told);
    ended.sort();
    let both = ["a", "b"].map(|name| (name.to_owned(), "ended".to_owned()));
    assert_eq!(
        (&ended[..], &told["retries"], &told["reason"]),
        (&both[..], &1.into(), &"ended".into()),
        "{told:#}"
    );
    gate.open();
}
