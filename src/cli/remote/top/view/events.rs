//! What happened of late, the newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::super::state::{Pane, State};
use super::super::told::Event;
use super::super::words;
use super::{Paint, put_spans};

/// Fields that say whose event it is stand first, and only their value.
const WHOSE: [&str; 4] = ["pool", "backend", "listener", "reason"];

pub(super) fn draw(canvas: &mut Buffer, area: Rect, state: &State, paint: Paint) {
    let mut lines = super::lines(area);
    let Some(first) = lines.next() else { return };
    let title = if state.events.is_empty() { "events: none yet" } else { "events" };
    super::rule(canvas, first, title, state.pane == Pane::Events);
    let now = state.snapshot.as_ref().map_or(0.0, |shown| shown.time);
    for (event, line) in state.events.iter().skip(state.first_event).zip(lines) {
        let level = match event.level.raw() {
            "error" => paint.bad(),
            "warn" => paint.colored(ratatui::style::Color::Yellow),
            _ => Style::new(),
        };
        let ago = format!("{:>8} ago  ", words::span(now - event.time));
        let level = Span::styled(format!("{:<5}  ", event.level.to_string()), level);
        put_spans(canvas, line, &[Span::raw(ago), level, Span::raw(said(event))]);
    }
}

/// `backend is down: crm, app1, status 503, address 10.0.0.1:80`
fn said(event: &Event) -> String {
    let value = |name: &&str| {
        event.fields.iter().find(|(field, _)| field.raw() == *name).map(|(_, value)| value.to_string())
    };
    let whose = WHOSE.iter().filter_map(value);
    let rest = event.fields.iter().filter(|(name, _)| !WHOSE.contains(&name.raw()));
    let told: Vec<String> = whose.chain(rest.map(|(name, value)| format!("{name} {value}"))).collect();
    if told.is_empty() {
        event.message.to_string()
    } else {
        format!("{}: {}", event.message, told.join(", "))
    }
}
