//! The real daemon, run as a process, between raw-socket clients and scripted raw-socket backends.
//!
//! Nothing here is polite: a backend is a thread with a socket and a script, so that it can stop in the
//! middle of a line, answer before it has read, or never. Every port is the kernel's choice. Tests that
//! measure, or flood, take the machine for themselves (see [`daemon::Turn`]).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test cannot do must fail the test"
)]

mod certificates;
mod client;
mod collector;
mod config;
mod daemon;
mod frames;
mod load;
mod message;
mod orders;
mod origin;
mod protobuf;

mod access;
mod adaptive;
mod answers;
mod balance;
mod check;
mod client_certificates;
mod commands;
mod corpus;
mod dashboard;
mod early;
mod exchange;
mod explain;
mod faults;
mod forwarding;
mod grpc;
mod hedging;
mod hostile;
mod http2;
mod http2_limits;
mod http2_out;
mod http2_siege;
mod large;
mod ledger;
mod lifecycle;
mod limits;
mod logins;
mod metrics;
mod outage;
mod own_word;
mod passive;
mod pauses;
mod proxy_haproxy;
mod proxy_in;
mod proxy_out;
mod quantiles;
mod queue;
mod recall;
mod reload;
mod retries;
mod shapes;
mod siege;
mod spares;
mod sticky;
mod streaming;
mod timeouts;
mod tls;
mod tls_files;
mod tls_out;
mod top;
mod traces;
mod traces_tls;
mod tunnels;
mod versions;
mod websockets;
