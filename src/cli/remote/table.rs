//! The table of `equipoise status`: as wide as it is, or within a terminal's columns.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use super::{output, printable};
use crate::admin::{BackendView, LatencyView, PoolView};

/// How many columns there are before the last, which says why.
const COLUMNS: usize = 13;

const HEADINGS: [&str; COLUMNS] = [
    "BACKEND",
    "ADDRESS",
    "STATE",
    "FOR",
    "WEIGHT",
    "IN FLIGHT",
    "CONNS",
    "REQUESTS",
    "SUCCESS",
    "P50",
    "P99",
    "FAILS",
    "AVAIL",
];

/// Which column says the state.
const STATE: usize = 2;

/// The columns that are left where all would not fit, after the backend's name.
const NARROW: [usize; 7] = [2, 3, 5, 7, 8, 10, 12];

/// Less of a name says nothing.
const NAME_MIN: usize = 8;

/// A terminal that does not tell its width has so many columns.
const USUAL_WIDTH: usize = 80;

/// What is written on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Paper {
    /// Its columns; `None`: any number.
    pub width: Option<usize>,
    /// States stand in colours.
    pub color: bool,
}

impl Paper {
    /// Standard output: only a terminal has a width, and perhaps colours.
    pub(super) fn of_stdout() -> Self {
        let out = std::io::stdout();
        if !out.is_terminal() {
            return Self::default();
        }
        let told = rustix::termios::tcgetwinsize(&out).map_or(0, |size| usize::from(size.ws_col));
        Self { width: Some(if told == 0 { USUAL_WIDTH } else { told }), color: output::may_color() }
    }
}

/// All pools as tables that share their columns, so that they can be compared at a glance.
pub(super) fn table(pools: &[PoolView], paper: &Paper) -> String {
    let rows = |pool: &PoolView| pool.backends.iter().map(row).collect::<Vec<_>>();
    let pools = pools.iter().map(|pool| (pool, rows(pool))).collect::<Vec<_>>();
    let mut widths = HEADINGS.map(str::len);
    for cells in pools.iter().flat_map(|(_, rows)| rows) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let reason = |backend: &BackendView| backend.reason.chars().count();
    let longest = pools.iter().flat_map(|(pool, _)| pool.backends.iter().map(reason)).max().unwrap_or(0);
    let whole: usize = widths.iter().map(|width| width + 2).sum::<usize>() + 2 + longest;
    let narrow = paper.width.filter(|width| *width < whole);
    let mut text = String::new();
    for (pool, rows) in &pools {
        if !text.is_empty() {
            text.push('\n');
        }
        let mut top = String::new();
        heading(&mut top, pool);
        match paper.width {
            Some(width) => top.lines().for_each(|line| wrap(&mut text, line, width)),
            None => text.push_str(&top),
        }
        match narrow {
            Some(width) => below(&mut text, pool, rows, (widths, width), paper.color),
            None => {
                line(&mut text, &widths, HEADINGS, "WHY", false);
                for (backend, cells) in pool.backends.iter().zip(rows) {
                    let cells = cells.each_ref().map(String::as_str);
                    line(&mut text, &widths, cells, &printable(&backend.reason), paper.color);
                }
            }
        }
    }
    text
}

fn line(text: &mut String, widths: &[usize; COLUMNS], cells: [&str; COLUMNS], why: &str, color: bool) {
    for (column, (cell, width)) in cells.into_iter().zip(widths).enumerate() {
        put(text, cell, *width, color && column == STATE);
    }
    let _ = writeln!(text, "  {why}");
}

/// The rows of a pool within `width` columns: the most telling ones, and why in lines of its own.
fn below(
    text: &mut String,
    pool: &PoolView,
    rows: &[[String; COLUMNS]],
    (widths, width): ([usize; COLUMNS], usize),
    color: bool,
) {
    let others: usize = NARROW.iter().map(|column| widths[*column] + 2).sum();
    let name = widths[0].min(width.saturating_sub(others + 2).max(NAME_MIN));
    let mut write = |cells: [&str; COLUMNS], color: bool| {
        let mut row = String::new();
        put(&mut row, &cut(cells[0], name), name, false);
        for column in NARROW {
            // Where even so little does not fit, what stands last goes.
            if shown(&row) + 2 + widths[column] <= width {
                put(&mut row, cells[column], widths[column], color && column == STATE);
            }
        }
        text.push_str(row.trim_end());
        text.push('\n');
    };
    let mut lines = Vec::new();
    for (backend, cells) in pool.backends.iter().zip(rows) {
        lines.push((cells.each_ref().map(String::as_str), printable(&backend.reason)));
    }
    write(HEADINGS, false);
    for (cells, _) in &lines {
        write(*cells, color);
    }
    for (cells, why) in &lines {
        wrap(text, &format!("  {}: {why}", cells[0]), width);
    }
}

/// A cell and what fills it up, in the colour of its state.
fn put(text: &mut String, cell: &str, width: usize, color: bool) {
    let code = match cell {
        _ if !color => None,
        "up" => Some(32),
        "down" | "ejected" => Some(31),
        _ => Some(33),
    };
    let gap = width.saturating_sub(cell.chars().count());
    let _ = match code {
        Some(code) => write!(text, "  \x1b[{code}m{cell}\x1b[0m{:gap$}", ""),
        None => write!(text, "  {cell}{:gap$}", ""),
    };
}

/// Columns of a line that may hold colours.
fn shown(line: &str) -> usize {
    let mut codes = line.split('\x1b');
    let first = codes.next().map_or(0, |text| text.chars().count());
    first + codes.map(|code| code.split_once('m').map_or(0, |(_, text)| text.chars().count())).sum::<usize>()
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Writes a line as several of at most `width` columns, broken between words where that is possible.
fn wrap(text: &mut String, line: &str, width: usize) {
    const INDENT: usize = 4;
    let mut rest: Vec<char> = line.chars().collect();
    let mut room = width.max(INDENT + 1);
    while rest.len() > room {
        let space = rest[..=room].iter().rposition(|one| *one == ' ').filter(|at| *at > INDENT);
        let end = space.unwrap_or(room);
        text.extend(&rest[..end]);
        let _ = write!(text, "\n{:INDENT$}", "");
        rest.drain(..end + usize::from(space.is_some()));
        room = width.saturating_sub(INDENT).max(1);
    }
    text.extend(&rest);
    text.push('\n');
}

fn heading(text: &mut String, pool: &PoolView) {
    let _ = write!(text, "pool {} ({})", printable(&pool.name), printable(&pool.balance));
    if let Some(figures) = &pool.availability {
        let word = if figures.up { "up" } else { "DOWN" };
        let _ = write!(text, ": {word} for {}", span(figures.for_seconds));
        let available = percent(figures.availability_ratio);
        let _ = write!(
            text,
            ", {}, available {available}, failures {}",
            printable(&figures.cause),
            figures.failures
        );
        for (name, mean) in [("MTBF", figures.mtbf_seconds), ("MTTR", figures.mttr_seconds)] {
            if let Some(mean) = mean {
                let _ = write!(text, ", {name} {}", span(mean));
            }
        }
    }
    if let Some(ratio) = pool.traffic.success_ratio {
        let _ = write!(text, "; of its requests {} succeeded", percent(ratio));
    }
    if let Some(priority) = pool.priority.filter(|priority| *priority > 0) {
        let _ = write!(text, "; backends of priority {priority} serve");
    }
    if pool.queue.length > 0 {
        let longest = milliseconds(pool.queue.oldest_seconds);
        let _ = write!(text, "; {} wait for a place, the longest for {longest}", pool.queue.length);
    }
    text.push('\n');
    let Some(slo) = &pool.slo else { return };
    for (name, burn) in [("availability", &slo.availability), ("latency", &slo.latency)] {
        let Some(burn) = burn else { continue };
        let objective = format!("{:.6}", burn.objective_ratio * 100.0);
        let objective = objective.trim_end_matches('0').trim_end_matches('.');
        let left = percent(burn.budget_remaining_ratio);
        let _ = writeln!(
            text,
            "  {name} {objective} %: {left} of the error budget left; burn rate {:.2} (5m), {:.2} (1h), {:.2} (6h)",
            burn.burn_rate_5m, burn.burn_rate_1h, burn.burn_rate_6h
        );
    }
}

fn row(backend: &BackendView) -> [String; COLUMNS] {
    let quantile = |pick: fn(&LatencyView) -> f64| {
        backend.latency.as_ref().map_or_else(|| "-".to_owned(), |latency| milliseconds(pick(latency)))
    };
    let behind = match backend.priority {
        // What an older daemon says of it.
        0 | 1 if backend.backup => " (backup)".to_owned(),
        0 => String::new(),
        priority => format!(" (priority {priority})"),
    };
    // The address actually dialled is worth its place only where it is another text.
    let address = match &backend.resolved {
        None => format!("{} (unresolved)", backend.address),
        Some(resolved) if *resolved != backend.address => format!("{} ({resolved})", backend.address),
        Some(_) => backend.address.clone(),
    };
    [
        printable(&format!("{}{behind}", backend.name)),
        printable(&address),
        printable(&backend.state),
        span(backend.availability.for_seconds),
        backend.weight.to_string(),
        backend.load(),
        format!("{} ({} idle)", backend.connections, backend.idle_connections),
        backend.requests.to_string(),
        backend.traffic.success_ratio.map_or_else(|| "-".to_owned(), percent),
        quantile(|latency| latency.p50_seconds),
        quantile(|latency| latency.p99_seconds),
        backend.availability.failures.to_string(),
        percent(backend.availability.availability_ratio),
    ]
}

fn percent(ratio: f64) -> String {
    // Rounded down: 100 % is said only where there was no outage, and no failed request, at all.
    format!("{:.2} %", (ratio * 10_000.0).floor() / 100.0)
}

fn milliseconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

/// The two largest units: `3d4h`, `12m5s`, `7s`.
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let parts = [(whole / 86_400, "d"), (whole / 3600 % 24, "h"), (whole / 60 % 60, "m"), (whole % 60, "s")];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(parts.len() - 1);
    parts[first..].iter().take(2).fold(String::new(), |mut text, (count, unit)| {
        let _ = write!(text, "{count}{unit}");
        text
    })
}
