//! `[pool.NAME.health]`

use super::pool::to_u32;
use crate::config::model::{Agent, Health, HealthKind};
use crate::config::report::{Code, Diagnostic, Findings};
use crate::config::walk::{Section, Value};

/// `section` is the table itself, and `pool` the one around it.
pub(super) fn build(section: &Section, pool: &Section, findings: &mut Findings) -> Health {
    let kind = match section.text("type") {
        Some("tcp") => HealthKind::Tcp,
        Some("grpc") => HealthKind::Grpc,
        _ => HealthKind::Http,
    };
    refuse_what_nobody_reads(kind, section, findings);
    if kind == HealthKind::Grpc && !matches!(pool.text("protocol"), Some("h2" | "auto")) {
        let message = "a check of type \"grpc\" needs protocol = \"h2\" or \"auto\"";
        let one = Diagnostic::error(Code::Conflict, section.place("type"), message);
        findings.push(one.label("gRPC is spoken in HTTP/2 alone").help(Some("set `protocol` of the pool")));
    }
    let interval = section.duration("interval").unwrap_or_default();
    let statuses = section.list("expect_status").iter();
    Health {
        kind,
        path: section.text("path").unwrap_or("/").to_owned(),
        host: section.text("host").map(str::to_owned),
        method: section.text("method").unwrap_or("GET").to_owned(),
        service: section.text("service").unwrap_or_default().to_owned(),
        expect_status: statuses
            .filter_map(
                |item| if let Value::Statuses(from, to) = item.value { Some((from, to)) } else { None },
            )
            .collect(),
        expect_body: section.text("expect_body").map(str::to_owned),
        port: section.number("port").and_then(|port| u16::try_from(port).ok()),
        interval,
        // A quarter of the shortest interval is not zero, so no loop can spin.
        fast_interval: section.duration("fast_interval").unwrap_or(interval / 4),
        down_interval: section.duration("down_interval").unwrap_or(interval),
        timeout: section.duration("timeout").unwrap_or_default(),
        rise: section.number("rise").map_or(1, to_u32),
        fall: section.number("fall").map_or(1, to_u32),
        initial_up: section.text("initial") != Some("down"),
        agent: section
            .given("agent")
            .and_then(|_| section.table("agent"))
            .map(|section| agent(section, findings)),
    }
}

fn agent(section: &Section, findings: &mut Findings) -> Agent {
    if section.given("port").is_none() {
        let message = "[pool.NAME.health.agent] lacks `port`";
        let one = Diagnostic::error(Code::MissingKey, section.span.clone(), message);
        findings.push(one.label("`port` is missing").help(Some("the port that the agents listen on")));
    }
    Agent {
        port: section.number("port").and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
        interval: section.duration("interval").unwrap_or_default(),
    }
}

fn refuse_what_nobody_reads(kind: HealthKind, section: &Section, findings: &mut Findings) {
    let (name, unread): (_, &[_]) = match kind {
        HealthKind::Http => ("http", &["service"]),
        HealthKind::Tcp => ("tcp", &["path", "host", "method", "expect_status", "expect_body", "service"]),
        HealthKind::Grpc => ("grpc", &["path", "method", "expect_status", "expect_body"]),
    };
    for (key, entry) in unread.iter().filter_map(|key| section.given(key).map(|entry| (key, entry))) {
        let message = format!("`{key}` has no meaning for a check of type \"{name}\"");
        let one = Diagnostic::error(Code::Conflict, entry.key.clone(), message).label("nothing reads it");
        findings.push(match section.given("type") {
            Some(_) => one.note(section.place("type"), "`type` is here"),
            None => one,
        });
    }
}
