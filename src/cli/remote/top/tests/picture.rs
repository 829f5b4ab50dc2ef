//! What stands on the screen, at several sizes.

use super::*;

#[test]
fn a_small_terminal_shows_the_balancer_its_pools_and_why() {
    let mut desk = Desk::new(2);
    desk.hear(News::Events { events: vec![event(1)], anew: true });
    let lines = desk.lines(80, 24);
    let expected = [
        "equipoise 1.2.3 at 127.0.0.1:9900  ● ready  up 1m30s  17 connections  4 workers",
        "1234 req/s  errors 2.0/s  p50 2.00ms  p99 500ms  ✕ reload rejected 1m0s ago",
        "BACKEND          STATE         WEIGHT  SHARE    REQ/S  ERRORS      P99  FLIGHT",
    ];
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{expected}\nin\n{}", lines.join("\n"));
    }
    assert!(
        lines[3].starts_with("crm (random)  ● up  42.0 req/s  p99 300ms  errors 3.0%  queue 4  "),
        "{}",
        lines[3]
    );
    assert!(lines[3].ends_with("  █"), "a curve: {}", lines[3]);
    assert_eq!(lines[4], "  app0           ✕ down             3    25%        0    5.0%    250ms       0");
    assert_eq!(lines[5], "  app1           ● up               3    25%      1.0    5.0%    250ms       1");
    let details = lines.iter().position(|line| line.contains(" crm/app0 at 10.0.0.0:80 ")).unwrap();
    assert!(
        lines[details + 1].starts_with("✕ down for 1m5s: status \\u{1b}[2J503; 0 in flight"),
        "{lines:#?}"
    );
    assert!(lines[details + 2].starts_with("(file: 1), 25% of the traffic, 0/s, errors 0.5/s"), "{lines:#?}");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("1s ago  warn   backend is down: crm, app1, status 503, times 3"))
    );
    assert!(
        lines[23]
            .ends_with("q quit  ? help  Tab routes  s sort  / find  d drain  e enable  m maint  w weight"),
        "{}",
        lines[23]
    );
}

#[test]
fn a_large_terminal_shows_addresses_and_reasons_in_the_table() {
    let mut desk = Desk::new(40);
    let lines = desk.lines(200, 50);
    for heading in ["FOR", "P50", "AVAIL", "ADDRESS", "WHY"] {
        assert!(lines[2].contains(heading), "{heading} in {}", lines[2]);
    }
    for part in ["✕ down", "1m5s", "1.20ms", "99.999%", "10.0.0.0:80", "status \\u{1b}[2J503"] {
        assert!(lines[4].contains(part), "{part} in {}", lines[4]);
    }
    assert!(lines.iter().filter(|line| line.contains("● up")).count() >= 25, "{lines:#?}");
}

#[test]
fn any_size_is_drawn_in() {
    let mut desk = Desk::new(30);
    desk.hear(News::Events { events: (1..=300).map(event).collect(), anew: true });
    for (width, height) in [(1, 1), (40, 12), (39, 24), (80, 11), (60, 13), (300, 100)] {
        for key in [KeyCode::Tab, KeyCode::End, KeyCode::Char('?'), KeyCode::Char('x')] {
            desk.press(key);
            desk.lines(width, height);
        }
    }
    assert!(desk.lines(30, 8)[0].starts_with("too small: 40 x 12"));
}

#[test]
fn colours_only_say_what_words_say_too() {
    let mut desk = Desk::new(2);
    desk.hear(News::Events { events: vec![event(1)], anew: true });
    let colored =
        |buffer: &ratatui::buffer::Buffer| buffer.content().iter().any(|cell| cell.fg != Color::Reset);
    let (plain, color) = (desk.buffer(80, 24, false), desk.buffer(80, 24, true));
    assert!(colored(&color) && !colored(&plain));
    assert!(plain.content().iter().all(|cell| cell.bg == Color::Reset));
    let texts = |buffer: &ratatui::buffer::Buffer| {
        buffer.content().iter().map(|cell| cell.symbol().to_owned()).collect::<String>()
    };
    assert_eq!(texts(&plain), texts(&color));
    assert!(plain[(0, 4)].modifier.contains(Modifier::REVERSED), "the choice is seen without colours");
}

#[test]
fn nothing_that_the_balancer_tells_steers_the_terminal() {
    let evil = "\u{1b}]0;x\u{7}\u{9b}2J\r\n\u{202e}";
    let text = serde_json::to_string(&serde_json::json!({
        "version": evil, "reload_result": evil, "pools": [{
            "name": evil, "balance": evil, "cause": evil,
            "backends": [{ "name": evil, "address": evil, "state": evil, "reason": evil }],
        }], "routes": [{ "name": evil, "pool": evil, "cause": evil, "listeners": [evil] }],
    }))
    .unwrap();
    let mut desk = Desk::new(1);
    desk.now += Duration::from_secs(1);
    desk.see(serde_json::from_str(&text).unwrap());
    let happened =
        serde_json::json!({ "message": evil, "level": evil, "fields": { evil: evil, "pool": evil } });
    desk.hear(News::Events { events: vec![serde_json::from_value(happened).unwrap()], anew: true });
    desk.press(KeyCode::Tab);
    let routes: String = desk.buffer(200, 50, true).content().iter().map(|cell| cell.symbol()).collect();
    assert!(routes.contains(" route \\u{1b}]0;x") && routes.chars().all(|c| !c.is_control()), "{routes}");
    desk.press(KeyCode::BackTab);
    for keys in ["", "d", "x", "w", "?"] {
        desk.write(keys);
        let cells = desk.buffer(200, 50, true);
        let text: String = cells.content().iter().map(|cell| cell.symbol()).collect();
        assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text}");
        assert!(text.contains("\\u{1b}]0;x") && text.contains("\\u{202e}"), "{text}");
    }
    desk.press(KeyCode::Esc);
    desk.press(KeyCode::Esc);
    desk.hear(News::Ordered(evil.into()));
    desk.hear(News::Lost(evil.into()));
    let lines = desk.lines(80, 24);
    assert!(
        [1, 23].iter().all(|at: &usize| lines[*at].starts_with("\\u{1b}]0;x\\u{7}\\u{9b}2J\\r\\n\\u{202e}")),
        "{lines:#?}"
    );
    desk.press(KeyCode::End);
    desk.write("d");
    let Some(Task::Order(order)) = desk.write("y") else { panic!("no order") };
    assert_eq!(order.target.backend, evil, "it is ordered by its own name all the same");
}
