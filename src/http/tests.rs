//! Laws and cases of the codec.

mod bodies;
mod forwarding;
mod framing;
mod heads;
mod hop;
mod laws;
mod policy;
mod responses;
mod targets;

use super::{
    HeadLimits, HeadPolicy, Invalid, Method, Parsed, Refusal, RequestHead, ResponseHead, Underscores, Upgrade,
};

/// The policy of a listener that says nothing of it.
const POLICY: HeadPolicy = HeadPolicy { underscores: Underscores::Safe, allow_connect: false };

const LIMITS: HeadLimits = HeadLimits { max_size: 4096, max_fields: 64 };

/// Reads one whole request.
fn request(text: impl AsRef<[u8]>) -> Result<RequestHead, Refusal> {
    request_by(POLICY, text)
}

fn request_by(policy: HeadPolicy, text: impl AsRef<[u8]>) -> Result<RequestHead, Refusal> {
    let mut head = RequestHead::new();
    match head.parse(text.as_ref(), LIMITS, policy)? {
        Parsed::Complete(used) => assert_eq!(used, text.as_ref().len(), "not the whole head was used"),
        Parsed::Partial => panic!("incomplete: {}", text.as_ref().escape_ascii()),
    }
    Ok(head)
}

/// The status with which one whole request is refused.
fn refused(text: impl AsRef<[u8]>) -> Option<u16> {
    let mut head = RequestHead::new();
    head.parse(text.as_ref(), LIMITS, POLICY).err().map(|refusal| refusal.status)
}

/// A GET of `/` with these field lines and a Host.
fn with_fields(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

/// Reads one whole response to a GET.
fn response(text: impl AsRef<[u8]>) -> Result<ResponseHead, Invalid> {
    response_to(Method::Get, None, text)
}

/// Reads one whole response to a request that asked for this protocol.
fn response_to(method: Method, asked: Option<&str>, text: impl AsRef<[u8]>) -> Result<ResponseHead, Invalid> {
    let mut head = ResponseHead::new();
    match head.parse(text.as_ref(), LIMITS, method, asked.and_then(upgrade).as_ref())? {
        Parsed::Complete(used) => assert_eq!(used, text.as_ref().len(), "not the whole head was used"),
        Parsed::Partial => panic!("incomplete: {}", text.as_ref().escape_ascii()),
    }
    Ok(head)
}

/// What a request that asks for this asks for.
fn upgrade(protocol: &str) -> Option<Upgrade> {
    request(with_fields(&format!("Connection: upgrade\r\nUpgrade: {protocol}\r\n"))).unwrap().upgrade
}

fn emitted(head: &RequestHead) -> String {
    let mut out = Vec::new();
    head.emit(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn emitted_response(head: &ResponseHead) -> String {
    let mut out = Vec::new();
    head.emit(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// How often a law is tried: `EQUIPOISE_CASES` times the ordinary number, for long runs.
fn cases(ordinary: u32) -> proptest::test_runner::Config {
    let times = std::env::var("EQUIPOISE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    proptest::test_runner::Config {
        cases: ordinary.saturating_mul(times),
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    }
}
