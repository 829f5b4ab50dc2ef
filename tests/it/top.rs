//! `equipoise top` at a terminal, before the real daemon.

mod terminal;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::client::get;
use crate::daemon::{BINARY, Daemon, until};
use crate::origin::{Origin, nowhere};
use crate::sticky::named;
use terminal::Terminal;

/// A terminal of the usual size that shows a balancer.
fn top(admin: SocketAddr, environment: &[(&str, &str)]) -> Terminal {
    Terminal::run(&[BINARY, "top", "--admin", &admin.to_string()], environment, (80, 24))
}

#[test]
fn an_order_is_given_at_a_terminal() {
    let origins = ["a", "b"].map(Origin::answering);
    let daemon = Daemon::start(&named(&origins.each_ref()));
    let mut terminal = top(daemon.admin, &[]);
    terminal.sees(&["equipoise", &daemon.admin.to_string(), "● ready", "2 workers"]);
    terminal.sees(&["crm (", "● up"]);
    terminal.sees(&["  a ", "● up"]);
    terminal.sees(&["  b ", "● up"]);
    assert!(!terminal.is_restored(), "the screen is its own");

    terminal.press("d");
    terminal.sees(&["Drain crm/a: no new clients?"]);
    assert_eq!(daemon.backend("a")["order"], "ready", "nothing before the yes");
    terminal.press("y");
    until("draining", || (daemon.backend("a")["order"] == "drain").then_some(()));
    terminal.sees(&["crm/a: drain, weight 1"]);
    terminal.sees(&["  a ", "◐ drain"]);
    assert_eq!(daemon.backend("b")["order"], "ready");

    // The key of a terminal in the mode of keypads, and the usual one.
    terminal.press("\x1b[Bw7\r");
    terminal.sees(&["Give crm/b the weight 7?"]);
    terminal.press("y");
    until("weighed", || (daemon.backend("b")["weight"] == 7).then_some(()));
    terminal.sees(&["  b ", " 7 "]);

    terminal.resize((120, 40));
    until("the last line of the new size", || (terminal.sees(&["crm/b: up, weight 7"]) == 39).then_some(()));
    terminal.press("q");
    assert_eq!(terminal.ended().code(), Some(0));
    assert!(terminal.is_restored() && terminal.was_colored());
}

#[test]
fn routes_are_shown_with_what_they_serve() {
    let origin = Origin::answering("a");
    let config = named(&[&origin]).and(
        "[[route]]\nname = \"reports\"\nmatch.path_prefix = \"/reports/\"\npool = \"crm\"\nslo = { availability = 99.0 }\n",
    );
    let daemon = Daemon::start(&config);
    let mut terminal = top(daemon.admin, &[]);
    terminal.sees(&["  a ", "● up"]);
    terminal.press("\t");
    terminal.sees(&["ROUTE", "POOL", "REQ/S", "ERRORS", "P99", "AVAIL"]);
    terminal.sees(&["reports ", "crm", "● up", "100%"]);
    terminal.sees(&["default of ", "crm", "● up"]);
    terminal.sees(&["route reports to pool crm (2 routes)"]);
    for _ in 0..3 {
        assert_eq!(get(daemon.web, "/reports/x").status(), 200);
    }
    // Rates are of a second, the budget of all.
    terminal.sees(&["availability budget 100% left"]);
    terminal.sees(&["of all requests 100% succeeded"]);
    terminal.press("q");
    assert_eq!(terminal.ended().code(), Some(0));
}

#[test]
fn a_refusal_is_shown() {
    let origin = Origin::answering("a");
    let mut token = tempfile::NamedTempFile::new().unwrap();
    io::Write::write_all(&mut token, b"a-secret-that-nobody-is-to-know-of\n").unwrap();
    let daemon = Daemon::start(&named(&[&origin]).token(token.path()));
    let mut terminal = top(daemon.admin, &[]);
    terminal.sees(&["  a ", "● up"]);
    terminal.press("my");
    terminal.sees(&["not done: the balancer answered 401", "token"]);
    assert_eq!(daemon.backend("a")["order"], "ready");
    terminal.press("\x03");
    assert_eq!(terminal.ended().code(), Some(0), "Ctrl-C quits");
    assert!(terminal.is_restored());
}

#[test]
fn a_signal_ends_it_well_and_no_color_is_respected() {
    let origin = Origin::answering("a");
    let daemon = Daemon::start(&named(&[&origin]));
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut terminal = top(daemon.admin, &[("NO_COLOR", "1")]);
        terminal.sees(&["  a ", "● up"]);
        terminal.signal(signal);
        assert_eq!(terminal.ended().code(), Some(0), "{signal:?}");
        assert!(terminal.was_taken() && terminal.is_restored() && !terminal.was_colored(), "{signal:?}");
    }
}

#[test]
fn a_balancer_that_goes_and_comes_back_is_followed() {
    let origins = ["a", "b"].map(Origin::answering);
    let first = Daemon::start(&named(&[&origins[0]]));
    let relay = Relay::new(first.admin);
    let mut terminal = top(relay.address, &[]);
    terminal.sees(&["  a ", "● up"]);
    terminal.sees(&["ready", "ago"]);
    drop(first);
    terminal.sees(&["✕ NOT HEARD FOR", "trying again"]);
    terminal.sees(&["  a ", "● up"]);
    let second = Daemon::start(&named(&origins.each_ref()));
    relay.lead_to(second.admin);
    terminal.sees(&["● ready"]);
    terminal.sees(&["  b ", "● up"]);
    terminal.press("q");
    assert_eq!(terminal.ended().code(), Some(0));
}

#[test]
fn what_cannot_be_shown_is_said_without_taking_the_screen() {
    let output = Command::new(BINARY).arg("top").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("needs a terminal") && said.contains("equipoise status"), "{said}");
    assert!(output.stdout.is_empty());

    let gone = nowhere();
    let mut terminal = top(gone, &[("TERM", "dumb")]);
    terminal.sees(&["TERM is `dumb`"]);
    assert_eq!(terminal.ended().code(), Some(2));
    assert!(!terminal.was_taken());

    let mut terminal = top(gone, &[]);
    terminal.sees(&["cannot reach the admin endpoint"]);
    assert_eq!(terminal.ended().code(), Some(1));
    assert!(!terminal.was_taken() && terminal.is_restored());
}

#[test]
fn status_has_colours_where_they_can_be_shown_and_are_wanted() {
    let origin = Origin::answering("a");
    let daemon = Daemon::start(&named(&[&origin]));
    for (environment, colored) in [
        (&[][..], true),
        (&[("NO_COLOR", "1")], false),
        (&[("NO_COLOR", "")], true),
        (&[("TERM", "dumb")], false),
    ] {
        let command = [BINARY, "status", "--admin", &daemon.admin.to_string()];
        let mut terminal = Terminal::run(&command, environment, (80, 24));
        terminal.sees(&["a ", "up"]);
        assert_eq!(terminal.ended().code(), Some(0));
        assert_eq!(terminal.was_colored(), colored, "{environment:?}");
    }
}

/// An address that leads to one daemon, then to another.
struct Relay {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
}

impl Relay {
    fn new(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target));
        let current = Arc::clone(&target);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A daemon that is not there: the client's connection is closed.
                let Ok(server) = TcpStream::connect(*current.lock().unwrap()) else { continue };
                let other = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || pass_on(client, server));
                std::thread::spawn(move || pass_on(other.0, other.1));
            }
        });
        Self { address, target }
    }

    fn lead_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = target;
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Both);
}
