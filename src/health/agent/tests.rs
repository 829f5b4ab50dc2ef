//! What lines mean, and that none does harm.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::super::{Check, Kind, Monitor};
use super::*;
use crate::backend::{Backend, Identity};

fn read(line: &str) -> Option<Words> {
    Words::read(line.as_bytes())
}

#[test]
fn words_in_any_order_case_and_spacing() {
    let none = Words::default();
    for (line, words) in [
        ("75%", Words { percent: Some(75), ..none }),
        ("0%", Words { percent: Some(0), ..none }),
        ("70000%", Words { percent: Some(10_000), ..none }),
        ("up", Words { down: Some(false), ..none }),
        ("DOWN", Words { down: Some(true), ..none }),
        ("stopped", Words { down: Some(true), ..none }),
        ("fail#disk 75% full, up", Words { down: Some(true), ..none }),
        ("down #out of licences", Words { down: Some(true), ..none }),
        ("Ready", Words { duty: Some(Duty::Ready), ..none }),
        ("drain", Words { duty: Some(Duty::Drain), ..none }),
        ("maint", Words { duty: Some(Duty::Maintenance), ..none }),
        ("maxconn:30", Words { limit: Some(30), ..none }),
        ("MaxConn:0", Words { limit: Some(0), ..none }),
        (
            "\tup, ready,75%  maxconn:4294967295 ",
            Words { duty: Some(Duty::Ready), down: Some(false), percent: Some(75), limit: Some(u32::MAX) },
        ),
        ("up sideways 20%", Words { down: Some(false), percent: Some(20), ..none }),
        ("up down", Words { down: Some(true), ..none }),
    ] {
        assert_eq!(read(line), Some(words), "{line}");
    }
    for line in [
        "",
        " , ",
        "75",
        "%",
        "-5%",
        "+5%",
        "7.5%",
        "99999999999%",
        "maxconn:",
        "maxconn:x",
        "maxconn:-1",
        "#up",
        "upp",
    ] {
        assert_eq!(read(line), None, "{line}");
    }
}

#[test]
fn what_is_not_said_stays() {
    let said = ["drain 50%", "maxconn:7", "down#full", "ready", "up"];
    let end = said.iter().fold(Advice::default(), |advice, line| read(line).unwrap().amend(advice));
    assert_eq!(end, Advice { duty: Duty::Ready, down: false, percent: 50, limit: 7 });
}

proptest! {
    #[test]
    fn no_line_does_harm(line in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(words) = Words::read(&line) {
            let advice = words.amend(Advice::default());
            prop_assert!(advice.percent <= PERCENT_MAX);
        }
        prop_assert!(shown(&line).bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }

    #[test]
    fn words_are_found_among_others(
        percent in 0u16..=PERCENT_MAX,
        duty in 0usize..3,
        noise in prop::collection::vec("[a-z:%.]{0,12}", 0..4),
        gap in prop::collection::vec(prop::sample::select(vec![" ", "\t", ",", ", "]), 4),
    ) {
        let known = |word: &String| !["up", "down", "fail", "stopped", "ready", "drain", "maint"].contains(&word.as_str());
        let noise: Vec<String> = noise.into_iter().filter(known).collect();
        let duty = Duty::ALL[duty];
        let name = ["ready", "drain", "maint"][duty as usize];
        let line = format!("{}{}{percent}%{}{name}{}", noise.join(gap[0]), gap[1], gap[2], gap[3]);
        let words = read(&line);
        prop_assert_eq!(words, Some(Words { duty: Some(duty), percent: Some(percent), ..Words::default() }));
    }
}

/// An agent that says these lines one after another, the last of them again and again.
async fn agent(lines: &'static [&'static str]) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let says = async move {
        let mut number = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let line = lines[number.min(lines.len() - 1)];
            number += 1;
            // Whoever has read enough may have left.
            let _ = stream.write_all(line.as_bytes()).await;
        }
    };
    let mut task = JoinSet::new();
    task.spawn(says);
    (address, task)
}

#[tokio::test]
async fn a_line_is_heeded_and_what_is_none_is_not() {
    for (lines, heard) in [
        (&["75%\n"] as &[&str], Some("75%")),
        (&["up 20%\r\nleft over\n"], Some("up 20%")),
        (&["75%"], None),
        (&[""], None),
    ] {
        let (address, _task) = agent(Box::leak(lines.to_vec().into_boxed_slice())).await;
        let line = ask(address, address.port()).await;
        assert_eq!(line.ok().map(|line| shown(&line)).as_deref(), heard, "{lines:?}");
    }
    let long: &'static str = Box::leak("x".repeat(LINE_MAX + 1).into_boxed_str());
    let (address, _task) = agent(Box::leak(Box::new([long]))).await;
    assert!(ask(address, address.port()).await.unwrap_err().to_string().contains("longer than 256 bytes"));
}

#[tokio::test]
async fn the_loop_heeds_what_changes_keeps_it_over_silence_and_forgets_it_with_the_agent() {
    let lines = &["50% drain\n", "nonsense\n", "", "maxconn:9 ready\n", "down#no disk\n"];
    let (address, _task) = agent(lines).await;
    let (probed, _probed) = agent(&[""]).await;
    let identity = Identity { pool: "crm".into(), name: "app".into(), address: "app:80".into() };
    let backend = Backend::new(identity, true);
    backend.set_address(Some(SocketAddr::new(address.ip(), 1)));
    let check = |agent| Check {
        kind: Kind::Tcp,
        port: Some(probed.port()),
        interval: Duration::from_secs(60),
        fast_interval: Duration::from_secs(60),
        down_interval: Duration::from_secs(60),
        timeout: Duration::from_secs(5),
        rise: 1,
        fall: 1,
        agent,
    };
    let asked = AgentCheck { port: address.port(), interval: Duration::from_millis(5) };
    let target = |agent| Target {
        backend: Arc::clone(&backend),
        check: Arc::new(check(agent)),
        opening: super::super::Opening::default(),
    };
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (sender, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let (hears, watched) = (Arc::clone(&heard), Arc::clone(&backend));
    let mut monitor = Monitor::new(Arc::new(move |event: Event| {
        if event.what == What::Advised {
            hears.lock().unwrap().push((
                watched.agent().advice(),
                watched.order().duty,
                watched.condition().is_up(),
            ));
            let _ = sender.send(());
        }
    }));
    monitor.reconcile(vec![target(Some(asked))]);
    for _ in 0..3 {
        changes.recv().await.unwrap();
    }
    let drains = Advice { duty: Duty::Drain, down: false, percent: 50, limit: 0 };
    let ready = Advice { duty: Duty::Ready, limit: 9, ..drains };
    let down = Advice { down: true, ..ready };
    assert_eq!(
        *heard.lock().unwrap(),
        [(drains, Duty::Drain, true), (ready, Duty::Ready, true), (down, Duty::Ready, false)]
    );
    assert_eq!(&*backend.condition().reason(), "agent: down#no disk");
    assert_eq!(backend.agent().said().as_deref(), Some("down#no disk"));
    monitor.reconcile(vec![target(None)]);
    changes.recv().await.unwrap();
    assert_eq!((backend.agent().advice(), backend.condition().is_up()), (Advice::default(), true));
    assert_eq!(backend.agent().said(), None);
}
