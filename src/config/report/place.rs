//! Bytes of a source → lines and columns.

/// A line and a column, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters (Unicode scalar values).
    pub column: usize,
}

/// Where each line begins.
#[derive(Debug)]
pub(super) struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    pub(super) fn new(source: &str) -> Lines {
        let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', source.as_bytes()).map(|at| at + 1));
        Lines { starts: starts.collect() }
    }

    /// Line and column of a byte; beyond the end means the end.
    pub(super) fn place(&self, source: &str, offset: usize) -> Place {
        let offset = floor(source, offset);
        let line = self.line(offset);
        let start = self.starts.get(line).copied().unwrap_or(0);
        // A byte order mark is no column of the first line: editors do not show it.
        let before = source.get(start..offset).unwrap_or_default();
        let before = if start == 0 { before.strip_prefix('\u{feff}').unwrap_or(before) } else { before };
        Place { line: line + 1, column: before.chars().count() + 1 }
    }

    /// The bytes of the line that holds this one, without its line end.
    pub(super) fn line_span(&self, source: &str, offset: usize) -> std::ops::Range<usize> {
        let line = self.line(floor(source, offset));
        let start = self.starts.get(line).copied().unwrap_or(0);
        let end = self.starts.get(line + 1).map_or(source.len(), |next| next - 1);
        let end = if source[start..end].ends_with('\r') { end - 1 } else { end };
        start..end
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }
}

/// The nearest character boundary at or below.
pub(super) fn floor(source: &str, offset: usize) -> usize {
    source.floor_char_boundary(offset.min(source.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let source = "a = \"ü\"\r\nb = 1\n";
        let lines = Lines::new(source);
        assert_eq!(lines.place(source, 0), Place { line: 1, column: 1 });
        assert_eq!(lines.place(source, 7), Place { line: 1, column: 7 });
        assert_eq!(lines.place(source, 10), Place { line: 2, column: 1 });
        assert_eq!(lines.place(source, 999), Place { line: 3, column: 1 });
        assert_eq!(&source[lines.line_span(source, 3)], "a = \"ü\"");
        assert_eq!(&source[lines.line_span(source, 12)], "b = 1");
    }

    #[test]
    fn a_byte_order_mark_is_no_column() {
        let source = "\u{feff}a = 1";
        assert_eq!(Lines::new(source).place(source, 3), Place { line: 1, column: 1 });
    }
}
