//! The last line: what keys do now, a question, or an answer.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::super::order;
use super::super::state::{Mode, Pane, State};
use super::super::told::Words;
use super::put_spans;

pub(super) fn draw(canvas: &mut Buffer, line: Rect, state: &State) {
    let loud = Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED);
    let spans = match &state.mode {
        Mode::Asking(order) => vec![Span::styled(format!("{}  y: yes  n: no", order.question()), loud)],
        Mode::Filtering(_) => vec![
            Span::styled(format!("show only: {}▏", typed(&state.filter)), loud),
            Span::raw("  Enter: keep  Esc: as before"),
        ],
        Mode::Weighing(target, text) => vec![
            Span::styled(format!("weight of {}: {text}▏", order::whose(target)), loud),
            Span::raw(hint(state)),
        ],
        Mode::Looking | Mode::Helping if !state.message.is_empty() => {
            vec![Span::styled(state.message.clone(), Style::new().add_modifier(Modifier::BOLD))]
        }
        Mode::Looking | Mode::Helping => vec![Span::raw(keys(state))],
    };
    put_spans(canvas, line, &spans);
}

fn hint(state: &State) -> String {
    if state.message.is_empty() {
        "  0 to 65535, or file; Esc: none".to_owned()
    } else {
        format!("  {}", state.message)
    }
}

fn keys(state: &State) -> String {
    // What it is sorted by is marked in the heading.
    let mut text = format!("q quit  ? help  Tab {}  s sort  / find", next(state.pane));
    if !state.filter.is_empty() {
        text.push_str(&format!(": {} (Esc: all)", typed(&state.filter)));
    }
    if state.pane == Pane::Backends { text + "  d drain  e enable  m maint  w weight" } else { text }
}

/// What Tab leads to.
fn next(pane: Pane) -> &'static str {
    match pane {
        Pane::Backends => "routes",
        Pane::Routes => "events",
        Pane::Events => "backends",
    }
}

/// A key may send anything too.
fn typed(text: &str) -> String {
    Words::from(text).to_string()
}
