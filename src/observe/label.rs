//! The label values: closed sets, so that nothing a client sends can make a new series.

/// The status under which a request is counted whose client left before the end of the response.
pub const CLIENT_LEFT: u16 = 499;

/// The status under which a request is counted whose backend answered 499: no registered one, and nobody left.
pub const UNREGISTERED: u16 = 498;

/// The status codes of the IANA registry.
const REGISTERED: [u16; 64] = [
    100, 101, 102, 103, 104, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305,
    306, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417,
    418, 421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510,
    511,
];
const SLOT_CLIENT_LEFT: usize = REGISTERED.len();
const SLOT_OTHER: usize = REGISTERED.len() + 1;
/// Unregistered, and says that the server failed. Shown as [`SLOT_OTHER`] is; apart from it so that it can be judged.
const SLOT_OTHER_FAILURE: usize = REGISTERED.len() + 2;

/// How many different codes a request can be counted under.
pub(super) const CODE_SLOTS: usize = REGISTERED.len() + 3;

/// How many different ends an exchange with a backend can be counted under.
pub(super) const OUTCOME_SLOTS: usize = CODE_SLOTS + Outcome::FAILURES.len();

/// Status → slot; a table, because a search through 64 codes on each request is not free.
static SLOTS: [u8; 600] = slots();

const fn slots() -> [u8; 600] {
    let mut table = [SLOT_OTHER as u8; 600];
    let mut slot = 500;
    while slot < 600 {
        table[slot] = SLOT_OTHER_FAILURE as u8;
        slot += 1;
    }
    slot = 0;
    while slot < REGISTERED.len() {
        table[REGISTERED[slot] as usize] = slot as u8;
        slot += 1;
    }
    table[CLIENT_LEFT as usize] = SLOT_CLIENT_LEFT as u8;
    table
}

/// The slot of a request's status.
pub(super) fn code_slot(code: u16) -> usize {
    // What is beyond 599 is to be taken for a 5xx (RFC 9110 15).
    SLOTS.get(usize::from(code)).map_or(SLOT_OTHER_FAILURE, |&slot| usize::from(slot))
}

/// Calls `each` with slot and count, where the count is not 0; no two slots that it gets have one label.
pub(super) fn each_shown(slots: usize, count: impl Fn(usize) -> u64, mut each: impl FnMut(usize, u64)) {
    for slot in (0..slots).filter(|&slot| slot != SLOT_OTHER_FAILURE) {
        let twin = if slot == SLOT_OTHER { count(SLOT_OTHER_FAILURE) } else { 0 };
        let sum = count(slot) + twin;
        if sum > 0 {
            each(slot, sum);
        }
    }
}

/// What a slot says of those who had to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    Good,
    Failed,
    /// The client left.
    Neither,
}

/// Judges a slot, be it of a code or of a backend's outcome.
pub(super) fn judged(slot: usize) -> Judgement {
    match slot {
        SLOT_CLIENT_LEFT => Judgement::Neither,
        SLOT_OTHER => Judgement::Good,
        SLOT_OTHER_FAILURE => Judgement::Failed,
        _ => match REGISTERED.get(slot) {
            // 501 and 505 refuse what the client asked for.
            Some(501 | 505) => Judgement::Good,
            Some(code) if *code >= 500 => Judgement::Failed,
            Some(_) => Judgement::Good,
            None => match Outcome::FAILURES.get(slot - CODE_SLOTS) {
                Some((Outcome::Canceled, _)) => Judgement::Neither,
                _ => Judgement::Failed,
            },
        },
    }
}

/// The label of a slot, be it of a code or of a backend's outcome.
pub(super) fn slot_label(slot: usize) -> String {
    match slot {
        SLOT_CLIENT_LEFT => CLIENT_LEFT.to_string(),
        SLOT_OTHER | SLOT_OTHER_FAILURE => "other".to_owned(),
        _ => match REGISTERED.get(slot) {
            Some(code) => code.to_string(),
            None => Outcome::FAILURES.get(slot - CODE_SLOTS).map_or("other", |(_, name)| name).to_owned(),
        },
    }
}

/// The method of a request as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the methods of RFC 9110 and RFC 5789
pub enum MethodLabel {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    Other,
}

impl MethodLabel {
    /// Every label; a label's place here is its number.
    pub const ALL: [Self; 10] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Delete,
        Self::Connect,
        Self::Options,
        Self::Trace,
        Self::Patch,
        Self::Other,
    ];

    /// The label of a method token (case-sensitive, RFC 9110 9.1).
    pub fn of(method: &[u8]) -> Self {
        match method {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"CONNECT" => Self::Connect,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }

    /// The value of the label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other => "other",
        }
    }
}

/// How one try at a backend ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A response head with this status came.
    Code(u16),
    /// Refused, unreachable, or not connected in time.
    ConnectError,
    /// The TLS handshake with the backend failed.
    TlsError,
    /// The connection ended with no byte of a response.
    Reset,
    /// An unparsable response head.
    Invalid,
    /// No response head in time.
    Timeout,
    /// The client left before a response head came.
    Canceled,
}

impl Outcome {
    const FAILURES: [(Self, &'static str); 6] = [
        (Self::ConnectError, "connect_error"),
        (Self::TlsError, "tls_error"),
        (Self::Reset, "reset"),
        (Self::Invalid, "invalid"),
        (Self::Timeout, "timeout"),
        (Self::Canceled, "canceled"),
    ];

    /// The value of the label of a failure; empty for a status.
    pub fn name(self) -> &'static str {
        Self::FAILURES.iter().find(|(failure, _)| *failure == self).map_or("", |(_, name)| name)
    }

    /// Its slot. A backend that says 499 itself is not registered to: "other". Our own «client left» is
    /// [`Outcome::Canceled`] here.
    pub(super) fn slot(self) -> usize {
        match self {
            Self::Code(CLIENT_LEFT) => SLOT_OTHER,
            Self::Code(code) => code_slot(code),
            Self::ConnectError => CODE_SLOTS,
            Self::TlsError => CODE_SLOTS + 1,
            Self::Reset => CODE_SLOTS + 2,
            Self::Invalid => CODE_SLOTS + 3,
            Self::Timeout => CODE_SLOTS + 4,
            Self::Canceled => CODE_SLOTS + 5,
        }
    }
}

/// A closed set of label values: the enum, its list and its names in one place, so that they cannot drift.
macro_rules! closed_set {
    ($(#[$meta:meta])* $set:ident { $($(#[$doc:meta])* $value:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $set { $($(#[$doc])* $value,)+ }

        impl $set {
            /// Every value; a value's place here is its number.
            pub const ALL: &'static [Self] = &[$(Self::$value,)+];

            /// How many there are.
            pub(super) const COUNT: usize = Self::ALL.len();

            /// The value of the label.
            pub fn name(self) -> &'static str {
                match self { $(Self::$value => $name,)+ }
            }
        }
    };
}

closed_set! {
    /// Why we answered (or closed) ourselves, without a backend.
    Reason {
        /// No route took it and the listener has no pool: 404.
        NoRoute = "no_route",
        /// Not HTTP, or HTTP that we refuse to guess at: 400.
        Malformed = "malformed",
        /// Head or body above the limit: 413, 414, 431.
        TooLarge = "too_large",
        /// An unknown transfer coding, CONNECT, another protocol version, what a backend of HTTP/1.0 cannot be
        /// sent: 405, 411, 417, 501, 505.
        Unsupported = "unsupported",
        /// The client was too slow: 408, or below `min_rate`.
        ClientTimeout = "client_timeout",
        /// Above `max_connections_per_ip`: closed. A stream of HTTP/2 above `max_connections`: refused.
        ConnectionLimit = "connection_limit",
        /// A PROXY header was required of a peer that is not in `trusted_proxies`: closed.
        ProxyUntrusted = "proxy_untrusted",
        /// A PROXY header was required, and something else came: closed.
        ProxyMissing = "proxy_missing",
        /// A PROXY header that is none, or too long: closed.
        ProxyInvalid = "proxy_invalid",
        /// More of HTTP/2 than a client needs, be it resets, frames that are of no message or requests that are to be
        /// refused: the connection ended.
        Flood = "flood",
        /// No backend was usable: 503.
        NoBackend = "no_backend",
        /// Every usable backend was full, and so was the queue: 503.
        QueueFull = "queue_full",
        /// Every usable backend was full for as long as it might wait: 503.
        QueueTimeout = "queue_timeout",
        /// The route's `timeout` ended before a response head: 504.
        Deadline = "deadline",
    }
}

closed_set! {
    /// How a client's handshake of TLS ended.
    Handshake {
        /// Made anew.
        Full = "full",
        /// An earlier session went on.
        Resumed = "resumed",
        /// Not over within `timeouts.tls`.
        Timeout = "timeout",
        /// The client left before its end.
        Left = "left",
        /// What came is no TLS.
        NotTls = "not_tls",
        /// The client speaks no version that is allowed.
        NoVersion = "no_version",
        /// No cipher, group or kind of signature in common.
        NoCipher = "no_cipher",
        /// The client offers only protocols that are not spoken here.
        NoProtocol = "no_protocol",
        /// The client's certificate is missing or not good.
        ClientCertificate = "client_certificate",
        /// The client refused us, by an alert: it does not trust the certificate, as a rule.
        Refused = "refused",
        /// Anything else.
        Other = "other",
    }
}

closed_set! {
    /// Where a request spends its time.
    Phase {
        /// In the pool's queue; of those that had to wait.
        Queue = "queue",
        /// To a connection with the backend of the last try, earlier ones included; of those for which none was at hand.
        Connect = "connect",
        /// From there to the head of the response; the request's body is sent meanwhile.
        FirstByte = "first_byte",
        /// From there to the last byte of the response.
        Transfer = "transfer",
    }
}

closed_set! {
    /// Why a collector did not take spans.
    ExportFailure {
        /// Its name was not found, or it was not reached.
        Connect = "connect",
        /// No handshake of TLS: its certificate is not good, as a rule.
        Tls = "tls",
        /// No answer in time.
        Timeout = "timeout",
        /// The connection broke off, or what came is no HTTP.
        Broken = "broken",
        /// It answered, and refused.
        Status = "status",
    }
}

closed_set! {
    /// Why a request was tried again.
    RetryReason {
        /// Nothing of the request had been sent.
        Connect = "connect",
        /// A backend of HTTP/2 says that it has done nothing for it.
        Refused = "refused",
        /// The connection ended with no byte of a response.
        Reset = "reset",
        /// An unparsable response head.
        Invalid = "invalid",
        /// No response head in time.
        Timeout = "timeout",
        /// A status listed in `retry.on`.
        Status = "status",
        /// A pooled connection had been closed by the backend; repeated on a fresh one.
        Stale = "stale",
        /// The first try took longer than most; the second was made beside it.
        Hedge = "hedge",
    }
}

closed_set! {
    /// How an active check ended.
    CheckResult {
        /// As expected.
        Success = "success",
        /// A refusal, another status, another body, a broken answer.
        Failure = "failure",
        /// No answer in time.
        Timeout = "timeout",
    }
}

closed_set! {
    /// Why a backend was ejected.
    Ejection {
        /// Too many failures in a row.
        ConsecutiveFailures = "consecutive_failures",
        /// Too large a share of failures.
        FailureRatio = "failure_ratio",
        /// Much slower than the others.
        Latency = "latency",
        /// It came back, and failed at once.
        Trial = "trial",
    }
}
