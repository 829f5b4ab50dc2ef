//! HTTP/1.1 messages: heads, fields, parsing, framing, emission, forwarding headers.
//!
//! Pure: bytes in, events out. There is no I/O here, no clock and no configuration; whoever reads the
//! sockets passes the bytes and the limits in. One head model serves every protocol version: an ordered
//! list of fields over one buffer, names classified once when they are parsed, edits that mark, replace or
//! append, and an emission that copies each untouched run of lines once.

mod body;
mod certificate;
mod chunked;
mod date;
mod emitted;
mod field;
mod fields;
mod forwarding;
mod framing;
mod grpc;
mod hop;
mod https;
mod login;
mod method;
mod octets;
mod parse;
mod policy;
mod request;
mod response;
mod retry_after;
mod status;
mod target;

#[cfg(test)]
mod tests;

pub use body::{Decoder, Step, write_chunk_head, write_last_chunk};
pub use certificate::{Shown, show_certificate};
pub use date::DateCache;
pub use emitted::{Emitted, EmittedRequest, lines_of};
pub use field::Known;
pub use fields::{FieldRef, Fields};
pub use forwarding::{Forwarding, Origin, client_address, request_id};
pub use framing::Body;
pub use grpc::{grpc_message, grpc_timeout, is_grpc};
pub use hop::Upgrade;
pub use https::{came_by_https, https_form};
pub use login::{carries_login, offers_login};
pub use method::Method;
pub use parse::{HeadLimits, Parsed, leading_blank};
pub use policy::{HeadPolicy, Underscores};
pub use request::{RequestHead, Version};
pub use response::{Interim, ResponseHead};
pub use retry_after::retry_after;
pub use status::{OWN_ERRORS, reason_phrase};
pub use target::{host_for_matching, normal_path};

/// Why a client's message is refused: the status to answer with and one short phrase for the log.
/// The connection closes afterwards, for its framing can no longer be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {reason}")]
pub struct Refusal {
    /// What to answer.
    pub status: u16,
    /// What was wrong.
    pub reason: &'static str,
}

impl Refusal {
    /// 400 with a reason.
    pub const fn bad(reason: &'static str) -> Self {
        Self { status: 400, reason }
    }
}

/// Why a backend's message cannot be used. What it says is never shown to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);
