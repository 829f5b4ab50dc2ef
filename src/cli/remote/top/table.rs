//! Which rows the table has, and in which order.

use super::column::Column;
use super::told::{Backend, Pool, Snapshot};

/// A row: a pool, or a backend below it, by their places in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// The pool.
    pub(super) pool: usize,
    /// The backend; `None`: the heading of the pool.
    pub(super) backend: Option<usize>,
}

/// What a row is of, by name: places change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The pool.
    pub(super) pool: String,
    /// The backend.
    pub(super) backend: Option<String>,
}

impl Row {
    /// Whose row it is.
    pub(super) fn mark(self, snapshot: Option<&Snapshot>) -> Mark {
        let Some(pool) = self.pool_of(snapshot) else { return Mark::default() };
        let backend = self.backend_of(snapshot).map(|backend| backend.name.raw().to_owned());
        Mark { pool: pool.name.raw().to_owned(), backend }
    }

    /// The pool.
    pub(super) fn pool_of(self, snapshot: Option<&Snapshot>) -> Option<&Pool> {
        snapshot?.pools.get(self.pool)
    }

    /// The backend, if it is the row of one.
    pub(super) fn backend_of(self, snapshot: Option<&Snapshot>) -> Option<&Backend> {
        self.pool_of(snapshot)?.backends.get(self.backend?)
    }
}

/// The rows of pools and their backends that have `filter` in a name or an address; each pool's backends sorted by a column.
pub(super) fn rows(pools: &[Pool], filter: &str, sort: Option<Column>, reversed: bool) -> Vec<Row> {
    let filter = filter.to_lowercase();
    let fits = |text: &str| text.to_lowercase().contains(&filter);
    let mut rows = Vec::new();
    for (place, pool) in pools.iter().enumerate() {
        let whole = fits(pool.name.raw());
        let backends = pool.backends.iter().enumerate();
        let mut shown: Vec<(usize, &Backend)> =
            backends.filter(|(_, one)| whole || fits(one.name.raw()) || fits(one.address.raw())).collect();
        if !whole && shown.is_empty() {
            continue;
        }
        if let Some(column) = sort {
            shown.sort_by(|(_, a), (_, b)| column.compare(a, b));
        }
        if reversed {
            shown.reverse();
        }
        rows.push(Row { pool: place, backend: None });
        rows.extend(shown.into_iter().map(|(backend, _)| Row { pool: place, backend: Some(backend) }));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(name: &str, backends: &[(&str, Option<f64>)]) -> Pool {
        let backend = |(name, rate): &(&str, Option<f64>)| {
            let mut made =
                Backend { name: (*name).into(), address: "10.0.0.1:80".into(), ..Backend::default() };
            made.pace.rate = *rate;
            made
        };
        Pool { name: name.into(), backends: backends.iter().map(backend).collect(), ..Pool::default() }
    }

    fn names(filter: &str, sort: Option<Column>, reversed: bool) -> String {
        let pools = vec![
            pool("crm", &[("b", Some(2.0)), ("a", None), ("C", Some(9.0))]),
            pool("web", &[("d", None)]),
        ];
        let snapshot = Snapshot { pools, ..Snapshot::default() };
        let name = |row: &Row| {
            let mark = row.mark(Some(&snapshot));
            mark.backend.unwrap_or(mark.pool + ":")
        };
        rows(&snapshot.pools, filter, sort, reversed).iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn backends_stand_below_their_pools_in_the_order_asked_for() {
        assert_eq!(names("", None, false), "crm: b a C web: d");
        assert_eq!(names("", None, true), "crm: C a b web: d");
        assert_eq!(names("", Some(Column::Name), false), "crm: a b C web: d");
        assert_eq!(
            names("", Some(Column::Rate), false),
            "crm: C b a web: d",
            "the most first, what is not known last"
        );
    }

    #[test]
    fn a_filter_takes_names_and_addresses_whatever_their_case() {
        assert_eq!(names("c", None, false), "crm: b a C", "the whole pool");
        assert_eq!(names("D", None, false), "web: d");
        assert_eq!(names("10.0.0.1", None, false), names("", None, false));
        assert_eq!(names("nobody", None, false), "");
    }
}
