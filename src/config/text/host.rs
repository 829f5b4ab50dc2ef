//! Addresses to listen on, addresses of backends, host names and patterns of them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Fault, printable};
use crate::config::model::HostPattern;

/// RFC 1035 2.3.4, without the root's dot.
const HOST_MAX: usize = 253;
/// RFC 1035 2.3.4
const LABEL_MAX: usize = 63;

/// An address to listen on.
pub(super) fn bind(word: &str) -> Result<SocketAddr, Fault> {
    match word.parse::<SocketAddr>() {
        Ok(SocketAddr::V6(six)) if six.ip().to_ipv4_mapped().is_some() => {
            let four = six.ip().to_ipv4_mapped().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
            let fault = Fault::new(format!("\"{word}\": IPv6 sockets are always v6-only"));
            Err(fault.help(format!("did you mean \"{four}:{}\"?", six.port())))
        }
        Ok(address) => Ok(address),
        Err(_) => Err(odd_bind(word)),
    }
}

/// `host:port` of a backend, as written.
pub(super) fn address(word: &str) -> Result<String, Fault> {
    if let Some((scheme, rest)) = word.split_once("://") {
        let rest = rest.trim_end_matches('/');
        let fault = Fault::new(format!("\"{}\": an address has no scheme", printable(word)));
        return Err(match (address(rest), scheme) {
            (Ok(_), _) => fault.help(format!("did you mean \"{rest}\"?")),
            (Err(_), "http") if host(rest).is_ok() => fault.help(format!("did you mean \"{rest}:80\"?")),
            _ => fault,
        });
    }
    let Some((name, port)) = split(word) else {
        return Err(v6_brackets(word));
    };
    let Some(port) = port else {
        let fault = Fault::new(format!("\"{}\": the port is missing", printable(word)));
        return Err(match host(name) {
            Ok(()) => fault.help(format!("for example \"{}:80\"", printable(name))),
            Err(_) => fault,
        });
    };
    check_port(word, port)?;
    host(name)?;
    Ok(word.to_owned())
}

/// A Host field: a host with an optional port, as written.
pub(super) fn authority(word: &str) -> Result<String, Fault> {
    let Some((name, port)) = split(word) else {
        return Err(v6_brackets(word));
    };
    if let Some(port) = port {
        check_port(word, port)?;
    }
    host(name)?;
    Ok(word.to_owned())
}

/// An element of `match.host`, in lower case, without port or trailing dot.
pub(super) fn pattern(word: &str) -> Result<HostPattern, Fault> {
    let Some((name, port)) = split(word) else {
        return Err(v6_brackets(word));
    };
    if let Some(port) = port {
        check_port(word, port)?;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if name == "*" {
        return Err(
            Fault::new("\"*\" would take every host").help("leave `match.host` out: that takes every host")
        );
    }
    if let Some(rest) = name.strip_prefix("*.") {
        host(rest)?;
        if rest.parse::<IpAddr>().is_ok() || rest.starts_with('[') {
            return Err(Fault::new(format!("\"{}\": an IP address has nothing below it", printable(word))));
        }
        return Ok(HostPattern::Suffix(rest.to_ascii_lowercase()));
    }
    if name.contains('*') {
        let fault =
            Fault::new(format!("\"{}\": `*` stands only in front, as in \"*.example.com\"", printable(word)));
        return Err(fault);
    }
    host(name)?;
    Ok(HostPattern::Exact(name.to_ascii_lowercase()))
}

/// Host and port; IPv6 in brackets. `None`: more colons than that allows.
fn split(word: &str) -> Option<(&str, Option<&str>)> {
    if word.starts_with('[') {
        let end = word.find(']')?;
        let (name, rest) = word.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Some((name, Some(port))),
            None if rest.is_empty() => Some((name, None)),
            None => None,
        };
    }
    match word.split_once(':') {
        Some((_, rest)) if rest.contains(':') => None,
        Some((name, port)) => Some((name, Some(port))),
        None => Some((word, None)),
    }
}

fn check_port(word: &str, port: &str) -> Result<u16, Fault> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse::<u16>()
        .ok()
        .filter(|port| digits && *port > 0)
        .ok_or_else(|| Fault::new(format!("\"{}\": the port is not within 1 to 65535", printable(word))))
}

/// A host name (RFC 1123 2.1; underscores are let through, since real networks have them) or an IP address.
fn host(name: &str) -> Result<(), Fault> {
    let shown = printable(name);
    if let Some(six) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return match six.parse::<Ipv6Addr>() {
            Ok(_) => Ok(()),
            Err(_) => Err(Fault::new(format!("\"{shown}\" is no IPv6 address"))),
        };
    }
    let bare = name.strip_suffix('.').unwrap_or(name);
    if bare.is_empty() {
        return Err(Fault::new("the host is missing"));
    }
    if !name.is_ascii() {
        let fault = Fault::new(format!("\"{shown}\": host names are ASCII"));
        return Err(fault.help("write an international name in its xn-- form"));
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if bare.len() > HOST_MAX || !bare.split('.').all(label) {
        return Err(Fault::new(format!("\"{shown}\" is no host name")));
    }
    // A last label of digits makes it an IPv4 address for every resolver (RFC 3696 2), so it must be one.
    let last = bare.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) && bare.parse::<std::net::Ipv4Addr>().is_err() {
        return Err(Fault::new(format!("\"{shown}\" is no IPv4 address")));
    }
    Ok(())
}

fn v6_brackets(word: &str) -> Fault {
    let fault = Fault::new(format!("\"{}\" is no host with a port", printable(word)));
    if word.parse::<Ipv6Addr>().is_ok() {
        return fault.help(format!("an IPv6 address stands in brackets: \"[{word}]:80\""));
    }
    fault
}

fn odd_bind(word: &str) -> Fault {
    let fault = Fault::new(format!("\"{}\" is no IP address with a port", printable(word)));
    if word.parse::<Ipv6Addr>().is_ok() {
        return fault.help(format!("an IPv6 address stands in brackets: \"[{word}]:80\""));
    }
    if word.parse::<IpAddr>().is_ok() {
        return fault.help(format!("the port is missing: \"{word}:80\""));
    }
    let port = word.rsplit(':').next().unwrap_or_default();
    let port = port.parse::<u16>().ok();
    match (word.split_once(':').map_or("", |(name, _)| name), port) {
        ("localhost", Some(port)) => fault.help(format!("did you mean \"127.0.0.1:{port}\"?")),
        ("" | "*", Some(port)) => {
            fault.help(format!("did you mean \"0.0.0.0:{port}\"? And \"[::]:{port}\" for IPv6"))
        }
        (_, Some(_)) => fault.help("sockets are bound to IP addresses, not to names"),
        (_, None) => fault,
    }
}
