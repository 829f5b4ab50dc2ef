//! Messages that are nearly right: those of the corpus, changed at random.

use fastrand::Rng;

use super::case::Case;

/// Pieces that matter to somebody.
const PIECES: [&[u8]; 40] = [
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"\0",
    b"\x0b",
    b"\x7f",
    b"\xff",
    b"0",
    b"1",
    b"5",
    b"a",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"HTTP/1.5",
    b"Host: b\r\n",
    b"Content-Length: 3\r\n",
    b"content-length:0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"TRANSFER-ENCODING:\tCHUNKED\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive, x\r\n",
    b"Upgrade: websocket\r\n",
    b"TE: trailers\r\n",
    b"Expect: 100-continue\r\n",
    b"X:\r\n",
    b"X_Y: z\r\n",
    b"Trailer: X\r\n",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"0\r\nX: y\r\n\r\n",
    b"abc",
    b"GET / HTTP/1.1\r\n",
    b"http://b:81",
    b"HEAD",
    b"OPTIONS *",
];

/// Where messages come from.
pub(super) struct Source {
    /// What is passed on, and everything.
    good: Vec<Vec<u8>>,
    all: Vec<Vec<u8>>,
    seed: u64,
    rng: Rng,
}

impl Source {
    /// From the files with this prefix.
    pub(super) fn new(prefix: &str) -> Self {
        let sent = if prefix.starts_with("req") { ">" } else { "<" };
        let (mut good, mut all) = (Vec::new(), Vec::new());
        for case in Case::read_all(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/http"), prefix) {
            let wire = case.bytes(sent, ".");
            // Large ones take time and show little here.
            if wire.len() < 2_000 {
                if !case.has("=") && !case.has("cut") {
                    good.push(wire.clone());
                }
                all.push(wire);
            }
        }
        let seed = std::env::var("EQUIPOISE_SEED").ok().map(|text| text.parse().unwrap());
        let seed = seed.unwrap_or_else(|| Rng::new().u64(..));
        println!("EQUIPOISE_SEED={seed}");
        Self { good, all, seed, rng: Rng::with_seed(seed) }
    }

    /// So many times the environment's factor.
    pub(super) fn scaled(&self, count: u64) -> u64 {
        let times = std::env::var("EQUIPOISE_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        count.saturating_mul(times)
    }

    /// The next message: one of the corpus, changed in a few places or not at all.
    pub(super) fn message(&mut self) -> Vec<u8> {
        let rng = &mut self.rng;
        let base = if rng.u8(..4) > 0 { &self.good } else { &self.all };
        let mut wire = base[rng.usize(..base.len())].clone();
        for _ in 0..[0, 0, 1, 1, 2, 4][rng.usize(..6)] {
            let at = rng.usize(..=wire.len());
            match rng.u8(..8) {
                0..4 => drop(wire.splice(at..at, PIECES[rng.usize(..PIECES.len())].iter().copied())),
                4 => {
                    // At the beginning of a line a piece is more often legal.
                    let line = wire[..at].iter().rposition(|octet| *octet == b'\n').map_or(at, |lf| lf + 1);
                    wire.splice(line..line, PIECES[rng.usize(..PIECES.len())].iter().copied());
                }
                5 => {
                    let end = (at + rng.usize(..6)).min(wire.len());
                    wire.drain(at..end);
                }
                6 if at < wire.len() => wire[at] = rng.u8(..),
                _ => {
                    let other = &self.all[rng.usize(..self.all.len())];
                    let from = rng.usize(..=other.len());
                    let to = (from + rng.usize(..40)).min(other.len());
                    wire.splice(at..at, other[from..to].iter().copied());
                }
            }
        }
        wire
    }

    /// What a finding must say to be repeated.
    pub(super) fn told(&self, wire: &[u8]) -> String {
        format!("EQUIPOISE_SEED={}: {}", self.seed, wire.escape_ascii())
    }
}
