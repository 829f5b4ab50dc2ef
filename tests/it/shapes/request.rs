//! Requests.

use fastrand::Rng;

use super::draw::{self, Field, Frame};
use crate::message::Message;

const METHODS: [&str; 12] = [
    "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH", "get", "X!~y",
];

/// A request as a client sends it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    target: String,
    /// The authority before the target, in absolute form.
    absolute: Option<String>,
    host: String,
    fields: Vec<Field>,
    frame: Frame,
    body: Vec<u8>,
    trailers: Vec<Field>,
}

impl Request {
    pub(super) fn draw(number: u64, rng: &mut Rng) -> Self {
        let method = METHODS[rng.usize(..METHODS.len())].to_owned();
        let asterisk = method == "OPTIONS" && rng.bool();
        let host =
            ["crm.example", "CRM.example:8080", "[2001:db8::1]:80", "10.0.0.1"][rng.usize(..4)].to_owned();
        let absolute = (!asterisk && rng.u8(..) < 20).then(|| "absolute.example:81".to_owned());
        let (frame, body) = match rng.u8(..) {
            0..100 => (Frame::Bare, Vec::new()),
            100..180 => (Frame::Length, draw::body(rng)),
            _ => (Frame::Chunked, draw::body(rng)),
        };
        let trailers = if frame == Frame::Chunked { draw::trailers(rng) } else { Vec::new() };
        let mut fields = draw::fields(rng, true);
        for single in ["Authorization", "Content-Type"] {
            draw::keep_first(&mut fields, single);
        }
        for (chance, name, value) in [
            (20, "TE", "trailers"),
            (20, "X-Forwarded-For", "1.2.3.4"),
            (20, "X-Request-Id", "from-the-client"),
            (20, "X-Forwarded-Whatever", "x"),
            (20, "Forwarded", "for=9.9.9.9"),
            (20, "X-Real-IP", "9.9.9.9"),
            (20, "X_Forwarded_For", "6.6.6.6"),
            (10, "Via", "1.0 earlier"),
        ] {
            if rng.u8(..) < chance {
                draw::insert(&mut fields, rng, (name, value));
            }
        }
        draw::insert(&mut fields, rng, ("Host", &host));
        draw::insert(&mut fields, rng, ("X-Plan", &number.to_string()));
        match frame {
            Frame::Bare => {}
            Frame::Length => draw::insert(&mut fields, rng, ("Content-Length", &body.len().to_string())),
            Frame::Chunked => draw::insert(&mut fields, rng, ("Transfer-Encoding", "chunked")),
        }
        let target = if asterisk { "*".to_owned() } else { target(rng) };
        Self { method, target, absolute, host, fields, frame, body, trailers }
    }

    /// What goes over the wire.
    pub(super) fn bytes(&self, rng: &mut Rng) -> Vec<u8> {
        let mut out = Vec::new();
        if rng.u8(..) < 10 {
            out.extend(b"\r\n"); // RFC 9112 2.2: an empty line before a request is passed over
        }
        let before = self.absolute.as_ref().map_or_else(String::new, |a| format!("http://{a}"));
        draw::write_latin1(&format!("{} {before}{} HTTP/1.1\r\n", self.method, self.target), &mut out);
        draw::write_fields(&self.fields, rng, &mut out);
        match self.frame {
            Frame::Chunked => draw::write_chunked(&self.body, &self.trailers, rng, &mut out),
            _ => out.extend(&self.body),
        }
        out
    }

    /// Compares what the backend got.
    pub(super) fn compare(&self, found: &Message) -> Result<(), String> {
        let start = format!("{} {} HTTP/1.1", self.method, self.target);
        if found.head.start != start {
            return Err(format!("request line {:?} instead of {start:?}", found.head.start));
        }
        let (passed, added) = self.expected();
        draw::compare("request fields", &passed, &added, &found.head.fields)?;
        draw::compare("request trailers", &self.trailers, &[], &found.trailers)?;
        if found.body != self.body {
            return Err(format!("a request body of {} bytes became {}", self.body.len(), found.body.len()));
        }
        Ok(())
    }

    /// What is passed on, and what is added.
    fn expected(&self) -> (Vec<Field>, Vec<Field>) {
        let host = self.absolute.as_ref().unwrap_or(&self.host);
        let passes = |name: &str| {
            let name = name.to_ascii_lowercase().replace('_', "-");
            !(draw::is_hop(&name)
                || name.starts_with("x-forwarded-")
                || ["te", "forwarded", "x-real-ip", "x-request-id"].contains(&name.as_str()))
        };
        let kept = self.fields.iter().filter(|(name, _)| passes(name)).map(|(name, value)| {
            if self.absolute.is_some() && name.eq_ignore_ascii_case("host") {
                ("Host".to_owned(), host.clone())
            } else {
                (name.clone(), value.clone())
            }
        });
        let mut added = vec![
            ("X-Forwarded-For", "127.0.0.1"),
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Host", host),
            ("X-Forwarded-Port", "*"),
            ("X-Request-Id", "*"),
            ("Via", "1.1 equipoise"),
        ];
        if self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("te")) {
            added.extend([("Connection", "TE"), ("TE", "trailers")]);
        }
        (kept.collect(), added.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// A target in origin form.
fn target(rng: &mut Rng) -> String {
    const PIECES: [&str; 14] = [
        "a",
        "customers",
        "%20",
        "%2F",
        "%c3%BC",
        "//",
        "v1.2/../x",
        "..;x",
        "~",
        "a+b",
        "!$&'()*,;=:@",
        "-",
        "|",
        "{}",
    ];
    let mut target = "/".to_owned();
    for _ in 0..rng.usize(0..6) {
        target += PIECES[rng.usize(..PIECES.len())];
        if rng.bool() {
            target += "/x";
        }
    }
    if rng.bool() {
        target += "?q=%3F&a[]=1&/?:@";
    }
    target
}
