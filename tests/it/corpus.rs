//! Raw messages of every kind, legal, sloppy and hostile, and what becomes of each: `tests/data/http/`.
//!
//! EQUIPOISE_CASE runs only the cases whose names contain it; EQUIPOISE_SEED repeats the sizes of the pieces.

use std::sync::Mutex;

use fastrand::Rng;

mod case;
mod h2;
mod lane;
mod requests;
mod responses;

use case::Case;
use lane::{Lane, in_lanes};

/// Runs one case, whole (`None`) or in pieces whose sizes the seed decides.
type Run = fn(&Lane, &Case, Option<u64>) -> Result<(), String>;

#[test]
fn every_request_of_the_corpus_becomes_what_it_must() {
    run_all("requests-", 400, requests::run);
}

#[test]
fn every_response_of_the_corpus_becomes_what_it_must() {
    run_all("responses-", 100, responses::run);
}

/// Runs every case of the files with this prefix, of which there must be `least`.
fn run_all(prefix: &str, least: usize, run: Run) {
    let mut cases = Case::read_all(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/http"), prefix);
    assert!(cases.len() >= least, "only {} cases", cases.len());
    if let Ok(wanted) = std::env::var("EQUIPOISE_CASE") {
        cases.retain(|case| case.name.contains(&wanted));
    }
    let seed = std::env::var("EQUIPOISE_SEED").ok().map(|text| text.parse().unwrap());
    let seed = seed.unwrap_or_else(|| Rng::new().u64(..));
    println!("EQUIPOISE_SEED={seed}, {} cases", cases.len());
    let findings = Mutex::new(Vec::new());
    in_lanes(|lane, number, lanes| {
        for (index, case) in cases.iter().enumerate().filter(|(index, _)| index % lanes == number) {
            for pieces in [None, Some(seed.wrapping_add(index as u64))] {
                if let Err(what) = run(lane, case, pieces) {
                    let how = if pieces.is_some() { "in pieces" } else { "whole" };
                    findings.lock().unwrap().push(format!("{}, {how}: {what}", case.name));
                    // What the case has left behind is not the next one's.
                    while lane.arrivals.try_recv().is_ok() {}
                    *lane.script.lock().unwrap() = None;
                }
            }
        }
    });
    let findings = findings.into_inner().unwrap();
    assert!(findings.is_empty(), "{} findings\n{}", findings.len(), findings.join("\n\n"));
}
