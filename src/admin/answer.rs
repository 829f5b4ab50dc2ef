//! One request, one answer.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use super::{Desk, Findings, Reload, guard, orders};

type Answer = Response<Full<Bytes>>;

/// Bytes of a request's body. One that nobody reads is taken off the connection all the same, so that the next
/// request can follow.
const MAX_BODY: usize = 64 * 1024;
/// How long a request's body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The pages of the endpoint.
enum Page<'a> {
    Index,
    Metrics,
    Healthy,
    Ready,
    Reload,
    Pools,
    Pool(&'a str),
    Backend(&'a str, &'a str),
    Routes,
}

pub(super) async fn answer(desk: &Desk, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let mut answer = match page(head.uri.path()) {
        None => error(StatusCode::NOT_FOUND, "no such page"),
        Some(page) if !allowed(&page).contains(&head.method) => wrong_method(&page),
        Some(page) if !head.method.is_safe() => {
            match guard::check(desk.bind, desk.house.token().as_deref(), &head) {
                Ok(()) => match taken(body).await {
                    Ok(body) => change(desk, &page, &body).await,
                    Err(refusal) => refusal,
                },
                Err(refusal) => refused(&refusal),
            }
        }
        Some(page) => show(desk, &page),
    };
    let fields = answer.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

fn page(path: &str) -> Option<Page<'_>> {
    Some(match path {
        "/" => Page::Index,
        "/metrics" => Page::Metrics,
        "/-/healthy" => Page::Healthy,
        "/-/ready" => Page::Ready,
        "/-/reload" => Page::Reload,
        "/api/v1/pools" => Page::Pools,
        "/api/v1/routes" => Page::Routes,
        _ => match path.strip_prefix("/api/v1/pools/")?.split('/').collect::<Vec<_>>()[..] {
            [pool] => Page::Pool(pool),
            [pool, "backends", backend] => Page::Backend(pool, backend),
            _ => return None,
        },
    })
}

fn allowed(page: &Page<'_>) -> &'static [Method] {
    match page {
        Page::Reload => &[Method::POST],
        Page::Backend(..) => &[Method::GET, Method::HEAD, Method::PUT],
        _ => &[Method::GET, Method::HEAD],
    }
}

/// The calls that change something, and may.
async fn change(desk: &Desk, page: &Page<'_>, body: &[u8]) -> Answer {
    match page {
        Page::Backend(pool, backend) => order(desk, pool, backend, body),
        _ => reload(desk).await,
    }
}

fn order(desk: &Desk, pool: &str, backend: &str, body: &[u8]) -> Answer {
    let (Some(pool), Some(backend)) = (percent_decoded(pool), percent_decoded(backend)) else {
        return error(StatusCode::NOT_FOUND, "no such pool or backend");
    };
    let change = match orders::read(body) {
        Ok(change) => change,
        Err(why) => return error(StatusCode::BAD_REQUEST, &why),
    };
    match desk.house.order(&pool, &backend, change) {
        Ok(view) => json(StatusCode::OK, &view),
        Err(missing) => error(StatusCode::NOT_FOUND, &missing.to_string()),
    }
}

/// The pages that change nothing.
fn show(desk: &Desk, page: &Page<'_>) -> Answer {
    match page {
        Page::Metrics => match desk.house.metrics().render(Instant::now()) {
            Ok(text) => plain(StatusCode::OK, prometheus::TEXT_FORMAT, text),
            Err(cause) => error(StatusCode::INTERNAL_SERVER_ERROR, &cause.to_string()),
        },
        Page::Healthy => plain(StatusCode::OK, TEXT, "healthy\n"),
        Page::Ready if desk.house.metrics().is_ready() => plain(StatusCode::OK, TEXT, "ready\n"),
        Page::Ready => plain(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
        Page::Pools => json(StatusCode::OK, &json!({ "pools": desk.house.pools() })),
        Page::Routes => json(StatusCode::OK, &json!({ "routes": desk.house.routes() })),
        Page::Pool(name) => {
            let name = percent_decoded(name);
            let pool = desk.house.pools().into_iter().find(|pool| Some(&pool.name) == name.as_ref());
            pool.map_or_else(
                || error(StatusCode::NOT_FOUND, "no such pool"),
                |pool| json(StatusCode::OK, &pool),
            )
        }
        Page::Backend(pool, name) => {
            let (pool, name) = (percent_decoded(pool), percent_decoded(name));
            let pool = desk.house.pools().into_iter().find(|one| Some(&one.name) == pool.as_ref());
            let found =
                pool.and_then(|pool| pool.backends.into_iter().find(|one| Some(&one.name) == name.as_ref()));
            found.map_or_else(
                || error(StatusCode::NOT_FOUND, "no such pool or backend"),
                |backend| json(StatusCode::OK, &backend),
            )
        }
        // A reload never comes here; it is answered before.
        Page::Index | Page::Reload => {
            let mut answer = plain(StatusCode::OK, "text/html; charset=utf-8", INDEX);
            let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
            answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
            answer
        }
    }
}

/// One reload at a time. It runs in a task of its own: hyper drops this future when the client leaves,
/// and a reload cut in half would leave sockets bound that nobody serves.
async fn reload(desk: &Desk) -> Answer {
    let turn = std::sync::Arc::clone(&desk.reloading).lock_owned().await;
    let running = desk.house.reload();
    let task = tokio::task::spawn_local(async move {
        let ended = running.await;
        drop(turn);
        ended
    });
    match task.await {
        Ok(Reload::Applied { warnings: Findings { items, text } }) => {
            json(StatusCode::OK, &json!({ "result": "ok", "warnings": items, "text": text }))
        }
        Ok(Reload::Rejected { diagnostics: Findings { items, text } }) => json(
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!({ "result": "rejected", "diagnostics": items, "text": text }),
        ),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "the reload broke off; see the log"),
    }
}

async fn taken(body: Incoming) -> Result<Bytes, Answer> {
    match timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(taken)) => Ok(taken.to_bytes()),
        Ok(Err(_)) => Err(error(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or broke off")),
        Err(_) => Err(error(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

const INDEX: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Equipoise</title></head><body>
<h1>Equipoise</h1>
<ul>
<li><a href=\"/api/v1/pools\">/api/v1/pools</a>: pools and backends, JSON
<li><a href=\"/api/v1/routes\">/api/v1/routes</a>: routes, JSON
<li><a href=\"/metrics\">/metrics</a>: Prometheus text
<li><a href=\"/-/ready\">/-/ready</a>: 200 while new connections are taken
<li><a href=\"/-/healthy\">/-/healthy</a>: 200 while the process lives
</ul>
<p>POST /-/reload reads the configuration again. There is no dashboard in this version;
<code>equipoise status</code> prints a table.
</body></html>
";

fn plain(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec_pretty(value) {
        Ok(mut text) => {
            text.push(b'\n');
            plain(status, "application/json", text)
        }
        Err(cause) => plain(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{cause}\n")),
    }
}

fn error(status: StatusCode, why: &str) -> Answer {
    json(status, &json!({ "status": status.as_u16(), "error": why }))
}

fn refused(refusal: &guard::Refusal) -> Answer {
    tracing::warn!(status = refusal.status.as_u16(), reason = refusal.why, "admin call refused");
    let mut answer = error(refusal.status, refusal.why);
    if refusal.status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

fn wrong_method(page: &Page<'_>) -> Answer {
    let allow = allowed(page).iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, &format!("allowed here: {allow}"));
    if let Ok(allow) = HeaderValue::from_str(&allow) {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}

/// A path segment with its %XX read; `None` where that is no UTF-8 or no hexadecimal.
fn percent_decoded(segment: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(segment.len()), segment.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                u8::try_from(digit(high)? * 16 + digit(low)?).ok()?
            }
            (b'%', _) => return None,
            (byte, _) => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_name_may_be_percent_encoded() {
        assert_eq!(percent_decoded("a%20b%C3%A9").as_deref(), Some("a bé"));
        for wrong in ["%", "%2", "%zz", "%ff", "a%+1"] {
            assert_eq!(percent_decoded(wrong), None, "{wrong}");
        }
    }
}
