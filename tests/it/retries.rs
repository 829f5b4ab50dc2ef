//! Whose request is sent again, where to, and whose never.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::client::{connect, once};
use crate::config::{Config, over};
use crate::daemon::Daemon;
use crate::message::Message;
use crate::origin::{Origin, nowhere};

/// Reads each request whole, then resets.
fn resetting() -> Origin {
    Origin::new(|visit| {
        visit.request()?;
        visit.reset()
    })
}

fn request(method: &str, body: &str) -> String {
    format!(
        "{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The backend that fails first, the one that would do, and the daemon before them.
fn pair(failing: &Origin, lines: &str) -> (Origin, Daemon) {
    let well = Origin::answering("well");
    let config: Config = over(&[failing.address, well.address]).pool(lines);
    let daemon = Daemon::start(&config);
    (well, daemon)
}

#[test]
fn a_failed_connect_is_retried_elsewhere_for_every_method() {
    let well = Origin::answering("well");
    let daemon = Daemon::start(&over(&[nowhere(), well.address]));
    for method in ["GET", "POST", "POST", "PATCH"] {
        assert_eq!(once(daemon.web, &request(method, "body")).unwrap().text(), "well", "{method}");
    }
    assert_eq!(well.requests(), 4);
    assert!(daemon.metric("equipoise_retries_total", &[("pool", "crm"), ("reason", "connect")]) >= 2.0);
    assert!(well.arrived().iter().all(|message| message.body == b"body"));
}

#[test]
fn a_reset_is_retried_for_idempotent_methods_with_their_body() {
    let failing = resetting();
    let (well, daemon) = pair(&failing, "");
    for method in ["GET", "PUT", "DELETE", "PUT"] {
        assert_eq!(once(daemon.web, &request(method, "body")).unwrap().text(), "well", "{method}");
    }
    // Two picks a request: the turn is the failing one's again each time.
    assert_eq!((failing.requests(), well.requests()), (4, 4));
    assert!(well.arrived().iter().all(|message| message.body == b"body"));
    assert_eq!(daemon.metric("equipoise_retries_total", &[("reason", "reset")]), 4.0);
}

#[test]
fn a_post_whose_backend_resets_is_502_and_arrived_once() {
    let failing = resetting();
    let (well, daemon) = pair(&failing, "");
    assert_eq!(once(daemon.web, &request("POST", "body")).unwrap().status(), 502);
    assert_eq!((failing.requests(), well.requests()), (1, 0));
}

#[test]
fn an_unparsable_answer_is_retried_and_never_shown() {
    for garbage in [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200",
    ] {
        let failing = Origin::new(move |visit| {
            visit.request()?;
            visit.send(garbage)
        });
        let (well, daemon) = pair(&failing, "");
        assert_eq!(once(daemon.web, &request("GET", "")).unwrap().text(), "well", "{garbage:?}");
        assert_eq!(well.requests(), 1);
        // The next turn is the failing one's again, and this time nobody may repeat it.
        let statuses = [(); 2].map(|()| once(daemon.web, &request("POST", "b")).unwrap().status());
        assert!(statuses.contains(&502) && statuses.contains(&200), "{statuses:?}");
        assert_eq!(daemon.metric("equipoise_backend_requests_total", &[("code", "invalid")]), 2.0);
    }
}

#[test]
fn a_timeout_is_retried_where_the_pool_says_so() {
    let silent = Origin::new(|visit| {
        visit.request()?;
        visit.wire.rest().map(|_| ())
    });
    let (well, daemon) = pair(&silent, "timeouts.response = \"200ms\"\nretry.on = [\"timeout\"]");
    assert_eq!(once(daemon.web, &request("GET", "")).unwrap().text(), "well");
    assert_eq!((silent.requests(), well.requests()), (1, 1));
    let (_well, daemon) = pair(&silent, "timeouts.response = \"200ms\"");
    assert_eq!(once(daemon.web, &request("GET", "")).unwrap().status(), 504, "not by default");
}

#[test]
fn a_status_is_retried_where_the_pool_says_so() {
    let busy = Origin::new(|visit| {
        while visit.request()?.is_some() {
            visit.answer(503, "busy")?;
        }
        Ok(())
    });
    let (_well, daemon) = pair(&busy, "retry.on = [503]");
    assert_eq!(once(daemon.web, &request("GET", "")).unwrap().text(), "well");
    let posts = [(); 2].map(|()| once(daemon.web, &request("POST", "b")).unwrap().status());
    assert!(posts.contains(&503), "a POST is not sent twice: {posts:?}");
    // The last answer stands when nobody gives a better one: nothing of it is made up.
    let alone = Daemon::start(&over(&[busy.address]).pool("retry.on = [503]"));
    let answer = once(alone.web, &request("GET", "")).unwrap();
    assert_eq!((answer.status(), answer.text().as_str()), (503, "busy"));
}

/// What was sent is held up to retry.buffer, and not further.
#[test]
fn a_body_above_the_buffer_is_not_retried() {
    let small = "s".repeat(900);
    let large = "l".repeat(200_000);
    let chunked = |body: &str| {
        format!(
            "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        )
    };
    for (sent, expected) in [
        (request("PUT", &small), 200),
        (chunked(&small), 200),
        (request("PUT", &large), 502),
        (chunked(&large), 502),
    ] {
        let failing = resetting();
        let (well, daemon) = pair(&failing, "retry.buffer = \"1KiB\"");
        let answer = once(daemon.web, &sent).unwrap();
        assert_eq!(answer.status(), expected, "{:.100}", sent);
        assert_eq!((failing.requests(), well.requests()), (1, u64::from(expected == 200)));
        if let Some(Message { body, .. }) = well.arrived().first() {
            assert_eq!(body, small.as_bytes());
        }
    }
}

#[test]
fn the_budget_bounds_retries() {
    let busy = [(); 3].map(|()| {
        Origin::new(|visit| {
            while visit.request()?.is_some() {
                visit.answer(503, "busy")?;
            }
            Ok(())
        })
    });
    let addresses = busy.each_ref().map(|origin| origin.address);
    let daemon = Daemon::start(&over(&addresses).pool("retry.on = [503]"));
    let mut wire = connect(daemon.web);
    for _ in 0..60 {
        assert_eq!(wire.get("/").unwrap().status(), 503);
    }
    let arrived: u64 = busy.iter().map(Origin::requests).sum();
    assert_eq!(arrived, 60 + 30, "max(0.2 x 60, 30)");
    assert_eq!(daemon.metric("equipoise_retries_total", &[]), 30.0);
    assert!(daemon.metric("equipoise_retry_budget_exhausted_total", &[]) > 0.0);
}

/// Servers close idle connections at the worst moment: as soon as they have answered.
#[test]
fn a_stale_connection_costs_no_get() {
    let origin = Origin::new(|visit| {
        visit.request()?;
        visit.answer(200, "well")
    });
    let daemon = Daemon::start(&over(&[origin.address]).pool("retry.on = []"));
    let mut wire = connect(daemon.web);
    for _ in 0..300 {
        assert_eq!(wire.get("/").unwrap().text(), "well");
    }
    assert_eq!(origin.requests(), 300);
}

/// The close is seen only after the request was written: nothing can have been processed.
#[test]
fn a_connection_that_dies_under_a_get_is_replaced() {
    let origin = Origin::new(|visit| {
        visit.request()?;
        visit.answer(200, "first")?;
        if visit.number == 0 {
            // Takes the second request and dies without a word.
            visit.request()?;
            return visit.reset();
        }
        while visit.request()?.is_some() {
            visit.answer(200, "again")?;
        }
        Ok(())
    });
    let daemon = Daemon::start(&over(&[origin.address]).pool("retry.on = []"));
    let mut wire = connect(daemon.web);
    assert_eq!(wire.get("/").unwrap().text(), "first");
    assert_eq!(wire.get("/").unwrap().status(), 200);
    assert_eq!(daemon.metric("equipoise_retries_total", &[("reason", "stale")]), 1.0);
}

/// Whatever the backend does to its connections, a POST arrives once or fails visibly.
#[test]
fn no_post_is_ever_sent_twice() {
    let fates = Arc::new(AtomicU64::new(0));
    let origin = Origin::new(move |visit| {
        while visit.request()?.is_some() {
            match fates.fetch_add(1, Ordering::SeqCst) % 5 {
                0 => return visit.answer(200, "and closed"),
                1 => return visit.reset(),
                2 => return visit.send("HTTP/1.1 20"),
                _ => visit.answer(200, "kept")?,
            }
        }
        Ok(())
    });
    let daemon =
        Daemon::start(&over(&[origin.address]).pool("retry.on = [\"connect\", \"reset\", \"invalid\", 502]"));
    let (mut answered, mut failed) = (0, 0);
    for nth in 0..200 {
        let body = format!("post-{nth}");
        match once(daemon.web, &request("POST", &body)).unwrap().status() {
            200 => answered += 1,
            502 => failed += 1,
            other => panic!("{other}"),
        }
    }
    let mut bodies: Vec<String> = origin.arrived().iter().map(Message::text).collect();
    let arrived = bodies.len();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), arrived, "some arrived twice");
    println!("{answered} answered, {failed} failed visibly, {arrived} arrived");
    assert!(answered > 100 && arrived >= answered);
}
