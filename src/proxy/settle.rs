//! The end of an exchange that did not go well.

use std::time::Instant;

use super::call;
use super::exchange::{After, Ended, Exchange};
use super::fault::Fault;
use super::respond::{self, Extra};
use crate::http::{self, Version};
use crate::observe::CLIENT_LEFT;

impl Exchange<'_> {
    /// Answers a fault where that is still possible, and says how the connection goes on.
    pub(super) async fn settle(&mut self, outcome: Result<(), Fault>) -> (u16, After) {
        let fault = match outcome {
            Ok(()) => {
                let after = match self.ended {
                    Ended::Kept => After::Next,
                    Ended::Whole if self.client.is_silent() => After::Close,
                    Ended::Whole | Ended::Early => After::Linger,
                };
                return (self.status.unwrap_or(0), after);
            }
            Err(fault) => fault,
        };
        self.now = Instant::now();
        if self.client_address.is_none() {
            // Before the request was edited the scratch still holds the id of the one before.
            let fresh_id = self.worker.random.borrow_mut().u128(..);
            self.scratch.forwarding.identify(&self.request.fields, &self.client.origin, fresh_id);
        }
        let answer = fault.answer();
        if let Some(reason) = answer.reason {
            self.listener.series.rejected(self.worker.index, reason);
        }
        let id = String::from_utf8_lossy(self.scratch.forwarding.request_id());
        tracing::debug!(target: "equipoise::proxy", peer = %self.client.origin.peer, request = %id, ?fault, "request failed");
        match (self.status, answer.status) {
            (Some(status), _) if self.can_say_how_it_ended(fault) => {
                self.end_call(fault);
                (status, After::Linger)
            }
            // The response has begun: breaking the connection is the only honest end.
            (Some(status), _) => {
                (if answer.code == CLIENT_LEFT { answer.code } else { status }, After::Abort)
            }
            (None, None) => (answer.code, After::Abort),
            (None, Some(status)) => self.answer(fault, status, answer.keep),
        }
    }

    fn answer(&mut self, fault: Fault, status: u16, keeps: bool) -> (u16, After) {
        let keep = keeps && self.keeps_client() && !self.unread;
        let location = match fault {
            Fault::Redirected => http::https_form(self.request),
            _ => None,
        };
        let extra = Extra {
            reason: fault.word(),
            location: location.as_deref().unwrap_or_default(),
            close: !keep,
            keep_alive_10: keep && self.request.version == Version::Http10,
            head_only: self.request.method == http::Method::Head,
            request_id: self.scratch.forwarding.request_id(),
            retry_after: fault.retry_after(),
            call: http::is_grpc(&self.request.fields).then(|| call::code_of(fault)),
        };
        let body = respond::write(self.worker, self.listener, self.client, status, extra, self.now);
        self.note.heads_end(self.client, body);
        (status, if keep { After::Next } else { After::Linger })
    }
}
