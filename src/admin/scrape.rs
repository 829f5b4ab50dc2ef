//! /metrics, written beside the control thread.
//!
//! With a thousand backends the page takes tens of milliseconds. On the control thread they would delay probes, and make
//! what probes measure too long; and on a machine that is full a worker must not wait for it. So each page has a thread of
//! its own, of low priority, one at a time. It holds the lock of an account for moments only, as whoever needs one then waits
//! for it.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use tokio::sync::oneshot;

use super::reply::{Answer, error, plain};
use super::{Desk, accept};

/// How much the thread gives way: beside a worker that could use all of its core it gets a tenth of one.
const NICE: i32 = 10;

pub(super) async fn page(desk: &Desk, wanted: &HeaderMap) -> Answer {
    let form = accept::form(wanted);
    let (told, heard) = oneshot::channel();
    // Whoever asks may leave: the turn goes with the thread, so that there is never a second one.
    let turn = Arc::clone(&desk.scraping).lock_owned().await;
    let metrics = Arc::clone(desk.house.metrics());
    metrics.note_conditions(Instant::now());
    let write = move || {
        let _ = rustix::process::nice(NICE); // refused: then it writes as others do
        let _ = told.send(metrics.render(Instant::now(), form).map_err(|cause| cause.to_string()));
        drop(turn);
    };
    let mut answer = match thread::Builder::new().name("scrape".into()).spawn(write) {
        Err(cause) => error(StatusCode::SERVICE_UNAVAILABLE, &format!("no further thread: {cause}")),
        Ok(_) => match heard.await {
            Ok(Ok(text)) => plain(StatusCode::OK, form.content_type(), text),
            Ok(Err(cause)) => error(StatusCode::INTERNAL_SERVER_ERROR, &cause),
            Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "the page broke off; see the log"),
        },
    };
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    answer
}
