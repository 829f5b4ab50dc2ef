//! The field names that Equipoise reads, sets, strips or frames by.

/// A field name, classified once when it is parsed, so that no later step compares strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the fields
pub enum Known {
    Authorization,
    Connection,
    ContentLength,
    ContentType,
    Cookie,
    Date,
    Expect,
    Forwarded,
    Host,
    Http2Settings,
    KeepAlive,
    MaxForwards,
    ProxyAuthorization,
    ProxyConnection,
    RetryAfter,
    Te,
    Traceparent,
    Tracestate,
    Trailer,
    TransferEncoding,
    Upgrade,
    Via,
    XForwardedFor,
    XForwardedHost,
    XForwardedPort,
    XForwardedProto,
    /// Any other `X-Forwarded-…`.
    XForwardedOther,
    XRealIp,
    XRequestId,
    /// Every other name.
    Other,
}

/// A set of kinds, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kinds(u32);

impl Kinds {
    pub(super) const fn of(list: &[Known]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < list.len() {
            bits |= 1 << list[at] as u32;
            at += 1;
        }
        Self(bits)
    }

    pub(super) fn has(self, known: Known) -> bool {
        self.0 & 1 << known as u32 != 0
    }

    pub(super) fn add(&mut self, known: Known) {
        self.0 |= 1 << known as u32;
    }

    pub(super) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Known {
    /// Whether a name was classified by all its octets. Of the others nothing is known but how they begin: they
    /// are still to be judged.
    #[inline]
    pub(super) fn is_spelt_out(self) -> bool {
        !matches!(self, Self::Other | Self::XForwardedOther)
    }

    /// Classifies a name, in any case.
    #[inline]
    pub fn from_name(name: &[u8]) -> Self {
        match (name.len(), name.first().map_or(0, |b| b | 0x20)) {
            (2, b't') if is(name, b"te") => Self::Te,
            (3, b'v') if is(name, b"via") => Self::Via,
            (4, b'h') if is(name, b"host") => Self::Host,
            (4, b'd') if is(name, b"date") => Self::Date,
            (6, b'c') if is(name, b"cookie") => Self::Cookie,
            (6, b'e') if is(name, b"expect") => Self::Expect,
            (7, b'u') if is(name, b"upgrade") => Self::Upgrade,
            (7, b't') if is(name, b"trailer") => Self::Trailer,
            (9, b'f') if is(name, b"forwarded") => Self::Forwarded,
            (9, b'x') if is(name, b"x-real-ip") => Self::XRealIp,
            (10, b't') if is(name, b"tracestate") => Self::Tracestate,
            (11, b't') if is(name, b"traceparent") => Self::Traceparent,
            (10, b'c') if is(name, b"connection") => Self::Connection,
            (10, b'k') if is(name, b"keep-alive") => Self::KeepAlive,
            (11, b'r') if is(name, b"retry-after") => Self::RetryAfter,
            (12, b'c') if is(name, b"content-type") => Self::ContentType,
            (12, b'm') if is(name, b"max-forwards") => Self::MaxForwards,
            (12, b'x') if is(name, b"x-request-id") => Self::XRequestId,
            (13, b'a') if is(name, b"authorization") => Self::Authorization,
            (14, b'c') if is(name, b"content-length") => Self::ContentLength,
            (14, b'h') if is(name, b"http2-settings") => Self::Http2Settings,
            (16, b'p') if is(name, b"proxy-connection") => Self::ProxyConnection,
            (17, b't') if is(name, b"transfer-encoding") => Self::TransferEncoding,
            (19, b'p') if is(name, b"proxy-authorization") => Self::ProxyAuthorization,
            (_, b'x') => Self::forwarded(name),
            _ => Self::Other,
        }
    }

    /// The field that an application might take `name` for when it reads `_` as `-`, where that is one we
    /// set, strip or frame by. Such a twin would pass by every rule that we have for the real one.
    pub(super) fn underscore_twin(name: &[u8]) -> Option<Self> {
        const LONGEST: usize = 40;
        if name.len() > LONGEST || memchr::memchr(b'_', name).is_none() {
            return None;
        }
        let mut dashed = [0; LONGEST];
        let dashed = &mut dashed[..name.len()];
        dashed.copy_from_slice(name);
        dashed.iter_mut().filter(|b| **b == b'_').for_each(|b| *b = b'-');
        match Self::from_name(dashed) {
            Self::Other | Self::Cookie | Self::ContentType | Self::Date | Self::RetryAfter => None,
            Self::Authorization | Self::ProxyAuthorization => None,
            ours => Some(ours),
        }
    }

    fn forwarded(name: &[u8]) -> Self {
        const PREFIX: &[u8] = b"x-forwarded-";
        if name.len() < PREFIX.len() || !name[..PREFIX.len()].eq_ignore_ascii_case(PREFIX) {
            return Self::Other;
        }
        let rest = &name[PREFIX.len()..];
        match () {
            () if rest.eq_ignore_ascii_case(b"for") => Self::XForwardedFor,
            () if rest.eq_ignore_ascii_case(b"host") => Self::XForwardedHost,
            () if rest.eq_ignore_ascii_case(b"port") => Self::XForwardedPort,
            () if rest.eq_ignore_ascii_case(b"proto") => Self::XForwardedProto,
            () => Self::XForwardedOther,
        }
    }
}

/// Whether a word is `known`, which is in lower case, whatever its own case. Without a branch for each octet:
/// every field of every message is asked.
#[inline(always)]
pub(super) fn is<const LEN: usize>(name: &[u8], known: &[u8; LEN]) -> bool {
    let Some(name) = name.as_array::<LEN>() else { return false };
    let differs = name.iter().zip(known).fold(0, |differs, (octet, like)| {
        // Only a letter has another case: elsewhere the bit must be as it is.
        let case = if like.is_ascii_lowercase() { 0x20 } else { 0 };
        differs | (octet | case) ^ like
    });
    differs == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [(&str, Known); 30] = [
        ("authorization", Known::Authorization),
        ("connection", Known::Connection),
        ("content-length", Known::ContentLength),
        ("content-type", Known::ContentType),
        ("cookie", Known::Cookie),
        ("date", Known::Date),
        ("expect", Known::Expect),
        ("forwarded", Known::Forwarded),
        ("host", Known::Host),
        ("http2-settings", Known::Http2Settings),
        ("keep-alive", Known::KeepAlive),
        ("max-forwards", Known::MaxForwards),
        ("proxy-authorization", Known::ProxyAuthorization),
        ("proxy-connection", Known::ProxyConnection),
        ("retry-after", Known::RetryAfter),
        ("te", Known::Te),
        ("traceparent", Known::Traceparent),
        ("tracestate", Known::Tracestate),
        ("trailer", Known::Trailer),
        ("transfer-encoding", Known::TransferEncoding),
        ("upgrade", Known::Upgrade),
        ("via", Known::Via),
        ("x-forwarded-for", Known::XForwardedFor),
        ("x-forwarded-host", Known::XForwardedHost),
        ("x-forwarded-port", Known::XForwardedPort),
        ("x-forwarded-proto", Known::XForwardedProto),
        ("x-forwarded-server", Known::XForwardedOther),
        ("x-forwarded-", Known::XForwardedOther),
        ("x-real-ip", Known::XRealIp),
        ("x-request-id", Known::XRequestId),
    ];

    #[test]
    fn names_are_known_in_any_case_and_in_no_other_way() {
        for (name, known) in KNOWN {
            assert_eq!(Known::from_name(name.as_bytes()), known, "{name}");
            assert_eq!(Known::from_name(name.to_ascii_uppercase().as_bytes()), known, "{name}");
            // Another octet anywhere makes it another name, also one that differs in the bit of the case.
            for place in 0..name.len() {
                for octet in 0..=255 {
                    let mut other = name.as_bytes().to_vec();
                    let same = other[place].eq_ignore_ascii_case(&octet);
                    other[place] = octet;
                    let read = Known::from_name(&other);
                    assert!(same == (read == known) || !known.is_spelt_out(), "{}", other.escape_ascii());
                }
            }
        }
        for name in ["", "x", "t", "hos", "hostt", "transfer_encoding", "x-forwarde", "content-lengt"] {
            assert_eq!(Known::from_name(name.as_bytes()), Known::Other, "{name}");
        }
    }
}
