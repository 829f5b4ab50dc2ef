//! The guard of the layers: every path from one room of `src/` into another is compared with the table of
//! allowed edges below.
//!
//! A room is a top-level module: `src/NAME.rs` and all of `src/NAME/`. The test reads the sources as text, so that
//! code behind `#[cfg(test)]` or any other `cfg` counts as well; comments and strings do not. An edge that the
//! table does not have is a finding: either the code took a wrong way, or the plan changed, and then this
//! table and docs/architecture.md change in the same commit.

#![allow(clippy::unwrap_used, reason = "a source that cannot be read must fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "layers/paths.rs"]
mod paths;

/// One room: what it is for, and which rooms it may name.
struct Room {
    name: &'static str,
    /// Printed when the edge is crossed: it tells the reader why the way is closed.
    duty: &'static str,
    may_use: &'static [&'static str],
}

const fn room(name: &'static str, duty: &'static str, may_use: &'static [&'static str]) -> Room {
    Room { name, duty, may_use }
}

/// From the ground up. A room may use only rooms that stand before it, so the table cannot hold a cycle;
/// `the_table_goes_only_downwards` proves it.
const ROOMS: &[Room] = &[
    // ground
    room(
        "config",
        "turns TOML text into a checked description, or all its errors; knows no runtime room",
        &[],
    ),
    room(
        "http",
        "heads, fields, HTTP/1 parsing, framing and emission; pure: knows no sockets, no config",
        &[],
    ),
    room("announce", "the PROXY header: who a connection comes from; pure: knows no sockets, no config", &[]),
    room("timer", "deadlines of one worker, checked lazily; knows nobody", &[]),
    room("wire", "sockets and their buffers: what reads and writes have in common; knows nobody", &[]),
    room(
        "frames",
        "the bodies of HTTP/2 as those of HTTP/1.1, and back; knows no sockets, and no side",
        &["http", "wire"],
    ),
    room("drain", "signals the end and waits for it; knows nobody", &[]),
    room("queue", "keeps who waits for a place, and calls them in order; knows nobody", &[]),
    room(
        "backend",
        "one backend's identity, counters, state and lease; knows no sockets, no metrics",
        &["queue"],
    ),
    room("route", "tells which rule takes a request; knows no config, no upstream", &["http"]),
    room("resilience", "decides on retries and limits from facts given; pure: no I/O", &[]),
    room("sticky", "the cookie that keeps a client at its backend: make and read; pure: knows no HTTP", &[]),
    room("tls", "certificates: load, choose, verify; knows no listeners", &[]),
    room("observe", "records what happened; never knows those who report to it", &["backend"]),
    room(
        "access",
        "one line per request, and the thread that writes it; knows no proxy, no config",
        &["http", "observe"],
    ),
    room(
        "recent",
        "keeps what was decided for the last requests, and finds it by their ids; knows no proxy, no config",
        &["access", "http"],
    ),
    room(
        "trace",
        "what requests say of their traces, spans, and the thread that exports them; knows no proxy, no config",
        &["backend", "http", "observe", "tls"],
    ),
    // decide
    room("balance", "picks one eligible backend; knows no upstream, no config", &["backend"]),
    room(
        "roster",
        "tells who of a pool may be picked now, and ejects; knows no sockets, no config, no metrics",
        &["backend", "balance", "resilience"],
    ),
    // prove
    room(
        "simulate",
        "plays pools on a virtual clock with the very code of the daemon; knows no sockets, no config",
        &["backend", "balance", "queue", "resilience", "roster"],
    ),
    // reach
    room(
        "upstream",
        "carries one request to one backend; knows no route, no proxy",
        &["announce", "backend", "drain", "frames", "http", "observe", "resilience", "timer", "tls", "wire"],
    ),
    room(
        "health",
        "probes backends and marks them; knows no snapshot, no proxy",
        &["announce", "backend", "drain", "http", "tls"],
    ),
    room("discovery", "keeps the backends behind names current; knows no proxy", &["backend", "drain"]),
    // compile
    room(
        "snapshot",
        "the only bridge from config to the runtime rooms; knows no proxy, no listen",
        &[
            "access",
            "announce",
            "backend",
            "balance",
            "config",
            "discovery",
            "health",
            "http",
            "observe",
            "queue",
            "recent",
            "resilience",
            "roster",
            "route",
            "sticky",
            "tls",
            "trace",
            "upstream",
        ],
    ),
    // serve
    room(
        "proxy",
        "takes one request through its phases; knows no config, no listen, no control",
        &[
            "access",
            "announce",
            "backend",
            "balance",
            "drain",
            "http",
            "observe",
            "queue",
            "recent",
            "resilience",
            "roster",
            "route",
            "snapshot",
            "sticky",
            "timer",
            "trace",
            "upstream",
            "wire",
        ],
    ),
    room(
        "listen",
        "accepts and drives client connections; knows no config, no control",
        &[
            "announce", "drain", "frames", "http", "observe", "proxy", "recent", "snapshot", "timer", "tls",
            "wire",
        ],
    ),
    // govern
    room(
        "control",
        "reload, signals, upgrade; knows no admin",
        &[
            "access",
            "backend",
            "config",
            "discovery",
            "drain",
            "health",
            "listen",
            "observe",
            "recent",
            "snapshot",
            "timer",
            "trace",
            "upstream",
        ],
    ),
    room(
        "admin",
        "shows state and takes commands, of a house it knows only as a trait; knows no proxy",
        &["backend", "drain", "observe"],
    ),
    // assemble
    room(
        "app",
        "builds and runs the daemon; the one room that knows everyone below; knows no cli",
        &[
            "access",
            "admin",
            "backend",
            "config",
            "control",
            "discovery",
            "drain",
            "health",
            "http",
            "listen",
            "observe",
            "proxy",
            "recent",
            "route",
            "snapshot",
            "timer",
            "tls",
            "upstream",
            "wire",
        ],
    ),
    room(
        "demo",
        "the embedded default: three backends and the daemon before them; knows no cli",
        &["app", "config"],
    ),
    room("cli", "the commands", &["admin", "app", "balance", "config", "demo", "observe", "snapshot", "tls"]),
    room("main", "the binary: calls cli", &["cli"]),
];

/// How a room crosses into another: where the first such path stands, and in how many places there are more.
struct Edge {
    file: PathBuf,
    line: usize,
    count: usize,
}

/// (from, to) → evidence.
type Edges = BTreeMap<(String, String), Edge>;

#[test]
fn rooms_use_only_what_the_table_allows() {
    let findings = crossings(&edges_of(&source_root()));
    assert!(findings.is_empty(), "\n{findings}");
}

#[test]
fn the_table_goes_only_downwards() {
    for (place, room) in ROOMS.iter().enumerate() {
        for used in room.may_use {
            let below = ROOMS[..place].iter().any(|lower| lower.name == *used);
            assert!(below, "«{}» may use «{used}», which does not stand below it in the table", room.name);
        }
    }
}

#[test]
fn only_the_bridge_and_the_assembling_rooms_know_config() {
    let knowing: BTreeSet<_> =
        ROOMS.iter().filter(|r| r.may_use.contains(&"config")).map(|r| r.name).collect();
    assert_eq!(knowing, BTreeSet::from(["snapshot", "control", "app", "demo", "cli"]));
}

#[test]
fn a_forbidden_edge_is_reported_with_the_duty_of_the_room() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("http")).unwrap();
    fs::write(dir.path().join("http.rs"), "// crate::config is fine in a comment\nmod head;\n").unwrap();
    fs::write(dir.path().join("http/head.rs"), "use crate::{\n  config::Config,\n  http::Field,\n};\n")
        .unwrap();
    fs::write(dir.path().join("attic.rs"), "").unwrap();

    let findings = crossings(&edges_of(dir.path()));

    assert!(findings.contains("head.rs:2: «http» uses «config»"), "{findings}");
    assert!(findings.contains("knows no sockets, no config"), "{findings}");
    assert!(findings.contains("«attic» is not in the table"), "{findings}");
    assert_eq!(findings.lines().filter(|line| line.contains(" uses ")).count(), 1, "{findings}");
}

/// What stands in the code but not in the table, one finding with its reason after the other; empty if all is well.
fn crossings(edges: &Edges) -> String {
    let mut findings = String::new();
    for ((from, to), edge) in edges {
        let place = format!("{}:{}", edge.file.display(), edge.line);
        let Some(room) = ROOMS.iter().find(|room| room.name == from) else {
            let _ = writeln!(findings, "{place}: the room «{from}» is not in the table of tests/layers.rs");
            continue;
        };
        if from == to || room.may_use.contains(&to.as_str()) {
            continue;
        }
        let more = if edge.count > 1 { format!(" (and {} more)", edge.count - 1) } else { String::new() };
        let allowed = if room.may_use.is_empty() { "no other room".into() } else { room.may_use.join(", ") };
        let _ = writeln!(findings, "{place}: «{from}» uses «{to}»{more}");
        let _ = writeln!(findings, "    {from}: {}; it may use {allowed}", room.duty);
        if let Some(crossed) = ROOMS.iter().find(|room| room.name == to) {
            let _ = writeln!(findings, "    {to}: {}", crossed.duty);
        }
    }
    findings
}

/// All edges of the sources below `root`. Every room also has an edge to itself, so that one the table does not
/// know is seen even while it uses nobody.
fn edges_of(root: &Path) -> Edges {
    let mut edges = Edges::new();
    for file in rust_files(root) {
        let inside = file.strip_prefix(root).unwrap().with_extension("");
        let module: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module == ["lib"] {
            continue; // declares the rooms, uses none
        }
        let from = module[0].clone();
        let text = fs::read_to_string(&file).unwrap();
        let own = paths::Found { room: from.clone(), line: 1 };
        for found in paths::rooms_named(&text, module.len()).into_iter().chain([own]) {
            edges.entry((from.clone(), found.room)).and_modify(|edge| edge.count += 1).or_insert(Edge {
                file: file.clone(),
                line: found.line,
                count: 1,
            });
        }
    }
    edges
}

/// Every `.rs` file below `dir`, in a fixed order.
fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}
