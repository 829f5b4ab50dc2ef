//! Responses.

use fastrand::Rng;

use super::draw::{self, Field, Frame};
use crate::message::{Head, Message};

/// A response as a backend sends it.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) interim: Vec<Interim>,
    status: u16,
    reason: String,
    is_10: bool,
    fields: Vec<Field>,
    frame: Frame,
    closes: bool,
    body: Vec<u8>,
    trailers: Vec<Field>,
}

/// A 1xx before the final one.
#[derive(Debug)]
pub(super) struct Interim {
    status: u16,
    fields: Vec<Field>,
}

impl Interim {
    pub(super) fn compare(&self, found: &Head) -> Result<(), String> {
        if found.status() != self.status {
            return Err(format!("interim {:?} instead of {}", found.start, self.status));
        }
        draw::compare("interim fields", &self.fields, &[], &found.fields)
    }
}

impl Response {
    /// An answer to a request of `method`.
    pub(super) fn draw(method: &str, rng: &mut Rng) -> Self {
        let status = [200, 200, 200, 201, 204, 205, 206, 301, 304, 404, 418, 500, 503, 599][rng.usize(..14)];
        let is_10 = rng.u8(..) < 15;
        let mut frame = match rng.u8(..) {
            0..16 => Frame::Bare,
            16..150 => Frame::Length,
            _ if is_10 => Frame::Length,
            _ => Frame::Chunked,
        };
        if status == 204 {
            frame = Frame::Bare;
        }
        let bodiless = method == "HEAD" || matches!(status, 204 | 304);
        let body = draw::body(rng);
        let trailers = if frame == Frame::Chunked && !bodiless { draw::trailers(rng) } else { Vec::new() };
        let mut fields = draw::fields(rng, true);
        if rng.bool() {
            draw::insert(&mut fields, rng, ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"));
        }
        if rng.u8(..) < 20 {
            draw::insert(&mut fields, rng, ("Via", "1.1 behind"));
        }
        match frame {
            Frame::Bare => {}
            Frame::Length => draw::insert(&mut fields, rng, ("Content-Length", &body.len().to_string())),
            Frame::Chunked => draw::insert(&mut fields, rng, ("Transfer-Encoding", "chunked")),
        }
        let asks_to_keep = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection"));
        let mut closes = is_10 && !asks_to_keep || frame == Frame::Bare && !bodiless;
        if !closes && rng.u8(..) < 8 {
            closes = true;
            draw::insert(&mut fields, rng, ("Connection", "close"));
        }
        let reason = ["OK", "", "Not \u{fc}berall", "a  b\tc"][rng.usize(..4)].to_owned();
        let interim =
            if rng.u8(..) < 20 { (0..rng.usize(1..4)).map(|_| interim(rng)).collect() } else { Vec::new() };
        Self { interim, status, reason, is_10, fields, frame, closes, body, trailers }
    }

    /// Whether the backend's connection ends after it.
    pub(super) fn closes(&self) -> bool {
        self.closes
    }

    /// What goes over the wire.
    pub(super) fn bytes(&self, method: &str, rng: &mut Rng) -> Vec<u8> {
        let mut out = Vec::new();
        for interim in &self.interim {
            out.extend(format!("HTTP/1.1 {} Interim\r\n", interim.status).bytes());
            draw::write_fields(&interim.fields, rng, &mut out);
        }
        let version = if self.is_10 { "HTTP/1.0" } else { "HTTP/1.1" };
        let space = if self.reason.is_empty() && rng.bool() { "" } else { " " };
        draw::write_latin1(&format!("{version} {}{space}{}\r\n", self.status, self.reason), &mut out);
        draw::write_fields(&self.fields, rng, &mut out);
        match self.frame {
            _ if self.is_bodiless(method) => {}
            Frame::Chunked => draw::write_chunked(&self.body, &self.trailers, rng, &mut out),
            Frame::Bare | Frame::Length => out.extend(&self.body),
        }
        out
    }

    /// Compares what the client got.
    pub(super) fn compare(&self, found: &Message, method: &str) -> Result<(), String> {
        let start = format!("HTTP/1.1 {} {}", self.status, self.reason);
        if found.head.start != start {
            return Err(format!("status line {:?} instead of {start:?}", found.head.start));
        }
        let (passed, added) = self.expected(method);
        draw::compare("response fields", &passed, &added, &found.head.fields)?;
        draw::compare("response trailers", &self.trailers, &[], &found.trailers)?;
        let body = if self.is_bodiless(method) { &[][..] } else { &self.body };
        if found.body != body {
            return Err(format!("a response body of {} bytes became {}", body.len(), found.body.len()));
        }
        Ok(())
    }

    fn is_bodiless(&self, method: &str) -> bool {
        method == "HEAD" || matches!(self.status, 204 | 304)
    }

    /// What is passed on, and what is added.
    fn expected(&self, method: &str) -> (Vec<Field>, Vec<Field>) {
        let passed = self.fields.iter().filter(|(name, _)| !draw::is_hop(name)).cloned().collect();
        let mut added = Vec::new();
        let mut add = |name: &str, value: &str| added.push((name.to_owned(), value.to_owned()));
        if self.frame == Frame::Bare && !self.is_bodiless(method) {
            add("Transfer-Encoding", "chunked");
        }
        add("X-Request-Id", "*");
        add("Via", if self.is_10 { "1.0 equipoise" } else { "1.1 equipoise" });
        if !self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("date")) {
            add("Date", "*");
        }
        (passed, added)
    }
}

fn interim(rng: &mut Rng) -> Interim {
    let status = [100, 102, 103][rng.usize(..3)];
    let fields = if status == 103 {
        vec![("Link".to_owned(), "</style.css>; rel=preload".to_owned())]
    } else {
        Vec::new()
    };
    Interim { status, fields }
}
