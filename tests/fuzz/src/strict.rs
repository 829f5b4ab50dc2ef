//! A second reader of HTTP/1.1: small, slow, octet by octet, and with no tolerance at all. It shares nothing
//! with the codec. What the balancer sends must be read by it as the balancer meant it.

/// A name and a value.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// One whole message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The three words of the first line; of a response the third may be several, or empty.
    pub(crate) start: [Vec<u8>; 3],
    /// Names as sent, values without white space around them.
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<Field>,
    /// How many octets it took.
    pub(crate) used: usize,
}

/// Why there is no whole message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The octets end too early.
    Short,
    /// They are wrong.
    Wrong(&'static str),
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilEnd,
}

/// Reads the request that the octets begin with, as a proxy must write it: always HTTP/1.1 with one Host.
pub(crate) fn request(bytes: &[u8]) -> Result<Message, Fault> {
    let mut reader = Reader { bytes, at: 0 };
    let [method, target, version] = reader.three_words()?;
    if !is_token(&method) || !target.iter().all(|octet| (b'!'..=b'~').contains(octet) && *octet != b'#') {
        return Err(Fault::Wrong("method or target"));
    }
    if version != b"HTTP/1.1" || target.is_empty() {
        return Err(Fault::Wrong("request line"));
    }
    let fields = reader.fields()?;
    if values(&fields, "host").len() != 1 {
        return Err(Fault::Wrong("not one Host"));
    }
    let framing = match declared(&fields)? {
        Some(framing) => framing,
        None => Framing::None,
    };
    reader.finish([method, target, version], fields, framing, false)
}

/// Reads the response that the octets begin with, to a request of `method`; `ended` says that the stream ends
/// behind them.
pub(crate) fn response(bytes: &[u8], method: &[u8], ended: bool) -> Result<Message, Fault> {
    let mut reader = Reader { bytes, at: 0 };
    let start = reader.three_words()?;
    let [version, status, reason] = &start;
    if version != b"HTTP/1.1" || status.len() != 3 || !status.iter().all(u8::is_ascii_digit) {
        return Err(Fault::Wrong("status line"));
    }
    if !(b'1'..=b'5').contains(&status[0]) || !reason.iter().all(|octet| is_text(*octet)) {
        return Err(Fault::Wrong("status or reason"));
    }
    let fields = reader.fields()?;
    let declared = declared(&fields)?;
    let connected = method == b"CONNECT" && status[0] == b'2';
    let unframed = status[0] == b'1' || status == b"204" || connected;
    if unframed && declared.is_some() {
        return Err(Fault::Wrong("framed where no body may be"));
    }
    let framing = match declared {
        _ if unframed || status == b"304" || method == b"HEAD" => Framing::None,
        Some(framing) => framing,
        None => Framing::UntilEnd,
    };
    reader.finish(start, fields, framing, ended)
}

/// The values of a field, by its name in lower case.
pub(crate) fn values<'a>(fields: &'a [Field], name: &str) -> Vec<&'a [u8]> {
    let named = fields.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
    named.map(|(_, value)| value.as_slice()).collect()
}

fn declared(fields: &[Field]) -> Result<Option<Framing>, Fault> {
    match (values(fields, "content-length")[..].as_ref(), values(fields, "transfer-encoding")[..].as_ref()) {
        ([], []) => Ok(None),
        ([], [b"chunked"]) => Ok(Some(Framing::Chunked)),
        ([length], []) => {
            let text = std::str::from_utf8(length).map_err(|_| Fault::Wrong("length"))?;
            let number: u64 = text.parse().map_err(|_| Fault::Wrong("length"))?;
            if number.to_string() != text {
                return Err(Fault::Wrong("length with another spelling"));
            }
            Ok(Some(Framing::Length(usize::try_from(number).unwrap_or(usize::MAX))))
        }
        _ => Err(Fault::Wrong("framing")),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn octet(&mut self) -> Result<u8, Fault> {
        let octet = *self.bytes.get(self.at).ok_or(Fault::Short)?;
        self.at += 1;
        Ok(octet)
    }

    /// A line without its CRLF.
    fn line(&mut self) -> Result<Vec<u8>, Fault> {
        let mut line = Vec::new();
        loop {
            match self.octet()? {
                b'\r' if self.octet()? == b'\n' => return Ok(line),
                b'\r' => return Err(Fault::Wrong("bare CR")),
                b'\n' => return Err(Fault::Wrong("bare LF")),
                octet => line.push(octet),
            }
        }
    }

    fn three_words(&mut self) -> Result<[Vec<u8>; 3], Fault> {
        let line = self.line()?;
        let mut words = line.splitn(3, |octet| *octet == b' ').map(<[u8]>::to_vec);
        match (words.next(), words.next(), words.next()) {
            (Some(first), Some(second), Some(third)) => Ok([first, second, third]),
            _ => Err(Fault::Wrong("not three words")),
        }
    }

    fn fields(&mut self) -> Result<Vec<Field>, Fault> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let colon = line.iter().position(|octet| *octet == b':').ok_or(Fault::Wrong("no colon"))?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if !is_token(name) || !value.iter().all(|octet| is_text(*octet)) {
                return Err(Fault::Wrong("name or value"));
            }
            let is_space = |octet: &u8| matches!(octet, b' ' | b'\t');
            let from = value.iter().position(|octet| !is_space(octet)).unwrap_or(value.len());
            let to = value.iter().rposition(|octet| !is_space(octet)).map_or(from, |at| at + 1);
            fields.push((name.to_vec(), value[from..to].to_vec()));
        }
    }

    fn finish(
        mut self,
        start: [Vec<u8>; 3],
        fields: Vec<Field>,
        framing: Framing,
        ended: bool,
    ) -> Result<Message, Fault> {
        let (mut body, mut trailers) = (Vec::new(), Vec::new());
        match framing {
            Framing::None => {}
            Framing::Length(length) => body = self.take(length)?,
            Framing::UntilEnd if ended => body = self.take(self.bytes.len() - self.at)?,
            Framing::UntilEnd => return Err(Fault::Short),
            Framing::Chunked => {
                loop {
                    let size = self.chunk_size()?;
                    if size == 0 {
                        break;
                    }
                    body.extend(self.take(size)?);
                    if self.line()? != b"" {
                        return Err(Fault::Wrong("chunk longer than its size"));
                    }
                }
                trailers = self.fields()?;
                for forbidden in
                    ["content-length", "transfer-encoding", "host", "connection", "trailer", "te"]
                {
                    if !values(&trailers, forbidden).is_empty() {
                        return Err(Fault::Wrong("forbidden trailer"));
                    }
                }
            }
        }
        Ok(Message { start, fields, body, trailers, used: self.at })
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        let end = self.at.checked_add(length).ok_or(Fault::Short)?;
        let taken = self.bytes.get(self.at..end).ok_or(Fault::Short)?.to_vec();
        self.at = end;
        Ok(taken)
    }

    /// Hex digits and nothing else: no extension is ever passed on.
    fn chunk_size(&mut self) -> Result<usize, Fault> {
        let line = self.line()?;
        if line.is_empty() || line.len() > 15 || !line.iter().all(u8::is_ascii_hexdigit) {
            return Err(Fault::Wrong("chunk size"));
        }
        let text = std::str::from_utf8(&line).map_err(|_| Fault::Wrong("chunk size"))?;
        usize::from_str_radix(text, 16).map_err(|_| Fault::Wrong("chunk size"))
    }
}

fn is_token(text: &[u8]) -> bool {
    const OTHERS: &[u8] = b"!#$%&'*+-.^_`|~";
    !text.is_empty() && text.iter().all(|octet| octet.is_ascii_alphanumeric() || OTHERS.contains(octet))
}

fn is_text(octet: u8) -> bool {
    octet == b'\t' || octet >= 0x20 && octet != 0x7f
}
