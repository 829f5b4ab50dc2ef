//! `equipoise explain`

use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use hyper::{Method, StatusCode};

use super::orders::encoded;
use super::{Failure, Format, RemoteArgs, STATUS_TIMEOUT, finish, print, printable, recall, run};
use crate::admin::{ChanceView, ChoiceView, ExplainView, TermsView};

/// `equipoise explain`
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ExplainArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // clap would print it as the command's own text
    pub remote: RemoteArgs,
    /// Where the request would go: scheme, host, path and query
    #[arg(long, value_name = "URL", required_unless_present = "request_id")]
    pub url: Option<String>,
    /// Instead: what was decided for the request that has ended with this X-Request-Id
    #[arg(long, value_name = "ID", conflicts_with_all = ["url", "method", "headers", "from", "listener"])]
    pub request_id: Option<String>,
    /// Its method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// A field of it; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The address that it comes from (default: 127.0.0.1)
    #[arg(long, value_name = "ADDR")]
    pub from: Option<IpAddr>,
    /// The listener that it comes to (default: the one that fits the URL)
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
}

/// Asks a running balancer what would become of a request, or what became of one. 0 when it answered, whatever it said.
pub(in crate::cli) fn explain(args: &ExplainArgs) -> ExitCode {
    finish(run(&args.remote, &Method::GET, &path(args), STATUS_TIMEOUT).and_then(|answer| {
        if answer.status != StatusCode::OK {
            return Err(answer.into_failure());
        }
        let text = match &args.request_id {
            Some(_) => recall::told(&serde_json::from_slice(&answer.body).map_err(Failure::NotOurs)?),
            None => told(&serde_json::from_slice(&answer.body).map_err(Failure::NotOurs)?),
        };
        match args.remote.format {
            Format::Json => print(&format!("{}\n", String::from_utf8_lossy(&answer.body).trim_end()))?,
            Format::Text => print(&text)?,
        }
        Ok(ExitCode::SUCCESS)
    }))
}

fn path(args: &ExplainArgs) -> String {
    if let Some(id) = &args.request_id {
        return format!("/api/v1/explain?request_id={}", encoded(id));
    }
    let url = args.url.as_deref().unwrap_or_default();
    let mut path = format!("/api/v1/explain?url={}&method={}", encoded(url), encoded(&args.method));
    let from = args.from.map(|from| from.to_string());
    let headers = args.headers.iter().map(|field| ("header", field));
    let others = [("from", from.as_ref()), ("listener", args.listener.as_ref())];
    let others = others.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (name, value) in headers.chain(others) {
        let _ = write!(path, "&{name}={}", encoded(value));
    }
    path
}

/// The explanation for people, a step a line.
fn told(view: &ExplainView) -> String {
    let mut text = String::new();
    let mut line = |words: String| {
        text.push_str(&printable(&words));
        text.push('\n');
    };
    line(format!("listener {}: {}", view.listener, view.listener_why));
    for route in &view.routes {
        let verdict = if route.takes { "takes it" } else { "no" };
        line(format!("route {}: {verdict} ({})", route.name, route.why));
    }
    if let Some(pool) = &view.pool {
        told_pool(pool, &mut line);
    }
    if let Some(answer) = &view.answer {
        let status = answer.status.map_or_else(|| "nothing".to_owned(), |status| status.to_string());
        line(format!("answer of the balancer itself: {status} ({})", answer.reason));
    }
    text
}

fn told_pool(pool: &ChoiceView, line: &mut impl FnMut(String)) {
    line(format!("pool {} ({}), client {}", pool.name, pool.balance, pool.client));
    if !pool.score.is_empty() {
        line(format!("  score: {}", pool.score));
    }
    let width = pool.backends.iter().map(|one| one.name.chars().count()).max().unwrap_or(0);
    for backend in &pool.backends {
        line(format!("  {:<width$}  {}", backend.name, told_backend(backend)));
    }
    let pick = pool.pick.as_deref().map_or_else(|| "pick".to_owned(), |name| format!("pick {name}"));
    line(format!("{pick}: {}", pool.why));
    let terms = &pool.terms;
    let beside = if terms.hedge { "; a hedge beside the first try" } else { "" };
    line(format!("retries: {}{beside}", retries(terms)));
    let whole = terms.timeout_seconds.map_or_else(|| "no bound".to_owned(), |whole| format!("{whole} s"));
    line(format!(
        "time-outs: whole request {whole}, connect {} s, response {} s, idle {} s; queue {} for {} s",
        terms.connect_timeout_seconds,
        terms.response_timeout_seconds,
        terms.idle_timeout_seconds,
        terms.queue_max,
        terms.queue_timeout_seconds
    ));
}

/// How often it may be sent again, and when: `at most 2, on connect, reset`.
fn retries(terms: &TermsView) -> String {
    let (most, on) = (terms.retries, terms.retry_on.join(", "));
    let connect = terms.retry_on.iter().any(|word| word == "connect");
    match (terms.method_listed, connect) {
        _ if most == 0 || on.is_empty() => "none".to_owned(),
        (true, _) => format!("at most {most}, on {on}"),
        (false, true) => {
            format!("at most {most}, of this method only where no backend can have begun with it (connect)")
        }
        (false, false) => format!("none of this method, for it is retried on {on} alone"),
    }
}

/// `50.0 %  eligible  score 3  up: check passed`
fn told_backend(backend: &ChanceView) -> String {
    let verdict = if backend.eligible { "eligible" } else { "not eligible" };
    let score = backend.score.map_or_else(String::new, |score| format!(", score {score:.3}"));
    format!("{:>5.1} %  {verdict}{score}: {}", backend.chance * 100.0, backend.why)
}

#[cfg(test)]
mod tests {
    use super::super::Endpoint;
    use super::*;

    #[test]
    fn retries_are_those_that_would_be_made() {
        let told = |retries, on: &[&str], method_listed| {
            super::retries(&TermsView {
                retries,
                retry_on: on.iter().map(|word| (*word).to_owned()).collect(),
                method_listed,
                hedge: false,
                timeout_seconds: None,
                connect_timeout_seconds: 2.0,
                response_timeout_seconds: 30.0,
                idle_timeout_seconds: 60.0,
                queue_max: 0,
                queue_timeout_seconds: 5.0,
            })
        };
        assert_eq!(told(2, &["connect", "503"], true), "at most 2, on connect, 503");
        assert!(told(2, &["connect", "503"], false).contains("no backend can have begun with it (connect)"));
        assert_eq!(told(2, &["503"], false), "none of this method, for it is retried on 503 alone");
        assert_eq!((told(2, &[], true), told(0, &["connect"], true)), ("none".into(), "none".into()));
    }

    #[test]
    fn a_question_is_put_into_a_query() {
        let remote = RemoteArgs {
            endpoint: Endpoint { admin: String::new(), token_file: None },
            format: Format::Text,
        };
        let args = ExplainArgs {
            remote,
            url: Some("https://a/b?c=d&e".into()),
            request_id: None,
            method: "GET".into(),
            headers: vec!["x: 1&2".into()],
            from: Some("::1".parse().unwrap()),
            listener: Some("web".into()),
        };
        assert_eq!(
            path(&args),
            "/api/v1/explain?url=https:%2F%2Fa%2Fb%3Fc%3Dd%26e&method=GET&header=x:%201%262&from=::1&listener=web"
        );
        let args = ExplainArgs { request_id: Some("a&b".into()), ..args };
        assert_eq!(path(&args), "/api/v1/explain?request_id=a%26b");
    }
}
