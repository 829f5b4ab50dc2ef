//! Listens to the balancer, and passes orders on to it.

use std::pin::pin;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::order::{Change, Order};
use super::told::{Event, Events, Snapshot, Words};
use crate::cli::remote::{
    Answer, Endpoint, Failure, MAX_ANSWER, STATUS_TIMEOUT, ask, broken, open, orders, request,
};

/// A balancer that tells nothing for so long has gone: it tells something once a second.
const SILENCE: Duration = Duration::from_secs(5);
/// Before it is listened to again when a stream has ended well.
const BREATH: Duration = Duration::from_millis(50);
/// Before it is tried again when it could not be heard.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of a snapshot: 500 backends take 180 KiB.
const MAX_SNAPSHOT: usize = 4 * 1024 * 1024;
/// Pools, backends and events of one answer: a few octets each could become gigabytes.
const MAX_OBJECTS: usize = 50_000;
/// By so many seconds the begin of a balancer seems to move that goes on: clocks are set.
const SAME_BEGIN: f64 = 5.0;
/// What a line of the stream that tells something begins with.
const DATA: &[u8] = b"data: ";

/// What is new.
#[derive(Debug)]
pub(super) enum News {
    /// What holds.
    Snapshot(Box<Snapshot>),
    /// What happened, the oldest first; from its beginning or after what was told before.
    Events { events: Vec<Event>, anew: bool },
    /// The balancer cannot be heard, and why.
    Lost(Words),
    /// What came of an order, in words.
    Ordered(Words),
}

/// Whether the balancer is there at all and lets itself be read.
pub(super) async fn greet(endpoint: &Endpoint) -> Result<(), Failure> {
    let answer = ask(endpoint, (&Method::GET, "/api/v1/events"), String::new(), STATUS_TIMEOUT).await?;
    events_of(answer, &endpoint.admin).map(drop)
}

/// Listens until nobody takes the news any more; comes back whenever the stream has ended.
pub(super) async fn follow(endpoint: Endpoint, news: mpsc::Sender<News>) {
    let mut feed = Feed { endpoint, news, last_event: None, begun: 0.0 };
    while !feed.news.is_closed() {
        match feed.listen().await {
            // It ends every connection now and then; whoever comes back soon misses nothing.
            Ok(true) => sleep(BREATH).await,
            Ok(false) => sleep(PAUSE).await,
            Err(failure) => {
                let _ = feed.news.send(News::Lost(failure.to_string().into())).await;
                sleep(PAUSE).await;
            }
        }
    }
}

/// Gives an order, and tells what came of it.
pub(super) async fn give(endpoint: Endpoint, order: Order, news: mpsc::Sender<News>) {
    let body = match order.change {
        Change::State(state) => json!({ "state": state }),
        Change::Weight(weight) => json!({ "weight": weight.0 }),
    };
    let path = order.target.path();
    let answer = ask(&endpoint, (&Method::PUT, &path), body.to_string(), STATUS_TIMEOUT).await;
    let words = match answer.and_then(|answer| orders::understood(&order.target, answer)) {
        Ok((_, words)) => words.trim_end().to_owned(),
        Err(failure) => format!("not done: {failure}"),
    };
    let _ = news.send(News::Ordered(words.into())).await;
}

struct Feed {
    endpoint: Endpoint,
    news: mpsc::Sender<News>,
    /// The number of the last event that was passed on.
    last_event: Option<u64>,
    /// When the balancer began, by its own clock.
    begun: f64,
}

impl Feed {
    /// Listens to one stream up to its end; gives whether it told anything.
    async fn listen(&mut self) -> Result<bool, Failure> {
        let address = self.endpoint.admin.clone();
        let slow = || Failure::Slow { address: address.clone(), after: SILENCE };
        let request = request(&self.endpoint, (&Method::GET, "/api/v1/stream"), String::new())?;
        let (mut sender, connection) = timeout(SILENCE, open(&address)).await.map_err(|_| slow())??;
        let hearing = async {
            let answered = timeout(SILENCE, sender.send_request(request)).await.map_err(|_| slow())?;
            let response = answered.map_err(|cause| broken(&address, cause))?;
            // What is sent no more: the connection ends with the stream.
            drop(sender);
            let (status, mut body) = (response.status(), response.into_body());
            if status != StatusCode::OK {
                let whole = http_body_util::Limited::new(body, MAX_ANSWER).collect();
                let whole = timeout(SILENCE, whole).await.map_err(|_| slow())?;
                let body = whole.map_err(|cause| broken(&address, cause))?.to_bytes();
                return Err(Answer { status, body }.into_failure());
            }
            let (mut lines, mut told) = (Lines::default(), false);
            while let Some(frame) = timeout(SILENCE, body.frame()).await.map_err(|_| slow())? {
                let frame = frame.map_err(|cause| broken(&address, cause))?;
                lines
                    .take(frame.data_ref().map_or(&[], |data| data))
                    .map_err(|cause| broken(&address, cause))?;
                while let Some(line) = lines.next() {
                    let Some(text) = line.strip_prefix(DATA) else { continue };
                    if is_crowded(text) {
                        return Err(broken(&address, "a snapshot tells of too much"));
                    }
                    let snapshot: Snapshot = serde_json::from_slice(text).map_err(Failure::NotOurs)?;
                    told = true;
                    if !self.pass_on(snapshot).await {
                        return Ok(told);
                    }
                }
            }
            Ok(told)
        };
        // The connection may end before all of it was heard, and must not outlive a listener who gave up.
        let (mut hearing, mut connection, mut ended) = (pin!(hearing), pin!(connection), false);
        loop {
            tokio::select! {
                told = &mut hearing => return told,
                _ = &mut connection, if !ended => ended = true,
            }
        }
    }

    /// Passes a snapshot on, and the events that it speaks of; false where nobody takes it.
    async fn pass_on(&mut self, snapshot: Snapshot) -> bool {
        let (last, begun) = (snapshot.last_event, snapshot.time - snapshot.uptime_seconds);
        if (begun - self.begun).abs() > SAME_BEGIN {
            self.last_event = None; // another process, which counts from 1 again
        }
        self.begun = begun;
        if self.news.send(News::Snapshot(Box::new(snapshot))).await.is_err() {
            return false;
        }
        if self.last_event == Some(last) {
            return true;
        }
        // Fewer than before: the balancer has begun anew.
        let known = self.last_event.filter(|known| *known <= last);
        let path = format!("/api/v1/events?after={}", known.unwrap_or(0));
        let answer = ask(&self.endpoint, (&Method::GET, &path), String::new(), SILENCE).await;
        // What could not be asked now is asked at the next snapshot.
        let read = answer.and_then(|answer| events_of(answer, &self.endpoint.admin));
        let Ok(events) = read else { return true };
        self.last_event = Some(events.last().map_or(last, |event| event.number));
        self.news.send(News::Events { events, anew: known.is_none() }).await.is_ok()
    }
}

/// Whether a text has so many objects that it is no balancer's.
fn is_crowded(text: &[u8]) -> bool {
    memchr::memchr_iter(b'{', text).nth(MAX_OBJECTS).is_some()
}

/// The events of an answer from this address.
fn events_of(answer: Answer, address: &str) -> Result<Vec<Event>, Failure> {
    if answer.status != StatusCode::OK {
        return Err(answer.into_failure());
    }
    if is_crowded(&answer.body) {
        return Err(broken(address, "it tells of too many events"));
    }
    Ok(serde_json::from_slice::<Events>(&answer.body).map_err(Failure::NotOurs)?.events)
}

/// Bytes as whole lines.
#[derive(Debug, Default)]
struct Lines {
    kept: Vec<u8>,
    /// Up to where they were given out.
    given: usize,
    /// Up to where no end of a line was found.
    searched: usize,
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.kept.drain(..self.given);
        self.searched -= self.given;
        self.given = 0;
        if self.kept.len() + bytes.len() > MAX_SNAPSHOT {
            return Err("a snapshot is too large");
        }
        self.kept.extend_from_slice(bytes);
        Ok(())
    }

    fn next(&mut self) -> Option<&[u8]> {
        let end = memchr::memchr(b'\n', &self.kept[self.searched..]).map(|at| self.searched + at);
        self.searched = end.map_or(self.kept.len(), |end| end + 1);
        let line = self.given..end?;
        self.given = self.searched;
        Some(&self.kept[line])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let text = b"retry: 1000\n\ndata: {\"a\":1}\n\ndata: 2\n\nrest";
        for step in 1..text.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in text.chunks(step) {
                lines.take(piece).unwrap();
                while let Some(line) = lines.next() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            assert_eq!(found, ["retry: 1000", "", "data: {\"a\":1}", "", "data: 2", ""], "by {step}");
        }
    }

    #[test]
    fn more_than_any_balancer_has_is_not_read() {
        assert!(!is_crowded(&b"{},".repeat(MAX_OBJECTS)));
        let crowd = b"{},".repeat(MAX_OBJECTS + 1);
        assert!(is_crowded(&crowd));
        let answer = Answer { status: StatusCode::OK, body: crowd.into() };
        let told = events_of(answer, "[::1]:9900").unwrap_err().to_string();
        assert!(told.contains("too many events") && !told.contains("200"), "{told}");
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let (mut lines, piece) = (Lines::default(), vec![b'x'; MAX_SNAPSHOT / 2]);
        lines.take(&piece).unwrap();
        assert!(lines.next().is_none());
        lines.take(&piece).unwrap();
        assert!(lines.take(b"x").is_err());
    }
}
