//! The routes: their columns, which of them are shown in which order, and which one is chosen.

use std::cmp::Ordering;

use super::told::Route;
use super::words;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// Its name.
    Name,
    /// Where it leads.
    Pool,
    /// Whether it can be served.
    State,
    /// Requests a second.
    Rate,
    /// How many of them fail.
    Errors,
    /// Half of them take at most so long.
    P50,
    /// 99 of 100 do.
    P99,
    /// How available it was.
    Available,
    /// Of its requests since the beginning.
    Success,
    /// What is left of its error budget.
    Budget,
}

/// From the most telling one: the first have room in a narrow terminal. Each at its place in the table.
const TELLING: [(Column, usize); 8] = [
    (Column::State, 2),
    (Column::Rate, 3),
    (Column::P99, 6),
    (Column::Errors, 4),
    (Column::Available, 7),
    (Column::P50, 5),
    (Column::Budget, 9),
    (Column::Success, 8),
];

/// What one can sort by, in the order of the key.
const SORTED: [Column; 7] = [
    Column::Name,
    Column::State,
    Column::Rate,
    Column::Errors,
    Column::P99,
    Column::Available,
    Column::Budget,
];

/// Columns of the two names; of both, the more is left the more they have.
const NAME: usize = 16;
const POOL: usize = 10;

impl Column {
    /// What stands above it.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Name => "ROUTE",
            Self::Pool => "POOL",
            Self::State => "STATE",
            Self::Rate => "REQ/S",
            Self::Errors => "ERRORS",
            Self::P50 => "P50",
            Self::P99 => "P99",
            Self::Available => "AVAIL",
            Self::Success => "SUCCESS",
            Self::Budget => "BUDGET",
        }
    }

    /// Whether it stands at the right of its place, as numbers do.
    pub(super) fn is_number(self) -> bool {
        !matches!(self, Self::Name | Self::Pool | Self::State)
    }

    fn width(self) -> usize {
        match self {
            Self::Name => NAME,
            Self::Pool => POOL,
            Self::State => 9,
            Self::Errors => 7,
            _ => 8,
        }
    }

    /// What stands in it.
    pub(super) fn text(self, route: &Route) -> String {
        match self {
            Self::Name => name(route),
            Self::Pool => route.pool.to_string(),
            Self::State => words::standing(route.record.up).to_owned(),
            Self::Rate => words::rate(route.pace.rate),
            Self::Errors => words::percent(route.pace.failed_ratio),
            Self::P50 => words::delay(route.pace.p50_seconds),
            Self::P99 => words::delay(route.pace.p99_seconds),
            Self::Available => words::available(route.record.availability_ratio),
            Self::Success => words::available(route.record.success_ratio),
            Self::Budget => words::budget(route.record.budget_remaining_ratio),
        }
    }

    /// Who comes first: by name from a, by state, availability and budget the worst, by numbers the most.
    fn compare(self, a: &Route, b: &Route) -> Ordering {
        let most = |of: fn(&Route) -> Option<f64>| {
            let of = |one| of(one).unwrap_or(f64::NEG_INFINITY);
            of(b).total_cmp(&of(a))
        };
        let least = |of: fn(&Route) -> Option<f64>| {
            let of = |one| of(one).unwrap_or(f64::INFINITY);
            of(a).total_cmp(&of(b))
        };
        let order = |one: &Route| one.record.up.map_or(1, |up| if up { 2 } else { 0 });
        match self {
            Self::Name => name(a).to_lowercase().cmp(&name(b).to_lowercase()),
            Self::Pool => a.pool.cmp(&b.pool),
            // Down, not known, up.
            Self::State => order(a).cmp(&order(b)),
            Self::Rate => most(|one| one.pace.rate),
            Self::Errors => most(|one| one.pace.failed_ratio),
            Self::P50 => most(|one| one.pace.p50_seconds),
            Self::P99 => most(|one| one.pace.p99_seconds),
            Self::Available => least(|one| one.record.availability_ratio),
            Self::Success => least(|one| one.record.success_ratio),
            Self::Budget => least(|one| one.record.budget_remaining_ratio),
        }
    }
}

/// What a route is called; what no route of a listener takes has its listener's name too, for each has such a one.
pub(super) fn name(route: &Route) -> String {
    match &route.listeners[..] {
        [listener] if route.name.raw() == "default" => format!("default of {listener}"),
        _ => route.name.to_string(),
    }
}

/// The columns that have room in `width`, and their widths. The two names share what is left.
pub(super) fn columns(width: usize, longest_name: usize) -> Vec<(Column, usize)> {
    let mut left = width.saturating_sub(NAME + 1 + POOL);
    let mut taken = Vec::new();
    for (column, place) in TELLING {
        let Some(rest) = left.checked_sub(column.width() + 1) else { break };
        left = rest;
        taken.push((place, column));
    }
    taken.sort_by_key(|(place, _)| *place);
    let more = longest_name.saturating_sub(NAME).min(left);
    let pool = POOL + (left - more).min(NAME);
    let names = [(Column::Name, NAME + more), (Column::Pool, pool)];
    names.into_iter().chain(taken.into_iter().map(|(_, column)| (column, column.width()))).collect()
}

/// Which route is chosen, and how they are sorted.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// By which column; `None`: as in the file.
    pub(super) sort: Option<Column>,
    /// The chosen one by its name and listeners, and where it stood.
    chosen: Option<(String, String)>,
    pub(super) at: usize,
    /// The first one that is shown, and how many had room when they were drawn last.
    pub(super) top: usize,
    pub(super) page: usize,
}

impl Routes {
    /// Sorts by the next column.
    pub(super) fn sort_next(&mut self) {
        let place = self.sort.and_then(|sort| SORTED.iter().position(|column| *column == sort));
        self.sort = SORTED.get(place.map_or(0, |place| place + 1)).copied();
    }

    /// Those that have `filter` in their name, their pool's or a listener's, in their order.
    pub(super) fn rows<'a>(&self, all: &'a [Route], filter: &str, reversed: bool) -> Vec<&'a Route> {
        let filter = filter.to_lowercase();
        let fits = |text: &str| text.to_lowercase().contains(&filter);
        let mut rows: Vec<&Route> = all
            .iter()
            .filter(|one| {
                fits(one.name.raw())
                    || fits(one.pool.raw())
                    || one.listeners.iter().any(|listener| fits(listener.raw()))
            })
            .collect();
        if let Some(column) = self.sort {
            rows.sort_by(|a, b| column.compare(a, b));
        }
        if reversed {
            rows.reverse();
        }
        rows
    }

    /// Chooses the one at a place.
    pub(super) fn choose(&mut self, rows: &[&Route], at: usize) {
        self.at = at.min(rows.len().saturating_sub(1));
        self.chosen = rows.get(self.at).map(|route| mark(route));
    }

    /// Finds the chosen one where it stands now; another where it is not there any more.
    pub(super) fn settle(&mut self, rows: &[&Route]) {
        let chosen = self.chosen.as_ref();
        let found = chosen.and_then(|chosen| rows.iter().position(|route| mark(route) == *chosen));
        self.choose(rows, found.unwrap_or(self.at));
    }

    /// Puts the chosen one into what has room.
    pub(super) fn fit(&mut self, all: usize, page: usize) {
        self.page = page;
        self.top =
            self.top.min(self.at).max((self.at + 1).saturating_sub(page)).min(all.saturating_sub(page));
    }
}

fn mark(route: &Route) -> (String, String) {
    let listeners: Vec<&str> = route.listeners.iter().map(|listener| listener.raw()).collect();
    (route.name.raw().to_owned(), listeners.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, listener: &str, up: Option<bool>, rate: Option<f64>, available: f64) -> Route {
        let mut made = Route {
            name: name.into(),
            listeners: vec![listener.into()],
            pool: "crm".into(),
            ..Route::default()
        };
        made.pace.rate = rate;
        made.record.up = up;
        made.record.availability_ratio = Some(available);
        made
    }

    fn all() -> Vec<Route> {
        vec![
            route("b", "web", Some(true), Some(2.0), 1.0),
            route("A", "web", Some(false), None, 0.5),
            route("default", "web", None, Some(9.0), 0.9),
            route("default", "tls", Some(true), Some(3.0), 1.0),
        ]
    }

    fn names(routes: &Routes, filter: &str, reversed: bool) -> String {
        routes.rows(&all(), filter, reversed).iter().map(|one| name(one)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn routes_stand_in_the_order_asked_for() {
        let mut routes = Routes::default();
        assert_eq!(names(&routes, "", false), "b, A, default of web, default of tls");
        assert_eq!(names(&routes, "", true), "default of tls, default of web, A, b");
        assert_eq!(names(&routes, "TLS", false), "default of tls");
        assert_eq!(names(&routes, "crm", false), names(&routes, "", false), "its pool counts too");
        for (sort, expected) in [
            (Column::Name, "A, b, default of tls, default of web"),
            (Column::State, "A, default of web, b, default of tls"),
            (Column::Rate, "default of web, default of tls, b, A"),
            (Column::Available, "A, default of web, b, default of tls"),
        ] {
            routes.sort = Some(sort);
            assert_eq!(names(&routes, "", false), expected, "{sort:?}");
        }
        routes.sort = None;
        let round = (0..=SORTED.len()).map(|_| {
            routes.sort_next();
            routes.sort
        });
        assert_eq!(round.flatten().count(), SORTED.len(), "the key goes round");
    }

    #[test]
    fn the_choice_stays_with_its_route() {
        let all = all();
        let (mut routes, rows) = (Routes::default(), all.iter().collect::<Vec<_>>());
        routes.choose(&rows, 3);
        routes.settle(&[rows[0], rows[3]]);
        assert_eq!(routes.at, 1, "the default of tls, not of web");
        routes.settle(&[rows[0], rows[2]]);
        assert_eq!(routes.at, 1, "it went: who stands there now");
        routes.settle(&[]);
        assert_eq!(routes.at, 0);
    }

    #[test]
    fn a_narrow_terminal_has_the_most_telling_columns() {
        let shown = |width, longest| {
            let all = columns(width, longest);
            all.iter().map(|(column, width)| format!("{}:{width} ", column.heading())).collect::<String>()
        };
        assert_eq!(shown(80, 5), "ROUTE:16 POOL:18 STATE:9 REQ/S:8 ERRORS:7 P99:8 AVAIL:8 ");
        assert_eq!(shown(40, 5), "ROUTE:16 POOL:13 STATE:9 ");
        for width in 30..300 {
            let taken: usize = columns(width, 60).iter().map(|(_, width)| width + 1).sum::<usize>() - 1;
            assert!(taken <= width, "{taken} of {width}");
        }
        assert!(shown(120, 40).ends_with("AVAIL:8 SUCCESS:8 BUDGET:8 "), "{}", shown(120, 40));
    }
}
