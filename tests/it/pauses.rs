//! Backends that ask for a pause: 503 with Retry-After.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::client::{connect, get};
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::origin::Origin;
use crate::sticky::Secrets;

/// Answers so many requests with 503 and this Retry-After, and «well» from then on.
fn busy(times: u64, retry_after: &'static str) -> Origin {
    let left = Arc::new(AtomicU64::new(times));
    Origin::new(move |visit| {
        while visit.request()?.is_some() {
            let one_less = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            match one_less {
                Ok(_) => {
                    visit.done();
                    let head = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nSet-Cookie: from=busy\r\n";
                    visit.send(format!("{head}Retry-After: {retry_after}\r\n\r\nbusy"))?;
                }
                Err(_) => visit.answer(200, "paused")?,
            }
        }
        Ok(())
    })
}

fn name(origin: &Origin) -> String {
    origin.address.to_string()
}

fn paused(daemon: &Daemon, origin: &Origin) {
    until("paused", || (daemon.backend(&name(origin))["state"] == "paused").then_some(()));
}

#[test]
fn who_asks_for_a_pause_gets_nothing_new_and_is_back_when_it_is_over() {
    let (busy, well) = (busy(1, "2"), Origin::answering("well"));
    let daemon = Daemon::start(&over(&[busy.address, well.address]).pool("retry.on = [503]"));
    // The request itself goes elsewhere at once, for the file says so.
    assert_eq!(get(daemon.web, "/").text(), "well");
    assert_eq!(busy.requests(), 1);
    paused(&daemon, &busy);
    let backend = daemon.backend(&name(&busy));
    assert_eq!(backend["reason"], "answered 503 with Retry-After");
    let event = daemon.logged("backend is paused");
    assert_eq!((&event["backend"], &event["reason"]), (&name(&busy).into(), &backend["reason"]));
    assert_eq!((&backend["ejections"], &backend["availability"]["up"]), (&0.into(), &true.into()));
    let state =
        |state| daemon.metric("equipoise_backend_state", &[("backend", &name(&busy)), ("state", state)]);
    assert_eq!((state("paused"), state("up")), (1.0, 0.0));
    let mut wire = connect(daemon.web);
    let during = (0..20).map(|_| wire.get("/").unwrap().text()).filter(|text| text == "well").count();
    // The pause may have ended meanwhile on a machine that is busy itself.
    assert!(during == 20 || daemon.backend(&name(&busy))["state"] == "up", "{during}");
    until("it is back", || (wire.get("/").unwrap().text() == "paused").then_some(()));
    assert_eq!(daemon.backend(&name(&busy))["state"], "up");
    daemon.logged("backend is paused no more");
}

#[test]
fn a_pause_of_all_is_a_pause_of_none_and_the_status_is_passed_on_where_it_is_not_listed() {
    let both = [busy(1_000, "30"), busy(1_000, "Fri, 31 Dec 9999 23:59:59 GMT")];
    // So that nobody is ejected.
    let pool = "passive.consecutive_failures = 1000\npassive.min_requests = 1000";
    let daemon = Daemon::start(&over(&both.each_ref().map(|origin| origin.address)).pool(pool));
    let mut wire = connect(daemon.web);
    until("both have asked", || {
        let answer = wire.get("/").unwrap();
        assert_eq!((answer.status(), &*answer.text()), (503, "busy"));
        both.iter().all(|origin| origin.requests() > 0).then_some(())
    });
    both.iter().for_each(|origin| paused(&daemon, origin));
    let before = both.each_ref().map(Origin::requests);
    assert!((0..20).all(|_| wire.get("/").unwrap().text() == "busy"));
    let after = both.each_ref().map(Origin::requests);
    assert_eq!([after[0] - before[0], after[1] - before[1]], [10, 10]);
}

#[test]
fn clients_whose_session_is_there_stay_through_a_pause() {
    let secrets = Secrets::new("one one one one one one one one one\n");
    let (busy, well) = (busy(1, "30"), Origin::answering("well"));
    let daemon = Daemon::start(&over(&[busy.address, well.address]).pool(&secrets.lines()));
    let answer = get(daemon.web, "/");
    assert_eq!((answer.status(), busy.requests()), (503, 1));
    let mut values = answer.head.fields.iter().map(|(_, value)| value);
    let ours = values.find(|value| value.starts_with("EQ_crm=")).unwrap();
    let ours = ours.split(';').next().unwrap();
    paused(&daemon, &busy);
    let mut wire = connect(daemon.web);
    for _ in 0..5 {
        wire.send(format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {ours}\r\n\r\n")).unwrap();
        assert_eq!(wire.response("GET").unwrap().text(), "paused");
        assert_eq!(get(daemon.web, "/").text(), "well");
    }
}

#[test]
fn without_passive_health_nothing_that_a_response_says_keeps_traffic_away() {
    let (busy, well) = (busy(1, "30"), Origin::answering("well"));
    let daemon = Daemon::start(&over(&[busy.address, well.address]).pool("passive.enabled = false"));
    assert_eq!(get(daemon.web, "/").text(), "busy");
    let mut wire = connect(daemon.web);
    let texts: Vec<String> = (0..4).map(|_| wire.get("/").unwrap().text()).collect();
    assert_eq!(texts, ["well", "paused", "well", "paused"]);
    assert_eq!(daemon.backend(&name(&busy))["state"], "up");
}
