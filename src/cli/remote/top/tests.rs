//! What keys and news come to.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};

use super::column::Column;
use super::feed::News;
use super::keys::Task;
use super::order::Change;
use super::state::{Mode, Pane, SAMPLES, State};
use super::told::{Event, Snapshot};
use super::view::{self, Paint};
use super::*;
use crate::cli::remote::orders::Weight;

mod picture;

/// A balancer of two pools: `crm` with so many backends `app0` …, of which the first is down; `web` with one.
fn snapshot(backends: usize) -> Snapshot {
    let backend = |at: usize| {
        serde_json::json!({
            "name": format!("app{at}"), "address": format!("10.0.0.{at}:80"), "state": if at == 0 { "down" } else { "up" },
            "reason": if at == 0 { "status \u{1b}[2J503" } else { "checks passed" }, "order": "ready", "weight": 3,
            "configured_weight": 1, "in_flight": at, "connections": 9, "ejections": 1, "for_seconds": 65.0, "share": 0.25,
            "availability_ratio": 0.99999, "failures": 2, "rate": at as f64, "failed_rate": 0.5, "failed_ratio": 0.05,
            "p50_seconds": 0.0012, "p99_seconds": 0.25,
        })
    };
    let pool = |name: &str, backends: Vec<serde_json::Value>| {
        serde_json::json!({
            "name": name, "balance": "random", "up": true, "cause": "a backend is up", "for_seconds": 7300.0,
            "availability_ratio": 1.0, "failures": 0, "in_flight": 3, "waiting": 4, "rate": 42.0, "failed_rate": 1.5,
            "failed_ratio": 0.03, "p50_seconds": 0.001, "p99_seconds": 0.3, "backends": backends,
        })
    };
    let web = pool("web", vec![backend(9999)]);
    let route = |name: &str, listener: &str, up: bool| {
        serde_json::json!({
            "name": name, "listeners": [listener], "pool": "crm", "up": up, "cause": "nobody is up", "for_seconds": 65.0,
            "availability_ratio": 0.99999, "failures": 2, "mtbf_seconds": 7200.0, "mttr_seconds": 5.0, "success_ratio": 0.98765,
            "budget_remaining_ratio": 0.25, "slo": { "availability": {
                "budget_remaining_ratio": 0.25, "burn_rate_5m": 14.44, "burn_rate_1h": 3.0, "burn_rate_6h": 0.5 } },
            "rate": 7.5, "failed_rate": 0.5, "failed_ratio": 0.05, "p50_seconds": 0.0012, "p99_seconds": 0.25,
        })
    };
    serde_json::from_value(serde_json::json!({
        "routes": [route("api", "web", false), route("default", "web", true), route("default", "tls", true)],
        "time": 1000.0, "version": "1.2.3", "uptime_seconds": 90.0, "ready": true, "reloaded": 940.0, "reload_result": "rejected",
        "last_event": 1, "connections": 17, "workers": 4, "rate": 1234.0, "failed_rate": 2.0, "p50_seconds": 0.002,
        "p99_seconds": 0.5, "pools": [pool("crm", (0..backends).map(backend).collect()), web],
    }))
    .unwrap()
}

/// Someone at a terminal, whose clock they move.
struct Desk {
    state: State,
    now: Instant,
}

impl Desk {
    fn new(backends: usize) -> Self {
        let now = Instant::now();
        let mut desk =
            Self { state: State::new("127.0.0.1:9900".to_owned(), Duration::from_secs(1), now), now };
        desk.see(snapshot(backends));
        desk
    }

    fn see(&mut self, snapshot: Snapshot) {
        self.hear(News::Snapshot(Box::new(snapshot)));
    }

    fn hear(&mut self, news: News) {
        self.state.hear(news, self.now);
    }

    fn press(&mut self, code: KeyCode) -> Option<Task> {
        self.state.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    /// Presses letters; what they come to at last.
    fn write(&mut self, text: &str) -> Option<Task> {
        text.chars().map(|letter| self.press(KeyCode::Char(letter))).last().flatten()
    }

    fn chosen(&self) -> String {
        let mark = self.state.chosen.clone().unwrap_or_default();
        mark.backend.map_or_else(|| mark.pool.clone(), |backend| format!("{}/{backend}", mark.pool))
    }

    fn buffer(&mut self, width: u16, height: u16, color: bool) -> ratatui::buffer::Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view::draw(frame, &mut self.state, Paint { color }, self.now)).unwrap();
        terminal.backend().buffer().clone()
    }

    /// The lines of the screen.
    fn lines(&mut self, width: u16, height: u16) -> Vec<String> {
        let buffer = self.buffer(width, height, false);
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(row).collect()
    }

    /// The only line of the screen that holds a text.
    fn line(&mut self, width: u16, height: u16, text: &str) -> String {
        let lines = self.lines(width, height);
        let found: Vec<_> = lines.iter().filter(|line| line.contains(text)).collect();
        assert_eq!(found.len(), 1, "{text:?} in\n{}", lines.join("\n"));
        found[0].clone()
    }
}

#[test]
fn five_hundred_backends_are_walked_through() {
    let mut desk = Desk::new(500);
    desk.lines(80, 24);
    assert_eq!(desk.chosen(), "crm/app0", "the first backend");
    for (key, chosen) in [
        (KeyCode::Up, "crm"),
        (KeyCode::Up, "crm"),
        (KeyCode::Char('j'), "crm/app0"),
        (KeyCode::Down, "crm/app1"),
        (KeyCode::Char('k'), "crm/app0"),
        (KeyCode::End, "web/app9999"),
        (KeyCode::Down, "web/app9999"),
        (KeyCode::PageUp, "crm/app490"),
        (KeyCode::PageDown, "web/app9999"),
        (KeyCode::Home, "crm"),
    ] {
        desk.press(key);
        let shown = desk.lines(80, 24);
        assert_eq!(desk.chosen(), chosen, "{key:?}");
        let name = format!(" {} ", chosen.rsplit('/').next().unwrap());
        assert!(shown[3..15].iter().any(|line| format!(" {line}").contains(&name)), "{chosen} in {shown:#?}");
    }
}

#[test]
fn the_choice_stays_with_its_backend() {
    let mut desk = Desk::new(5);
    desk.press(KeyCode::Down);
    desk.press(KeyCode::Down);
    assert_eq!(desk.chosen(), "crm/app2");
    for key in "sssssssssrr".chars() {
        desk.press(KeyCode::Char(key));
        assert_eq!(desk.chosen(), "crm/app2");
    }
    let mut fewer = snapshot(5);
    fewer.pools[0].backends.remove(0);
    desk.now += Duration::from_secs(1);
    desk.see(fewer.clone());
    assert_eq!((desk.chosen().as_str(), desk.state.at), ("crm/app2", 3 - 1));
    fewer.pools[0].backends.remove(1);
    desk.now += Duration::from_secs(1);
    desk.see(fewer);
    assert_eq!(desk.chosen(), "crm/app3", "it went: the next one");
    desk.now += Duration::from_secs(1);
    desk.see(Snapshot::default());
    desk.write("djk");
    assert!(desk.line(80, 24, "there are no pools").len() < 80);
}

#[test]
fn sorting_is_shown_and_filters_narrow() {
    let mut desk = Desk::new(12);
    desk.press(KeyCode::Home);
    desk.write("sss");
    assert_eq!(desk.state.sort, Some(Column::Rate));
    let lines = desk.lines(80, 24);
    assert!(lines[2].contains("▼REQ/S") && lines[4].starts_with("  app11 "), "{lines:#?}");
    desk.write("r");
    let lines = desk.lines(80, 24);
    assert!(lines[2].contains("▲REQ/S") && lines[4].starts_with("  app0 "), "{lines:#?}");
    desk.write("/APP1");
    assert!(desk.lines(80, 24)[23].starts_with("show only: APP1▏"));
    desk.press(KeyCode::Enter);
    let lines = desk.lines(80, 24);
    assert!(lines[4].starts_with("  app1 ") && lines[7].trim().is_empty(), "{lines:#?}");
    assert!(lines[23].contains("find: APP1 (Esc: all)"), "{}", lines[23]);
    desk.write("/x");
    assert!(desk.line(80, 24, "nothing has this in its name").contains("Esc"));
    desk.press(KeyCode::Esc);
    assert_eq!(desk.state.filter, "APP1", "as before");
    desk.press(KeyCode::Esc);
    assert_eq!(desk.state.rows().len(), 15);
}

#[test]
fn routes_are_walked_through_sorted_and_narrowed_beside_the_backends() {
    let mut desk = Desk::new(30);
    desk.press(KeyCode::End);
    desk.press(KeyCode::Tab);
    let lines = desk.lines(80, 24);
    assert!(lines[2].starts_with("ROUTE            POOL               STATE        REQ/S"), "{}", lines[2]);
    assert_eq!(lines[3], "api              crm                ✕ DOWN         7.5    5.0%    250ms  99.999%");
    assert_eq!(lines[4], "default of web   crm                ● up           7.5    5.0%    250ms  99.999%");
    let details = lines.iter().position(|line| line.contains(" route api to pool crm (3 routes) ")).unwrap();
    let told = lines[details + 1..details + 4].join(" ");
    for part in [
        "✕ DOWN for 1m5s: nobody is up;",
        "7.5/s, errors 0.5/s,",
        "2 failures, MTBF 2h0m, MTTR 5s,",
        "98.7% succeeded",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let wide = desk.lines(250, 30).join(" ");
    assert!(
        wide.contains("availability budget 25% left, burning 14.4 3.0 0.5 (5m, 1h, 6h); of web"),
        "{wide}"
    );
    assert!(wide.contains("BUDGET") && wide.contains("SUCCESS"), "{wide}");
    desk.write("j");
    assert!(desk.line(80, 24, " route default of web to pool crm ").contains("3 routes"));
    desk.write("ssss/tls");
    desk.press(KeyCode::Enter);
    let lines = desk.lines(80, 24);
    assert!(
        lines[2].contains("▼ERRORS") && lines[3].starts_with("default of tls") && lines[4].is_empty(),
        "{lines:#?}"
    );
    desk.write("d");
    assert!(desk.lines(80, 24)[23].starts_with("choose a backend first (Tab)"), "a route cannot be drained");
    desk.press(KeyCode::Esc);
    assert_eq!(desk.state.sort, None, "backends are sorted as they were");
    desk.press(KeyCode::BackTab);
    assert!(desk.lines(80, 24)[2].starts_with("BACKEND"));
    desk.press(KeyCode::Tab);
    let mut older = snapshot(1);
    older.routes = None;
    desk.now += Duration::from_secs(1);
    desk.see(older);
    assert!(desk.line(80, 24, "does not tell of its routes").len() < 80);
}

#[test]
fn an_order_is_asked_for_then_given_then_told_of() {
    let mut desk = Desk::new(2);
    for (key, change, question) in [
        ("d", Change::State("drain"), "Drain crm/app0: no new clients?  y: yes  n: no"),
        ("e", Change::State("ready"), "Enable crm/app0"),
        ("m", Change::State("maintenance"), "Put crm/app0 into maintenance"),
    ] {
        assert_eq!(desk.write(key), None);
        assert!(desk.lines(80, 24)[23].starts_with(question), "{question}");
        assert_eq!(desk.write("x"), None, "no slip of the hand");
        let Some(Task::Order(order)) = desk.write("y") else { panic!("no order") };
        assert_eq!(
            (order.target.path(), order.change),
            ("/api/v1/pools/crm/backends/app0".to_owned(), change)
        );
        assert_eq!(desk.write("yd"), None, "one at a time");
        assert!(desk.lines(80, 24)[23].contains("still on its way"));
        desk.hear(News::Ordered("crm/app0: drain, weight 1: by an operator".into()));
        assert!(desk.lines(80, 24)[23].starts_with("crm/app0: drain, weight 1"));
    }
    assert_eq!(desk.write("dn"), None);
    assert!(desk.lines(80, 24)[23].starts_with("nothing was changed"));
    desk.press(KeyCode::Home);
    assert_eq!(desk.write("dy"), None);
    desk.write("d");
    assert!(desk.lines(80, 24)[23].starts_with("choose a backend first"), "a pool cannot be drained");
}

#[test]
fn a_weight_is_typed_and_checked() {
    let mut desk = Desk::new(1);
    desk.write("w99999");
    desk.press(KeyCode::Enter);
    assert!(desk.line(80, 24, "weight of crm/app0").contains("expected 0 to 65535"));
    desk.write("70");
    desk.press(KeyCode::Backspace);
    desk.press(KeyCode::Enter);
    assert!(desk.lines(80, 24)[23].starts_with("Give crm/app0 the weight 7?"));
    let Some(Task::Order(order)) = desk.write("y") else { panic!("no order") };
    assert_eq!(order.change, Change::Weight(Weight(Some(7))));
    desk.hear(News::Ordered("".into()));
    desk.write("wfile");
    desk.press(KeyCode::Enter);
    let Some(Task::Order(order)) = desk.write("y") else { panic!("no order") };
    assert_eq!(order.change, Change::Weight(Weight(None)));
}

#[test]
fn a_balancer_that_is_not_heard_is_told_of_with_the_time() {
    let mut desk = Desk::new(2);
    desk.now += Duration::from_secs(65);
    desk.hear(News::Lost("cannot reach the admin endpoint".into()));
    let lines = desk.lines(80, 24);
    assert!(lines[0].contains("✕ NOT HEARD FOR 1m5s, trying again"), "{}", lines[0]);
    assert_eq!(lines[1], "cannot reach the admin endpoint");
    assert!(lines[4].contains("app0"), "what was seen last stays");
    desk.see(snapshot(2));
    assert!(desk.lines(80, 24)[0].contains("● ready"));
}

#[test]
fn a_pause_holds_the_picture_and_an_interval_slows_it() {
    let mut desk = Desk::new(2);
    desk.write("p");
    desk.now += Duration::from_secs(9);
    desk.see(snapshot(7));
    assert!(desk.lines(80, 24)[0].contains("‖ PAUSED (p)"));
    assert_eq!(desk.state.rows().len(), 5);
    desk.write("p");
    desk.see(snapshot(7));
    assert_eq!(desk.state.rows().len(), 10);

    desk.state = State::new(String::new(), Duration::from_secs(3), desk.now);
    let mut changed = Vec::new();
    for second in 0..8 {
        desk.see(snapshot(second + 1));
        changed.push(desk.state.rows().len() - 3);
        // As they come: a little early.
        desk.now += Duration::from_millis(990);
    }
    assert_eq!(changed, [1, 1, 1, 4, 4, 4, 7, 7]);
    assert_eq!(desk.state.rates["crm"].len(), 8, "the curve has all of them");
}

#[test]
fn what_is_kept_is_bounded() {
    let mut desk = Desk::new(1);
    for _ in 0..SAMPLES * 2 {
        desk.see(snapshot(1));
    }
    assert_eq!(desk.state.rates["crm"].len(), SAMPLES);
    desk.see(Snapshot::default());
    assert!(desk.state.rates.is_empty());
    desk.hear(News::Events { events: (1..=250).map(event).collect(), anew: false });
    assert_eq!((desk.state.events.len(), desk.state.events[0].number), (200, 250));
    desk.press(KeyCode::BackTab);
    assert_eq!(desk.state.pane, Pane::Events);
    desk.lines(80, 24);
    desk.press(KeyCode::End);
    assert!(desk.lines(80, 24).iter().any(|line| line.contains("times 53 ") || line.ends_with("times 53")));
    desk.hear(News::Events { events: vec![event(1)], anew: true });
    assert_eq!(desk.state.events.len(), 1);
}

#[test]
fn keys_end_it_and_help_is_there() {
    let mut desk = Desk::new(1);
    desk.write("?");
    assert!(desk.line(80, 24, "drain the backend: no new clients").contains('d'));
    desk.write("q");
    assert_eq!(desk.state.mode, Mode::Looking, "any key goes back");
    assert_eq!(desk.write("q"), Some(Task::Quit));
    let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    desk.write("/");
    assert_eq!(desk.state.press(control('c')), Some(Task::Quit), "whatever keys mean");
    assert_eq!(desk.state.press(control('d')), None);
}

#[test]
fn an_interval_has_bounds() {
    assert_eq!(interval_of("1s"), Ok(Duration::from_secs(1)));
    assert_eq!(interval_of("1m"), Ok(Duration::from_secs(60)));
    for wrong in ["999ms", "61s", "1", "", "fast"] {
        assert!(interval_of(wrong).is_err(), "{wrong}");
    }
}

fn event(number: u64) -> Event {
    serde_json::from_value(serde_json::json!({
        "number": number, "time": 999.0, "level": "warn", "target": "health", "message": "backend is down",
        "fields": { "times": (number + 2).to_string(), "backend": "app1", "pool": "crm", "reason": "status 503" },
    }))
    .unwrap()
}
