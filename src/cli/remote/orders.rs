//! The commands that order something of one backend: `drain`, `maintenance`, `enable`, `weight`.

use std::process::ExitCode;

use clap::Args;
use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Failure, Format, RemoteArgs, STATUS_TIMEOUT, finish, print, printable, send};
use crate::admin::BackendView;

/// `equipoise drain`, `maintenance`, `enable`
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct OrderArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // clap would print it as the command's own text
    pub remote: RemoteArgs,
    /// The backend, as `equipoise status` names it
    #[arg(value_name = "POOL/BACKEND", value_parser = target)]
    pub target: Target,
}

/// `equipoise weight`
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct WeightArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // clap would print it as the command's own text
    pub order: OrderArgs,
    /// 0 to 65535; 0: no new traffic; `file`: what the configuration says
    #[arg(value_name = "N", value_parser = weight)]
    pub weight: Weight,
}

/// A backend of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Target {
    pub(super) pool: String,
    pub(super) backend: String,
}

impl Target {
    /// Where its orders go.
    pub(super) fn path(&self) -> String {
        format!("/api/v1/pools/{}/backends/{}", encoded(&self.pool), encoded(&self.backend))
    }
}

/// A weight, or the file's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Weight(pub(super) Option<u16>);

/// Orders a state: `ready`, `drain` or `maintenance`. 0 when it is in force.
pub(in crate::cli) fn order(args: &OrderArgs, state: &str) -> ExitCode {
    finish(put(args, &json!({ "state": state })))
}

/// Orders a weight. 0 when it is in force.
pub(in crate::cli) fn weigh(args: &WeightArgs) -> ExitCode {
    finish(put(&args.order, &json!({ "weight": args.weight.0 })))
}

fn put(args: &OrderArgs, order: &Value) -> Result<ExitCode, Failure> {
    let (endpoint, path) = (&args.remote.endpoint, args.target.path());
    let answer = send(endpoint, &Method::PUT, &path, order.to_string(), STATUS_TIMEOUT)?;
    let (body, words) = understood(&args.target, answer)?;
    match args.remote.format {
        Format::Json => print(&String::from_utf8_lossy(&body))?,
        Format::Text => print(&words)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The answer to an order, and the same in words.
pub(super) fn understood(target: &Target, answer: Answer) -> Result<(Bytes, String), Failure> {
    if answer.status != StatusCode::OK {
        return Err(answer.into_failure());
    }
    let view: BackendView = serde_json::from_slice(&answer.body).map_err(Failure::NotOurs)?;
    Ok((answer.body, told(&target.pool, &view)))
}

/// `crm/app1: drain, weight 3 (2 in the file): by an operator; 1 in flight`
fn told(pool: &str, view: &BackendView) -> String {
    let file = match view.configured_weight {
        same if same == view.weight => String::new(),
        other => format!(" ({other} in the file)"),
    };
    printable(&format!("{pool}/{}: {}, weight {}{file}: {}", view.name, view.state, view.weight, view.reason))
        + "\n"
}

fn target(text: &str) -> Result<Target, String> {
    match text.split_once('/') {
        Some((pool, backend)) if !pool.is_empty() && !backend.is_empty() => {
            Ok(Target { pool: pool.to_owned(), backend: backend.to_owned() })
        }
        _ => Err("expected the name of a pool, a slash, and the name of a backend".into()),
    }
}

pub(super) fn weight(text: &str) -> Result<Weight, String> {
    if text == "file" {
        return Ok(Weight(None));
    }
    text.parse().map(|weight| Weight(Some(weight))).map_err(|_| "expected 0 to 65535, or `file`".into())
}

/// A segment of a path, with %XX for all that may mean something there.
pub(super) fn encoded(segment: &str) -> String {
    let letter = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    segment.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_named_by_its_pool_and_name() {
        let of = |pool: &str, backend: &str| Ok(Target { pool: pool.into(), backend: backend.into() });
        assert_eq!(target("crm/10.0.0.1:80"), of("crm", "10.0.0.1:80"));
        assert_eq!(target("c r/[::1]:80"), of("c r", "[::1]:80"));
        for wrong in ["crm", "/app", "crm/", ""] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
        assert_eq!(encoded("[::1]:80 é/%"), "%5B::1%5D:80%20%C3%A9%2F%25");
    }

    #[test]
    fn a_weight_is_a_number_or_the_files() {
        assert_eq!(weight("file"), Ok(Weight(None)));
        assert_eq!(weight("0"), Ok(Weight(Some(0))));
        for wrong in ["-1", "65536", "1.5", "", "files"] {
            assert!(weight(wrong).is_err(), "{wrong}");
        }
    }
}
