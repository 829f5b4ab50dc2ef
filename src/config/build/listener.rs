//! `[[listener]]`

use std::collections::HashMap;
use std::net::SocketAddr;

use super::{Names, Places, tls, unique};
use crate::config::Vocabulary;
use crate::config::model::{AcceptProxy, Limits, Listener, ListenerTimeouts, Protocols, Underscores};
use crate::config::page;
use crate::config::report::{Code, Diagnostic, Findings, Span};
use crate::config::walk::{Section, Value};

pub(super) fn build_all(
    sections: &[Section],
    pools: &Names<'_>,
    vocabulary: &Vocabulary<'_>,
    places: &mut Places,
    findings: &mut Findings,
) -> Vec<Listener> {
    let listeners: Vec<Listener> =
        sections.iter().map(|section| build(section, pools, vocabulary, places, findings)).collect();
    let named = listeners.iter().zip(sections).map(|(listener, section)| {
        let written = section.given("name").is_some();
        (listener.name.as_str(), section.place(if written { "name" } else { "bind" }), written)
    });
    unique("listener", named, "the name is the first bind address where none is given", findings);
    listeners
}

/// No address is bound twice: the second socket would take half of the first one's connections.
pub(super) fn check_addresses(
    listeners: &[Listener],
    admin: SocketAddr,
    places: &Places,
    findings: &mut Findings,
) {
    let mut seen: HashMap<SocketAddr, Span> = HashMap::new();
    for (listener, binds) in listeners.iter().zip(&places.binds) {
        for (address, span) in listener.bind.iter().zip(binds) {
            // The kernel gives each socket with port 0 a port of its own.
            if address.port() == 0 {
                continue;
            }
            if *address == admin {
                let message = format!("{address} is the address of the admin endpoint");
                let one =
                    Diagnostic::error(Code::DuplicateAddress, span.clone(), message).label("bound already");
                findings.push(if places.admin_bind.is_empty() {
                    one.help(Some("it is the default of `admin.bind`"))
                } else {
                    one.note(places.admin_bind.clone(), "`admin.bind` is here")
                });
            }
            match seen.get(address) {
                Some(first) => findings.push(
                    Diagnostic::error(
                        Code::DuplicateAddress,
                        span.clone(),
                        format!("{address} is bound twice"),
                    )
                    .label("the second time")
                    .note(first.clone(), "the first time is here"),
                ),
                None => {
                    seen.insert(*address, span.clone());
                }
            }
        }
    }
}

fn build(
    section: &Section,
    pools: &Names<'_>,
    vocabulary: &Vocabulary<'_>,
    places: &mut Places,
    findings: &mut Findings,
) -> Listener {
    let mut bind = Vec::new();
    let mut binds = Vec::new();
    for item in section.list("bind") {
        if let Value::Bind(address) = item.value {
            bind.push(address);
            binds.push(item.span.clone());
        }
    }
    let trusted = section.list("trusted_proxies").iter();
    let trusted_proxies =
        trusted.filter_map(|item| if let Value::Net(net) = item.value { Some(net) } else { None }).collect();
    let first = bind.first().map(SocketAddr::to_string);
    let name = match (section.given("name"), section.text("name")) {
        (_, Some(name)) => name.to_owned(),
        (Some(_), None) => String::new(),
        (None, None) => first.unwrap_or_default(),
    };
    let pool = section.text("pool").and_then(|pool| pools.find(pool, section.place("pool"), findings));
    only_with_tls(section, findings);
    places.listeners.push(section.span.clone());
    places.binds.push(binds);
    Listener {
        name,
        bind,
        pool,
        protocols: protocols(section),
        trusted_proxies,
        proxy_protocol: proxy_protocol(section, findings),
        underscores: underscores(section),
        allow_connect: section.boolean("allow_connect").unwrap_or(false),
        abort_on_close: section.boolean("abort_on_close").unwrap_or(false),
        error_pages: page::load(section, "error_pages", findings),
        tls: tls::listener(section, vocabulary, findings),
        https_redirect: section.boolean("https_redirect").unwrap_or(false),
        limits: limits(section.table("limits").unwrap_or(&Section::default())),
        timeouts: timeouts(section.table("timeouts").unwrap_or(&Section::default())),
    }
}

/// Keys that mean nothing with TLS, or nothing without it.
fn only_with_tls(section: &Section, findings: &mut Findings) {
    let tls = section.given("tls");
    if let (Some(tls), Some(entry), Some(true)) =
        (tls, section.given("https_redirect"), section.boolean("https_redirect"))
    {
        let message = "`https_redirect` has no meaning beside [listener.tls]: it is the listener of http:// that redirects";
        let one = Diagnostic::error(Code::Conflict, entry.key.clone(), message).label("nothing reads it");
        findings.push(one.note(tls.key.clone(), "`tls` is here"));
    }
    let timeout = section.table("timeouts").and_then(|timeouts| timeouts.given("tls"));
    if let (None, Some(entry)) = (tls, timeout) {
        let message = "`timeouts.tls` has no effect without [listener.tls]";
        findings.push(Diagnostic::warning(Code::UnusedKey, entry.key.clone(), message));
    }
}

/// A header of anybody would let anybody be anybody, so it is read of trusted peers only: without them of none.
fn proxy_protocol(section: &Section, findings: &mut Findings) -> AcceptProxy {
    let mode = match section.text("proxy_protocol") {
        Some("optional") => AcceptProxy::Optional,
        Some("require") => AcceptProxy::Require,
        _ => return AcceptProxy::Off,
    };
    let unread = section.spoilt("trusted_proxies") || findings.is_broken(&section.place("trusted_proxies"));
    if section.list("trusted_proxies").is_empty() && !unread {
        let message = "`proxy_protocol` needs `trusted_proxies`: the PROXY header of nobody else is read";
        let one = Diagnostic::error(Code::Conflict, section.place("proxy_protocol"), message);
        findings.push(one.label("nobody is trusted").help(Some(
            "name the addresses of the proxies before this listener, such as trusted_proxies = [\"10.0.0.0/8\"]",
        )));
    }
    mode
}

/// Both by themselves where TLS lets clients choose.
fn protocols(section: &Section) -> Protocols {
    if section.given("protocols").is_none() {
        return Protocols { h1: true, h2: section.given("tls").is_some() };
    }
    let listed = |name: &str| {
        section.list("protocols").iter().any(|item| matches!(&item.value, Value::Text(text) if text == name))
    };
    Protocols { h1: listed("h1"), h2: listed("h2") }
}

fn underscores(section: &Section) -> Underscores {
    match section.text("underscores") {
        Some("allow") => Underscores::Allow,
        Some("drop") => Underscores::Drop,
        Some("reject") => Underscores::Reject,
        _ => Underscores::Safe,
    }
}

fn limits(section: &Section) -> Limits {
    Limits {
        max_connections: section.number("max_connections").map(to_u32),
        max_connections_per_ip: section.number("max_connections_per_ip").map_or(0, to_u32),
        max_head_size: section.number("max_head_size").map_or(0, to_u32),
        max_headers: section
            .number("max_headers")
            .map_or(0, |count| u16::try_from(count).unwrap_or(u16::MAX)),
        max_body_size: section.number("max_body_size").unwrap_or(0),
        min_rate: section.number("min_rate").unwrap_or(0),
    }
}

fn timeouts(section: &Section) -> ListenerTimeouts {
    ListenerTimeouts {
        head: section.duration("head").unwrap_or_default(),
        body: section.duration("body").unwrap_or_default(),
        keep_alive: section.duration("keep_alive").unwrap_or_default(),
        write: section.duration("write").unwrap_or_default(),
        tls: section.duration("tls").unwrap_or_default(),
    }
}

/// The table of keys holds the bounds; none exceeds 32 bits where this is used.
fn to_u32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
