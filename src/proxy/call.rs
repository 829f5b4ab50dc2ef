//! Calls of gRPC: what is different where one is carried.
//!
//! To the client of a call the status of HTTP says little: how it went stands in `grpc-status`, in the trailers or in a head
//! that ends the stream. So whatever we answer ourselves says it there.

use std::time::Instant;

use super::exchange::Exchange;
use super::fault::Fault;
use super::respond;
use crate::http::{self, Version};
use crate::resilience::Failure;

const UNKNOWN: u8 = 2;
const DEADLINE_EXCEEDED: u8 = 4;
const PERMISSION_DENIED: u8 = 7;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;
const UNAVAILABLE: u8 = 14;
const UNAUTHENTICATED: u8 = 16;

/// The table: `grpc-status` of a fault. Where gRPC has no word of its own for it, by its page «HTTP to gRPC status code
/// mapping».
pub(super) fn code_of(fault: Fault) -> u8 {
    match fault {
        Fault::Deadline | Fault::BodyTimeout | Fault::Backend(Failure::Timeout) => DEADLINE_EXCEEDED,
        Fault::BodyTooLarge => RESOURCE_EXHAUSTED,
        Fault::NoRoute | Fault::NeedsLength | Fault::CannotContinue => UNIMPLEMENTED,
        Fault::NoBackend | Fault::PoolFull | Fault::QueueTimeout | Fault::ConnectTimeout | Fault::Cut => {
            UNAVAILABLE
        }
        Fault::Backend(Failure::Status(status)) => of_status(status),
        Fault::Backend(Failure::Connect | Failure::Refused | Failure::Reset | Failure::Invalid) => {
            UNAVAILABLE
        }
        Fault::Refused(refusal) => of_status(refusal.status),
        Fault::Redirected | Fault::LastHop | Fault::ClientLeft | Fault::WriteTimeout => UNKNOWN,
    }
}

fn of_status(status: u16) -> u8 {
    match status {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 | 501 => UNIMPLEMENTED,
        413 | 414 | 431 => RESOURCE_EXHAUSTED,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

impl Exchange<'_> {
    /// Notes that it is a call, and how long its client will wait. A client can only shorten what the route allows.
    #[cold]
    pub(super) fn begin_call(&mut self) {
        self.is_call = true;
        let told = http::grpc_timeout(&self.request.fields);
        let due = told.and_then(|timeout| self.arrival.began.checked_add(timeout));
        self.deadline = match (self.deadline, due) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
    }

    /// Whether a response that has begun can still say how the call went: its client takes trailers, and what it has got
    /// are whole chunks.
    pub(super) fn can_say_how_it_ended(&self, fault: Fault) -> bool {
        let is_gone = matches!(fault, Fault::ClientLeft | Fault::WriteTimeout);
        self.is_call && self.in_chunks && !is_gone && self.request.version == Version::Http2
    }

    /// Ends a response that has begun with trailers of ours.
    pub(super) fn end_call(&mut self, fault: Fault) {
        let mut trailers = Vec::new();
        respond::call_fields(&mut trailers, code_of(fault), fault.word());
        http::write_last_chunk(&trailers, self.client.out.writer(&self.worker.blocks));
        self.now = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Refusal;

    #[test]
    fn every_fault_has_its_code() {
        let refused = |status| Fault::Refused(Refusal { status, reason: "x" });
        let table = [
            (refused(400), INTERNAL),
            (refused(431), RESOURCE_EXHAUSTED),
            (refused(501), UNIMPLEMENTED),
            (refused(505), UNKNOWN),
            (Fault::BodyTooLarge, RESOURCE_EXHAUSTED),
            (Fault::BodyTimeout, DEADLINE_EXCEEDED),
            (Fault::Redirected, UNKNOWN),
            (Fault::NeedsLength, UNIMPLEMENTED),
            (Fault::NoRoute, UNIMPLEMENTED),
            (Fault::NoBackend, UNAVAILABLE),
            (Fault::PoolFull, UNAVAILABLE),
            (Fault::QueueTimeout, UNAVAILABLE),
            (Fault::Deadline, DEADLINE_EXCEEDED),
            (Fault::ConnectTimeout, UNAVAILABLE),
            (Fault::Cut, UNAVAILABLE),
            (Fault::Backend(Failure::Connect), UNAVAILABLE),
            (Fault::Backend(Failure::Refused), UNAVAILABLE),
            (Fault::Backend(Failure::Reset), UNAVAILABLE),
            (Fault::Backend(Failure::Invalid), UNAVAILABLE),
            (Fault::Backend(Failure::Timeout), DEADLINE_EXCEEDED),
            (Fault::Backend(Failure::Status(429)), UNAVAILABLE),
            (Fault::Backend(Failure::Status(401)), UNAUTHENTICATED),
            (Fault::Backend(Failure::Status(403)), PERMISSION_DENIED),
            (Fault::Backend(Failure::Status(500)), UNKNOWN),
        ];
        for (fault, code) in table {
            assert_eq!(code_of(fault), code, "{fault:?}");
        }
    }
}
