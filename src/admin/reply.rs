//! Answers in the making.

use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::guard;
use super::stream::Frames;

/// What an answer holds: all of it, or a stream.
pub(super) type Content = Either<Full<Bytes>, Frames>;

/// An answer.
pub(super) type Answer = Response<Content>;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn plain(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(body.into())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec_pretty(value) {
        Ok(mut text) => {
            text.push(b'\n');
            plain(status, "application/json", text)
        }
        Err(cause) => plain(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{cause}\n")),
    }
}

pub(super) fn events(frames: Frames) -> Answer {
    let mut answer = Response::new(Either::Right(frames));
    let kind = HeaderValue::from_static("text/event-stream");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

pub(super) fn error(status: StatusCode, why: &str) -> Answer {
    json(status, &json!({ "status": status.as_u16(), "error": why }))
}

pub(super) fn refused(refusal: &guard::Refusal) -> Answer {
    tracing::warn!(status = refusal.status.as_u16(), reason = refusal.why, "admin call refused");
    let mut answer = error(refusal.status, refusal.why);
    if refusal.status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}
