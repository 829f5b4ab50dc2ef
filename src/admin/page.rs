//! The dashboard: the files that a browser gets. They are part of the program, and are its text as they stand.

use std::sync::LazyLock;

use http_body_util::{Either, Full};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use sha2::{Digest, Sha256};

use super::reply::{Answer, plain};

/// One file.
pub(super) struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! file {
    ($path:literal, $kind:expr, $name:literal) => {
        File { path: $path, kind: $kind, text: include_str!(concat!("page/", $name)) }
    };
}

static FILES: [File; 14] = [
    file!("/", HTML, "index.html"),
    file!("/page/style.css", CSS, "style.css"),
    file!("/page/parts.css", CSS, "parts.css"),
    file!("/page/icon.svg", "image/svg+xml", "icon.svg"),
    file!("/page/main.js", SCRIPT, "main.js"),
    file!("/page/link.js", SCRIPT, "link.js"),
    file!("/page/pools.js", SCRIPT, "pools.js"),
    file!("/page/routes.js", SCRIPT, "routes.js"),
    file!("/page/row.js", SCRIPT, "row.js"),
    file!("/page/draw.js", SCRIPT, "draw.js"),
    file!("/page/words.js", SCRIPT, "words.js"),
    file!("/page/orders.js", SCRIPT, "orders.js"),
    file!("/page/notes.js", SCRIPT, "notes.js"),
    file!("/page/nodes.js", SCRIPT, "nodes.js"),
];

/// By the order of [`FILES`].
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| FILES.iter().map(|file| tag(file.text)).collect());

/// What a page of ours may do: nothing but load its own files and ask its own server. Should a name from a file of the
/// configuration ever become markup, it could do nothing.
const FIELDS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    // Asked for again each time, and sent only where it has changed.
    (header::CACHE_CONTROL, "no-cache"),
];

/// The file of a path.
pub(super) fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// Gives a file to one who may have it already.
pub(super) fn give(file: &'static File, request: &HeaderMap) -> Answer {
    let tag = FILES.iter().zip(&*TAGS).find(|(one, _)| one.path == file.path).map_or("", |(_, tag)| tag);
    let mut answer = if has(request, tag) {
        let mut unchanged = Response::new(Either::Left(Full::default()));
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else {
        plain(StatusCode::OK, file.kind, file.text)
    };
    let fields = answer.headers_mut();
    for (name, value) in FIELDS {
        fields.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::from_str(tag) {
        fields.insert(header::ETAG, tag);
    }
    answer
}

/// Whether If-None-Match names the tag (RFC 9110 13.1.2: weak comparison).
fn has(request: &HeaderMap, tag: &str) -> bool {
    let lines = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

fn tag(text: &str) -> String {
    let digest = Sha256::digest(text);
    let hex: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::State;

    #[test]
    fn all_that_the_page_names_is_there_and_nothing_stands_in_line() {
        let names = |text: &'static str, before: &str| {
            text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>()
        };
        let index = find("/").unwrap().text;
        let named = [names(index, "src=\""), names(index, "href=\"/page")].concat();
        assert!(named.len() >= 3, "{named:?}");
        for name in names(index, "src=\"") {
            assert!(find(name).is_some(), "{name}");
        }
        for name in names(index, "href=\"/page") {
            assert!(find(&format!("/page{name}")).is_some(), "{name}");
        }
        for file in FILES.iter().filter(|file| file.kind == SCRIPT) {
            for name in names(file.text, "from \"./") {
                assert!(find(&format!("/page/{name}")).is_some(), "{} wants {name}", file.path);
            }
            for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!file.text.contains(way), "{}: names must never become markup: {way}", file.path);
            }
        }
        for inline in ["<style", " style=", "<script>", " onclick=", " onload=", "javascript:"] {
            assert!(!index.contains(inline), "the policy forbids {inline}");
        }
    }

    /// One that is missing would look like what is not known yet.
    #[test]
    fn every_state_of_a_backend_has_its_mark() {
        let words = find("/page/words.js").unwrap().text;
        for state in State::ALL {
            assert!(words.contains(&format!("\n  {}: [\"", state.name())), "{}", state.name());
        }
    }

    #[test]
    fn who_has_a_file_is_not_sent_it_again() {
        let file = find("/page/main.js").unwrap();
        let ask = |tags: &[&str]| {
            let mut request = HeaderMap::new();
            tags.iter().for_each(|tag| {
                request.append(header::IF_NONE_MATCH, tag.parse().unwrap());
            });
            give(file, &request)
        };
        let whole = ask(&[]);
        assert_eq!(whole.status(), StatusCode::OK);
        assert_eq!(whole.headers()["cache-control"], "no-cache");
        let tag = whole.headers()["etag"].to_str().unwrap();
        assert_eq!(ask(&[tag]).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(ask(&["\"x\"", &format!("\"y\", W/{tag}")]).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(ask(&["\"x\""]).status(), StatusCode::OK);
        assert_eq!(ask(&[tag]).headers()["etag"], tag);
    }

    #[test]
    fn the_policy_allows_nothing_in_line() {
        let policy = FIELDS[0].1;
        assert!(
            policy.starts_with("default-src 'none';") && !policy.contains("unsafe") && !policy.contains('*')
        );
        for part in ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
            assert!(policy.contains(part), "{part}");
        }
    }
}
