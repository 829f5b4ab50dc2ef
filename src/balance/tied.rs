//! Which of a few candidates are equally good.

use super::draws::SCANNED_MAX;

/// A bit for each of the first [`SCANNED_MAX`] candidates.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tied(u32);

const _: () = assert!(SCANNED_MAX <= u32::BITS as usize, "a bit for each that is looked at");

impl Tied {
    /// This one alone.
    pub(super) fn only(index: usize) -> Self {
        Self(1 << index)
    }

    /// This one too.
    pub(super) fn and(self, index: usize) -> Self {
        Self(self.0 | 1 << index)
    }

    pub(super) fn holds(self, index: usize) -> bool {
        self.0 >> index & 1 != 0
    }

    /// The first one; `None` where there is nobody.
    pub(super) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }

    /// Whether there are two or more.
    pub(super) fn are_several(self) -> bool {
        self.0 & self.0.wrapping_sub(1) != 0
    }

    /// The first one at or after `start`, around the end: how far ahead of it, and the index.
    pub(super) fn next(self, start: usize, len: usize) -> Option<(usize, usize)> {
        match Self(self.0 >> start).first() {
            Some(ahead) => Some((ahead, start + ahead)),
            None => self.first().map(|index| (index + len - start, index)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_is_found_around_the_end() {
        let tied = Tied::only(1).and(3);
        let next: Vec<_> = (0..4).map(|start| tied.next(start, 4)).collect();
        assert_eq!(next, [Some((1, 1)), Some((0, 1)), Some((1, 3)), Some((0, 3))]);
        assert_eq!((Tied::only(1).next(3, 4), Tied::default().next(0, 4)), (Some((2, 1)), None));
        assert_eq!(Tied::only(31).next(31, 32), Some((0, 31)));
    }

    #[test]
    fn one_is_not_several() {
        assert!(!Tied::default().are_several() && !Tied::only(31).are_several());
        assert!(Tied::only(31).and(0).are_several() && Tied::only(31).and(0).holds(31));
        assert_eq!((Tied::default().first(), Tied::only(31).and(7).first()), (None, Some(7)));
    }
}
