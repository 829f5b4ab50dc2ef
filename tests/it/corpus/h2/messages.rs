//! Section 8: requests, their fields, bodies and trailers.

use super::Want::{Closed, Refused, Reset, Status};
use super::{Frameset, code};
use crate::frames::{DATA, END, HEADERS, WHOLE, asking, block, frame, head};

type Fields<'a> = Vec<(&'a str, &'a str)>;

/// A request without a body.
fn request(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END | WHOLE, 1, &block(fields))
}

/// A GET with these fields more.
fn with(more: &[(&str, &str)]) -> Vec<Vec<u8>> {
    vec![request(&[&asking("GET", "/")[..], more].concat())]
}

/// A GET without one of its own.
fn without(name: &str) -> Vec<Vec<u8>> {
    let fields: Fields<'_> = asking("GET", "/").into_iter().filter(|(other, _)| *other != name).collect();
    vec![request(&fields)]
}

/// A GET with another value in one of its own.
fn instead<'a>(name: &str, value: &'a str) -> Vec<Vec<u8>> {
    let mut fields: Fields<'a> = asking("GET", "/");
    fields.iter_mut().filter(|(other, _)| *other == name).for_each(|(_, old)| *old = value);
    vec![request(&fields)]
}

/// The same with octets that are no text.
fn octets(name: &[u8], value: &[u8]) -> Vec<Vec<u8>> {
    let mut bytes = block(&asking("GET", "/"));
    bytes.extend(block(&[(name, value)]));
    vec![frame(HEADERS, END | WHOLE, 1, &bytes)]
}

/// A POST with these fields, then pieces of its body, the last of which ends it.
fn post(path: &str, more: &[(&str, &str)], pieces: &[&str]) -> Vec<Vec<u8>> {
    let mut frames = vec![frame(HEADERS, WHOLE, 1, &block(&[&asking("POST", path)[..], more].concat()))];
    for (at, piece) in pieces.iter().enumerate() {
        frames.push(frame(DATA, if at + 1 == pieces.len() { END } else { 0 }, 1, piece.as_bytes()));
    }
    frames
}

/// A POST with trailers.
fn trailed(path: &str, flags: u8, trailers: &[(&str, &str)]) -> Vec<Vec<u8>> {
    let mut frames = vec![frame(HEADERS, WHOLE, 1, &block(&asking("POST", path)))];
    frames.push(frame(DATA, 0, 1, b"body"));
    frames.push(frame(HEADERS, flags, 1, &block(trailers)));
    frames
}

pub(super) fn cases() -> Vec<Frameset> {
    let mut cases = pseudo_fields();
    cases.extend(hosts_and_targets());
    cases.extend(fields());
    cases.extend(bodies());
    cases.extend(trailers());
    cases
}

/// 8.3
fn pseudo_fields() -> Vec<Frameset> {
    let case = Frameset::new;
    let behind = {
        let mut fields = asking("GET", "/");
        fields.insert(1, ("accept", "*/*"));
        vec![request(&fields)]
    };
    vec![
        case("8.3.1 no :method", without(":method"), Reset(code::PROTOCOL)),
        case("8.3.1 no :scheme", without(":scheme"), Reset(code::PROTOCOL)),
        case("8.3.1 no :path", without(":path"), Refused),
        case("8.3.1 no :authority and no Host", without(":authority"), Status(400)),
        case("8.3 :method twice", with(&[(":method", "GET")]), Reset(code::PROTOCOL)),
        case("8.3 :path twice", with(&[(":path", "/")]), Reset(code::PROTOCOL)),
        case("8.3 :scheme twice", with(&[(":scheme", "http")]), Reset(code::PROTOCOL)),
        case("8.3 :authority twice", with(&[(":authority", "b.test")]), Reset(code::PROTOCOL)),
        case("8.3 a pseudo-field behind a field", behind, Reset(code::PROTOCOL)),
        case("8.3 :status in a request", with(&[(":status", "200")]), Reset(code::PROTOCOL)),
        case("8.3 an unknown pseudo-field", with(&[(":unknown", "x")]), Refused),
        case("8.3 a pseudo-field in capitals", with(&[(":Path", "/")]), Refused),
        case("8.3 a field whose name is a colon", with(&[(":", "x")]), Refused),
        case("8.3.1 an empty :method", instead(":method", ""), Refused),
        case("8.3.1 a :method with a space", instead(":method", "GET /x"), Refused),
        case("8.3.1 a :method with a line end", instead(":method", "GET\r\nX: y"), Refused),
        case("8.3.1 a method that nobody knows", vec![request(&asking("BREW", "/"))], Status(200)),
        case("8.3.1 TRACE", instead(":method", "TRACE"), Status(405)),
        case("8.3.1 an empty :scheme", instead(":scheme", ""), Refused),
        case("8.3.1 a :scheme that is none", instead(":scheme", "ht tp"), Refused),
        case("8.3.1 another :scheme", instead(":scheme", "ftp"), Status(400)),
        case("8.3.1 https in clear, told by who ended it", instead(":scheme", "https"), Status(200)),
        case("8.3.1 a :scheme with a whole URL", instead(":scheme", "http://b/"), Refused),
        case(
            "8.5 CONNECT",
            vec![request(&[(":method", "CONNECT"), (":authority", "a.test:443")])],
            Status(501),
        ),
        case("8.5 CONNECT with a path", vec![request(&asking("CONNECT", "/"))], Reset(code::PROTOCOL)),
        case("8.5 CONNECT without an authority", vec![request(&[(":method", "CONNECT")])], Refused)
            .on("h2-connect"),
        case(
            "8.5 CONNECT without a port",
            vec![request(&[(":method", "CONNECT"), (":authority", "a.test")])],
            Status(400),
        )
        .on("h2-connect"),
        case(
            "8.5 CONNECT that the backend refuses",
            vec![request(&[(":method", "CONNECT"), (":authority", "a.test:443")])],
            Status(403),
        )
        .on("h2-connect")
        .arrives(),
        case("RFC 8441: :protocol beside GET", with(&[(":protocol", "websocket")]), Reset(code::PROTOCOL)),
        case(
            "RFC 8441: an unknown protocol",
            vec![request(&[&asking("CONNECT", "/")[..], &[(":protocol", "ftp")]].concat())],
            Status(501),
        ),
    ]
}

/// 8.3.1, RFC 9110 7.2, RFC 3986
fn hosts_and_targets() -> Vec<Frameset> {
    let case = Frameset::new;
    let path = |value| instead(":path", value);
    let authority = |value| instead(":authority", value);
    let hosted = |hosts: &[&str]| {
        let mut fields: Fields<'_> = asking("GET", "/");
        fields.remove(2);
        let all: Vec<(&str, &str)> =
            fields.into_iter().chain(hosts.iter().map(|host| ("host", *host))).collect();
        vec![request(&all)]
    };
    let long = format!("/{}", "a".repeat(65_530));
    vec![
        case("8.3.1 Host in the place of :authority", hosted(&["a.test"]), Status(200)),
        case("8.3.1 two Hosts", hosted(&["a.test", "a.test"]), Status(400)),
        case("8.3.1 an empty Host", hosted(&[""]), Status(400)),
        case("8.3.1 Host as :authority says", with(&[("host", "A.test")]), Status(200)),
        case("8.3.1 another Host than :authority", with(&[("host", "b.test")]), Status(400)),
        case("8.3.1 :authority and two Hosts", with(&[("host", "a.test"), ("host", "a.test")]), Status(400)),
        case("8.3.1 an empty :authority", authority(""), Refused),
        case("8.3.1 :authority with userinfo", authority("a.test@b.test"), Refused),
        case("8.3.1 :authority with a path", authority("a.test/x"), Refused),
        case("8.3.1 :authority with a space", authority("a.test b"), Refused),
        case("8.3.1 :authority with a line end", authority("a.test\r\nX: y"), Refused),
        case("8.3.1 :authority with too great a port", authority("a.test:65536"), Refused),
        case("8.3.1 :authority of IPv6", authority("[::1]:80"), Status(200)),
        case("8.3.1 an empty :path", path(""), Refused),
        case("8.3.1 a :path without a slash", path("x"), Refused),
        case("8.3.1 a :path with a space", path("/a b"), Refused),
        case("8.3.1 a :path with a version", path("/ HTTP/1.1\r\nX: y"), Refused),
        case("8.3.1 a :path with NUL", path("/\0"), Refused),
        case("8.3.1 a :path with DEL", path("/\u{7f}"), Refused),
        case("8.3.1 a :path that is a URL", path("http://b.test/"), Refused),
        case("8.3.1 a :path with an escaped NUL", path("/%00"), Status(400)),
        case("8.3.1 a :path above the root", path("/../x"), Status(400)),
        case("8.3.1 a :path of bytes above 127", path("/\u{e9}"), Refused),
        case("8.3.1 * without OPTIONS", path("*"), Refused),
        case("8.3.1 OPTIONS *", vec![request(&asking("OPTIONS", "*"))], Status(200)),
        case(
            "8.3.1 a :path longer than all heads",
            vec![head(1, END, &block(&asking("GET", &long)))],
            Status(414),
        ),
    ]
}

/// 8.2
fn fields() -> Vec<Frameset> {
    let case = Frameset::new;
    let many: Vec<(String, String)> = (0..140).map(|n| (format!("x-{n}"), "y".into())).collect();
    let many: Fields<'_> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    vec![
        case("8.2.1 a name in capitals", with(&[("X-Upper", "y")]), Refused),
        case("8.2.1 an empty name", with(&[("", "y")]), Refused),
        case("8.2.1 a name with a space", with(&[("x y", "z")]), Refused),
        case("8.2.1 a name with a colon", with(&[("x:y", "z")]), Refused),
        case("8.2.1 a name with a line end", with(&[("x\r\ny", "z")]), Refused),
        case("8.2.1 a name with NUL", with(&[("x\0", "z")]), Refused),
        case("8.2.1 a name above 127", octets(b"x\xe9", b"z"), Refused),
        case("8.2.1 a value with CR LF", with(&[("x", "y\r\nz: 1")]), Refused),
        case("8.2.1 a value with CR", with(&[("x", "y\rz")]), Refused),
        case("8.2.1 a value with LF", with(&[("x", "y\nz")]), Refused),
        case("8.2.1 a value with NUL", with(&[("x", "y\0z")]), Refused),
        case("8.2.1 a value with a control", octets(b"x", b"y\x0bz"), Refused),
        case("8.2.1 a value with DEL", octets(b"x", b"y\x7f"), Refused),
        case("8.2.1 a value above 127", octets(b"x", b"\xe9\xff"), Status(200)),
        case("8.2.1 a value with a tab", with(&[("x", "y\tz")]), Status(200)),
        case("8.2.1 a value that begins with a space", with(&[("x", " y")]), Status(400)),
        case("8.2.1 a value that ends with a tab", with(&[("x", "y\t")]), Status(400)),
        case("8.2.1 an empty value", with(&[("x", "")]), Status(200)),
        case("8.2.2 Connection", with(&[("connection", "close")]), Reset(code::PROTOCOL)),
        case("8.2.2 Keep-Alive", with(&[("keep-alive", "timeout=5")]), Reset(code::PROTOCOL)),
        case("8.2.2 Proxy-Connection", with(&[("proxy-connection", "close")]), Reset(code::PROTOCOL)),
        case("8.2.2 Transfer-Encoding", with(&[("transfer-encoding", "chunked")]), Reset(code::PROTOCOL)),
        case("8.2.2 Upgrade", with(&[("upgrade", "websocket")]), Reset(code::PROTOCOL)),
        case("8.2.2 TE: trailers", with(&[("te", "trailers")]), Status(200)),
        case("8.2.2 TE: gzip", with(&[("te", "gzip")]), Reset(code::PROTOCOL)),
        case("8.2.2 TE: trailers and more", with(&[("te", "trailers, deflate")]), Reset(code::PROTOCOL)),
        case("8.2.3 crumbs of a cookie", with(&[("cookie", "a=b"), ("cookie", "c=d")]), Status(200)),
        case("RFC 6585: too many fields", with(&many), Status(431)),
        case(
            "RFC 9110 5.3: two Authorizations",
            with(&[("authorization", "Basic a"), ("authorization", "Basic b")]),
            Status(400),
        ),
        case("RFC 9110 10.1.1: another expectation", with(&[("expect", "x")]), Status(417)),
        case("underscores: a twin of ours is dropped", with(&[("x_forwarded_for", "1.2.3.4")]), Status(200)),
        case("underscores: refused where they are", with(&[("a_b", "c")]), Status(400)).on("h2-reject"),
    ]
}

/// 8.1, 8.1.1
fn bodies() -> Vec<Frameset> {
    let case = Frameset::new;
    let sized = |length| [("content-length", length)];
    vec![
        case("8.1 a body", post("/", &[], &["hello"]), Status(200)),
        case("8.1 a body in pieces", post("/", &[], &["he", "", "llo", ""]), Status(200)),
        case("8.1 a body of nothing", post("/", &[], &[""]), Status(200)),
        case("8.1.1 a body of its length", post("/", &sized("5"), &["he", "llo"]), Status(200)),
        case("8.1.1 zeros before a length", post("/", &sized("005"), &["hello"]), Status(200)),
        case("8.1.1 a body shorter than its length", post("/cut", &sized("6"), &["hello"]), Refused),
        case("8.1.1 a body longer than its length", post("/cut", &sized("4"), &["hello"]), Refused),
        case("8.1.1 DATA behind a length of 0", post("/cut", &sized("0"), &["x"]), Refused),
        case("8.1.1 a length and no body", with(&sized("5")), Reset(code::PROTOCOL)),
        case("8.1.1 a length of 0 and no body", with(&sized("0")), Status(200)),
        case(
            "8.1.1 two lengths that differ",
            post("/cut", &[("content-length", "5"), ("content-length", "6")], &["hello"]),
            Refused,
        ),
        case(
            "8.1.1 two lengths that agree",
            post("/cut", &[("content-length", "5"), ("content-length", "5")], &["hello"]),
            Status(400),
        ),
        case("8.1.1 a list of lengths", post("/cut", &sized("5, 5"), &["hello"]), Refused),
        case("8.1.1 a negative length", post("/cut", &sized("-1"), &["hello"]), Refused),
        case("8.1.1 a length with a sign", post("/cut", &sized("+5"), &["hello"]), Refused),
        case(
            "8.1.1 a length beyond 64 bits",
            post("/cut", &sized("18446744073709551616"), &["hello"]),
            Refused,
        ),
        case("8.1.1 an empty length", post("/cut", &sized(""), &["hello"]), Refused),
        case(
            "8.1 a body of GET",
            vec![frame(HEADERS, WHOLE, 1, &block(&asking("GET", "/"))), frame(DATA, END, 1, b"x")],
            Status(200),
        ),
        case("8.1 HEAD", vec![request(&asking("HEAD", "/"))], Status(200)),
        case("8.1 HEAD that is refused", vec![request(&asking("HEAD", "/%00"))], Status(400)),
    ]
}

/// 8.1
fn trailers() -> Vec<Frameset> {
    let case = Frameset::new;
    let two = [
        trailed("/cut", END | WHOLE, &[("x", "y")]),
        vec![frame(HEADERS, END | WHOLE, 1, &block(&[("z", "z")]))],
    ];
    vec![
        case("8.1 trailers", trailed("/", END | WHOLE, &[("x-sum", "1")]), Status(200)),
        case("8.1 no trailers in their frame", trailed("/", END | WHOLE, &[]), Status(200)),
        case("8.1 trailers without END_STREAM", trailed("/cut", WHOLE, &[("x", "y")]), Refused),
        case("8.1 trailers twice", two.concat(), Closed),
        case(
            "8.1 a length among the trailers",
            trailed("/cut", END | WHOLE, &[("content-length", "4")]),
            Status(200),
        )
        .without_arrival(),
        case(
            "8.1 Transfer-Encoding among the trailers",
            trailed("/cut", END | WHOLE, &[("transfer-encoding", "chunked")]),
            Refused,
        ),
        case(
            "8.1 a name in capitals among the trailers",
            trailed("/cut", END | WHOLE, &[("X-Y", "z")]),
            Refused,
        ),
        case(
            "8.1 a line end among the trailers",
            trailed("/cut", END | WHOLE, &[("x", "y\r\nz: 1")]),
            Refused,
        ),
        case(
            "8.1 trailers behind a length",
            {
                let mut frames = post("/", &[("content-length", "4")], &[]);
                frames.push(frame(DATA, 0, 1, b"body"));
                frames.push(frame(HEADERS, END | WHOLE, 1, &block(&[("x", "y")])));
                frames
            },
            Status(200),
        ),
        case(
            "8.1 trailers behind too short a body",
            {
                let mut frames = post("/cut", &[("content-length", "5")], &[]);
                frames.push(frame(DATA, 0, 1, b"body"));
                frames.push(frame(HEADERS, END | WHOLE, 1, &block(&[("x", "y")])));
                frames
            },
            Refused,
        ),
    ]
}
