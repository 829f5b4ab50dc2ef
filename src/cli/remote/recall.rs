//! What was decided for requests that have ended, for people.

use std::fmt::Write as _;

use super::printable;
use crate::admin::{DecidedView, PhasesView, RecallView, TryView};

const HEADINGS: [&str; 6] = ["TRY", "BACKEND", "WHY", "AFTER", "TOOK", "ENDED"];

/// Every request of the id, the newest first.
pub(super) fn told(view: &RecallView) -> String {
    let mut text = String::new();
    for (nth, one) in view.requests.iter().enumerate() {
        if nth > 0 {
            text.push('\n');
        }
        decided(&mut text, one);
    }
    let told = view.requests.len();
    if view.matches > told {
        let _ = writeln!(text, "\n{} of this id are kept; these are the last {told}", view.matches);
    }
    text
}

fn decided(text: &mut String, one: &DecidedView) {
    let mut line = |words: String| {
        text.push_str(&printable(&words));
        text.push('\n');
    };
    let status = one.status.map_or_else(|| "nothing".to_owned(), |status| status.to_string());
    let why = if one.reason.is_empty() { String::new() } else { format!(" ({})", one.reason) };
    let asked = match (&one.method, &one.target) {
        (Some(method), Some(target)) => {
            let host = one.host.as_deref().unwrap_or("-");
            format!("{method} {target} of {host}, {}", one.protocol.as_deref().unwrap_or("-"))
        }
        _ => "a head that could not be read".to_owned(),
    };
    line(format!("{}  {asked}: {status}{why} after {}", one.time_utc, millis(one.duration_seconds)));
    line(format!("client {}, listener {}", one.client, one.listener));
    match (&one.route, &one.pool) {
        (Some(route), Some(pool)) => {
            let balance = one.balance.as_deref().unwrap_or("-");
            line(format!("route {route}, pool {pool} ({balance})"));
        }
        _ => line("no route".to_owned()),
    }
    let rows: Vec<[String; 6]> = one.tries.iter().enumerate().map(|(nth, one)| row(nth + 1, one)).collect();
    if !rows.is_empty() {
        table(&rows, &mut line);
    }
    if one.tries_left_out > 0 {
        line(format!("{} more tries are not told", one.tries_left_out));
    }
    let hedge = one.hedge.as_ref().map_or_else(String::new, |which| format!("; the {which} of two answered"));
    line(format!("retries: {}{hedge}", one.retries));
    line(format!("phases: {}", phases(&one.phases)));
}

fn row(nth: usize, one: &TryView) -> [String; 6] {
    let mut why = one.why.clone();
    if one.priority > 0 {
        let _ = write!(why, ", priority {}", one.priority);
    }
    if one.panic {
        why.push_str(", panic");
    }
    let ended = match (one.status, &one.failed) {
        (Some(status), Some(failed)) => format!("{status}, {failed}"),
        (Some(status), None) => status.to_string(),
        (None, Some(failed)) if !failed.is_empty() => failed.clone(),
        _ => "-".to_owned(),
    };
    [nth.to_string(), one.backend.clone(), why, millis(one.after_seconds), millis(one.seconds), ended]
}

fn table(rows: &[[String; 6]], line: &mut impl FnMut(String)) {
    let mut widths = HEADINGS.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut write = |cells: [&str; 6]| {
        let mut text = String::new();
        for (cell, width) in cells.into_iter().zip(widths) {
            let _ = write!(text, "  {cell:<width$}");
        }
        line(text.trim_end().to_owned());
    };
    write(HEADINGS);
    rows.iter().for_each(|row| write(row.each_ref().map(String::as_str)));
}

fn phases(phases: &PhasesView) -> String {
    let named = [
        ("receive", phases.receive_seconds),
        ("queue", phases.queue_seconds),
        ("connect", phases.connect_seconds),
        ("first byte", phases.first_byte_seconds),
        ("transfer", phases.transfer_seconds),
    ];
    let took = named.into_iter().filter_map(|(name, time)| Some(format!("{name} {}", millis(time?))));
    let told: Vec<String> = took.collect();
    if told.is_empty() { "-".to_owned() } else { told.join(", ") }
}

fn millis(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> DecidedView {
        let failed = TryView {
            backend: "app1".into(),
            why: "sticky".into(),
            priority: 0,
            panic: false,
            after_seconds: 0.0001,
            seconds: 0.0023,
            status: None,
            failed: Some("reset".into()),
        };
        let good = TryView {
            backend: "a\u{1b}[2J".into(),
            why: "algorithm".into(),
            priority: 1,
            panic: true,
            after_seconds: 0.0024,
            seconds: 0.01,
            status: Some(200),
            failed: Some("cut".into()),
        };
        DecidedView {
            time: 1.5,
            time_utc: "1970-01-01T00:00:01.500Z".into(),
            duration_seconds: 0.0124,
            client: "203.0.113.9".parse().unwrap(),
            listener: "web".into(),
            method: Some("GET".into()),
            host: Some("crm.example.com".into()),
            target: Some("/api\u{7}".into()),
            protocol: Some("HTTP/1.1".into()),
            route: Some("api".into()),
            pool: Some("crm".into()),
            balance: Some("round-robin".into()),
            tries: vec![failed, good],
            tries_left_out: 2,
            retries: 1,
            hedge: Some("second".into()),
            status: Some(200),
            reason: String::new(),
            phases: PhasesView {
                receive_seconds: Some(0.0),
                queue_seconds: None,
                connect_seconds: Some(0.0025),
                first_byte_seconds: Some(0.009),
                transfer_seconds: Some(0.0009),
            },
        }
    }

    #[test]
    fn a_request_is_told_with_its_tries() {
        let refused = DecidedView {
            method: None,
            target: None,
            route: None,
            tries: Vec::new(),
            tries_left_out: 0,
            retries: 0,
            hedge: None,
            status: Some(400),
            reason: "malformed".into(),
            ..one()
        };
        let view = RecallView {
            request_id: "a".into(),
            kept: 9,
            since: 0.0,
            matches: 3,
            requests: vec![one(), refused],
        };
        let phases = "phases: receive 0.000 ms, connect 2.500 ms, first byte 9.000 ms, transfer 0.900 ms\n";
        assert_eq!(
            told(&view),
            format!(
                "1970-01-01T00:00:01.500Z  GET /api\u{fffd} of crm.example.com, HTTP/1.1: 200 after 12.400 ms\n\
                 client 203.0.113.9, listener web\n\
                 route api, pool crm (round-robin)\n\
                 \x20 TRY  BACKEND  WHY                           AFTER     TOOK       ENDED\n\
                 \x20 1    app1     sticky                        0.100 ms  2.300 ms   reset\n\
                 \x20 2    a\u{fffd}[2J    algorithm, priority 1, panic  2.400 ms  10.000 ms  200, cut\n\
                 2 more tries are not told\n\
                 retries: 1; the second of two answered\n\
                 {phases}\n\
                 1970-01-01T00:00:01.500Z  a head that could not be read: 400 (malformed) after 12.400 ms\n\
                 client 203.0.113.9, listener web\n\
                 no route\n\
                 retries: 0\n\
                 {phases}\n\
                 3 of this id are kept; these are the last 2\n"
            )
        );
    }
}
