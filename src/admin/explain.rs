//! What would become of a request: how it is asked, and what is said.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Fields that a question may have.
const MAX_HEADERS: usize = 100;

/// A request that somebody asks about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Scheme, host, port if it is not the usual one, path and query.
    pub url: String,
    /// Its method.
    #[serde(default = "get")]
    pub method: String,
    /// Its fields, each as `name: value`.
    #[serde(default)]
    pub headers: Vec<String>,
    /// The address that it comes from.
    #[serde(default)]
    pub from: Option<IpAddr>,
    /// The listener that it comes to; the one that fits the URL, where there is none.
    #[serde(default)]
    pub listener: Option<String>,
}

/// What would become of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainView {
    /// The listener that it comes to.
    pub listener: String,
    /// Why this one.
    pub listener_why: String,
    /// The host, as routes look at it.
    pub host: String,
    /// The path, as routes look at it.
    pub path: String,
    /// Every route up to the one that takes it.
    pub routes: Vec<JudgedView>,
    /// The answer of our own that it gets; absent where it goes to a backend.
    pub answer: Option<OwnAnswerView>,
    /// What its pool does with it; absent where no route takes it.
    pub pool: Option<ChoiceView>,
}

/// How a route looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedView {
    /// Its name; `default` for the listener's own pool.
    pub name: String,
    /// It takes the request.
    pub takes: bool,
    /// Why, or why not, condition by condition.
    pub why: String,
}

/// An answer of our own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAnswerView {
    /// The status.
    pub status: Option<u16>,
    /// Why, in one word, as in `X-Equipoise-Reason`.
    pub reason: String,
}

/// What a pool does with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChoiceView {
    /// Its name.
    pub name: String,
    /// The balancing algorithm.
    pub balance: String,
    /// The address that it comes from, by what trusted proxies say.
    pub client: IpAddr,
    /// The backend that it goes to; absent where chance decides, or nobody can take it.
    pub pick: Option<String>,
    /// Why.
    pub why: String,
    /// What `score` measures, and which is taken. Empty where nothing is compared.
    pub score: String,
    /// Every backend, in the order of the configuration.
    pub backends: Vec<ChanceView>,
    /// What else holds for it.
    pub terms: TermsView,
}

/// How a backend looks to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChanceView {
    /// Its name.
    pub name: String,
    /// Whether the algorithm may pick it.
    pub eligible: bool,
    /// Why, or why not.
    pub why: String,
    /// The share of such requests that it would get now.
    pub chance: f64,
    /// What the algorithm makes of it.
    pub score: Option<f64>,
    /// Requests and tunnels in flight.
    pub in_flight: u32,
    /// The most of them now; 0: no limit.
    pub limit: u32,
}

/// Retries, time-outs, and the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TermsView {
    /// Further tries, at most.
    pub retries: u32,
    /// After which failures, by the words of `retry.on`.
    pub retry_on: Vec<String>,
    /// Its method may be sent again after something of it was sent.
    pub method_listed: bool,
    /// A second backend may be asked beside the first, where that takes longer than most answers do.
    #[serde(default)]
    pub hedge: bool,
    /// The whole of it; absent: no bound.
    pub timeout_seconds: Option<f64>,
    /// Until the connection stands.
    pub connect_timeout_seconds: f64,
    /// To the head of the response.
    pub response_timeout_seconds: f64,
    /// Without progress of the response.
    pub idle_timeout_seconds: f64,
    /// Where all backends are full: how many may wait.
    pub queue_max: usize,
    /// And how long each.
    pub queue_timeout_seconds: f64,
}

fn get() -> String {
    "GET".to_owned()
}

/// Reads a question out of a query.
pub(super) fn read(query: &str) -> Result<Question, String> {
    let mut question =
        Question { url: String::new(), method: get(), headers: Vec::new(), from: None, listener: None };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value =
            super::answer::percent_decoded(value).ok_or_else(|| format!("`{name}` is not well encoded"))?;
        match name {
            "url" => question.url = value,
            "method" => question.method = value,
            "header" => question.headers.push(value),
            "from" => question.from = Some(address(&value)?),
            "listener" => question.listener = Some(value),
            _ => {
                return Err("the query may hold request_id alone, or url, method, header, from and listener"
                    .to_owned());
            }
        }
    }
    checked(question)
}

/// Reads a question out of a body.
pub(super) fn read_json(body: &[u8]) -> Result<Question, String> {
    checked(serde_json::from_slice(body).map_err(|why| format!("the body is no question: {why}"))?)
}

fn checked(question: Question) -> Result<Question, String> {
    match &question {
        Question { url, .. } if url.is_empty() => Err("`url` is missing".to_owned()),
        Question { headers, .. } if headers.len() > MAX_HEADERS => {
            Err(format!("more than {MAX_HEADERS} fields"))
        }
        _ => Ok(question),
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "`from` is no IP address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_and_a_body_say_the_same() {
        let query =
            "url=http%3A%2F%2Fa%2Fb%3Fc&method=POST&header=x%3A%201&header=y%3A2&from=::1&listener=web";
        let body = br#"{"url": "http://a/b?c", "method": "POST", "headers": ["x: 1", "y:2"], "from": "::1", "listener": "web"}"#;
        let question = read(query).unwrap();
        assert_eq!(read_json(body).unwrap(), question);
        assert_eq!((&*question.url, question.headers.len()), ("http://a/b?c", 2));
        assert_eq!(read("url=x").unwrap().method, "GET");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let many = "url=x".to_owned() + &"&header=a".repeat(MAX_HEADERS + 1);
        for (query, named) in [
            ("", "`url` is missing"),
            ("url=%zz", "`url` is not well encoded"),
            ("url=x&from=y", "`from`"),
            ("url=x&to=y", "may hold"),
            (&many, "fields"),
        ] {
            let why = read(query).unwrap_err();
            assert!(why.contains(named), "{query}: {why}");
        }
        for body in ["", "{}", r#"{"url": "x", "more": 1}"#, r#"{"url": "x", "from": "y"}"#, r#"{"url": ""}"#]
        {
            assert!(read_json(body.as_bytes()).is_err(), "{body}");
        }
    }
}
