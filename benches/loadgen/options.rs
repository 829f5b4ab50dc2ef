//! The command line, and the checked plan that it becomes.

use crate::secure::Terms;
use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

/// More than this are no bench of one machine.
const MAX_CONNECTIONS: usize = 100_000;
/// Hosts and paths of one run.
const MAX_TARGETS: usize = 100_000;
/// The longest request body.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// The highest number of source addresses: 127.0.0.1 to 127.0.0.250.
const MAX_SOURCES: u8 = 250;
/// The longest run.
const MAX_SECONDS: f64 = 3600.0;

/// Asks an HTTP/1.1 server on a loopback address, and measures.
#[derive(Parser)]
pub(crate) struct Options {
    /// Where to ask.
    #[arg(long)]
    address: SocketAddrV4,
    /// What to ask for.
    #[arg(long, default_value = "/")]
    path: String,
    /// Instead of --path: a file with «HOST PATH» on each line, asked in turn.
    #[arg(long, conflicts_with = "path")]
    targets: Option<PathBuf>,
    /// POST this many bytes instead of GET.
    #[arg(long)]
    post: Option<usize>,
    /// Ask with Connection: close.
    #[arg(long)]
    close: bool,
    /// The length that every body must have; unchecked without.
    #[arg(long)]
    expect: Option<u64>,
    /// How long one answer may take, in seconds.
    #[arg(long, default_value_t = 10.0)]
    patience: f64,
    /// Speak TLS 1.3, and what each new connection's handshake must be.
    #[arg(long)]
    tls: Option<Handshake>,
    /// How keys are agreed on.
    #[arg(long, requires = "tls", default_value = "x25519")]
    group: Group,
    #[command(subcommand)]
    mode: Mode,
}

/// The kind of handshake of a new connection.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Handshake {
    /// A session of its own.
    Full,
    /// The session of an earlier connection goes on, where there is one.
    Resumed,
}

/// How keys are agreed on.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Group {
    X25519,
    /// X25519 and ML-KEM-768.
    Hybrid,
}

#[derive(Subcommand)]
enum Mode {
    /// A closed loop over kept connections.
    Kept(Loop),
    /// A closed loop with a new connection for each request; the client closes it after the whole answer.
    Each {
        #[command(flatten)]
        shape: Loop,
        /// Client addresses from 127.0.0.1 on, used in turn: each has its own ports.
        #[arg(long, default_value_t = 1)]
        sources: u8,
    },
    /// An open loop: requests at a fixed rate.
    Rate {
        /// Requests a second.
        #[arg(long)]
        rate: f64,
        /// Kept connections that are used in turn.
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// Up to so many are opened while none is free.
        #[arg(long, default_value_t = 1024)]
        most: usize,
        #[arg(long)]
        seconds: f64,
    },
    /// Opens connections and holds them; prints «ready» once all are there, ends with standard input.
    Idle {
        #[arg(long)]
        connections: usize,
        /// Each asks for one answer first.
        #[arg(long)]
        ask: bool,
        /// Ends after this time at the latest.
        #[arg(long, default_value_t = 60.0)]
        seconds: f64,
    },
}

#[derive(Args)]
struct Loop {
    /// How many at a time.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How long.
    #[arg(long, required_unless_present = "requests")]
    seconds: Option<f64>,
    /// Ends after so many requests.
    #[arg(long)]
    requests: Option<u64>,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// As soon as a connection is free; `fresh`: each on a connection of its own.
    Closed { fresh: bool },
    /// One each interval, on at most so many connections.
    Open { interval: Duration, most: usize },
    /// Never, or once when opened; then nothing.
    Idle { ask: bool },
}

/// What to do, checked.
pub(crate) struct Plan {
    pub(crate) address: SocketAddrV4,
    pub(crate) pace: Pace,
    pub(crate) connections: usize,
    /// How long requests are started.
    pub(crate) time: Duration,
    /// How many requests are started at most.
    pub(crate) requests: u64,
    pub(crate) sources: u8,
    /// The requests as they are sent, in turn; at least one.
    pub(crate) texts: Vec<Box<[u8]>>,
    pub(crate) expect: Option<u64>,
    pub(crate) patience: Duration,
    /// What is offered where TLS is spoken.
    pub(crate) terms: Option<Terms>,
}

impl Options {
    /// Checks what clap cannot.
    pub(crate) fn plan(self) -> Result<Plan> {
        ensure!(self.address.ip().is_loopback(), "only loopback addresses are asked");
        let texts = self.texts()?;
        let terms = self.tls.map(|handshake| Terms::new(handshake, self.group)).transpose()?;
        let (connections, seconds, requests, sources, pace) = match self.mode {
            Mode::Kept(shape) => {
                (shape.connections, shape.seconds, shape.requests, 1, Pace::Closed { fresh: false })
            }
            Mode::Each { shape, sources } => {
                (shape.connections, shape.seconds, shape.requests, sources, Pace::Closed { fresh: true })
            }
            Mode::Rate { rate, connections, most, seconds } => {
                ensure!(rate > 0.0 && rate <= 1e6, "the rate must be above 0 and at most a million");
                ensure!(
                    (connections..=MAX_CONNECTIONS).contains(&most),
                    "--most must be --connections or more"
                );
                let pace = Pace::Open { interval: Duration::from_secs_f64(1.0 / rate), most };
                (connections, Some(seconds), Some((seconds * rate).round() as u64), 1, pace)
            }
            Mode::Idle { connections, ask, seconds } => {
                (connections, Some(seconds), None, 1, Pace::Idle { ask })
            }
        };
        ensure!(
            terms.is_none() || pace != Pace::Idle { ask: false },
            "hands are shaken when the first request is sent: TLS needs --ask"
        );
        let seconds = seconds.unwrap_or(MAX_SECONDS);
        ensure!((1..=MAX_CONNECTIONS).contains(&connections), "1 to {MAX_CONNECTIONS} connections");
        ensure!((1..=MAX_SOURCES).contains(&sources), "1 to {MAX_SOURCES} source addresses");
        ensure!(seconds > 0.0 && seconds <= MAX_SECONDS, "at most {MAX_SECONDS} seconds");
        ensure!(
            self.patience > 0.0 && self.patience <= MAX_SECONDS,
            "at most {MAX_SECONDS} seconds of patience"
        );
        Ok(Plan {
            address: self.address,
            pace,
            connections,
            time: Duration::from_secs_f64(seconds),
            requests: requests.unwrap_or(u64::MAX),
            sources,
            texts,
            expect: self.expect,
            patience: Duration::from_secs_f64(self.patience),
            terms,
        })
    }

    /// Every request as bytes.
    fn texts(&self) -> Result<Vec<Box<[u8]>>> {
        let body = self.post.unwrap_or(0);
        ensure!(body <= MAX_BODY, "at most {MAX_BODY} bytes of body");
        let Some(file) = &self.targets else {
            return Ok(vec![self.text(&self.address.to_string(), &self.path)]);
        };
        let lines = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let texts: Vec<_> = lines
            .lines()
            .map(|line| {
                let (host, path) = line.split_once(' ').with_context(|| format!("no «HOST PATH»: {line}"))?;
                Ok(self.text(host, path))
            })
            .collect::<Result<_>>()?;
        ensure!((1..=MAX_TARGETS).contains(&texts.len()), "1 to {MAX_TARGETS} targets");
        Ok(texts)
    }

    fn text(&self, host: &str, path: &str) -> Box<[u8]> {
        let method = if self.post.is_some() { "POST" } else { "GET" };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        if let Some(length) = self.post {
            let _ = write!(head, "Content-Length: {length}\r\n");
        }
        if self.close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        let mut text = head.into_bytes();
        text.resize(text.len() + self.post.unwrap_or(0), b'x');
        text.into_boxed_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Plan> {
        Options::try_parse_from(line.split(' ')).map_err(anyhow::Error::from)?.plan()
    }

    #[test]
    fn a_rate_becomes_an_interval_and_a_number() {
        let plan = plan("loadgen --address 127.0.0.1:1 --post 3 rate --rate 4000 --seconds 2.5").unwrap();
        assert_eq!(plan.pace, Pace::Open { interval: Duration::from_micros(250), most: 1024 });
        assert_eq!(plan.requests, 10_000);
        assert_eq!(&*plan.texts[0], b"POST / HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Length: 3\r\n\r\nxxx");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in [
            "loadgen --address 192.0.2.1:80 kept --seconds 1",
            "loadgen --address 127.0.0.1:1 kept",
            "loadgen --address 127.0.0.1:1 kept --seconds 1 --connections 0",
            "loadgen --address 127.0.0.1:1 kept --seconds 0",
            "loadgen --address 127.0.0.1:1 each --seconds 1 --sources 0",
            "loadgen --address 127.0.0.1:1 rate --rate 0 --seconds 1",
            "loadgen --address 127.0.0.1:1 rate --rate 1 --seconds 1 --connections 9 --most 8",
            "loadgen --address 127.0.0.1:1 --targets /nonexistent kept --seconds 1",
            "loadgen --address 127.0.0.1:1 --group hybrid kept --seconds 1",
            "loadgen --address 127.0.0.1:1 --tls sometimes kept --seconds 1",
            "loadgen --address 127.0.0.1:1 --tls full idle --connections 1",
        ] {
            assert!(plan(line).is_err(), "{line}");
        }
    }
}
