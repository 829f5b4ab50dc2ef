//! Reading HTTP/1.1 from a socket, by a reader of our own that shares nothing with the one under test.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long any single read or write may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A name and a value.
pub(crate) type Field = (String, String);

/// A start line and the fields in their order. Octets above 127 stand as the characters of that number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) fields: Vec<Field>,
}

/// A whole message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<Field>,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

impl Head {
    /// The value of a field that stands exactly once; `None` where it does not stand at all.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let first = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} stands twice in {self:?}");
        first
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{self:?}"))
    }

    /// The target of a request.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    fn declared(&self) -> Option<Framing> {
        if let Some(coding) = self.field("transfer-encoding") {
            assert!(coding.eq_ignore_ascii_case("chunked"), "{self:?}");
            return Some(Framing::Chunked);
        }
        Some(match self.field("content-length")?.parse().unwrap() {
            0 => Framing::None,
            length => Framing::Length(length),
        })
    }

    /// How the body of this request ends.
    pub(crate) fn request_framing(&self) -> Framing {
        self.declared().unwrap_or(Framing::None)
    }

    /// How the body of this response to a request of `method` ends.
    pub(crate) fn response_framing(&self, method: &str) -> Framing {
        match self.status() {
            100..=199 | 204 | 304 => Framing::None,
            _ if method == "HEAD" => Framing::None,
            _ => self.declared().unwrap_or(Framing::UntilClose),
        }
    }
}

impl Message {
    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A socket and what was read ahead of need.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    /// What lies between the socket and the bytes below.
    pub(crate) tls: Option<Box<rustls::Connection>>,
    buffer: Vec<u8>,
    used: usize,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, tls: None, buffer: Vec::new(), used: 0 }
    }

    /// The same with TLS on it; its handshake is made with the first bytes.
    pub(crate) fn over_tls(stream: TcpStream, tls: impl Into<rustls::Connection>) -> Self {
        Self { tls: Some(Box::new(tls.into())), ..Self::new(stream) }
    }

    /// Makes the handshake.
    pub(crate) fn shake_hands(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        tls.complete_io(&mut self.stream).map(|_| ())
    }

    /// Says in TLS that nothing more follows.
    pub(crate) fn close_notify(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        tls.send_close_notify();
        let _ = tls.write_tls(&mut self.stream);
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return self.stream.write_all(bytes.as_ref()) };
        for piece in bytes.as_ref().chunks(16 * 1024) {
            tls.writer().write_all(piece)?;
            while tls.wants_write() || tls.is_handshaking() {
                tls.complete_io(&mut self.stream)?;
            }
        }
        Ok(())
    }

    /// What was read and not taken.
    pub(crate) fn ahead(&self) -> &[u8] {
        &self.buffer[self.used..]
    }

    /// Reads once; 0 at the end of the stream.
    pub(crate) fn fill(&mut self) -> io::Result<usize> {
        if self.used == self.buffer.len() {
            self.buffer.clear();
            self.used = 0;
        }
        let mut room = [0; 16 * 1024];
        let read = loop {
            let read = match &mut self.tls {
                None => self.stream.read(&mut room),
                Some(tls) => read_tls(tls, &mut self.stream, &mut room),
            };
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.buffer.extend_from_slice(&room[..read]);
        Ok(read)
    }

    /// Exactly so many bytes.
    pub(crate) fn take(&mut self, len: usize) -> io::Result<Vec<u8>> {
        while self.ahead().len() < len {
            if self.fill()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let taken = self.ahead()[..len].to_vec();
        self.used += len;
        Ok(taken)
    }

    /// Everything up to the end of the stream.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        let taken = self.ahead().to_vec();
        self.used = self.buffer.len();
        Ok(taken)
    }

    /// A line without its CRLF.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        let mut looked = 0;
        loop {
            if let Some(at) = self.ahead()[looked..].windows(2).position(|pair| pair == b"\r\n") {
                let mut line = self.take(looked + at + 2)?;
                line.truncate(looked + at);
                return Ok(line.iter().map(|byte| *byte as char).collect());
            }
            looked = self.ahead().len().saturating_sub(1);
            if self.fill()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next head; `None` where the stream ends before its first byte.
    pub(crate) fn head(&mut self) -> io::Result<Option<Head>> {
        while self.ahead().is_empty() {
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(Head { start: self.line()?, fields: self.fields()? }))
    }

    fn fields(&mut self) -> io::Result<Vec<Field>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
    }

    /// The body that follows a head, and its trailers.
    pub(crate) fn body(&mut self, framing: Framing) -> io::Result<(Vec<u8>, Vec<Field>)> {
        match framing {
            Framing::None => Ok((Vec::new(), Vec::new())),
            Framing::Length(length) => Ok((self.take(length)?, Vec::new())),
            Framing::UntilClose => Ok((self.rest()?, Vec::new())),
            Framing::Chunked => {
                let mut body = Vec::new();
                loop {
                    let line = self.line()?;
                    let digits = line.split([';', ' ']).next().unwrap_or_default();
                    let size = usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("{line:?}"));
                    if size == 0 {
                        return Ok((body, self.fields()?));
                    }
                    body.extend(self.take(size)?);
                    assert_eq!(self.take(2)?, b"\r\n", "after a chunk");
                }
            }
        }
    }

    /// The next request, whole; `None` where the stream ends instead.
    pub(crate) fn request(&mut self) -> io::Result<Option<Message>> {
        let Some(head) = self.head()? else { return Ok(None) };
        let (body, trailers) = self.body(head.request_framing())?;
        Ok(Some(Message { head, body, trailers }))
    }

    /// The next response to a request of `method`, whole. Interim ones count.
    pub(crate) fn response(&mut self, method: &str) -> io::Result<Message> {
        let head = self.head()?.ok_or(ErrorKind::UnexpectedEof)?;
        let (body, trailers) = self.body(head.response_framing(method))?;
        Ok(Message { head, body, trailers })
    }
}

/// Reads what TLS holds; an end of the socket without close_notify is an error.
fn read_tls(tls: &mut rustls::Connection, stream: &mut TcpStream, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match tls.reader().read(room) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
        tls.read_tls(stream)?;
        let made_out = tls.process_new_packets().map_err(io::Error::other);
        while tls.wants_write() {
            tls.write_tls(stream)?;
        }
        made_out?;
    }
}
