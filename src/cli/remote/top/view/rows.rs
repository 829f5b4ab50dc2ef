//! Pools, their backends, and all that is known of the chosen one.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;
use ratatui::widgets::{Sparkline, Widget as _};

use super::super::column::{Column, columns};
use super::super::state::{Pane, State};
use super::super::told::{Backend, Pool, Record};
use super::super::words;
use super::{Paint, placed, put, put_right, put_spans};

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
    let told = |column: Column| (column.heading(), column.is_number());
    super::headings(canvas, heading, &columns, told, (state.sort, state.reversed));
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
        Span::styled(words::standing(pool.record.up), paint.standing(pool.record.up)),
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
    let (rows, snapshot) = (state.rows(), state.snapshot.as_ref());
    let row = rows.get(state.at).copied();
    let (title, text) = match row.and_then(|row| Some((row.pool_of(snapshot)?, row.backend_of(snapshot)))) {
        None => (String::new(), String::new()),
        Some((pool, None)) => (format!("pool {}", pool.name), of_pool(pool)),
        Some((pool, Some(backend))) => {
            (format!("{}/{} at {}", pool.name, backend.name, backend.address), of_backend(backend))
        }
    };
    super::titled(canvas, area, &title, text);
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
    format!(
        "{}; {}, {} in flight, {} waiting, p50 {}, p99 {}, {}",
        standing(&pool.record),
        words::many(pool.backends.len() as u64, "backend"),
        pool.in_flight,
        pool.waiting,
        words::delay(pool.pace.p50_seconds),
        words::delay(pool.pace.p99_seconds),
        figures(&pool.record),
    )
}

/// Up or down, for how long, and why.
pub(super) fn standing(record: &Record) -> String {
    let since = record.for_seconds.map_or_else(String::new, |since| format!(" for {}", words::span(since)));
    let cause = record.cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
    format!("{}{since}{cause}", words::standing(record.up))
}

/// How well it has served since the beginning, and what is left of its budgets.
pub(super) fn figures(record: &Record) -> String {
    let mut text = format!(
        "available {}, {}",
        words::available(record.availability_ratio),
        words::many(record.failures, "failure")
    );
    for (name, mean) in [("MTBF", record.mtbf_seconds), ("MTTR", record.mttr_seconds)] {
        if let Some(mean) = mean {
            let _ = write!(text, ", {name} {}", words::span(mean));
        }
    }
    if let Some(ratio) = record.success_ratio {
        let _ = write!(text, ", of all requests {} succeeded", words::available(Some(ratio)));
    }
    let slo =
        record.slo.iter().flat_map(|slo| [("availability", slo.availability), ("latency", slo.latency)]);
    for (name, burn) in slo.filter_map(|(name, burn)| Some((name, burn?))) {
        let left = words::budget(Some(burn.budget_remaining_ratio));
        let rates =
            [burn.burn_rate_5m, burn.burn_rate_1h, burn.burn_rate_6h].map(|rate| format!("{rate:.1}"));
        let _ = write!(text, "; {name} budget {left} left, burning {} (5m, 1h, 6h)", rates.join(" "));
    }
    text
}
