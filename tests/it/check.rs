//! `equipoise check`: every mistake at its place, in one run.

use std::process::{Command, Output};

use serde_json::Value;

use crate::daemon::BINARY;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ten-mistakes.toml");

/// Line, column and what the message must name.
const MISTAKES: [(u64, u64, &str); 10] = [
    (2, 17, "drain_timeout"),
    (3, 1, "worker"),
    (6, 9, "level"),
    (11, 8, "crn"),
    (14, 17, "64KB"),
    (17, 8, "web"),
    (23, 21, "path_prefix"),
    (27, 11, "round-robbin"),
    (28, 9, "hedge"),
    (30, 30, "10.0.0.11"),
];

#[test]
fn ten_mistakes_are_ten_diagnostics_as_text() {
    let output = check(&["-c", FILE]);
    assert_eq!(output.status.code(), Some(78));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("error[").count(), 10, "{text}");
    for (line, column, what) in MISTAKES {
        let place = format!("{FILE}:{line}:{column}");
        let block = text.split("\n\n").find(|block| block.contains(&place));
        assert!(block.is_some_and(|block| block.contains(what)), "{place} {what}\n{text}");
    }
}

#[test]
fn ten_mistakes_are_ten_diagnostics_as_json() {
    let output = check(&["-c", FILE, "--format", "json"]);
    assert_eq!(output.status.code(), Some(78));
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found: Vec<_> = all.as_array().unwrap().iter().collect();
    assert_eq!(found.len(), MISTAKES.len());
    for (one, (line, column, what)) in found.iter().zip(MISTAKES) {
        assert_eq!((&one["line"], &one["column"]), (&line.into(), &column.into()), "{one:#}");
        assert!(one["message"].as_str().unwrap().contains(what), "{one:#}");
        assert_eq!((&one["severity"], &one["file"]), (&"error".into(), &FILE.into()));
    }
}

#[test]
fn what_is_shipped_passes_and_a_file_that_is_not_there_does_not() {
    for file in ["minimal.toml", "equipoise.toml", "crm.toml"] {
        let path = format!("{}/config/{file}", env!("CARGO_MANIFEST_DIR"));
        let output = check(&["-c", &path]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // Files that an example names need not exist here: nothing else may be wrong with it.
        assert!(output.status.success(), "{text}");
    }
    assert_eq!(check(&["-c", "/nowhere/equipoise.toml"]).status.code(), Some(78));
    assert_eq!(check(&["--colour"]).status.code(), Some(2));
}

fn check(arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("check").args(arguments).output().unwrap()
}
