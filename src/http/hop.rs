//! What belongs to one connection only (RFC 9110 7.6.1) and is never passed on.

use super::field::{Kinds, Known, is};
use super::fields::Fields;

/// The protocol a client asks to change to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade(Box<[u8]>);

/// Longest Upgrade value that is passed on; a longer one is ignored, as any Upgrade may be.
const MAX_UPGRADE: usize = 128;

/// Most options in the Connection lines. Each is compared with each field, so that a head full of them
/// would cost its square; no real client sends more than a handful.
const MAX_OPTIONS: usize = 64;

impl Upgrade {
    /// Reads the Upgrade lines of a request. `h2c` is never passed on: it would open a second protocol
    /// to the backend behind every rule we have.
    pub(super) fn requested(fields: &Fields) -> Option<Self> {
        let mut wanted = Vec::new();
        for protocol in
            fields.values(Known::Upgrade).flat_map(|v| v.split(|b| *b == b',')).map(<[u8]>::trim_ascii)
        {
            if protocol.is_empty() || protocol.len() >= 3 && protocol[..3].eq_ignore_ascii_case(b"h2c") {
                continue;
            }
            if !wanted.is_empty() {
                wanted.extend_from_slice(b", ");
            }
            wanted.extend_from_slice(protocol);
        }
        (!wanted.is_empty() && wanted.len() <= MAX_UPGRADE).then(|| Self(wanted.into()))
    }

    /// Whether every protocol of `chosen` is one of these.
    pub(super) fn offers(&self, chosen: &Self) -> bool {
        chosen.protocols().all(|name| self.protocols().any(|other| other.eq_ignore_ascii_case(name)))
    }

    /// Whether a WebSocket is asked for.
    pub fn is_websocket(&self) -> bool {
        self.protocols().any(|name| name.eq_ignore_ascii_case(b"websocket"))
    }

    fn protocols(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == b',').map(<[u8]>::trim_ascii)
    }
}

/// What the Connection lines say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// They may name fields: there is more than the one word that most say.
    pub(super) may_name: bool,
    /// More than anybody means: the message is refused.
    pub(super) too_many: bool,
}

impl Options {
    fn note(&mut self, option: &[u8]) {
        self.close |= is(option, b"close");
        self.keep_alive |= is(option, b"keep-alive");
        self.upgrade |= is(option, b"upgrade");
    }
}

/// Whether there is one Connection line, and it says what most say in the way that most spell it: that is settled
/// without a second look.
fn says_keep_alive(fields: &Fields) -> bool {
    !fields.repeats(Kinds::of(&[Known::Connection])) && fields.first(Known::Connection) == Some(b"keep-alive")
}

/// Reads the options of every Connection line.
pub(super) fn connection_options(fields: &Fields) -> Options {
    let mut options = Options::default();
    if !fields.may_have(Kinds::of(&[Known::Connection])) {
        return options;
    }
    if says_keep_alive(fields) {
        options.keep_alive = true;
        return options;
    }
    options.may_name = true;
    let mut count = 0;
    for value in fields.values(Known::Connection) {
        // Nearly every line has one option.
        if memchr::memchr(b',', value).is_none() {
            count += 1;
            options.note(value);
            continue;
        }
        for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|option| !option.is_empty())
        {
            count += 1;
            options.note(option);
        }
    }
    options.too_many = count > MAX_OPTIONS;
    options
}

/// Removes hop-by-hop fields and those that a Connection line names. Transfer-Encoding stays where it
/// is: framing is decided by who emits the body. A Connection line cannot name Host, framing fields, what we
/// have acted on, or what tells who the client is: that would let a client strip them (RFC 9110 7.6.1, last
/// paragraph). `may_name` is of the [`Options`] of these fields.
pub(super) fn strip(fields: &mut Fields, request: bool, may_name: bool) {
    const ALWAYS: [Known; 4] = [Known::Connection, Known::KeepAlive, Known::ProxyConnection, Known::Upgrade];
    const REQUEST: Kinds = Kinds::of(&[
        Known::Connection,
        Known::KeepAlive,
        Known::ProxyConnection,
        Known::Upgrade,
        Known::Te,
        Known::Http2Settings,
    ]);
    const SPARED: Kinds = Kinds::of(&[
        Known::Host,
        Known::ContentLength,
        Known::TransferEncoding,
        Known::Expect,
        Known::MaxForwards,
        Known::Forwarded,
        Known::Via,
        Known::XForwardedFor,
        Known::XForwardedHost,
        Known::XForwardedPort,
        Known::XForwardedProto,
        Known::XForwardedOther,
        Known::XRealIp,
        Known::XRequestId,
    ]);
    // Keep-Alive goes with its kind.
    if may_name {
        fields.remove_named_by(Known::Connection, |known| SPARED.has(known));
    }
    fields.remove_kinds(if request { REQUEST } else { Kinds::of(&ALWAYS) });
}

/// Adds the fields that our own connection needs: those that ask for, or confirm, an upgrade, and TE. Both
/// are to be named by Connection (RFC 9110 7.8, 10.1.4).
pub(super) fn write_own(fields: &mut Fields, upgrade: Option<&Upgrade>, trailers: bool) {
    let options: &[u8] = match (upgrade.is_some(), trailers) {
        (false, false) => return,
        (true, false) => b"upgrade",
        (false, true) => b"TE",
        (true, true) => b"upgrade, TE",
    };
    fields.append(Known::Connection, "Connection", &[options]);
    if let Some(upgrade) = upgrade {
        fields.append(Known::Upgrade, "Upgrade", &[&upgrade.0]);
    }
    if trailers {
        fields.append(Known::Te, "TE", &[b"trailers"]);
    }
}

/// Whether TE says that trailers are welcome.
pub(super) fn takes_trailers(fields: &Fields) -> bool {
    fields
        .values(Known::Te)
        .flat_map(|value| value.split(|b| *b == b','))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}
