//! What is kept of one request.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use super::names::Tag;
use crate::access::{Arrival, Marks, Times};
use crate::http::{Method, Version};

/// Octets of an id that are kept; of a longer one the beginning, and a sum by which it is found all the same.
const ID: usize = 64;
/// Octets of a target that are kept.
const TARGET: usize = 128;
/// Octets of a host that are kept.
const HOST: usize = 64;
/// Octets of a method that nobody knows.
const VERB: usize = 16;
/// Tries before the last one that are kept; further ones are counted.
pub const MAX_EARLIER: usize = 8;

/// Text with a bound.
#[derive(Debug, Clone)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: u8,
    cut: bool,
}

impl<const N: usize> Text<N> {
    const EMPTY: Self = {
        assert!(N <= u8::MAX as usize, "its length is kept in an octet");
        Self { bytes: [0; N], length: 0, cut: false }
    };

    /// Takes this text, or as much of it as there is room for.
    #[inline]
    pub fn set(&mut self, text: &[u8]) {
        let length = text.len().min(N);
        self.bytes[..length].copy_from_slice(&text[..length]);
        self.length = length as u8;
        self.cut = length < text.len();
    }

    /// The same of a text that mostly has just `M` octets, which is a quarter of the work.
    #[inline]
    pub fn set_usual<const M: usize>(&mut self, text: &[u8]) {
        match (text.as_array::<M>(), self.bytes.first_chunk_mut::<M>()) {
            (Some(text), Some(bytes)) => {
                *bytes = *text;
                (self.length, self.cut) = (M as u8, false);
            }
            _ => self.set(text),
        }
    }

    /// Puts more behind it, as far as there is room. Says whether there was.
    pub fn push(&mut self, more: &[u8]) -> bool {
        let begin = usize::from(self.length);
        let length = more.len().min(N - begin);
        self.bytes[begin..begin + length].copy_from_slice(&more[..length]);
        self.length += length as u8;
        self.cut |= length < more.len();
        !self.cut
    }

    /// What was kept of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether it was longer.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

/// Why a backend was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The client was with it, as its cookie says.
    Cookie,
    /// Somebody must find out whether it is well again.
    Trial,
    /// The algorithm says so.
    Algorithm,
    /// The client's login was made on a connection to it.
    Login,
}

/// Who was picked, and why.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The backend.
    pub backend: Tag,
    /// Why this one.
    pub why: Why,
    /// The priority that served; above 0 it is a spare.
    pub priority: u8,
    /// Health was ignored: too few were usable.
    pub panics: bool,
    /// It could be connected to, and TLS with it failed.
    pub tls_failed: bool,
    /// When.
    pub at: Instant,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With the head of a response that had this status.
    Status(u16),
    /// Without one: why, in one word.
    Failed(&'static str),
}

/// A try that was not the last one.
#[derive(Debug, Clone, Copy)]
pub struct Try {
    /// Who was picked.
    pub choice: Choice,
    /// When it was over.
    pub ended: Instant,
    /// How.
    pub end: End,
}

/// The tries before the last one.
#[derive(Debug, Clone, Default)]
pub struct Earlier {
    /// The first of them, in their order.
    pub tries: Vec<Try>,
    /// How many are not among these, for there were too many.
    pub left_out: u32,
}

impl Earlier {
    /// Adds one, or counts it where there are too many. The first ones stay: they say how it began.
    pub fn push(&mut self, one: Try) {
        if self.tries.len() < MAX_EARLIER {
            self.tries.push(one);
        } else {
            self.left_out += 1;
        }
    }
}

/// Where a request came and went, by name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// The listener.
    pub listener: Tag,
    /// The route that took it.
    pub route: Tag,
    /// Its pool.
    pub pool: Tag,
    /// The pool's balancing algorithm.
    pub balance: Tag,
}

/// How far a request came. Copied whole: that costs a third of what its parts would.
#[derive(Debug, Clone, Copy, Default)]
pub struct Course {
    /// When it came to which phase.
    pub marks: Marks,
    /// The last try; `None`: none was made after the earlier ones.
    pub last: Option<Choice>,
    /// Which of two tries beside each other gave the answer.
    pub hedge: Option<&'static str>,
}

/// What of a query is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// What stands in the target.
    Shown,
    /// That there is one.
    Masked,
}

/// What was decided for one request, and what came of it.
#[derive(Debug, Clone)]
pub struct Record {
    /// X-Request-Id; set by the ring.
    pub(super) id: Text<ID>,
    /// When it came.
    pub arrival: Arrival,
    /// When all was over.
    pub ended: Instant,
    /// How far it came.
    pub course: Course,
    /// The client, as `trusted_proxies` give it.
    pub client: IpAddr,
    /// The method, by name where it is known.
    pub method: Method,
    /// One that is not known.
    pub verb: Text<VERB>,
    /// The version of HTTP; `None`: the head could not be read, and nothing of it is kept.
    pub version: Option<Version>,
    /// Path and query; what is masked by its names is masked in here.
    pub target: Text<TARGET>,
    /// What else of the query is not shown.
    pub query: Query,
    /// The host that was asked for.
    pub host: Text<HOST>,
    /// Where it came and went.
    pub place: Place,
    /// The status of the backend's answer in the last try; 0: there was none.
    pub answered: u16,
    /// The tries before.
    pub earlier: Option<Box<Earlier>>,
    /// What the client got; 0: nothing, 499: it had left.
    pub code: u16,
    /// Why, in one word, where we answered ourselves or broke off; else empty.
    pub reason: &'static str,
    /// Further tries.
    pub retries: u32,
}

// docs/operating.md says how much memory they take.
const _: () = assert!(size_of::<Record>() <= 640 && MAX_EARLIER * size_of::<Try>() <= 640);

impl Record {
    /// Octets of an id that are kept.
    pub(super) const ID: usize = ID;

    /// One to be filled.
    pub(super) fn blank(now: Instant) -> Self {
        Self {
            id: Text::EMPTY,
            arrival: Arrival { began: now, complete: now },
            ended: now,
            course: Course::default(),
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            method: Method::Other,
            verb: Text::EMPTY,
            version: None,
            target: Text::EMPTY,
            query: Query::Masked,
            host: Text::EMPTY,
            place: Place::default(),
            answered: 0,
            earlier: None,
            code: 0,
            reason: "",
            retries: 0,
        }
    }

    /// X-Request-Id, or its beginning.
    pub fn id(&self) -> &Text<ID> {
        &self.id
    }

    /// How long the phases took.
    pub fn times(&self) -> Times {
        let placed = self.course.last.is_some() || self.earlier.is_some();
        self.course.marks.times(self.arrival, self.ended, placed)
    }

    /// How the last try ended.
    pub fn end(&self) -> End {
        match self.answered {
            0 => End::Failed(self.reason),
            status => End::Status(status),
        }
    }

    /// The method as it was sent, or its beginning.
    pub fn method(&self) -> &[u8] {
        match self.method {
            Method::Get => b"GET",
            Method::Head => b"HEAD",
            Method::Post => b"POST",
            Method::Put => b"PUT",
            Method::Delete => b"DELETE",
            Method::Options => b"OPTIONS",
            Method::Patch => b"PATCH",
            Method::Trace => b"TRACE",
            Method::Connect => b"CONNECT",
            Method::Other => self.verb.bytes(),
        }
    }
}
