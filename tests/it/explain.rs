//! Questions what would become of a request, against what then does.

use std::process::{Command, Output};

use serde_json::Value;

use crate::client;
use crate::config::Config;
use crate::daemon::{BINARY, Daemon};
use crate::origin::Origin;
use crate::sticky::named;

fn command(daemon: &Daemon, arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).args(["--admin", &daemon.admin.to_string()]).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What `equipoise explain` says, as JSON.
fn explained(daemon: &Daemon, path: &str, more: &[&str]) -> Value {
    let url = format!("http://{}{path}", daemon.web);
    let output = command(daemon, &[&["explain", "--url", &url, "--format", "json"], more].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn pick(told: &Value) -> String {
    told["pool"]["pick"].as_str().unwrap_or("-").to_owned()
}

fn file(origins: &[&Origin]) -> Config {
    named(origins).and(
        "[[route]]\nname = 'other'\nmatch.host = 'other.example'\npool = 'crm'\n\
         [[route]]\nname = 'api'\nmatch = { path_prefix = '/api' }\npool = 'crm'\ntimeout = '7s'\n",
    )
}

#[test]
fn a_hedge_is_told_of_those_that_may_have_one() {
    let origins = ["a", "b"].map(Origin::answering);
    let daemon = Daemon::start(&file(&origins.each_ref()).pool("hedge = true"));
    let hedge = |more: &[&str]| explained(&daemon, "/", more)["pool"]["terms"]["hedge"].clone();
    assert_eq!(hedge(&[]), true);
    for more in [&["--method", "PUT"][..], &["--header", "Accept: text/event-stream"]] {
        assert_eq!(hedge(more), false, "{more:?}");
    }
    let url = format!("http://{}/", daemon.web);
    let output = command(&daemon, &["explain", "--url", &url]);
    assert!(text(&output.stdout).contains("; a hedge beside the first try"), "{}", text(&output.stdout));
}

#[test]
fn a_request_goes_where_the_explanation_said() {
    let origins = ["a", "b", "c"].map(Origin::answering);
    let daemon = Daemon::start(&file(&origins.each_ref()));
    for _ in 0..10 {
        let told = explained(&daemon, "/", &[]);
        assert_eq!(told, explained(&daemon, "/", &[]), "asking takes no turn");
        assert_eq!(client::get(daemon.web, "/").text(), pick(&told));
    }
    assert!(command(&daemon, &["drain", "crm/b"]).status.success());
    for _ in 0..4 {
        let told = explained(&daemon, "/", &[]);
        let drained = &told["pool"]["backends"][1];
        assert_eq!((&drained["eligible"], &drained["chance"]), (&false.into(), &0.0.into()));
        assert!(drained["why"].as_str().unwrap().starts_with("drain: by an operator"), "{told:#}");
        assert_eq!(client::get(daemon.web, "/").text(), pick(&told));
    }
    let counted = daemon.metric("equipoise_http_requests_total", &[("code", "200")]);
    assert_eq!(counted, 14.0, "questions are no requests");
}

#[test]
fn it_says_why_each_route_takes_a_request_or_not() {
    let origins = ["a"].map(Origin::answering);
    let daemon = Daemon::start(&file(&origins.each_ref()));
    let told = explained(&daemon, "/API/../api/x?q", &["--method", "POST"]);
    let routes = told["routes"].as_array().unwrap();
    assert_eq!((&routes[0]["name"], &routes[0]["takes"]), (&"other".into(), &false.into()));
    assert!(routes[0]["why"].as_str().unwrap().ends_with("is other.example: no"), "{told:#}");
    assert_eq!(routes[1]["why"], "path \"/api/x\" is below /api: yes");
    let terms = &told["pool"]["terms"];
    assert_eq!((&terms["timeout_seconds"], &terms["method_listed"]), (&7.0.into(), &false.into()));
    let told = explained(&daemon, "/apix", &["--header", "Host: OTHER.example:80"]);
    assert_eq!((&told["routes"][0]["takes"], told["routes"].as_array().unwrap().len()), (&true.into(), 1));
    let told = explained(&daemon, "/apix", &[]);
    assert_eq!(told["routes"][2]["name"], "default", "{told:#}");

    let words = command(&daemon, &["explain", "--url", &format!("http://{}/api", daemon.web)]);
    let words = text(&words.stdout);
    for part in
        ["route other: no", "route api: takes it", "pick a: round-robin picks it", "whole request 7 s"]
    {
        assert!(words.contains(part), "{words}");
    }
}

#[test]
fn what_cannot_be_asked_is_said() {
    let origins = ["a"].map(Origin::answering);
    let daemon = Daemon::start(&file(&origins.each_ref()));
    for (arguments, named) in [
        (&["--url", "crm/api"][..], "expected a URL"),
        (&["--url", "http://a/", "--listener", "none"], "no listener"),
        (&["--url", "http://a/", "--header", "Content-Length: x"], "no such request is taken"),
        (&["--url", "http://a/ b"], "no such request is taken"),
        (&["--url", "http://a/", "--header", "a: b\r\nc: d"], "line end"),
    ] {
        let output = command(&daemon, &[&["explain"], arguments].concat());
        let why = text(&output.stderr);
        assert!(output.status.code() == Some(1) && why.contains(named), "{arguments:?}: {why}");
    }
    let told = explained(&daemon, "/../x", &[]);
    assert_eq!((&told["answer"]["status"], &told["pool"]), (&400.into(), &Value::Null), "{told:#}");
}
