//! The nine octets before each frame.

/// Octets before each frame.
const HEAD: usize = 9;

/// DATA
const DATA: u8 = 0;

/// What is said of a frame before its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// Octets of its payload.
    pub length: usize,
    /// Its kind.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
}

/// Finds the heads of frames in what comes, however that is cut.
#[derive(Debug)]
pub struct Heads {
    /// Octets still to come before the next head.
    skip: usize,
    head: [u8; HEAD],
    filled: usize,
}

impl Heads {
    /// Where so many octets come before the first frame.
    pub fn after(preface: usize) -> Self {
        Self { skip: preface, head: [0; HEAD], filled: 0 }
    }

    /// The next head that is whole with these bytes, which are used up as far as that takes.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<FrameHead> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        let taken = (HEAD - self.filled).min(bytes.len() - skipped);
        self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[skipped..skipped + taken]);
        self.filled += taken;
        *bytes = &bytes[skipped + taken..];
        if self.filled < HEAD {
            return None;
        }
        self.filled = 0;
        let [a, b, c, kind, flags, ..] = self.head;
        self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        Some(FrameHead { length: self.skip, kind, flags })
    }

    /// Whether a frame that is not data has begun and not ended.
    pub fn is_within(&self) -> bool {
        self.filled > 0 || (self.skip > 0 && self.head[3] != DATA)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_found_however_they_are_cut() {
        let bytes = b"before\0\0\x04\0\x01\0\0\0\x01body\0\0\0\x04\x01\0\0\0\0";
        let whole = [FrameHead { length: 4, kind: 0, flags: 1 }, FrameHead { length: 0, kind: 4, flags: 1 }];
        for cut in 1..bytes.len() {
            let (mut heads, mut found) = (Heads::after(6), Vec::new());
            for mut part in bytes.chunks(cut) {
                while !part.is_empty() {
                    found.extend(heads.next(&mut part));
                }
            }
            assert_eq!(found, whole, "{cut}");
            assert!(!heads.is_within());
        }
    }
}
