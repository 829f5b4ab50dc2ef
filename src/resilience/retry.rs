//! May this failed request be tried on another backend?

/// Decides one further try. In this order, so that the reason given is the one an operator can act on:
/// what failed must be listed in `retry.on`; what was sent must be repeatable; a try must be left.
///
/// Whoever gets [`Verdict::Retry`] with `charged` asks [`super::RetryBudget::take`] as well.
pub fn decide(policy: &Policy, facts: &Facts) -> Verdict {
    if !facts.is_trial && !policy.lists(facts.failure) {
        return Verdict::Stop(Stop::NotListed);
    }
    if !facts.method_listed && (facts.anything_sent || !facts.failure.left_nothing()) {
        return Verdict::Stop(Stop::Method);
    }
    if !facts.replayable {
        return Verdict::Stop(Stop::BodyGone);
    }
    if facts.retries_made >= policy.attempts {
        return Verdict::Stop(Stop::AttemptsUsed);
    }
    let free = facts.failure == Failure::Connect && facts.first_connect_failure && facts.another_accepts;
    Verdict::Retry { charged: !free }
}

/// How a try failed, by the words of `retry.on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Refused, unreachable or not connected in time (TLS included): nothing of the request was sent.
    Connect,
    /// The backend says that it has done nothing for the request, in HTTP/2 (RFC 9113 8.7): what was sent of it counts
    /// as not sent.
    Refused,
    /// The connection ended with no byte of a response.
    Reset,
    /// The response head could not be parsed.
    Invalid,
    /// No response head in time.
    Timeout,
    /// A well-formed response of this status.
    Status(u16),
}

impl Failure {
    /// Whether the backend cannot have begun anything for the request by this try.
    pub fn left_nothing(self) -> bool {
        matches!(self, Self::Connect | Self::Refused)
    }

    /// The label `reason` of equipoise_retries_total. Statuses other than the usual ones share a label, so
    /// that a configuration cannot make hundreds of series.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Invalid => "invalid",
            Self::Timeout => "timeout",
            Self::Status(429) => "429",
            Self::Status(500) => "500",
            Self::Status(502) => "502",
            Self::Status(503) => "503",
            Self::Status(504) => "504",
            Self::Status(_) => "status",
        }
    }
}

/// `[pool.NAME.retry]`, but for the budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Further tries at most, beyond the first.
    pub attempts: u32,
    /// Whether a failed connect is retried, and a refusal.
    pub on_connect: bool,
    /// Whether a reset is retried.
    pub on_reset: bool,
    /// Whether an unparsable head is retried.
    pub on_invalid: bool,
    /// Whether a missing head is retried.
    pub on_timeout: bool,
    /// The statuses that are retried.
    pub statuses: Box<[u16]>,
    /// The methods that are retried after anything but a failed connect, in upper case.
    pub methods: Box<[Box<str>]>,
}

impl Default for Policy {
    /// The contract's defaults: two further tries on connect, reset and invalid, idempotent methods.
    fn default() -> Self {
        Self {
            attempts: 2,
            on_connect: true,
            on_reset: true,
            on_invalid: true,
            on_timeout: false,
            statuses: Box::default(),
            methods: ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"].map(Box::from).into(),
        }
    }
}

impl Policy {
    /// Whether the method may be repeated. Methods are case-sensitive (RFC 9110 9.1): `get` is not `GET`.
    pub fn lists_method(&self, method: &[u8]) -> bool {
        self.methods.iter().any(|listed| listed.as_bytes() == method)
    }

    /// Whether this failure is in `retry.on`. A response whose status is not must be passed on at once.
    pub fn lists(&self, failure: Failure) -> bool {
        match failure {
            Failure::Connect | Failure::Refused => self.on_connect,
            Failure::Reset => self.on_reset,
            Failure::Invalid => self.on_invalid,
            Failure::Timeout => self.on_timeout,
            Failure::Status(status) => self.statuses.contains(&status),
        }
    }
}

/// What is known of the request after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// How it failed.
    pub failure: Failure,
    /// It was sent to an ejected backend to find out how that is: no client pays for that where another
    /// backend may be asked.
    pub is_trial: bool,
    /// Further tries made so far: 0 after the first try.
    pub retries_made: u32,
    /// [`Policy::lists_method`] of its method.
    pub method_listed: bool,
    /// Whether any byte of it was written to any backend that may have begun something for it.
    pub anything_sent: bool,
    /// Whether its body can be sent from the start: none, untouched, or still held whole.
    pub replayable: bool,
    /// Whether no earlier try of this request failed to connect.
    pub first_connect_failure: bool,
    /// [`super::RetryBudget::connect_retry_is_free`]: another backend accepts connections.
    pub another_accepts: bool,
}

/// What to do after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Answer the client with this failure.
    Stop(Stop),
    /// Try another backend, if the budget has room or `charged` is false.
    Retry {
        /// Whether the retry counts against the budget.
        charged: bool,
    },
}

/// Why there is no further try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// `retry.on` does not name the failure.
    NotListed,
    /// `retry.methods` does not name the method, and the backend may have acted on what was sent.
    Method,
    /// The body has flowed and is not held any more.
    BodyGone,
    /// `retry.attempts` are used up.
    AttemptsUsed,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURES: [Failure; 7] = [
        Failure::Connect,
        Failure::Refused,
        Failure::Reset,
        Failure::Invalid,
        Failure::Timeout,
        Failure::Status(503),
        Failure::Status(404),
    ];

    /// Of a trial every failure is retried, and nothing else is different.
    #[test]
    fn a_trial_is_retried_whatever_is_listed() {
        let none = Policy { on_connect: false, on_reset: false, on_invalid: false, ..Policy::default() };
        let facts = Facts {
            failure: Failure::Status(500),
            is_trial: true,
            retries_made: 0,
            method_listed: true,
            anything_sent: true,
            replayable: true,
            first_connect_failure: true,
            another_accepts: true,
        };
        assert_eq!(decide(&none, &facts), Verdict::Retry { charged: true });
        let post = Facts { method_listed: false, ..facts };
        assert_eq!(decide(&none, &post), Verdict::Stop(Stop::Method));
    }

    /// Every combination of facts, under a policy that lists everything but 404 and one that lists nothing.
    #[test]
    fn all_combinations() {
        let all = Policy { on_timeout: true, statuses: Box::new([502, 503]), ..Policy::default() };
        let none = Policy { on_connect: false, on_reset: false, on_invalid: false, ..Policy::default() };
        for failure in FAILURES {
            for bits in 0..32u8 {
                let flag = |bit: u8| bits >> bit & 1 == 1;
                for retries_made in 0..4 {
                    let facts = Facts {
                        failure,
                        is_trial: false,
                        retries_made,
                        method_listed: flag(0),
                        anything_sent: flag(1),
                        replayable: flag(2),
                        first_connect_failure: flag(3),
                        another_accepts: flag(4),
                    };
                    assert_eq!(decide(&none, &facts), Verdict::Stop(Stop::NotListed));
                    assert_eq!(decide(&all, &facts), expected(&facts), "{facts:?}");
                }
            }
        }
    }

    /// The contract once more, as a table from the strictest line down.
    fn expected(facts: &Facts) -> Verdict {
        let connect = matches!(facts.failure, Failure::Connect | Failure::Refused);
        let retry = Verdict::Retry { charged: !(facts.first_connect_failure && facts.another_accepts) };
        match (facts.failure, facts.method_listed, facts.anything_sent, facts.replayable, facts.retries_made)
        {
            (Failure::Status(404), ..) => Verdict::Stop(Stop::NotListed),
            (_, false, true, ..) => Verdict::Stop(Stop::Method),
            (_, false, ..) if !connect => Verdict::Stop(Stop::Method),
            (_, _, _, false, _) => Verdict::Stop(Stop::BodyGone),
            (.., 2..) => Verdict::Stop(Stop::AttemptsUsed),
            (Failure::Connect, ..) => retry,
            _ => Verdict::Retry { charged: true },
        }
    }

    #[test]
    fn a_post_of_which_a_byte_was_sent_is_never_repeated() {
        let policy = Policy { attempts: u32::MAX, on_timeout: true, ..Policy::default() };
        for failure in FAILURES {
            let facts = Facts {
                failure,
                is_trial: true,
                retries_made: 0,
                method_listed: policy.lists_method(b"POST"),
                anything_sent: true,
                replayable: true,
                first_connect_failure: true,
                another_accepts: true,
            };
            assert!(matches!(decide(&policy, &facts), Verdict::Stop(_)));
        }
    }

    #[test]
    fn methods_are_case_sensitive() {
        assert!(Policy::default().lists_method(b"GET"));
        assert!(!Policy::default().lists_method(b"get"));
        assert!(!Policy::default().lists_method(b"PATCH"));
    }
}
