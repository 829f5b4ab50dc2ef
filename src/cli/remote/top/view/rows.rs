//! Pools, their backends, and all that is known of the chosen one.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline, Widget as _, Wrap};

use super::super::column::{Column, columns};
use super::super::state::{Pane, State};
use super::super::told::{Backend, Pool};
use super::super::words;
use super::{Paint, put, put_right, put_spans};

/// A longer name gets no wider column.
const NAME_MAX: usize = 40;
/// Columns of a pool's curve: less is no curve, more is not read.
const CURVE: std::ops::RangeInclusive<u16> = 8..=60;

pub(super) fn draw(canvas: &mut Buffer, area: Rect, state: &State, paint: Paint) {
    let (rows, snapshot) = (state.rows(), state.snapshot.as_ref());
    let names = rows.iter().filter_map(|row| row.backend_of(snapshot));
    let longest = names.map(|one| Span::raw(Column::Name.text(one)).width() + 2).max().unwrap_or(0);
    let columns = columns(area.width.into(), longest.min(NAME_MAX));
    let mut lines = super::lines(area);
    let Some(heading) = lines.next() else { return };
    headings(canvas, heading, state, &columns);
    if rows.is_empty() {
        let why = match (snapshot, state.filter.is_empty()) {
            (None, _) => "",
            (Some(_), true) => "there are no pools",
            (Some(_), false) => "nothing has this in its name (Esc shows all)",
        };
        return lines.next().map_or((), |line| put(canvas, line, why, Style::new()));
    }
    for ((at, row), line) in rows.iter().enumerate().skip(state.top).zip(lines) {
        match (row.pool_of(snapshot), row.backend_of(snapshot)) {
            (_, Some(backend)) => draw_backend(canvas, line, backend, &columns, paint),
            (Some(pool), None) => draw_pool(canvas, line, pool, state, paint),
            (None, None) => {}
        }
        if at == state.at {
            let style = if state.pane == Pane::Backends { Modifier::REVERSED } else { Modifier::UNDERLINED };
            canvas.set_style(line, Style::new().add_modifier(style));
        }
    }
}

fn headings(canvas: &mut Buffer, line: Rect, state: &State, columns: &[(Column, usize)]) {
    canvas.set_style(line, Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED));
    for (column, place) in placed(line, columns) {
        let mut text = column.heading().to_owned();
        if state.sort == Some(column) {
            text.insert(0, if state.reversed { '▲' } else { '▼' });
        }
        let put = if column.is_number() { put_right } else { put };
        put(canvas, place, &text, Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED));
    }
}

fn placed(line: Rect, columns: &[(Column, usize)]) -> impl Iterator<Item = (Column, Rect)> {
    let mut x = line.x;
    columns.iter().map(move |(column, width)| {
        let width = u16::try_from(*width).unwrap_or(u16::MAX);
        let place = Rect { x, width, ..line }.intersection(line);
        x = x.saturating_add(width).saturating_add(1);
        (*column, place)
    })
}

fn draw_backend(
    canvas: &mut Buffer,
    line: Rect,
    backend: &Backend,
    columns: &[(Column, usize)],
    paint: Paint,
) {
    for (column, place) in placed(line, columns) {
        let failing = column == Column::Errors && backend.pace.failed_ratio.is_some_and(|ratio| ratio > 0.0);
        let style = match column {
            Column::State => paint.state(backend.state.raw()),
            _ if failing => paint.bad(),
            _ => Style::new(),
        };
        let text = column.text(backend);
        match column {
            // Below the name of its pool.
            Column::Name => put(canvas, place, &format!("  {text}"), style),
            _ if column.is_number() => put_right(canvas, place, &text, style),
            _ => put(canvas, place, &text, style),
        }
    }
}

/// The heading of a pool: what it is, what it does, and the curve of its rate in what is left.
fn draw_pool(canvas: &mut Buffer, line: Rect, pool: &Pool, state: &State, paint: Paint) {
    let (standing, style) = match pool.up {
        Some(true) => ("● up", paint.good()),
        Some(false) => ("✕ DOWN", paint.bad()),
        None => ("○ unknown", Style::new()),
    };
    let pace = &pool.pace;
    let mut told = format!("  {} req/s  p99 {}", words::rate(pace.rate), words::delay(pace.p99_seconds));
    if let Some(ratio) = pace.failed_ratio.filter(|ratio| *ratio > 0.0) {
        let _ = write!(told, "  errors {}", words::percent(Some(ratio)));
    }
    if pool.waiting > 0 {
        let _ = write!(told, "  queue {}", pool.waiting);
    }
    let name = Style::new().add_modifier(Modifier::BOLD);
    let spans = [
        Span::styled(format!("{} ", pool.name), name),
        Span::raw(format!("({})  ", pool.balance)),
        Span::styled(standing, style),
        Span::raw(told + "  "),
    ];
    let left = put_spans(canvas, line, &spans);
    let width = left.width.min(*CURVE.end());
    if width >= *CURVE.start() {
        let rates = state.rates.get(pool.name.raw());
        let count = rates.map_or(0, std::collections::VecDeque::len);
        let newest: Vec<u64> =
            rates.into_iter().flatten().skip(count.saturating_sub(width.into())).copied().collect();
        Sparkline::default().data(newest).render(Rect { width, ..left }, canvas);
    }
}

/// All that is known of the chosen row.
pub(super) fn details(canvas: &mut Buffer, area: Rect, state: &State) {
    let mut lines = super::lines(area);
    let Some(first) = lines.next() else { return };
    let (rows, snapshot) = (state.rows(), state.snapshot.as_ref());
    let row = rows.get(state.at).copied();
    let (title, text) = match row.and_then(|row| Some((row.pool_of(snapshot)?, row.backend_of(snapshot)))) {
        None => (String::new(), String::new()),
        Some((pool, None)) => (format!("pool {}", pool.name), of_pool(pool)),
        Some((pool, Some(backend))) => {
            (format!("{}/{} at {}", pool.name, backend.name, backend.address), of_backend(backend))
        }
    };
    super::rule(canvas, first, &title, true);
    let rest = Rect { y: first.y + 1, height: area.height - 1, ..area };
    Paragraph::new(Line::raw(text)).wrap(Wrap { trim: true }).render(rest, canvas);
}

fn of_backend(one: &Backend) -> String {
    let pace = &one.pace;
    let file = if one.weight == one.configured_weight {
        String::new()
    } else {
        format!(" (file: {})", one.configured_weight)
    };
    format!(
        "{} for {}: {}; {} in flight, {}, weight {}{file}, {} of the traffic, {}/s, errors {}/s, p50 {}, p99 {}, \
         available {}, {}, {}",
        words::state(&one.state),
        words::span(one.for_seconds),
        one.reason,
        one.in_flight,
        words::many(one.connections.into(), "connection"),
        one.weight,
        words::percent(one.share),
        words::rate(pace.rate),
        words::rate(pace.failed_rate),
        words::delay(pace.p50_seconds),
        words::delay(pace.p99_seconds),
        words::available(Some(one.availability_ratio)),
        words::many(one.failures, "failure"),
        words::many(one.ejections, "ejection"),
    )
}

fn of_pool(pool: &Pool) -> String {
    let mut text = match pool.up {
        Some(up) => format!(
            "{} for {}",
            if up { "up" } else { "DOWN" },
            pool.for_seconds.map_or_else(|| "-".to_owned(), words::span)
        ),
        None => "not known yet".to_owned(),
    };
    if let Some(cause) = &pool.cause {
        let _ = write!(text, ": {cause}");
    }
    let _ = write!(
        text,
        "; {}, {} in flight, {} waiting, p50 {}, p99 {}, available {}, {}",
        words::many(pool.backends.len() as u64, "backend"),
        pool.in_flight,
        pool.waiting,
        words::delay(pool.pace.p50_seconds),
        words::delay(pool.pace.p99_seconds),
        words::available(pool.availability_ratio),
        words::many(pool.failures, "failure"),
    );
    if let Some(left) = pool.budget_remaining_ratio {
        let _ = write!(text, ", {:.0}% of the error budget left", left * 100.0);
    }
    text
}
