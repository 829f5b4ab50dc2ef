//! The field names that Equipoise reads, sets, strips or frames by.

/// A field name, classified once when it is parsed, so that no later step compares strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the fields
pub enum Known {
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
    ProxyConnection,
    RetryAfter,
    Te,
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
    /// Classifies a name, in any case.
    pub fn from_name(name: &[u8]) -> Self {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match (name.len(), name.first().map_or(0, |b| b | 0x20)) {
            (2, b't') if is(b"te") => Self::Te,
            (3, b'v') if is(b"via") => Self::Via,
            (4, b'h') if is(b"host") => Self::Host,
            (4, b'd') if is(b"date") => Self::Date,
            (6, b'c') if is(b"cookie") => Self::Cookie,
            (6, b'e') if is(b"expect") => Self::Expect,
            (7, b'u') if is(b"upgrade") => Self::Upgrade,
            (7, b't') if is(b"trailer") => Self::Trailer,
            (9, b'f') if is(b"forwarded") => Self::Forwarded,
            (9, b'x') if is(b"x-real-ip") => Self::XRealIp,
            (10, b'c') if is(b"connection") => Self::Connection,
            (10, b'k') if is(b"keep-alive") => Self::KeepAlive,
            (11, b'r') if is(b"retry-after") => Self::RetryAfter,
            (12, b'c') if is(b"content-type") => Self::ContentType,
            (12, b'm') if is(b"max-forwards") => Self::MaxForwards,
            (12, b'x') if is(b"x-request-id") => Self::XRequestId,
            (14, b'c') if is(b"content-length") => Self::ContentLength,
            (14, b'h') if is(b"http2-settings") => Self::Http2Settings,
            (16, b'p') if is(b"proxy-connection") => Self::ProxyConnection,
            (17, b't') if is(b"transfer-encoding") => Self::TransferEncoding,
            (_, b'x') => Self::forwarded(name),
            _ => Self::Other,
        }
    }

    /// The well-known field that an application might take `name` for when it reads `_` as `-` (as CGI
    /// and WSGI do). Such a twin would pass by every rule that we have for the real one.
    pub fn underscore_twin(name: &[u8]) -> Option<Self> {
        const LONGEST: usize = 40;
        #[allow(clippy::manual_contains, reason = "names are too short for a search by blocks to pay")]
        if name.len() > LONGEST || !name.iter().any(|b| *b == b'_') {
            return None;
        }
        let mut dashed = [0; LONGEST];
        let dashed = &mut dashed[..name.len()];
        dashed.copy_from_slice(name);
        dashed.iter_mut().filter(|b| **b == b'_').for_each(|b| *b = b'-');
        match Self::from_name(dashed) {
            Self::Other | Self::Cookie | Self::ContentType | Self::Date | Self::RetryAfter => None,
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
