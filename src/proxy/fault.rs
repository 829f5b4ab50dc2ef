//! Whose fault it is, and the one table that turns it into an answer.

use crate::http::Refusal;
use crate::observe::{CLIENT_LEFT, Outcome, Reason};
use crate::resilience::Failure;

/// Why an exchange did not end with a whole response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Client: its message is refused.
    Refused(Refusal),
    /// Client: its body is larger than allowed.
    BodyTooLarge,
    /// Client: its body did not come in time, or too slowly.
    BodyTimeout,
    /// Client: it left, or broke the connection.
    ClientLeft,
    /// Client: it does not take the answer, or too slowly.
    WriteTimeout,
    /// Nobody's: Max-Forwards says that it goes no further than here.
    LastHop,
    /// Backend: it speaks HTTP/1.0, which knows no chunks, and the request's length is not known.
    NeedsLength,
    /// Backend: it speaks HTTP/1.0, which cannot answer 100 (Continue).
    CannotContinue,
    /// Ours: the listener sends its clients to the https:// form.
    Redirected,
    /// Ours: no route takes the request.
    NoRoute,
    /// Pool: no backend is usable.
    NoBackend,
    /// Pool: every usable backend is full, and the queue too.
    PoolFull,
    /// Pool: every usable backend was full for as long as a request may wait.
    QueueTimeout,
    /// Ours: the route's timeout has passed.
    Deadline,
    /// Backend: no response came.
    Backend(Failure),
    /// Backend: not connected in time.
    ConnectTimeout,
    /// Backend: the response ended early.
    Cut,
}

/// How a fault is answered, where the response has not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status; none where nobody is left to answer.
    pub(super) status: Option<u16>,
    /// The status that is counted.
    pub(super) code: u16,
    /// The label of equipoise_rejected_total; none where a backend is at fault.
    pub(super) reason: Option<Reason>,
    /// Whether the client may use the connection again.
    pub(super) keep: bool,
}

impl Fault {
    /// Whether nobody was there any more who would have taken the answer.
    pub(super) fn is_of_one_who_left(self) -> bool {
        self.answer().code == CLIENT_LEFT
    }

    /// The table.
    pub(super) fn answer(self) -> Answer {
        let (status, reason, keep) = match self {
            Self::Refused(refusal) => (refusal.status, Some(reason_of(refusal.status)), false),
            Self::BodyTooLarge => (413, Some(Reason::TooLarge), false),
            Self::BodyTimeout => (408, Some(Reason::ClientTimeout), false),
            Self::ClientLeft => {
                return Answer { status: None, code: CLIENT_LEFT, reason: None, keep: false };
            }
            Self::WriteTimeout => {
                return Answer {
                    status: None,
                    code: CLIENT_LEFT,
                    reason: Some(Reason::ClientTimeout),
                    keep: false,
                };
            }
            Self::LastHop => (200, None, true),
            Self::NeedsLength => (411, Some(Reason::Unsupported), false),
            Self::CannotContinue => (417, Some(Reason::Unsupported), false),
            Self::Redirected => (308, None, true),
            Self::NoRoute => (404, Some(Reason::NoRoute), true),
            Self::NoBackend => (503, Some(Reason::NoBackend), true),
            Self::PoolFull => (503, Some(Reason::QueueFull), true),
            Self::QueueTimeout => (503, Some(Reason::QueueTimeout), true),
            Self::Deadline => (504, Some(Reason::Deadline), true),
            Self::Backend(Failure::Timeout) | Self::ConnectTimeout => (504, None, true),
            Self::Backend(Failure::Status(status)) => (status, None, true),
            Self::Backend(Failure::Connect | Failure::Refused | Failure::Reset | Failure::Invalid)
            | Self::Cut => (502, None, true),
        };
        Answer { status: Some(status), code: status, reason, keep }
    }

    /// Why, in one word: a reason of equipoise_rejected_total, or where a backend is at fault the code under
    /// which equipoise_backend_requests_total counts it. Empty where nothing is wrong.
    pub(super) fn word(self) -> &'static str {
        if let Some(reason) = self.answer().reason {
            return reason.name();
        }
        match self {
            Self::Backend(Failure::Connect) | Self::ConnectTimeout => Outcome::ConnectError.name(),
            Self::Backend(Failure::Reset | Failure::Refused) => Outcome::Reset.name(),
            Self::Backend(Failure::Invalid) => Outcome::Invalid.name(),
            Self::Backend(Failure::Timeout) => Outcome::Timeout.name(),
            // Its head had been counted by its status.
            Self::Cut => "cut",
            _ => "",
        }
    }

    /// Seconds after which it is worth to come back.
    pub(super) fn retry_after(self) -> Option<u32> {
        matches!(self, Self::NoBackend | Self::PoolFull | Self::QueueTimeout).then_some(1)
    }
}

fn reason_of(status: u16) -> Reason {
    match status {
        408 => Reason::ClientTimeout,
        413 | 414 | 431 => Reason::TooLarge,
        405 | 417 | 501 | 505 => Reason::Unsupported,
        _ => Reason::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::OWN_ERRORS;

    #[test]
    fn every_fault_has_its_answer() {
        let table = [
            (Fault::Refused(Refusal::bad("x")), Some(400), false),
            (Fault::Refused(Refusal { status: 501, reason: "x" }), Some(501), false),
            (Fault::BodyTooLarge, Some(413), false),
            (Fault::BodyTimeout, Some(408), false),
            (Fault::ClientLeft, None, false),
            (Fault::WriteTimeout, None, false),
            (Fault::LastHop, Some(200), true),
            (Fault::NeedsLength, Some(411), false),
            (Fault::CannotContinue, Some(417), false),
            (Fault::Redirected, Some(308), true),
            (Fault::NoRoute, Some(404), true),
            (Fault::NoBackend, Some(503), true),
            (Fault::PoolFull, Some(503), true),
            (Fault::QueueTimeout, Some(503), true),
            (Fault::Deadline, Some(504), true),
            (Fault::Backend(Failure::Connect), Some(502), true),
            (Fault::Backend(Failure::Reset), Some(502), true),
            (Fault::Backend(Failure::Refused), Some(502), true),
            (Fault::Backend(Failure::Invalid), Some(502), true),
            (Fault::Backend(Failure::Timeout), Some(504), true),
            (Fault::ConnectTimeout, Some(504), true),
            (Fault::Cut, Some(502), true),
        ];
        for (fault, status, keep) in table {
            let answer = fault.answer();
            assert_eq!((answer.status, answer.keep), (status, keep), "{fault:?}");
            assert_eq!(answer.code, status.unwrap_or(CLIENT_LEFT), "{fault:?}");
            let error = status.is_some_and(|status| status >= 400);
            assert!(!error || !fault.word().is_empty(), "{fault:?} has its word");
            assert!(!error || OWN_ERRORS.contains(&answer.code), "{fault:?} may have its page");
        }
    }
}
