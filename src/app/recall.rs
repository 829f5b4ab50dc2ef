//! What was decided for requests that have ended, as the admin endpoint shows it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::access::{self, Times};
use crate::admin::{DecidedView, NotTold, PhasesView, RecallView, TryView};
use crate::control::Control;
use crate::observe::Outcome;
use crate::proxy::Fault;
use crate::recent::{Choice, End, Found, MAX_FOUND, Names, Query, Record, Tag, Text, Why};

/// Puts together what the workers know of an id.
pub(super) async fn recall(control: &Control, id: &str) -> Result<RecallView, NotTold> {
    if control.snapshot().recent_each == 0 {
        let why = "[admin] recent_requests is 0: of no request it is kept what was decided";
        return Err(NotTold::Unknown(why.to_owned()));
    }
    let found = control.recall(id).await.map_err(NotTold::Unanswered)?;
    view(id, found, &control.snapshot().names, &Clock::new())
}

/// Both clocks at one moment, so that an instant can be told as a time of day.
struct Clock {
    now: Instant,
    wall: SystemTime,
}

impl Clock {
    fn new() -> Self {
        Self { now: Instant::now(), wall: SystemTime::now() }
    }

    fn wall(&self, then: Instant) -> SystemTime {
        let before = self.wall.checked_sub(self.now.saturating_duration_since(then));
        before.unwrap_or(UNIX_EPOCH) + then.saturating_duration_since(self.now)
    }

    fn seconds(&self, then: Instant) -> f64 {
        let since = self.wall(then).duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_millis() as f64 / 1e3
    }
}

fn view(id: &str, found: Vec<Found>, names: &Names, clock: &Clock) -> Result<RecallView, NotTold> {
    // Each worker's own reaches back as far as it does: before the latest of them something may be missing.
    let since = found.iter().map(|one| one.since).max().unwrap_or(clock.now);
    let kept = found.iter().map(|one| one.kept).sum();
    let matches = found.iter().map(|one| one.matches).sum();
    let mut records: Vec<Record> = found.into_iter().flat_map(|one| one.records).collect();
    if records.is_empty() {
        let since = access::utc(clock.wall(since));
        return Err(NotTold::Unknown(format!(
            "no request of this id is among the {kept} that are kept, which are all that ended since {since} \
             ([admin] recent_requests says how many); one that has not ended yet is not among them"
        )));
    }
    records.sort_by_key(|record| std::cmp::Reverse(record.ended));
    records.truncate(MAX_FOUND);
    Ok(RecallView {
        request_id: id.to_owned(),
        kept,
        since: clock.seconds(since),
        matches,
        requests: records.iter().map(|record| decided(record, names, clock)).collect(),
    })
}

fn decided(record: &Record, names: &Names, clock: &Clock) -> DecidedView {
    let name = |tag: Tag| tag.is_some().then(|| named(names, tag));
    let read = record.version.is_some();
    DecidedView {
        time: clock.seconds(record.arrival.began),
        time_utc: access::utc(clock.wall(record.arrival.began)),
        duration_seconds: seconds(record.arrival.began, record.ended),
        client: record.client,
        listener: named(names, record.place.listener),
        method: read.then(|| String::from_utf8_lossy(record.method()).into_owned()),
        host: Some(text(&record.host)).filter(|host| !host.is_empty()),
        target: read.then(|| target(record)),
        protocol: record.version.map(|version| version.name().to_owned()),
        route: name(record.place.route),
        pool: name(record.place.pool),
        balance: name(record.place.balance),
        tries: tries(record, names),
        tries_left_out: record.earlier.as_ref().map_or(0, |earlier| earlier.left_out),
        retries: record.retries,
        hedge: record.course.hedge.map(str::to_owned),
        status: Some(record.code).filter(|code| *code > 0),
        reason: record.reason.to_owned(),
        phases: phases(&record.times()),
    }
}

fn tries(record: &Record, names: &Names) -> Vec<TryView> {
    let view = |choice: &Choice, ended: Instant, end: End| TryView {
        backend: named(names, choice.backend),
        why: match choice.why {
            Why::Cookie => "sticky",
            Why::Login => "login",
            Why::Trial => "trial",
            Why::Algorithm => "algorithm",
        }
        .to_owned(),
        priority: choice.priority,
        panic: choice.panics,
        after_seconds: seconds(record.arrival.began, choice.at),
        seconds: seconds(choice.at, ended),
        status: if let End::Status(status) = end { Some(status) } else { None },
        failed: match end {
            End::Status(_) => None,
            End::Failed(_) if choice.tls_failed => Some(Outcome::TlsError.name().to_owned()),
            End::Failed(why) => Some(why.to_owned()),
        },
    };
    let earlier = record
        .earlier
        .iter()
        .flat_map(|earlier| &earlier.tries)
        .map(|one| view(&one.choice, one.ended, one.end));
    let last = record.course.last.iter().map(|last| {
        let mut told = view(last, record.ended, record.end());
        let (_, cut) = Fault::Cut.told();
        if record.reason == cut {
            told.failed = Some(cut.to_owned());
        }
        told
    });
    let mut tries: Vec<_> = earlier.chain(last).collect();
    // Of two beside each other the one that was cut off is told first, and may have begun last.
    tries.sort_by(|one, other| one.after_seconds.total_cmp(&other.after_seconds));
    tries
}

fn phases(times: &Times) -> PhasesView {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    PhasesView {
        receive_seconds: seconds(times.receive),
        queue_seconds: seconds(times.queue),
        connect_seconds: seconds(times.connect),
        first_byte_seconds: seconds(times.response),
        transfer_seconds: seconds(times.transfer),
    }
}

/// Path and query, as far as they may be shown.
fn target(record: &Record) -> String {
    let whole = record.target.bytes();
    match whole.iter().position(|byte| *byte == b'?') {
        Some(at) if record.query == Query::Masked => format!("{}?***", String::from_utf8_lossy(&whole[..at])),
        _ => text(&record.target),
    }
}

/// A text; three dots follow what was cut.
fn text<const N: usize>(text: &Text<N>) -> String {
    let mut shown = String::from_utf8_lossy(text.bytes()).into_owned();
    if text.is_cut() {
        shown.push('…');
    }
    shown
}

fn named(names: &Names, tag: Tag) -> String {
    names.name(tag).map_or_else(|| "(a name of long ago)".to_owned(), |name| name.to_string())
}

fn seconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64()
}
