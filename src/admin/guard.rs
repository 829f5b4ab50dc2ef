//! Who may change something, and who may read.
//!
//! On a loopback bind the danger is a browser on the same machine that a foreign page makes send
//! requests. Three things stop it: Host must name this machine (a name that was rebound to 127.0.0.1 is
//! refused), Origin must not be foreign, and the field X-Equipoise, which a page cannot add without a
//! preflight that is never granted. Off loopback, or where a token is configured, only the bearer of the
//! token may (RFC 6750 2.1).
//!
//! Reads are for whoever reaches the address, which a foreign page in that browser does too. It cannot read what is of
//! another origin, but by a name that it has rebound to 127.0.0.1 it would, and what it only loads could take all
//! streams. Both are refused to browsers; scrapers and probes may name the endpoint as they like. Off loopback browsers
//! do not say over plain HTTP which page asks: whoever must keep them out there binds it where they do not come.

use std::hint::black_box;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};

/// Why a changing call is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// 401 or 403.
    pub(super) status: StatusCode,
    /// For the one who called.
    pub(super) why: &'static str,
}

/// Lets a changing call pass, or says why not.
pub(super) fn check(bind: SocketAddr, token: Option<&str>, request: &Parts) -> Result<(), Refusal> {
    let loopback = bind.ip().to_canonical().is_loopback();
    if loopback {
        check_local(bind.ip(), request)?;
    }
    match token {
        Some(token) => check_token(token, &request.headers),
        None if loopback => Ok(()),
        None => refuse(
            StatusCode::FORBIDDEN,
            "the admin endpoint is bound off loopback and [admin] token_file is not set: nothing can be changed \
             from here; set token_file, or bind 127.0.0.1, or send the process SIGHUP",
        ),
    }
}

/// Lets a read pass, or says why not.
pub(super) fn check_read(bind: SocketAddr, request: &Parts) -> Result<(), Refusal> {
    let text = |name| request.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    // Only browsers send these, and no page can change them. Whoever follows a link to here may look.
    let foreign = matches!(text("sec-fetch-site"), Some("cross-site" | "same-site"));
    let goes = text("sec-fetch-mode") == Some("navigate") && text("sec-fetch-dest") == Some("document");
    if foreign && !goes {
        return refuse(StatusCode::FORBIDDEN, "asked for by a page of another origin");
    }
    if !bind.ip().to_canonical().is_loopback() || !is_browsers(&request.headers) {
        return Ok(());
    }
    match text("host") {
        // A name that somebody else can give an address to has a dot in it, and is no address.
        Some(host) if host.contains('.') && !is_ours(host, bind.ip()) && !is_address(host) => refuse(
            StatusCode::FORBIDDEN,
            "Host is neither loopback nor the address of [admin] bind: a foreign page may have led a browser here by \
             its own name; a proxy before this endpoint must set Host to its address",
        ),
        _ => Ok(()),
    }
}

fn check_local(bind: IpAddr, request: &Parts) -> Result<(), Refusal> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|value| value.to_str().ok());
    let named = hosts.next().is_none() && host.is_some_and(|host| is_ours(host, bind));
    // A target in absolute form names the host too, and takes precedence (RFC 9112 3.2.2).
    let target = request.uri.authority().is_none_or(|authority| is_ours(authority.as_str(), bind));
    if !named || !target {
        return refuse(StatusCode::FORBIDDEN, "Host is neither loopback nor the address of [admin] bind");
    }
    let origins = request.headers.get_all(header::ORIGIN);
    if !origins.iter().all(|origin| origin.to_str().is_ok_and(|origin| is_our_origin(origin, bind))) {
        return refuse(StatusCode::FORBIDDEN, "Origin is foreign");
    }
    if !request.headers.contains_key("x-equipoise") {
        return refuse(StatusCode::FORBIDDEN, "the header X-Equipoise is missing (any value will do)");
    }
    Ok(())
}

fn check_token(token: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = given.next().and_then(|value| value.to_str().ok()) else {
        return refuse(StatusCode::UNAUTHORIZED, "the bearer token is missing");
    };
    let bearer = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match bearer {
        Some((_, bearer)) if given.next().is_none() && same(bearer.trim_start_matches(' '), token) => Ok(()),
        _ => refuse(StatusCode::UNAUTHORIZED, "the bearer token is wrong"),
    }
}

/// Compares without telling by its time how much was right: digests, all of their bytes.
fn same(given: &str, token: &str) -> bool {
    let (given, token) = (Sha256::digest(given), Sha256::digest(token));
    let difference = given.iter().zip(token.iter()).fold(0, |seen, (a, b)| black_box(seen | (a ^ b)));
    black_box(difference) == 0
}

fn is_our_origin(origin: &str, bind: IpAddr) -> bool {
    origin
        .split_once("://")
        .filter(|(scheme, _)| ["http", "https"].contains(scheme))
        .is_some_and(|(_, host)| is_ours(host, bind))
}

/// Whether `host[:port]` names loopback or the bind address.
fn is_ours(authority: &str, bind: IpAddr) -> bool {
    let Some(host) = without_port(authority) else { return false };
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.eq_ignore_ascii_case("localhost") {
        return true; // and all names below it, which browsers ask no resolver for (RFC 6761 6.3)
    }
    let address = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => host.parse().map(IpAddr::V4),
    };
    address.is_ok_and(|address| {
        let address = address.to_canonical();
        address.is_loopback() || address == bind.to_canonical()
    })
}

/// Whether a browser sends them. Every one says which language it wants, and no page can keep it from that.
fn is_browsers(headers: &HeaderMap) -> bool {
    ["accept-language", "origin", "referer", "sec-fetch-site"].iter().any(|mark| headers.contains_key(*mark))
}

/// Whether `host[:port]` is an address and no name.
fn is_address(authority: &str) -> bool {
    let host = without_port(authority).map(|host| host.trim_start_matches('[').trim_end_matches(']'));
    host.is_some_and(|host| host.parse::<IpAddr>().is_ok())
}

/// The host of `host[:port]`; `None` if what follows it is no port.
fn without_port(authority: &str) -> Option<&str> {
    let end = if authority.starts_with('[') { authority.find(']')? + 1 } else { 0 };
    match authority[end..].find(':') {
        Some(colon) => {
            let port = &authority[end + colon + 1..];
            (port.is_empty() || port.parse::<u16>().is_ok()).then(|| &authority[..end + colon])
        }
        None => Some(authority),
    }
}

fn refuse(status: StatusCode, why: &'static str) -> Result<(), Refusal> {
    Err(Refusal { status, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&'static str, &'static str)]) -> Parts {
        let mut parts = hyper::Request::post("/-/reload").body(()).unwrap().into_parts().0;
        for &(name, value) in fields {
            parts.headers.append(name, value.parse().unwrap());
        }
        parts
    }

    fn status(bind: &str, token: Option<&str>, fields: &[(&'static str, &'static str)]) -> u16 {
        check(bind.parse().unwrap(), token, &request(fields))
            .map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    const OURS: (&str, &str) = ("x-equipoise", "1");
    const LOCAL: &str = "127.0.0.1:9900";

    #[test]
    fn on_loopback_the_host_must_be_this_machine() {
        for host in
            ["127.0.0.1", "127.8.9.1:1", "localhost:9900", "LocalHost", "[::1]:80", "[::1]", "localhost:"]
        {
            assert_eq!(status(LOCAL, None, &[("host", host), OURS]), 200, "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:9900",
            "::1",
            "[::1",
            "[::1]x",
            "127.0.0.1:http",
            "127.0.0.1:99999",
            "0177.0.0.1",
            "2130706433",
            "10.0.0.1",
            "user@127.0.0.1",
        ] {
            assert_eq!(status(LOCAL, None, &[("host", host), OURS]), 403, "{host}");
        }
        assert_eq!(status(LOCAL, None, &[OURS]), 403, "no Host");
        let two = [("host", "localhost"), ("host", "evil.example"), OURS];
        assert_eq!(status(LOCAL, None, &two), 403, "two Hosts");
    }

    #[test]
    fn the_absolute_form_cannot_name_another_host() {
        let mut parts = request(&[("host", "localhost"), OURS]);
        parts.uri = "http://evil.example/-/reload".parse().unwrap();
        assert!(check(LOCAL.parse().unwrap(), None, &parts).is_err());
    }

    #[test]
    fn a_foreign_origin_or_a_missing_field_is_refused() {
        for (origin, expected) in [
            ("http://localhost:3000", 200),
            ("https://127.0.0.1", 200),
            ("http://[::1]:9900", 200),
            ("https://evil.example", 403),
            ("null", 403),
            ("file://localhost", 403),
            ("", 403),
        ] {
            let fields = [("host", "localhost"), ("origin", origin), OURS];
            assert_eq!(status(LOCAL, None, &fields), expected, "{origin}");
        }
        assert_eq!(status(LOCAL, None, &[("host", "localhost")]), 403);
        assert_eq!(status(LOCAL, None, &[("host", "localhost"), ("x-equipoise", "")]), 200, "any value");
    }

    #[test]
    fn a_token_is_wanted_on_top_once_configured() {
        let with =
            |value| status(LOCAL, Some("s3cret"), &[("host", "localhost"), OURS, ("authorization", value)]);
        assert_eq!(with("Bearer s3cret"), 200);
        assert_eq!(with("bearer s3cret"), 200, "the scheme is case-insensitive (RFC 9110 11.1)");
        assert_eq!(with("Bearer s3cre"), 401);
        assert_eq!(with("Bearer s3cretx"), 401);
        assert_eq!(with("Basic s3cret"), 401);
        assert_eq!(with("Bearer"), 401);
        assert_eq!(status(LOCAL, Some("s3cret"), &[("host", "localhost"), OURS]), 401);
        let bare = [("host", "localhost"), ("authorization", "Bearer s3cret")];
        assert_eq!(status(LOCAL, Some("s3cret"), &bare), 403, "the rest still holds on loopback");
    }

    #[test]
    fn off_loopback_only_the_token_counts() {
        for bind in ["0.0.0.0:9900", "10.0.0.1:9900", "[::]:9900"] {
            let anyhow = [("host", "lb.internal"), OURS];
            assert_eq!(status(bind, None, &anyhow), 403, "{bind}");
            assert_eq!(status(bind, None, &[("host", "localhost"), OURS]), 403, "{bind}");
            assert_eq!(status(bind, Some("t"), &anyhow), 401, "{bind}");
            assert_eq!(status(bind, Some("t"), &[("authorization", "Bearer t")]), 200, "{bind}");
        }
    }
    #[test]
    fn what_a_foreign_page_asks_for_is_not_read() {
        let read = |bind: &str, fields: &[(&'static str, &'static str)]| {
            check_read(bind.parse().unwrap(), &request(fields)).is_ok()
        };
        for host in [
            "localhost:9900",
            "a.localhost",
            "127.0.0.1",
            "[::1]:9900",
            "10.0.0.1:9900",
            "[fe80::1]",
            "equipoise",
            "",
        ] {
            assert!(read(LOCAL, &[("host", host), ("accept-language", "de")]), "{host}");
        }
        assert!(read(LOCAL, &[]), "no browser leaves Host out");
        for host in
            ["evil.example", "127.0.0.1.evil.example:9900", "a.localhost.evil.example", "evil.example."]
        {
            for mark in ["accept-language", "referer", "origin"] {
                assert!(!read(LOCAL, &[("host", host), (mark, "x")]), "{host} {mark}");
            }
            assert!(read(LOCAL, &[("host", host)]), "a scraper, by whatever name it has for us");
            assert!(
                read("0.0.0.0:9900", &[("host", host), ("accept-language", "de")]),
                "who binds it to a network names it as it likes"
            );
        }
        let fetched = |site, mode, dest| {
            let fields = [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
            [LOCAL, "0.0.0.0:9900"].map(|bind| read(bind, &fields))
        };
        assert_eq!(fetched("same-origin", "cors", "empty"), [true; 2], "our own page");
        assert_eq!(fetched("none", "navigate", "document"), [true; 2], "typed into the address bar");
        assert_eq!(fetched("cross-site", "navigate", "document"), [true; 2], "a link in a wiki");
        for (mode, dest) in
            [("no-cors", "empty"), ("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe")]
        {
            assert_eq!(fetched("cross-site", mode, dest), [false; 2], "{mode} {dest}");
            assert_eq!(fetched("same-site", mode, dest), [false; 2], "{mode} {dest}");
        }
    }
}
