//! Strings with a syntax of their own.

mod host;
mod path;
mod template;

use ipnet::IpNet;

use super::keys::Syntax;
use super::model::HashKey;
use super::report::{Code, printable};
use super::walk::Value;

pub(super) use template::{Part, parts};

/// Names stand in labels of metrics and in paths of the API.
const NAME_MAX: usize = 128;
/// Bytes of the value of a field that we send.
const VALUE_MAX: usize = 4096;
/// Fields without which a response is another one.
const NOT_OURS: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "location",
    "set-cookie",
    "transfer-encoding",
    "upgrade",
];
/// Health checks look no further into a body than this.
const NEEDLE_MAX: usize = 16 << 10;

/// Why a value is impossible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub code: Code,
    pub message: String,
    pub help: Option<String>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Fault {
        Fault { code: Code::BadValue, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }
}

/// Reads `word` by the syntax that its key wants.
///
/// # Errors
/// Why it is impossible, and what was probably meant.
pub(super) fn read(syntax: Syntax, word: &str) -> Result<Value, Fault> {
    match syntax {
        Syntax::Name => name(word).map_err(|why| quoted(word, why)).map(Value::Text),
        Syntax::Segment => segment(word).map_err(|why| quoted(word, why)).map(Value::Text),
        // Whether it exists is found out later; any text may be asked for.
        Syntax::Reference => Ok(Value::Text(word.to_owned())),
        Syntax::Bind => host::bind(word).map(Value::Bind),
        Syntax::Address => host::address(word).map(Value::Text),
        Syntax::Net => net(word).map(Value::Net),
        Syntax::HostPattern => host::pattern(word).map(Value::Host),
        Syntax::Authority => host::authority(word).map(Value::Text),
        Syntax::Path => path::normal(word).map(Value::Text),
        Syntax::Target => path::target(word).map(Value::Text),
        Syntax::Method => method(word).map(Value::Text),
        Syntax::HashKey => hash_key(word).map(Value::HashKey),
        Syntax::File => file(word).map(Value::Text),
        Syntax::Needle => needle(word).map(Value::Text),
        Syntax::Service => service(word).map(Value::Text),
        Syntax::Template => template::line(word).map(Value::Text),
        // Whether it exists is found out later; any text may be asked for.
        Syntax::LogField => Ok(Value::Text(word.to_owned())),
        Syntax::Parameter => name(word).map_err(|why| quoted(word, why)).map(Value::Text),
        // What it may be depends on what it is for.
        Syntax::Url => Ok(Value::Text(word.to_owned())),
        Syntax::Cookie => cookie(word).map(Value::Text),
        Syntax::Field => own_field(word).map(Value::Text),
        Syntax::FieldValue => field_value(word).map(Value::Text),
    }
}

/// A name without a slash, as `POOL/BACKEND` needs it.
///
/// # Errors
/// Why it is no name, in words.
pub(super) fn segment(word: &str) -> Result<String, &'static str> {
    if word.contains('/') {
        return Err("a slash separates pool and backend");
    }
    name(word)
}

/// A status or a range of them, as inclusive bounds within `least` to 599.
///
/// # Errors
/// Anything else.
pub(super) fn statuses(word: &str, least: u16) -> Result<Value, Fault> {
    let one = |text: &str| -> Option<u16> {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|status| digits && (least..=599).contains(status))
    };
    let (from, to) = word.split_once('-').unwrap_or((word, word));
    match (one(from), one(to)) {
        (Some(from), Some(to)) if from <= to => Ok(Value::Statuses(from, to)),
        (Some(from), Some(to)) => Err(Fault::new(format!("the range \"{word}\" is empty"))
            .help(format!("did you mean \"{to}-{from}\"?"))),
        _ => Err(Fault::new(format!("\"{}\" is no status or range within {least} to 599", printable(word)))),
    }
}

/// A field value must never end the field or begin another.
fn header_safe(word: &str) -> bool {
    word.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
}

fn cookie(word: &str) -> Result<String, Fault> {
    let why = "a cookie's name is 1 to 128 of A-Z a-z 0-9 ! # $ % & ' * + - . ^ _ ` | ~";
    if token(word) { Ok(word.to_owned()) } else { Err(quoted(word, why)) }
}

/// The value of a field that we send. What it is is not shown: it may be a secret.
pub(super) fn field_value(word: &str) -> Result<String, Fault> {
    let fits = (1..=VALUE_MAX).contains(&word.len()) && word.trim() == word;
    match fits && word.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        true => Ok(word.to_owned()),
        false => Err(Fault::new("this is no value of a field")),
    }
}

/// The name of a field that can be taken out of a response without harm to what the message is.
fn own_field(word: &str) -> Result<String, Fault> {
    if !token(word) {
        return Err(quoted(word, "a field's name is 1 to 128 of A-Z a-z 0-9 ! # $ % & ' * + - . ^ _ ` | ~"));
    }
    let name = word.to_ascii_lowercase();
    match NOT_OURS.contains(&name.as_str()) {
        true => Err(Fault::new(format!("the field \"{name}\" has a meaning of its own"))),
        false => Ok(name),
    }
}

pub(super) fn token(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= NAME_MAX
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn quoted(word: &str, why: &str) -> Fault {
    Fault::new(format!("\"{}\" is no name: {why}", printable(word)))
}

fn name(word: &str) -> Result<String, &'static str> {
    if word.is_empty() {
        Err("it is empty")
    } else if word.len() > NAME_MAX {
        Err("it is longer than 128 bytes")
    } else if word.chars().any(char::is_control) {
        Err("it has a control character")
    } else if word.trim() != word {
        Err("it begins or ends with a space")
    } else {
        Ok(word.to_owned())
    }
}

fn net(word: &str) -> Result<IpNet, Fault> {
    let parsed = word.parse::<IpNet>().or_else(|_| word.parse::<std::net::IpAddr>().map(IpNet::from));
    let Ok(net) = parsed else {
        let fault = Fault::new(format!("\"{}\" is no network", printable(word)));
        return Err(match word.parse::<std::net::SocketAddr>() {
            Ok(address) => fault.help(format!("networks have no port; did you mean \"{}\"?", address.ip())),
            Err(_) => fault,
        });
    };
    Ok(canonical(net).trunc())
}

/// Clients come with plain IPv4 addresses, so an IPv4-mapped network would never hold one.
fn canonical(net: IpNet) -> IpNet {
    if let IpNet::V6(six) = net
        && let Some(four) = six.addr().to_ipv4_mapped()
        && let Some(length) = six.prefix_len().checked_sub(96)
        && let Ok(four) = ipnet::Ipv4Net::new(four, length)
    {
        return IpNet::V4(four);
    }
    net
}

fn method(word: &str) -> Result<String, Fault> {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "POST", "PATCH", "CONNECT"];
    if !token(word) {
        return Err(Fault::new(format!("\"{}\" is no HTTP method", printable(word))));
    }
    let upper = word.to_ascii_uppercase();
    if upper == "CONNECT" {
        return Err(Fault::new("CONNECT asks for a tunnel and has no meaning here"));
    }
    if upper != word && KNOWN.contains(&upper.as_str()) {
        let fault = Fault::new(format!("\"{word}\": methods are case-sensitive"));
        return Err(fault.help(format!("did you mean \"{upper}\"?")));
    }
    Ok(word.to_owned())
}

fn hash_key(word: &str) -> Result<HashKey, Fault> {
    let fault = || Fault::new(format!("\"{}\" names nothing of a request", printable(word)));
    match word.split_once(':') {
        Some(("header", name)) if token(name) => Ok(HashKey::Header(name.to_ascii_lowercase())),
        Some(("cookie", name)) if token(name) => Ok(HashKey::Cookie(name.to_owned())),
        Some(("query", name)) if !name.is_empty() && header_safe(name) && !name.contains(['&', '=', '#']) => {
            Ok(HashKey::Query(name.to_owned()))
        }
        Some(("header" | "cookie" | "query", name)) => Err(Fault::new(format!(
            "\"{}\" is no name of a header, cookie or query parameter",
            printable(name)
        ))),
        Some(_) => Err(fault()),
        None => match word {
            "client-ip" => Ok(HashKey::ClientIp),
            "path" => Ok(HashKey::Path),
            "uri" => Ok(HashKey::Uri),
            "header" | "cookie" | "query" => Err(fault().help(format!("say which one: \"{word}:NAME\""))),
            _ => Err(match super::suggest::nearest(word, ["client-ip", "path", "uri"]) {
                Some(near) => fault().help(format!("did you mean \"{near}\"?")),
                None => fault(),
            }),
        },
    }
}

fn file(word: &str) -> Result<String, Fault> {
    if word.is_empty() || word.contains('\0') {
        return Err(Fault::new("the name of the file is empty or has a null byte"));
    }
    Ok(word.to_owned())
}

fn needle(word: &str) -> Result<String, Fault> {
    match word.len() {
        0 => Err(Fault::new("the empty text is in every body")),
        1..=NEEDLE_MAX => Ok(word.to_owned()),
        _ => Err(Fault::new("only the first 16 KiB of a body are looked at")),
    }
}

/// As a path it is a segment or two of one, so no more than that is left out.
fn service(word: &str) -> Result<String, Fault> {
    const SERVICE_MAX: usize = 256;
    match word.bytes().all(|octet| octet.is_ascii_graphic()) {
        true if word.len() <= SERVICE_MAX => Ok(word.to_owned()),
        true => Err(Fault::new("longer than 256 bytes")),
        false => Err(Fault::new("the name of a service holds visible ASCII alone")),
    }
}

#[cfg(test)]
mod tests;
