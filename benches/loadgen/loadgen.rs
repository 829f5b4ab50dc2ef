//! The load of `benches/compare`: one thread, one epoll, no runtime, so that it costs less than the balancer it
//! asks. It checks every answer (status, framing, length) and prints one line of JSON.
//!
//!     loadgen --address 127.0.0.1:8080 kept --connections 64 --seconds 4
//!
//! `kept` and `each` are closed loops: a connection asks again when it has its answer, so that a slow balancer is
//! asked less. `rate` is an open loop: requests are due at fixed instants whatever the answers do, and each one's time
//! counts from the instant it was due, so that a stall is paid for by all that were due in it (no coordinated omission).
//! `idle` opens connections and holds them until its standard input ends.
//!
//! With `--tls` all of them speak TLS; a handshake that was not of the kind asked for is a failure.
//!
//! Exits 0 when the run came to its end, whatever the answers were; the caller reads `failed`.

mod answer;
mod connection;
mod histogram;
mod load;
mod options;
mod secure;
mod tally;

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    let options = options::Options::parse();
    let plan = options.plan()?;
    println!("{}", load::run(&plan)?);
    Ok(())
}
