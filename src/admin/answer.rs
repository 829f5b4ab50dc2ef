//! One request, one answer.

use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use super::page::{self, File};
use super::reply::{Answer, TEXT, error, events, json, plain, refused};
use super::{
    Desk, EventView, Findings, NotTold, Question, Reload, explain, guard, orders, recall, scrape, stream,
};

/// Bytes of a request's body. One that nobody reads is taken off the connection all the same, so that the next
/// request can follow.
const MAX_BODY: usize = 64 * 1024;
/// How long a request's body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The pages of the endpoint.
enum Page<'a> {
    /// The dashboard, and what belongs to it.
    File(&'static File),
    Metrics,
    Healthy,
    Ready,
    Reload,
    Pools,
    Pool(&'a str),
    Backend(&'a str, &'a str),
    Routes,
    Listeners,
    Config,
    Events,
    Explain,
    Stream,
}

pub(super) async fn answer(
    desk: &Rc<Desk>,
    ending: watch::Receiver<bool>,
    request: Request<Incoming>,
) -> Answer {
    let (head, body) = request.into_parts();
    let mut answer = match page_of(head.uri.path()) {
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
        // Probes may name it as they like: there is nothing to be learnt from the answer.
        Some(page @ (Page::Healthy | Page::Ready)) => show(desk, &page, &head),
        Some(page) => match guard::check_read(desk.bind, &head) {
            Ok(()) => read(desk, &page, ending, &head).await,
            // Not logged: a page could fill the log with it.
            Err(refusal) => error(refusal.status, refusal.why),
        },
    };
    let fields = answer.headers_mut();
    fields.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// What changes nothing, and may be known.
async fn read(desk: &Rc<Desk>, page: &Page<'_>, ending: watch::Receiver<bool>, head: &Parts) -> Answer {
    match page {
        Page::File(file) => page::give(file, &head.headers),
        Page::Stream => follow(desk, ending),
        Page::Metrics => scrape::page(desk, &head.headers).await,
        _ => match head.uri.query().filter(|_| matches!(page, Page::Explain)).and_then(recall::read) {
            Some(id) => recalled(desk, id).await,
            None => show(desk, page, head),
        },
    }
}

fn page_of(path: &str) -> Option<Page<'_>> {
    if let Some(file) = page::find(path) {
        return Some(Page::File(file));
    }
    Some(match path {
        "/metrics" => Page::Metrics,
        "/-/healthy" => Page::Healthy,
        "/-/ready" => Page::Ready,
        "/-/reload" => Page::Reload,
        "/api/v1/pools" => Page::Pools,
        "/api/v1/routes" => Page::Routes,
        "/api/v1/listeners" => Page::Listeners,
        "/api/v1/config" => Page::Config,
        "/api/v1/events" => Page::Events,
        "/api/v1/explain" => Page::Explain,
        "/api/v1/stream" => Page::Stream,
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
        Page::Explain => &[Method::GET, Method::HEAD, Method::POST],
        Page::Backend(..) => &[Method::GET, Method::HEAD, Method::PUT],
        _ => &[Method::GET, Method::HEAD],
    }
}

/// The calls that change something, and may; and the question that stands in a body.
async fn change(desk: &Desk, page: &Page<'_>, body: &[u8]) -> Answer {
    match page {
        Page::Backend(pool, backend) => order(desk, pool, backend, body),
        Page::Explain => explained(desk, explain::read_json(body)),
        _ => reload(desk).await,
    }
}

fn explained(desk: &Desk, question: Result<Question, String>) -> Answer {
    match question.and_then(|question| desk.house.explain(&question)) {
        Ok(view) => json(StatusCode::OK, &view),
        Err(why) => error(StatusCode::BAD_REQUEST, &why),
    }
}

/// What was decided for requests that have ended.
async fn recalled(desk: &Desk, id: Result<String, String>) -> Answer {
    let id = match id {
        Ok(id) => id,
        Err(why) => return error(StatusCode::BAD_REQUEST, &why),
    };
    match desk.house.recall(id).await {
        Ok(view) => json(StatusCode::OK, &view),
        Err(NotTold::Unknown(why)) => error(StatusCode::NOT_FOUND, &why),
        Err(NotTold::Unanswered(why)) => error(StatusCode::SERVICE_UNAVAILABLE, &why),
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
fn show(desk: &Desk, page: &Page<'_>, head: &Parts) -> Answer {
    match page {
        Page::Healthy => plain(StatusCode::OK, TEXT, "healthy\n"),
        Page::Ready if desk.house.metrics().is_ready() => plain(StatusCode::OK, TEXT, "ready\n"),
        Page::Ready => plain(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
        Page::Pools => json(StatusCode::OK, &json!({ "pools": desk.house.pools() })),
        Page::Routes => json(StatusCode::OK, &json!({ "routes": desk.house.routes(usize::MAX) })),
        Page::Listeners => json(StatusCode::OK, &json!({ "listeners": desk.house.listeners() })),
        Page::Config => json(StatusCode::OK, &desk.house.config()),
        Page::Events => happened(desk, head.uri.query()),
        Page::Explain => explained(desk, explain::read(head.uri.query().unwrap_or_default())),
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
        // These are answered before.
        Page::File(_) | Page::Stream | Page::Metrics | Page::Reload => {
            error(StatusCode::NOT_FOUND, "no such page")
        }
    }
}

/// What happened, all that is kept or what came after a number.
fn happened(desk: &Desk, query: Option<&str>) -> Answer {
    let after = match query.map(|query| query.strip_prefix("after=").map(str::parse)) {
        None => 0,
        Some(Some(Ok(after))) => after,
        Some(_) => return error(StatusCode::BAD_REQUEST, "the query may be after=NUMBER, and nothing else"),
    };
    let events: Vec<EventView> = desk.house.happenings().after(after).into_iter().map(Into::into).collect();
    json(StatusCode::OK, &json!({ "events": events }))
}

fn follow(desk: &Rc<Desk>, ending: watch::Receiver<bool>) -> Answer {
    match stream::follow(desk, ending) {
        Some(frames) => events(frames),
        None => {
            let why = format!("{} are looking already, which is the most", stream::MAX_STREAMS);
            let mut answer = error(StatusCode::SERVICE_UNAVAILABLE, &why);
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
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
    // What is announced need not be waited for, nor be invited by a 100.
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(error(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
    }
    match timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(taken)) => Ok(taken.to_bytes()),
        Ok(Err(_)) => Err(error(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or broke off")),
        Err(_) => Err(error(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
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
pub(super) fn percent_decoded(segment: &str) -> Option<String> {
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
