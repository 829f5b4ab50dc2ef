//! `[pool.NAME]`

use std::time::Duration;

use super::{Places, PoolPlaces, health, slo, sticky, tls, unique};
use crate::config::Vocabulary;
use crate::config::model::{
    Backend, HashKey, MaxConnections, PassHost, Passive, Pool, PoolTimeouts, Protocol, Queue, Retry, RetryOn,
    SendProxy,
};
use crate::config::report::{Code, Diagnostic, Findings, Span};
use crate::config::walk::{Section, Value};

/// What counts are kept for; an ejection for what happened yesterday helps nobody.
const WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest ejection, repeated ones included.
const EJECT_MAX: Duration = Duration::from_secs(5 * 60);

pub(super) fn build(
    name: &str,
    section: &Section,
    vocabulary: &Vocabulary<'_>,
    places: &mut Places,
    findings: &mut Findings,
) -> Pool {
    let max_connections = max_connections(section).unwrap_or(MaxConnections::AtMost(0));
    let hash_key = match section.value("hash_key") {
        Some(Value::HashKey(key)) => key.clone(),
        _ => HashKey::ClientIp,
    };
    let pass_host = match section.value("pass_host") {
        Some(Value::Boolean(false)) => PassHost::Backend,
        Some(Value::Text(host)) => PassHost::Fixed(host.clone()),
        _ => PassHost::Client,
    };
    let none = Section::default();
    let health_section = section.given("health").and_then(|_| section.table("health"));
    let retry_section = section.table("retry").unwrap_or(&none);
    places.pools.push(pool_places(section, health_section, retry_section));
    let backends = backends(section, max_connections, findings);
    Pool {
        name: name.to_owned(),
        balance: section.text("balance").unwrap_or_default().to_owned(),
        hash_key,
        hash_balance_factor: section.fraction("hash_balance_factor"),
        max_connections,
        queue: queue(section.table("queue").unwrap_or(&none)),
        pass_host,
        load_header: section.text("load_header").map(str::to_owned),
        hedge: section.boolean("hedge").unwrap_or(false),
        slow_start: section.duration("slow_start").unwrap_or_default(),
        panic_threshold: section.fraction("panic_threshold").unwrap_or(0.0),
        passive: passive(section.table("passive").unwrap_or(&none), findings),
        protocol: protocol(section, findings),
        proxy_protocol: match section.text("proxy_protocol") {
            Some("v1") => SendProxy::V1,
            Some("v2") => SendProxy::V2,
            _ => SendProxy::Off,
        },
        tls: tls::pool(section, &backends, vocabulary, findings),
        backends,
        health: health_section.map(|health| health::build(health, section, findings)),
        timeouts: timeouts(section.table("timeouts").unwrap_or(&none)),
        retry: retry(retry_section),
        sticky: sticky::build(name, section, findings),
        slo: slo::build(section, findings),
    }
}

/// What is spoken to the backends. A PROXY header holds for a whole connection, which exchanges of many clients share in
/// HTTP/2.
fn protocol(section: &Section, findings: &mut Findings) -> Protocol {
    let protocol = match section.text("protocol") {
        Some("h2") => Protocol::H2,
        Some("auto") => Protocol::Auto,
        _ => Protocol::H1,
    };
    if protocol == Protocol::H2
        && let Some(entry) = section.given("proxy_protocol")
        && section.text("proxy_protocol").is_some_and(|form| form != "off")
    {
        let message = "`proxy_protocol` cannot be had with protocol = \"h2\"";
        let one = Diagnostic::error(Code::Conflict, entry.key.clone(), message)
            .label("clients share the connections of HTTP/2, and this announces one")
            .note(section.place("protocol"), "`protocol` is here");
        findings.push(one.help(Some("backends of HTTP/2 find the client in X-Forwarded-For")));
    }
    protocol
}

fn pool_places(section: &Section, health: Option<&Section>, retry: &Section) -> PoolPlaces {
    PoolPlaces {
        section: section.span.clone(),
        backends: section.given("backends").map_or_else(|| section.span.clone(), |entry| entry.key.clone()),
        hash_key: section.given("hash_key").map(|entry| entry.key.clone()),
        hash_balance_factor: section.given("hash_balance_factor").map(|entry| entry.key.clone()),
        queue: section.given("queue").map(|entry| entry.key.clone()),
        health_timeout: health.map(|health| health.place("timeout")).unwrap_or_default(),
        health_method: health.map(|health| health.place("method")).unwrap_or_default(),
        verify: section.table("tls").map(|tls| tls.place("verify")).unwrap_or_default(),
        retry_methods: retry.list("methods").iter().map(|item| item.span.clone()).collect(),
    }
}

fn backends(section: &Section, pool_limit: MaxConnections, findings: &mut Findings) -> Vec<Backend> {
    let mut backends = Vec::new();
    let mut places: Vec<(Span, bool)> = Vec::new();
    for item in section.list("backends") {
        let backend = match &item.value {
            Value::Text(address) => Backend {
                name: address.clone(),
                address: address.clone(),
                weight: 1,
                priority: 0,
                max_connections: pool_limit,
            },
            Value::Table(table) => {
                let address = table.text("address").unwrap_or_default().to_owned();
                let name = match (table.given("name"), table.text("name")) {
                    (_, Some(name)) => name.to_owned(),
                    (Some(_), None) => String::new(),
                    (None, None) => address.clone(),
                };
                Backend {
                    name,
                    address,
                    weight: table
                        .number("weight")
                        .map_or(1, |weight| u16::try_from(weight).unwrap_or(u16::MAX)),
                    priority: priority(table, findings),
                    max_connections: max_connections(table).unwrap_or(pool_limit),
                }
            }
            _ => continue,
        };
        places.push(match &item.value {
            Value::Table(table) if table.given("name").is_some() => (table.place("name"), true),
            Value::Table(table) if table.given("address").is_some() => (table.place("address"), false),
            _ => (item.span.clone(), false),
        });
        backends.push(backend);
    }
    let named = backends.iter().zip(&places);
    let named = named.map(|(backend, (span, written))| (backend.name.as_str(), span.clone(), *written));
    unique("backend", named, "the name is the address where none is given", findings);
    backends
}

fn max_connections(section: &Section) -> Option<MaxConnections> {
    match section.number("max_connections") {
        Some(number) => Some(MaxConnections::AtMost(to_u32(number))),
        None => section.text("max_connections").map(|_| MaxConnections::Adaptive),
    }
}

/// `backup = true` is priority 1.
fn priority(backend: &Section, findings: &mut Findings) -> u8 {
    if let (Some(priority), Some(_)) = (backend.given("priority"), backend.given("backup")) {
        let message = "`priority` and `backup` say the same thing twice";
        let one =
            Diagnostic::error(Code::Conflict, priority.key.clone(), message).label("one of them is enough");
        findings.push(
            one.note(backend.place("backup"), "`backup` is here")
                .help(Some("`backup = true` is `priority = 1`")),
        );
    }
    match backend.boolean("backup") {
        Some(true) => 1,
        _ => backend.number("priority").map_or(0, |priority| u8::try_from(priority).unwrap_or(u8::MAX)),
    }
}

fn passive(section: &Section, findings: &mut Findings) -> Option<Passive> {
    let mut refuse = |key: &str, wrong: bool, why: &str| {
        if let Some(entry) = section.given(key).filter(|_| wrong && section.value(key).is_some()) {
            let one = Diagnostic::error(Code::BadValue, entry.span.clone(), format!("`{key}`: {why}"));
            findings.push(one.label("this value cannot be meant"));
        }
    };
    let fraction = |key| section.fraction(key).unwrap_or(0.0);
    let duration = |key| section.duration(key).unwrap_or_default();
    let passive = Passive {
        consecutive_failures: section.number("consecutive_failures").map_or(1, to_u32),
        failure_ratio: fraction("failure_ratio"),
        min_requests: section.number("min_requests").map_or(1, to_u32),
        window: duration("window"),
        latency_factor: fraction("latency_factor"),
        eject_for: duration("eject_for"),
        max_ejected: fraction("max_ejected"),
        end_by_check: section.boolean("end_by_check").unwrap_or(true),
    };
    let off = "0.0 does not switch this off; `enabled = false` does";
    refuse("failure_ratio", passive.failure_ratio == 0.0, off);
    refuse("max_ejected", passive.max_ejected == 0.0, off);
    let factor = passive.latency_factor;
    refuse(
        "latency_factor",
        factor > 0.0 && factor <= 1.0,
        "half of the backends are always above the median",
    );
    refuse("window", passive.window > WINDOW_MAX, "a window is at most a day");
    refuse("eject_for", passive.eject_for > EJECT_MAX, "an ejection lasts at most 5 minutes");
    (section.boolean("enabled") != Some(false)).then_some(passive)
}

fn queue(section: &Section) -> Queue {
    Queue {
        max: section.number("max").map_or(0, to_u32),
        timeout: section.duration("timeout").unwrap_or_default(),
    }
}

fn timeouts(section: &Section) -> PoolTimeouts {
    PoolTimeouts {
        connect: section.duration("connect").unwrap_or_default(),
        response: section.duration("response").unwrap_or_default(),
        idle: section.duration("idle").unwrap_or_default(),
        tunnel: section.duration("tunnel").unwrap_or_default(),
        keep_alive: section.duration("keep_alive").unwrap_or_default(),
    }
}

fn retry(section: &Section) -> Retry {
    let mut on = RetryOn::default();
    for item in section.list("on") {
        match &item.value {
            Value::Text(word) => match word.as_str() {
                "connect" => on.connect = true,
                "reset" => on.reset = true,
                "invalid" => on.invalid = true,
                _ => on.timeout = true,
            },
            Value::Statuses(from, to) => on.statuses.extend(*from..=*to),
            _ => {}
        }
    }
    on.statuses.sort_unstable();
    on.statuses.dedup();
    let mut methods = Vec::new();
    for item in section.list("methods") {
        if let Value::Text(method) = &item.value {
            methods.push(method.clone());
        }
    }
    Retry {
        attempts: section.number("attempts").map_or(0, to_u32),
        on,
        methods,
        budget: section.fraction("budget").unwrap_or(0.0),
        buffer: section.number("buffer").map_or(0, to_u32),
    }
}

/// The table of keys holds the bounds; none exceeds 32 bits where this is used.
pub(super) fn to_u32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
