//! The health protocol of gRPC (`grpc.health.v1.Health/Check`).

use bytes::{BufMut, Bytes, BytesMut};
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT};
use tokio::io::{AsyncRead, AsyncWrite};

use super::check::GrpcCheck;
use super::http2::{self, Answer};
use super::probe::{AGENT, Failure};

const PATH: &str = "/grpc.health.v1.Health/Check";

/// Octets before each message: whether it is compressed, and how long it is.
const PREFIX: usize = 5;

/// The answer SERVING.
const SERVING: u64 = 1;

/// Asks a server whether it serves.
pub(super) async fn ask(
    check: &GrpcCheck,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
    secure: bool,
) -> Result<(), Failure> {
    let host = check.host.as_ref().map_or(host.as_bytes(), HeaderValue::as_bytes);
    let mut request = http2::request(&Method::POST, PATH, host, secure).ok_or(Failure::Invalid)?;
    let fields = request.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    fields.insert(TE, HeaderValue::from_static("trailers"));
    fields.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    judge(&http2::ask(stream, request, question(&check.service)).await?)
}

/// HealthCheckRequest: the name of a service is its field 1.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(1 << 3 | 2);
        put_number(service.len() as u64, &mut message);
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(&message);
    framed.freeze()
}

fn judge(answer: &Answer) -> Result<(), Failure> {
    let status = answer.head.status().as_u16();
    if status != 200 {
        return Err(Failure::Status(status));
    }
    // An answer of errors alone says it in its head.
    let said = [&answer.trailers, answer.head.headers()].into_iter().find_map(grpc_status);
    match said.ok_or(Failure::Invalid)? {
        0 => {}
        code => return Err(Failure::Grpc(code)),
    }
    match serving(&answer.body).ok_or(Failure::Invalid)? {
        SERVING => Ok(()),
        other => Err(Failure::NotServing(other)),
    }
}

fn grpc_status(fields: &HeaderMap) -> Option<u32> {
    std::str::from_utf8(fields.get("grpc-status")?.as_bytes()).ok()?.parse().ok()
}

/// The field `status` of a HealthCheckResponse; 0 where it is left out. Fields that we do not know are passed over.
fn serving(body: &[u8]) -> Option<u64> {
    let (prefix, message) = body.split_at_checked(PREFIX)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?) as usize;
    if prefix[0] != 0 {
        return None; // compressed, which we have not allowed
    }
    let (mut rest, mut status) = (message.get(..length)?, 0);
    while !rest.is_empty() {
        let key = take_number(&mut rest)?;
        match key & 7 {
            0 if key >> 3 == 1 => status = take_number(&mut rest)?,
            0 => drop(take_number(&mut rest)?),
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(take_number(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

/// A number in pieces of seven bits.
fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (octet, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_number(mut number: u64, out: &mut BytesMut) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

#[cfg(test)]
mod tests {
    use hyper::Response;

    use super::*;

    fn answer(
        status: u16,
        head: &[(&'static str, &'static str)],
        body: &[u8],
        last: Option<&'static str>,
    ) -> Answer {
        let mut response = Response::builder().status(status);
        for (name, value) in head {
            response = response.header(*name, *value);
        }
        let trailers = last.map(|code| ("grpc-status".parse().unwrap(), HeaderValue::from_static(code)));
        Answer {
            head: response.body(()).unwrap(),
            body: body.to_vec(),
            trailers: trailers.into_iter().collect(),
        }
    }

    #[test]
    fn a_question_names_its_service() {
        assert_eq!(&question("")[..], [0; 5]);
        assert_eq!(&question("crm")[..], b"\0\0\0\0\x05\x0a\x03crm");
        let long = question(&"x".repeat(300));
        assert_eq!(&long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
        assert_eq!(long.len(), 5 + 303);
    }

    #[test]
    fn only_serving_passes() {
        let of = |body: &[u8]| judge(&answer(200, &[], body, Some("0")));
        assert_eq!(of(b"\0\0\0\0\x02\x08\x01"), Ok(()));
        assert_eq!(of(b"\0\0\0\0\x07\x12\x03abc\x08\x01"), Ok(()), "a field that we do not know");
        assert_eq!(of(b"\0\0\0\0\x02\x08\x02"), Err(Failure::NotServing(2)));
        assert_eq!(of(b"\0\0\0\0\0"), Err(Failure::NotServing(0)));
        for wrong in [
            &b""[..],
            b"\0\0\0\0\x03\x08\x01",
            b"\x01\0\0\0\x02\x08\x01",
            b"\0\0\0\0\x02\x0f\x01",
            b"\0\0\0\0\x02\x08\xff",
        ] {
            assert_eq!(of(wrong), Err(Failure::Invalid), "{wrong:x?}");
        }
    }

    #[test]
    fn statuses_of_both_kinds_fail() {
        assert_eq!(judge(&answer(404, &[], b"", None)), Err(Failure::Status(404)));
        assert_eq!(judge(&answer(200, &[("grpc-status", "12")], b"", None)), Err(Failure::Grpc(12)));
        assert_eq!(judge(&answer(200, &[], b"", Some("5"))), Err(Failure::Grpc(5)));
        assert_eq!(judge(&answer(200, &[], b"", None)), Err(Failure::Invalid));
    }
}
