//! What all commands have in common: how they are told where the balancer is, and what becomes of what they say.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use crate::config::over;
use crate::daemon::{BINARY, Daemon};
use crate::origin::Origin;

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn what_cannot_be_written_is_a_failure_and_a_reader_that_leaves_is_none() {
    let origin = Origin::answering("a");
    let daemon = Daemon::start(&over(&[origin.address]));
    let admin = format!("--admin={}", daemon.admin);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[[listener]]\nbind = '127.0.0.1:80'\npool = 'a'\n[pool.a]\nbackends = 'h:1'\n").unwrap();
    let (path, target) = (file.path().to_str().unwrap(), format!("crm/{}", origin.address));
    for arguments in [
        &["schema"][..],
        &["man"],
        &["completions", "zsh"],
        &["check", "-c", path],
        &["status", &admin],
        &["status", "--format=json", &admin],
        &["drain", &admin, &target],
        &["enable", &admin, &target],
        &["explain", "--url=http://a/", &admin],
        &["reload", "--format=json", &admin],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output =
            Command::new(BINARY).args(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            told(&output).contains("cannot write to standard output: "),
            "{arguments:?}: {}",
            told(&output)
        );

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output =
            Command::new(BINARY).args(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), told(&output)), (Some(0), String::new()), "{arguments:?}");
    }
}

#[test]
fn the_admin_endpoint_is_named_as_a_browser_shows_it_too_and_what_is_no_address_is_wrong_usage() {
    let origin = Origin::answering("a");
    let daemon = Daemon::start(&over(&[origin.address]));
    for form in [format!("http://{}/", daemon.admin), format!("http://{}", daemon.admin)] {
        let output = run(&["status", "--admin", &form]);
        assert_eq!(output.status.code(), Some(0), "{form}: {}", told(&output));
    }
    for wrong in
        ["127.0.0.1", ":9900", "", "a b:1", "127.0.0.1:99999", "::1:9900", "h:1/metrics", "https://h:1"]
    {
        for command in ["status", "reload", "top"] {
            let output = run(&[command, "--admin", wrong]);
            assert_eq!(output.status.code(), Some(2), "{command} {wrong}");
            assert!(told(&output).contains("expected HOST:PORT"), "{wrong}: {}", told(&output));
        }
    }
}

#[test]
fn a_foreign_server_does_not_steer_the_terminal() {
    let texts = ["\\u001b[2J\\u001b]0;x\\u0007", "a\\rb", "\\u202eback"];
    for (status, field) in [(403, "error"), (422, "text")] {
        for text in texts {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let admin = listener.local_addr().unwrap().to_string();
            let body = format!(r#"{{"{field}": "first\nsecond {text}"}}"#);
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 4096];
                assert!(stream.read(&mut asked).unwrap() > 0);
                let head = format!("HTTP/1.1 {status} No\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).unwrap();
            });
            let output = run(&["reload", "--admin", &admin]);
            server.join().unwrap();
            let said = told(&output);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains("first\nsecond "), "lines stay lines: {said:?}");
            let steers = |letter: char| letter != '\n' && (letter.is_control() || letter == '\u{202e}');
            assert!(!said.contains(steers), "{said:?}");
        }
    }
}
