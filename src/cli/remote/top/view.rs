//! Draws the state into a screen of any size.

use std::time::Instant;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget as _, Wrap};

use super::state::{Pane, State};
use crate::cli::output;

mod events;
mod footer;
mod header;
mod help;
mod routes;
mod rows;

/// Less than this has no room for anything.
const LEAST: (u16, u16) = (40, 12);
/// Lines of the header, of what is told of the chosen row where there is room for it and where there is little, and of the
/// footer.
const HEADER: u16 = 2;
const DETAILS: u16 = 4;
const FEWER_DETAILS: u16 = 3;
/// From so many lines on there is room.
const ROOMY: u16 = 24;
const FOOTER: u16 = 1;
/// Headings of the table and of the events.
const HEADINGS: u16 = 2;

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paint {
    /// Without, there is only bold, dim and reverse.
    pub(super) color: bool,
}

impl Paint {
    /// As NO_COLOR says.
    pub(super) fn of_environment() -> Self {
        Self { color: output::may_color() }
    }

    fn colored(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    /// A state; its mark and word say the same.
    fn state(self, state: &str) -> Style {
        match state {
            "up" => self.colored(Color::Green),
            "down" | "ejected" => self.colored(Color::Red).add_modifier(Modifier::BOLD),
            _ => self.colored(Color::Yellow),
        }
    }

    /// Whether a pool or a route can be served.
    fn standing(self, up: Option<bool>) -> Style {
        match up {
            Some(true) => self.good(),
            Some(false) => self.bad(),
            None => Style::new(),
        }
    }

    fn bad(self) -> Style {
        self.colored(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn good(self) -> Style {
        self.colored(Color::Green)
    }
}

/// Draws all of it at `now`.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State, paint: Paint, now: Instant) {
    let area = frame.area();
    let canvas = frame.buffer_mut();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("too small: {} x {} at least", LEAST.0, LEAST.1);
        return put(canvas, area, &text, Style::new());
    }
    let details = if area.height >= ROOMY { DETAILS } else { FEWER_DETAILS };
    let both = area.height - HEADER - details - FOOTER - HEADINGS;
    // Who has the keys has most of the room.
    let few = (both / 4).clamp(2, 10);
    let events = if state.pane == Pane::Events { both - few.min(both / 3) } else { few };
    let rows = both - events;
    state.fit(rows.into(), events.into());
    let mut down = Down { area, at: area.y };
    header::draw(canvas, down.take(HEADER), state, paint, now);
    if state.pane == Pane::Routes {
        routes::draw(canvas, down.take(rows + 1), state, paint);
        routes::details(canvas, down.take(details), state);
    } else {
        rows::draw(canvas, down.take(rows + 1), state, paint);
        rows::details(canvas, down.take(details), state);
    }
    events::draw(canvas, down.take(events + 1), state, paint);
    footer::draw(canvas, down.take(FOOTER), state);
    if state.mode == super::state::Mode::Helping {
        help::draw(canvas, area);
    }
}

/// An area from its top downwards.
struct Down {
    area: Rect,
    at: u16,
}

impl Down {
    fn take(&mut self, height: u16) -> Rect {
        let taken = Rect { y: self.at, height, ..self.area };
        self.at += height;
        taken.intersection(self.area)
    }
}

/// The heading of a table: its columns, and by which it is sorted.
fn headings<C: Copy + PartialEq>(
    canvas: &mut Buffer,
    line: Rect,
    columns: &[(C, usize)],
    told: impl Fn(C) -> (&'static str, bool),
    (sort, reversed): (Option<C>, bool),
) {
    let style = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
    canvas.set_style(line, style);
    for (column, place) in placed(line, columns) {
        let (heading, is_number) = told(column);
        let mut text = heading.to_owned();
        if sort == Some(column) {
            text.insert(0, if reversed { '▲' } else { '▼' });
        }
        let put = if is_number { put_right } else { put };
        put(canvas, place, &text, style);
    }
}

/// Where columns stand in a line.
fn placed<C: Copy>(line: Rect, columns: &[(C, usize)]) -> impl Iterator<Item = (C, Rect)> {
    let mut x = line.x;
    columns.iter().map(move |(column, width)| {
        let width = u16::try_from(*width).unwrap_or(u16::MAX);
        let place = Rect { x, width, ..line }.intersection(line);
        x = x.saturating_add(width).saturating_add(1);
        (*column, place)
    })
}

/// A title, and below it a text of several lines.
fn titled(canvas: &mut Buffer, area: Rect, title: &str, text: String) {
    let Some(first) = lines(area).next() else { return };
    rule(canvas, first, title, true);
    let rest = Rect { y: first.y + 1, height: area.height - 1, ..area };
    Paragraph::new(Line::raw(text)).wrap(Wrap { trim: true }).render(rest, canvas);
}

/// Lines of an area, each one high.
fn lines(area: Rect) -> impl Iterator<Item = Rect> {
    (area.y..area.bottom()).map(move |y| Rect { y, height: 1, ..area })
}

/// Puts a text into the first line of an area; what is cut off ends in an ellipsis.
fn put(canvas: &mut Buffer, area: Rect, text: &str, style: Style) {
    put_spans(canvas, area, &[Span::styled(text, style)]);
}

/// The same from the right.
fn put_right(canvas: &mut Buffer, area: Rect, text: &str, style: Style) {
    let blank = area.width.saturating_sub(u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX));
    put(canvas, Rect { x: area.x + blank, width: area.width - blank, ..area }, text, style);
}

/// The same of several texts, one after the other; gives what is left of the line.
fn put_spans(canvas: &mut Buffer, area: Rect, spans: &[Span<'_>]) -> Rect {
    if area.is_empty() {
        return area;
    }
    let (mut x, end) = (area.x, area.right());
    for span in spans {
        let fits = span.width() <= usize::from(end - x);
        let room = if fits { end - x } else { end - x - 1 };
        (x, _) = canvas.set_stringn(x, area.y, &span.content, room.into(), span.style);
        if !fits {
            canvas.set_stringn(x, area.y, "…", 1, span.style);
            return Rect { x: end, width: 0, ..area };
        }
        if x >= end {
            return Rect { x: end, width: 0, ..area };
        }
    }
    Rect { x, width: end - x, ..area }
}

/// A line across with a title in it.
fn rule(canvas: &mut Buffer, area: Rect, title: &str, bold: bool) {
    let style = if bold { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
    let line = "─".repeat(area.width.into());
    canvas.set_stringn(area.x, area.y, line, area.width.into(), Style::new().add_modifier(Modifier::DIM));
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(4), ..area };
    if !title.is_empty() {
        put(canvas, inner, &format!(" {title} "), style);
    }
}
