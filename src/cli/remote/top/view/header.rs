//! The first two lines: the balancer itself, and all of its traffic.

use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::super::state::State;
use super::super::told::Snapshot;
use super::super::words;
use super::{Paint, put_spans};

pub(super) fn draw(canvas: &mut Buffer, area: Rect, state: &State, paint: Paint, now: Instant) {
    let mut lines = super::lines(area);
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else { return };
    let mut spans = Vec::new();
    let version = state.snapshot.as_ref().map_or_else(String::new, |shown| format!(" {}", shown.version));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    spans.push(Span::styled(format!("equipoise{version} at {}", state.address), bold));
    match (&state.snapshot, state.silent(now)) {
        (_, Some(silent)) => {
            let since = words::span(silent.as_secs_f64());
            spans.push(Span::styled(format!("  ✕ NOT HEARD FOR {since}, trying again"), paint.bad()));
        }
        (None, None) => spans.push(Span::raw("  connecting …")),
        (Some(shown), None) => {
            let (text, style) = if shown.ready {
                ("  ● ready", paint.good())
            } else {
                ("  ◐ draining, or not ready", paint.bad())
            };
            spans.push(Span::styled(text, style));
        }
    }
    if state.paused {
        spans.push(Span::styled("  ‖ PAUSED (p)", bold));
    }
    if let (Some(shown), None) = (&state.snapshot, &state.lost) {
        spans.push(Span::raw(format!("  up {}", words::span(shown.uptime_seconds))));
        spans.push(Span::raw(format!("  {}", words::many(shown.connections, "connection"))));
        if let Some(workers) = shown.workers {
            spans.push(Span::raw(format!("  {}", words::many(workers, "worker"))));
        }
    }
    put_spans(canvas, first, &spans);
    match (&state.lost, &state.snapshot) {
        (Some(why), _) => super::put(canvas, second, why, Style::new()),
        (None, Some(shown)) => drop(put_spans(canvas, second, &traffic(shown, paint))),
        (None, None) => {}
    }
}

fn traffic(shown: &Snapshot, paint: Paint) -> Vec<Span<'static>> {
    let pace = &shown.pace;
    let failing = pace.failed_rate.is_some_and(|rate| rate > 0.0);
    let errors = format!("  errors {}/s", words::rate(pace.failed_rate));
    let mut spans = vec![
        Span::raw(format!("{} req/s", words::rate(pace.rate))),
        if failing { Span::styled(errors, paint.bad()) } else { Span::raw(errors) },
        Span::raw(format!(
            "  p50 {}  p99 {}",
            words::delay(pace.p50_seconds),
            words::delay(pace.p99_seconds)
        )),
    ];
    let ago = shown.reloaded.map_or_else(String::new, |at| format!(" {} ago", words::span(shown.time - at)));
    spans.push(match shown.reload_result.as_ref().map(|result| (result, result.raw())) {
        None => Span::raw("  no reload yet"),
        Some((_, "ok")) => Span::raw(format!("  reload ok{ago}")),
        Some((_, "rejected")) => Span::styled(format!("  ✕ reload rejected{ago}"), paint.bad()),
        Some((result, _)) => Span::raw(format!("  reload {result}{ago}")),
    });
    spans
}
