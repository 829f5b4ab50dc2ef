//! How a line is written.

use std::sync::Arc;

use super::escape::Escape;
use super::field::{DEFAULT, Field, REFERER, REQUEST, USER_AGENT};
use super::record::Record;
use super::sink::Sink;
use super::stamp::Stamp;
use super::value::{Line, Value};

/// An access log as it is configured.
#[derive(Debug)]
pub struct Log {
    /// How a line is written.
    pub format: Format,
    /// What of queries is not shown.
    pub mask: Mask,
    /// The share of requests that are written; errors always are.
    pub sample: f64,
    /// Where the lines go.
    pub sink: Arc<Sink>,
}

/// How a line is written.
#[derive(Debug)]
pub struct Format(Shape);

#[derive(Debug)]
enum Shape {
    Json(Vec<Member>),
    Common { combined: bool },
    Haproxy,
    Template(Vec<Segment>),
}

/// A field of a JSON object.
#[derive(Debug)]
struct Member {
    /// What stands before its value: `,"name":`, and the quote where one stands there.
    before: Box<[u8]>,
    quoted: bool,
    field: Field,
}

#[derive(Debug)]
enum Segment {
    Text(Box<[u8]>),
    Field(Field),
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Written as it is.
    Text(String),
    /// The name of a variable.
    Name(String),
}

/// What of queries is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// All is shown.
    Nothing,
    /// Three asterisks stand for the whole.
    Whole,
    /// They stand for the values of these parameters.
    Named(Vec<Box<str>>),
}

impl Format {
    /// JSON with these fields, or the default ones where there are none. Names that are none are left out.
    pub fn json(fields: &[String]) -> Self {
        let default: Vec<String>;
        let names = match fields {
            [] => {
                default = DEFAULT.iter().map(|name| (*name).to_owned()).collect();
                &default
            }
            chosen => chosen,
        };
        let member = |name: &String| {
            let field = Field::of(name)?;
            let quoted = !field.is_number();
            let mut before = Vec::from(&b",\""[..]);
            Escape::Json.put(name.as_bytes(), usize::MAX, &mut before);
            before.extend_from_slice(if quoted { b"\":\"" } else { b"\":" });
            Some(Member { before: before.into(), quoted, field })
        };
        Self(Shape::Json(names.iter().filter_map(member).collect()))
    }

    /// Apache's common log format, or the combined one.
    pub fn common(combined: bool) -> Self {
        Self(Shape::Common { combined })
    }

    /// That of HAProxy's `option httplog`.
    pub fn haproxy() -> Self {
        Self(Shape::Haproxy)
    }

    /// One of the operator's own. Names that are none are left out.
    pub fn template(pieces: &[Piece]) -> Self {
        let segment = |piece: &Piece| match piece {
            Piece::Text(text) => Some(Segment::Text(text.as_bytes().into())),
            Piece::Name(name) => Field::of(name).map(Segment::Field),
        };
        Self(Shape::Template(pieces.iter().filter_map(segment).collect()))
    }

    /// Whether it shows [`Record::load`], which costs a look at many counters.
    pub fn shows_load(&self) -> bool {
        matches!(self.0, Shape::Haproxy)
    }

    /// Writes one line with its end.
    pub(super) fn write(&self, record: &Record<'_>, mask: &Mask, stamp: &mut Stamp, out: &mut Vec<u8>) {
        let escape = match self.0 {
            Shape::Json(_) => Escape::Json,
            Shape::Haproxy => Escape::Hash,
            Shape::Common { .. } | Shape::Template(_) => Escape::Hex,
        };
        let millis = stamp.millis(record.began, record.ended);
        let start = out.len();
        let mut line = Line { out, stamp, millis, mask, escape, start };
        match &self.0 {
            Shape::Json(members) => json(members, record, &mut line),
            Shape::Common { combined } => common(*combined, record, &mut line),
            Shape::Haproxy => haproxy(record, &mut line),
            Shape::Template(segments) => template(segments, record, &mut line),
        }
        line.raw(b"\n");
    }
}

fn json(members: &[Member], record: &Record<'_>, line: &mut Line<'_>) {
    let mut first = true;
    for member in members {
        let value = member.field.value(record);
        if matches!(value, Value::Absent) {
            continue;
        }
        if std::mem::take(&mut first) {
            line.out.push(b'{');
            line.raw(&member.before[1..]);
        } else {
            line.raw(&member.before);
        }
        line.value(&value);
        if member.quoted {
            line.out.push(b'"');
        }
    }
    line.raw(if first { b"{}" } else { b"}" });
}

/// `127.0.0.1 - - [21/Nov/2026:16:20:42 +0000] "GET / HTTP/1.1" 200 612`, and of the combined one
/// `"referer" "user agent"` behind it.
fn common(combined: bool, record: &Record<'_>, line: &mut Line<'_>) {
    line.value(&Value::Ip(record.client));
    line.raw(b" - - [");
    line.stamp.common(line.millis, line.out);
    line.raw(b"] \"");
    shown(&REQUEST, record, line);
    line.raw(b"\" ");
    match record.code {
        0 => line.raw(b"000"), // as nginx says it
        code => line.number(u64::from(code)),
    }
    line.raw(b" ");
    match record.bytes_out.saturating_sub(record.head_out) {
        0 => line.raw(b"-"),
        body => line.number(body),
    }
    if combined {
        line.raw(b" \"");
        shown(&REFERER, record, line);
        line.raw(b"\" \"");
        shown(&USER_AGENT, record, line);
        line.raw(b"\"");
    }
}

/// A variable; `-` where it is absent.
fn shown(field: &Field, record: &Record<'_>, line: &mut Line<'_>) {
    match field.value(record) {
        Value::Absent => line.raw(b"-"),
        value => line.value(&value),
    }
}

fn template(segments: &[Segment], record: &Record<'_>, line: &mut Line<'_>) {
    for segment in segments {
        match segment {
            Segment::Text(text) => line.raw(text),
            Segment::Field(field) => shown(field, record, line),
        }
    }
}

/// `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %{+Q}r`
fn haproxy(record: &Record<'_>, line: &mut Line<'_>) {
    line.value(&Value::Ip(record.peer.ip()));
    line.raw(b":");
    line.number(u64::from(record.peer.port()));
    line.raw(b" [");
    line.stamp.common_millis(line.millis, line.out);
    line.raw(b"] ");
    line.text(record.listener.as_bytes());
    line.raw(if record.secure.is_some() { b"~ " } else { b" " });
    line.text(record.pool.unwrap_or(record.listener).as_bytes());
    line.raw(b"/");
    match record.backend {
        Some(backend) => line.text(backend.as_bytes()),
        None => line.raw(b"<NOSRV>"),
    }
    let times = &record.times;
    let phases = [times.receive, times.queue, times.connect, times.response];
    for (nth, phase) in phases.into_iter().enumerate() {
        line.raw(if nth == 0 { b" " } else { b"/" });
        match phase {
            Some(time) => line.number(time.as_millis() as u64),
            None => line.raw(b"-1"),
        }
    }
    line.raw(b"/");
    line.number(record.ended.saturating_duration_since(record.began).as_millis() as u64);
    line.raw(b" ");
    match record.code {
        0 => line.raw(b"-1"),
        code => line.number(u64::from(code)),
    }
    line.raw(b" ");
    line.number(record.bytes_out);
    // No captured cookies, and none for persistence.
    line.raw(b" - - ");
    line.raw(&record.termination);
    line.raw(b"-- ");
    let load = &record.load;
    for count in [load.process, load.listener, load.pool, load.backend] {
        line.number(count);
        line.raw(b"/");
    }
    if record.retries > 0 {
        // Every further try goes to another backend while one is left.
        line.raw(b"+");
    }
    line.number(u64::from(record.retries));
    line.raw(b" 0/0 \"");
    match record.request {
        Some(head) => line.value(&Value::RequestLine(head)),
        None => line.raw(b"<BADREQ>"),
    }
    line.raw(b"\"");
}
