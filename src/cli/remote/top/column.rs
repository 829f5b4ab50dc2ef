//! The columns of a backend: what stands in them, how wide they are, and how backends are sorted by them.

use std::cmp::Ordering;

use super::told::Backend;
use super::words;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// Its name.
    Name,
    /// Its state, as a mark and a word.
    State,
    /// Since when.
    For,
    /// Its weight.
    Weight,
    /// Of the pool's traffic of late.
    Share,
    /// Requests a second.
    Rate,
    /// How many of them fail.
    Errors,
    /// Half of its answers begin within.
    P50,
    /// 99 of 100 do.
    P99,
    /// Requests in flight.
    InFlight,
    /// How available it was.
    Available,
    /// Where it is.
    Address,
    /// Why it is in its state.
    Why,
}

impl Column {
    /// In the order in which they stand.
    const ALL: [Self; 13] = [
        Self::Name,
        Self::State,
        Self::For,
        Self::Weight,
        Self::Share,
        Self::Rate,
        Self::Errors,
        Self::P50,
        Self::P99,
        Self::InFlight,
        Self::Available,
        Self::Address,
        Self::Why,
    ];

    /// From the most telling one: the first have room in a narrow terminal.
    const TELLING: [Self; 11] = [
        Self::State,
        Self::Rate,
        Self::P99,
        Self::InFlight,
        Self::Errors,
        Self::Share,
        Self::Weight,
        Self::Available,
        Self::P50,
        Self::For,
        Self::Address,
    ];

    /// What one can sort by, in the order of the key.
    const SORTED: [Self; 8] = [
        Self::Name,
        Self::State,
        Self::Rate,
        Self::Share,
        Self::Errors,
        Self::P99,
        Self::InFlight,
        Self::Available,
    ];

    /// What is sorted by after this; `None`: as in the file.
    pub(super) fn next(sort: Option<Self>) -> Option<Self> {
        let place = sort.and_then(|sort| Self::SORTED.iter().position(|column| *column == sort));
        Self::SORTED.get(place.map_or(0, |place| place + 1)).copied()
    }

    /// What stands above it.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Name => "BACKEND",
            Self::State => "STATE",
            Self::For => "FOR",
            Self::Weight => "WEIGHT",
            Self::Share => "SHARE",
            Self::Rate => "REQ/S",
            Self::Errors => "ERRORS",
            Self::P50 => "P50",
            Self::P99 => "P99",
            Self::InFlight => "FLIGHT",
            Self::Available => "AVAIL",
            Self::Address => "ADDRESS",
            Self::Why => "WHY",
        }
    }

    /// Whether it stands at the right of its place, as numbers do.
    pub(super) fn is_number(self) -> bool {
        !matches!(self, Self::Name | Self::State | Self::Address | Self::Why)
    }

    /// Its columns; of the name and the reason the fewest.
    fn width(self) -> usize {
        match self {
            Self::Name => 16,
            Self::State => 13,
            Self::For | Self::Share | Self::Weight => 6,
            Self::InFlight | Self::Errors => 7,
            Self::Rate | Self::P50 | Self::P99 | Self::Available => 8,
            Self::Address => 22,
            Self::Why => 20,
        }
    }

    /// What stands in it.
    pub(super) fn text(self, backend: &Backend) -> String {
        match self {
            Self::Name if backend.backup => format!("{} (spare)", backend.name),
            Self::Name => backend.name.to_string(),
            Self::State => words::state(&backend.state),
            Self::For => words::span(backend.for_seconds),
            Self::Weight => backend.weight.to_string(),
            Self::Share => words::percent(backend.share),
            Self::Rate => words::rate(backend.pace.rate),
            Self::Errors => words::percent(backend.pace.failed_ratio),
            Self::P50 => words::delay(backend.pace.p50_seconds),
            Self::P99 => words::delay(backend.pace.p99_seconds),
            Self::InFlight => backend.in_flight.to_string(),
            Self::Available => words::available(Some(backend.availability_ratio)),
            Self::Address => backend.address.to_string(),
            Self::Why => backend.reason.to_string(),
        }
    }

    /// Who comes first: by name from a, by state and availability the worst, by numbers the most.
    pub(super) fn compare(self, a: &Backend, b: &Backend) -> Ordering {
        let most = |of: fn(&Backend) -> Option<f64>| {
            let of = |one| of(one).unwrap_or(f64::NEG_INFINITY);
            of(b).total_cmp(&of(a))
        };
        match self {
            Self::State => words::severity(b.state.raw()).cmp(&words::severity(a.state.raw())),
            Self::Rate => most(|one| one.pace.rate),
            Self::Share => most(|one| one.share),
            Self::Errors => most(|one| one.pace.failed_ratio),
            Self::P50 => most(|one| one.pace.p50_seconds),
            Self::P99 => most(|one| one.pace.p99_seconds),
            Self::InFlight => b.in_flight.cmp(&a.in_flight),
            Self::Weight => b.weight.cmp(&a.weight),
            Self::Available => a.availability_ratio.total_cmp(&b.availability_ratio),
            Self::For => a.for_seconds.total_cmp(&b.for_seconds),
            Self::Address => a.address.cmp(&b.address),
            Self::Name | Self::Why => a
                .name
                .raw()
                .to_lowercase()
                .cmp(&b.name.raw().to_lowercase())
                .then_with(|| a.name.cmp(&b.name)),
        }
    }
}

/// The columns that have room in `width`, and their widths. The longest name takes what is left, the reason the rest.
pub(super) fn columns(width: usize, longest_name: usize) -> Vec<(Column, usize)> {
    let mut left = width.saturating_sub(Column::Name.width());
    let mut taken = vec![Column::Name];
    for column in Column::TELLING {
        // What is less telling does not take the place of what is more.
        let Some(rest) = left.checked_sub(column.width() + 1) else { break };
        left = rest;
        taken.push(column);
    }
    let more = longest_name.saturating_sub(Column::Name.width()).min(left);
    let name = Column::Name.width() + more;
    left -= more;
    let why = left.checked_sub(1).filter(|why| *why >= Column::Why.width());
    let of = |column| match column {
        Column::Name => Some((column, name)),
        Column::Why => why.map(|why| (column, why)),
        _ => taken.contains(&column).then(|| (column, column.width())),
    };
    Column::ALL.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: usize, longest_name: usize) -> String {
        columns(width, longest_name)
            .iter()
            .map(|(column, width)| format!("{}:{width} ", column.heading()))
            .collect()
    }

    #[test]
    fn a_narrow_terminal_has_the_most_telling_columns() {
        assert_eq!(shown(80, 5), "BACKEND:16 STATE:13 WEIGHT:6 SHARE:6 REQ/S:8 ERRORS:7 P99:8 FLIGHT:7 ");
        for width in 20..300 {
            let taken: usize = columns(width, 60).iter().map(|(_, width)| width + 1).sum::<usize>() - 1;
            assert!(taken <= width, "{taken} of {width}");
        }
        let wide = shown(200, 30);
        assert!(wide.starts_with("BACKEND:30 STATE") && wide.contains("ADDRESS:22 WHY:"), "{wide}");
    }

    #[test]
    fn the_key_goes_round_all_that_can_be_sorted_by() {
        let (mut sort, mut seen) = (Column::next(None), 0);
        while let Some(column) = sort {
            (sort, seen) = (Column::next(Some(column)), seen + 1);
        }
        assert_eq!(seen, Column::SORTED.len());
    }
}
