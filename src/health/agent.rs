//! The agent of a backend: a line of words over TCP, as HAProxy's agent-check defines it.
//!
//! Whoever connects is told one line of ASCII, ended by CR or LF: in any order, with spaces, tabs or commas between them,
//! a percentage of the weight (`75%`), `maxconn:N`, what it is to do (`ready`, `drain`, `maint`), and how it is
//! (`up`, or `down`, `fail`, `stopped`; what follows a `#` says why). What is not said stays as it was, so that only the
//! agent takes back what it has said. One that does not answer has said nothing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::monitor::{Event, Listener, Target, What};
use super::watch::tell;
use crate::backend::{Advice, Backend, Duty};

/// A longer line is no agent's.
const LINE_MAX: usize = 256;

/// A percentage above this one says no more: weights end at 65,535.
const PERCENT_MAX: u16 = 10_000;

/// How an agent is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentCheck {
    /// Where it listens, on the backend's own address.
    pub port: u16,
    /// From one answer to the next question; ±10 %.
    pub interval: Duration,
}

/// What one line says; `None`: nothing of that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Words {
    duty: Option<Duty>,
    down: Option<bool>,
    percent: Option<u16>,
    limit: Option<u32>,
}

/// The loop of one backend's agent: ask, heed, sleep.
pub(super) struct Asking {
    target: Target,
    agent: AgentCheck,
    on_event: Listener,
    random: fastrand::Rng,
    /// Who was asked last.
    asked: Option<SocketAddr>,
    /// Why there was no answer, to tell it once.
    trouble: Option<String>,
}

impl Asking {
    pub(super) fn new(target: Target, agent: AgentCheck, on_event: Listener) -> Self {
        Self { target, agent, on_event, random: fastrand::Rng::new(), asked: None, trouble: None }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self, delay: Duration) {
        sleep(delay).await;
        loop {
            if let Some(address) = self.target.backend.address() {
                if self.asked.replace(address).is_some_and(|before| before != address) {
                    // Another machine has said nothing yet.
                    self.heed(Advice::default(), None);
                }
                let line = timeout(self.target.check.timeout, ask(address, self.agent.port)).await;
                let line = line.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                match line.as_deref().map(|line| (line, Words::read(line))) {
                    Ok((line, Some(words))) => {
                        self.trouble = None;
                        let advice = words.amend(self.target.backend.agent().advice());
                        self.heed(advice, Some(&shown(line)));
                    }
                    Ok((line, None)) => self.note(format!("nothing of it is understood: {}", shown(line))),
                    Err(error) => self.note(error.to_string()),
                }
            }
            sleep(self.agent.interval.mul_f64(0.9 + 0.2 * self.random.f64())).await;
        }
    }

    fn heed(&self, advice: Advice, said: Option<&str>) {
        if heed(&self.target.backend, advice, said, Instant::now().into_std()) {
            (self.on_event)(Event { backend: self.target.backend.clone(), what: What::Advised });
        }
    }

    /// Tells why nothing was heard, once for as long as it stays the same.
    fn note(&mut self, why: String) {
        if self.trouble.as_deref() != Some(&*why) {
            let identity = self.target.backend.identity();
            let (pool, backend) = (&*identity.pool, &*identity.name);
            tracing::warn!(target: "equipoise::health", pool, backend, why, "no word of the agent: what it said last holds");
            self.trouble = Some(why);
        }
    }
}

/// Has a backend heed what is said of it, and says so where that is new, and where it goes up or down by it. Gives back
/// whether it is.
pub(super) fn heed(backend: &Backend, advice: Advice, said: Option<&str>, now: std::time::Instant) -> bool {
    let was_up = backend.condition().is_up();
    let is_new = backend.heed(advice, said, now);
    if is_new && said.is_some() {
        let identity = backend.identity();
        let (pool, backend) = (&*identity.pool, &*identity.name);
        tracing::info!(target: "equipoise::health", pool, backend, said, "the agent says something new");
    }
    let condition = backend.condition();
    if condition.is_up() != was_up {
        let reason = if was_up { &*condition.reason() } else { "its agent does not call it down any more" };
        tell(backend, !was_up, reason);
    }
    is_new
}

/// The line, without its end.
async fn ask(mut address: SocketAddr, port: u16) -> io::Result<Vec<u8>> {
    address.set_port(port);
    let mut stream = TcpStream::connect(address).await?;
    let mut line = [0; LINE_MAX];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut line[filled..]).await?;
        // What ends without an end of the line may be cut: «7» of «75%».
        if read == 0 {
            let why =
                if filled == LINE_MAX { "the line is longer than 256 bytes" } else { "the line has no end" };
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let fresh = filled..filled + read;
        filled = fresh.end;
        if let Some(end) = line[fresh.clone()].iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            return Ok(line[..fresh.start + end].to_vec());
        }
    }
}

/// As it may stand in a log and in the API.
fn shown(line: &[u8]) -> String {
    line.iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' }).collect()
}

impl Words {
    /// Reads a line; `None` where no word of it is understood. Of words that contradict each other the last counts.
    fn read(line: &[u8]) -> Option<Self> {
        let said = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mut words = Self::default();
        let mut understood = false;
        let parts = said.split(|byte| matches!(byte, b' ' | b'\t' | b','));
        for word in parts.filter(|word| !word.is_empty()) {
            understood |= words.take(&word.to_ascii_lowercase()).is_some();
        }
        understood.then_some(words)
    }

    fn take(&mut self, word: &[u8]) -> Option<()> {
        match word {
            b"up" => self.down = Some(false),
            b"down" | b"fail" | b"stopped" => self.down = Some(true),
            b"ready" => self.duty = Some(Duty::Ready),
            b"drain" => self.duty = Some(Duty::Drain),
            b"maint" => self.duty = Some(Duty::Maintenance),
            _ => match (word.strip_suffix(b"%"), word.strip_prefix(b"maxconn:")) {
                (Some(percent), _) => {
                    let percent = number(percent)?;
                    self.percent = Some(u16::try_from(percent).unwrap_or(PERCENT_MAX).min(PERCENT_MAX));
                }
                (None, Some(limit)) => self.limit = Some(number(limit)?),
                (None, None) => return None,
            },
        }
        Some(())
    }

    /// What all that was said so far comes to with this.
    fn amend(self, before: Advice) -> Advice {
        Advice {
            duty: self.duty.unwrap_or(before.duty),
            down: self.down.unwrap_or(before.down),
            percent: self.percent.unwrap_or(before.percent),
            limit: self.limit.unwrap_or(before.limit),
        }
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    let text =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

#[cfg(test)]
mod tests;
