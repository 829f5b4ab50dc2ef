//! Heads of our own, read back by whoever sends them on in another version of HTTP.

/// A response head as [`super::ResponseHead::emit`] or an answer of ours writes it.
#[derive(Debug, Clone, Copy)]
pub struct Emitted<'a> {
    /// Its status.
    pub status: u16,
    /// Its lines, each with its CRLF.
    lines: &'a [u8],
    /// How long it is, with the empty line.
    pub len: usize,
}

impl<'a> Emitted<'a> {
    /// Reads the head at the start of `bytes`; `None` where none stands there whole.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let status = bytes.get("HTTP/1.1 ".len()..)?.first_chunk::<3>()?;
        let status = std::str::from_utf8(status).ok()?.parse().ok()?;
        let (_, lines, len) = first_and_rest(bytes)?;
        Some(Self { status, lines, len })
    }

    /// Name and value of each field.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        lines_of(self.lines)
    }

    /// The value of the first field of a name, in any case.
    pub fn field(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.fields().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A request head as [`super::RequestHead::emit`] writes it.
#[derive(Debug, Clone, Copy)]
pub struct EmittedRequest<'a> {
    /// Its method.
    pub method: &'a [u8],
    /// Its target.
    pub target: &'a [u8],
    /// Its lines, each with its CRLF.
    lines: &'a [u8],
    /// How long it is, with the empty line.
    pub len: usize,
}

impl<'a> EmittedRequest<'a> {
    /// Reads the head at the start of `bytes`; `None` where none stands there whole.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (line, lines, len) = first_and_rest(bytes)?;
        let mut words = line.split(|octet| *octet == b' ');
        let (method, target) = (words.next()?, words.next()?);
        Some(Self { method, target, lines, len })
    }

    /// Name and value of each field.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        lines_of(self.lines)
    }
}

/// The first line of a head, its lines of fields, and its length.
fn first_and_rest(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let line = memchr::memmem::find(bytes, b"\r\n")?;
    let first = line + 2;
    let end = match bytes[first..].starts_with(b"\r\n") {
        true => first,
        false => first + memchr::memmem::find(&bytes[first..], b"\r\n\r\n")? + 2,
    };
    Some((&bytes[..line], &bytes[first..end], end + 2))
}

/// Name and value of each of the lines, which were checked when they were read. The white space around a value is
/// none of it.
pub fn lines_of(lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut begun = 0;
    memchr::memchr_iter(b'\n', lines).filter_map(move |end| {
        let line = &lines[begun..end];
        begun = end + 1;
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_back_as_it_was_written() {
        let bytes = b"HTTP/1.1 206 Partial\r\nA: b\r\nc:  d e\t\r\nA:\r\n\r\nbody: no\r\n\r\n";
        let head = Emitted::read(bytes).unwrap();
        assert_eq!((head.status, &bytes[head.len..]), (206, &b"body: no\r\n\r\n"[..]));
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields, [(&b"A"[..], &b"b"[..]), (b"c", b"d e"), (b"A", b"")]);
        assert_eq!(head.field(b"C"), Some(&b"d e"[..]));
    }

    #[test]
    fn a_request_is_read_back_as_it_was_written() {
        let bytes = b"POST /a?b HTTP/1.1\r\nHost: c\r\nX: y\r\n\r\nbody";
        let head = EmittedRequest::read(bytes).unwrap();
        assert_eq!(
            (head.method, head.target, &bytes[head.len..]),
            (&b"POST"[..], &b"/a?b"[..], &b"body"[..])
        );
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields, [(&b"Host"[..], &b"c"[..]), (b"X", b"y")]);
        assert!(EmittedRequest::read(&bytes[..20]).is_none());
    }

    #[test]
    fn what_is_not_whole_is_none() {
        assert_eq!(
            Emitted::read(b"HTTP/1.1 100 \r\n\r\n").map(|head| (head.status, head.len)),
            Some((100, 17))
        );
        let whole = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        for len in 0..whole.len() {
            assert!(Emitted::read(&whole[..len]).is_none(), "{len}");
        }
        assert!(Emitted::read(whole).is_some());
    }
}
