//! A limit that is found by response times.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::config::over;
use crate::daemon::{Daemon, pause};
use crate::load;
use crate::origin::Origin;

/// How many the backend works on at once, and how long each takes.
const KNEE: u32 = 8;
const SERVICE: Duration = Duration::from_millis(20);

/// Places of work; whoever finds none waits.
#[derive(Default)]
struct Desks {
    busy: Mutex<u32>,
    freed: Condvar,
}

impl Desks {
    fn work(&self) {
        let busy = self.busy.lock().unwrap();
        *self.freed.wait_while(busy, |busy| *busy >= KNEE).unwrap() += 1;
        pause(SERVICE);
        *self.busy.lock().unwrap() -= 1;
        self.freed.notify_one();
    }
}

/// 64 clients before a backend that works on 8 at once: without a limit all of them would wait there.
#[test]
fn it_is_held_near_what_the_backend_can_work_on() {
    let desks = Arc::new(Desks::default());
    let origin = Origin::new(move |visit| {
        while visit.request()?.is_some() {
            desks.work();
            visit.answer(200, "done")?;
        }
        Ok(())
    });
    let name = origin.address.to_string();
    let config = over(&[origin.address]).pool("queue.timeout = \"30s\"").level("info");
    let daemon = Daemon::start_alone(&config.clone().pool("max_connections = \"adaptive\""));
    assert_eq!(daemon.backend(&name)["found_limit"], 20, "where it begins");
    let report = load::closed(daemon.web, 64, 2_000);
    assert_eq!((report.served, report.failures), (2_000, Vec::new()), "the others waited in the queue");
    let found = daemon.backend(&name)["found_limit"].as_u64().unwrap();
    let shown = daemon.metric("equipoise_backend_connection_limit", &[("backend", &name)]);
    println!("{found} for {KNEE} at once; at most {} were there", origin.most_in_flight());
    assert!((4..=40).contains(&found) && shown == found as f64, "{found}, {shown}");
    assert!(origin.most_in_flight() < 56, "{}", origin.most_in_flight());

    daemon.reload(&config);
    assert!(daemon.backend(&name)["found_limit"].is_null());
    assert!(!daemon.page("/metrics").text().contains("equipoise_backend_connection_limit{"));
}
