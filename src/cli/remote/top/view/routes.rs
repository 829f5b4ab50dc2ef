//! Routes, and all that is known of the chosen one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::super::routes::{Column, columns, name};
use super::super::state::State;
use super::super::told::Route;
use super::super::words;
use super::rows::{figures, standing};
use super::{Paint, placed, put, put_right};

/// A longer name gets no wider column.
const NAME_MAX: usize = 40;

pub(super) fn draw(canvas: &mut Buffer, area: Rect, state: &State, paint: Paint) {
    let rows = state.shown_routes();
    let longest = rows.iter().map(|route| Span::raw(name(route)).width()).max().unwrap_or(0);
    let columns = columns(area.width.into(), longest.min(NAME_MAX));
    let mut lines = super::lines(area);
    let Some(heading) = lines.next() else { return };
    let told = |column: Column| (column.heading(), column.is_number());
    super::headings(canvas, heading, &columns, told, (state.routes.sort, state.reversed));
    if rows.is_empty() {
        let why = match &state.snapshot {
            None => "",
            Some(snapshot) if snapshot.routes.is_none() => "this balancer does not tell of its routes",
            Some(_) if state.filter.is_empty() => {
                "there are no routes, and no listener has a pool of its own"
            }
            Some(_) => "nothing has this in its name (Esc shows all)",
        };
        return lines.next().map_or((), |line| put(canvas, line, why, Style::new()));
    }
    for ((at, route), line) in rows.iter().enumerate().skip(state.routes.top).zip(lines) {
        draw_route(canvas, line, route, &columns, paint);
        if at == state.routes.at {
            canvas.set_style(line, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
}

fn draw_route(canvas: &mut Buffer, line: Rect, route: &Route, columns: &[(Column, usize)], paint: Paint) {
    for (column, place) in placed(line, columns) {
        let failing = column == Column::Errors && route.pace.failed_ratio.is_some_and(|ratio| ratio > 0.0);
        let spent =
            column == Column::Budget && route.record.budget_remaining_ratio.is_some_and(|left| left <= 0.0);
        let style = match column {
            Column::State => paint.standing(route.record.up),
            _ if failing || spent => paint.bad(),
            _ => Style::new(),
        };
        let put = if column.is_number() { put_right } else { put };
        put(canvas, place, &column.text(route), style);
    }
}

/// All that is known of the chosen route.
pub(super) fn details(canvas: &mut Buffer, area: Rect, state: &State) {
    let rows = state.shown_routes();
    let cut = state.snapshot.as_ref().is_some_and(|snapshot| snapshot.routes_cut);
    let more = if cut { ", and more than are told here" } else { "" };
    let (title, text) = match rows.get(state.routes.at) {
        None => (String::new(), String::new()),
        Some(route) => {
            let title = format!(
                "route {} to pool {} ({}{more})",
                name(route),
                route.pool,
                words::many(rows.len() as u64, "route")
            );
            (title, of_route(route))
        }
    };
    super::titled(canvas, area, &title, text);
}

fn of_route(route: &Route) -> String {
    let listeners: Vec<String> = route.listeners.iter().map(ToString::to_string).collect();
    let pace = &route.pace;
    format!(
        "{}; {}/s, errors {}/s, p50 {}, p99 {} of whole requests, {}; of {}",
        standing(&route.record),
        words::rate(pace.rate),
        words::rate(pace.failed_rate),
        words::delay(pace.p50_seconds),
        words::delay(pace.p99_seconds),
        figures(&route.record),
        listeners.join(", "),
    )
}
