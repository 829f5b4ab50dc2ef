//! The embedded default: a small CRM behind the balancer, all in one process.
//!
//! Three application servers of different speed answer for customers, orders and a slow report; one of
//! them fails now and then. A few users click through it, and what they see is printed as it happens.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use crate::app::{self, Bound, Source};

mod crm;
mod users;

/// Where the demo balances unless it is told otherwise.
const PORT: u16 = 8080;

/// Runs the demo until it is told to stop.
pub fn run(port: Option<u16>) -> ExitCode {
    match crm::start() {
        Ok(servers) => app::run_with(Source::Text("demo.toml", configuration(&servers, port)), introduce),
        Err(error) => {
            eprintln!("error: cannot start the demo's own backends: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the demo runs with.
fn configuration(servers: &[SocketAddr], port: Option<u16>) -> String {
    let listen = port.unwrap_or_else(|| free_or_any(PORT));
    let admin = free_or_any(9900);
    let backends: String = servers
        .iter()
        .zip(crm::NAMES)
        .map(|(address, name)| format!("  {{ name = \"{name}\", address = \"{address}\" }},\n"))
        .collect();
    format!(
        "[admin]\nbind = \"127.0.0.1:{admin}\"\n\n[log]\nlevel = \"info\"\nformat = \"text\"\n\n\
         [[listener]]\nname = \"web\"\nbind = \"127.0.0.1:{listen}\"\npool = \"crm\"\n\n\
         [pool.crm]\nbalance = \"least-response-time\"\nbackends = [\n{backends}]\n\n\
         [pool.crm.health]\npath = \"/healthz\"\ninterval = \"1s\"\ntimeout = \"500ms\"\n\n\
         [pool.crm.retry]\non = [\"connect\", \"reset\", \"invalid\", 503]\n"
    )
}

/// The usual port where it is free, else one that the kernel chooses.
fn free_or_any(port: u16) -> u16 {
    match std::net::TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => port,
        Err(_) => 0,
    }
}

fn introduce(bound: &Bound) {
    let Some((_, web)) = bound.listeners.first().cloned() else { return };
    let admin = bound.admin;
    println!(
        "\nEquipoise demo: three CRM servers ({}) behind one balancer.\n\n\
         \x20 balancer   http://{web}/\n\
         \x20 dashboard  http://{admin}/\n\
         \x20 metrics    http://{admin}/metrics\n\n\
         Try, in another terminal:\n\n\
         \x20 curl -i http://{web}/customers\n\
         \x20 curl -i http://{web}/orders\n\
         \x20 curl -i http://{web}/report\n\
         \x20 curl -s http://{admin}/api/v1/pools\n\
         \x20 equipoise status --admin {admin}\n\
         \x20 equipoise top --admin {admin}\n\n\
         {} fails for some seconds now and then: watch it go down and come back, while no user sees an error.\n\
         Ctrl-C stops.\n",
        crm::NAMES.join(", "),
        crm::NAMES[crm::UNSTEADY],
    );
    users::start(web);
}

/// A thread of the demo with a runtime of its own, so that nothing of it runs on a worker.
fn thread<F>(name: &str, work: impl FnOnce() -> F + Send + 'static) -> io::Result<()>
where
    F: Future<Output = ()> + 'static,
{
    let runtime = move || -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())?;
        runtime.block_on(async move { work().await });
        Ok(())
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Err(error) = runtime() {
            eprintln!("error: demo: {error}");
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_runs_with_a_file_without_fault() {
        let servers = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let text = configuration(&servers, Some(0));
        let reading = Source::Text("demo.toml", text).read();
        assert_eq!(reading.report.to_text(false), "");
    }
}
