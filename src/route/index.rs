//! Which rules can take a request at all, found by host and path instead of by going through them.
//!
//! A rule stands under each of its hosts (or under «any»), and there under each of its paths, else of its
//! prefixes, else under «any». A look-up asks only for keys that exist in some length, so that what it costs
//! hangs on the configuration and never on how many dots or slashes a client sends.

use std::collections::HashMap;

use super::{Host, Rule, is_below};

type Map<V> = HashMap<Box<[u8]>, V, foldhash::fast::FixedState>;

/// Numbers of rules, ascending.
type Numbers = Vec<u32>;

/// The index of one table.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    exact: Map<Paths>,
    suffixes: Keyed<Paths>,
    any: Paths,
}

/// Values by keys of which a look-up knows only that they end (or begin) somewhere in what it was given.
#[derive(Debug, Clone)]
struct Keyed<V> {
    by_key: Map<V>,
    /// The lengths that keys have, ascending.
    lens: Vec<usize>,
}

/// The rules of one host, by path.
#[derive(Debug, Clone, Default)]
struct Paths {
    exact: Map<Numbers>,
    prefixes: Keyed<Numbers>,
    any: Numbers,
}

impl<V> Default for Keyed<V> {
    fn default() -> Self {
        Self { by_key: Map::default(), lens: Vec::new() }
    }
}

impl<V: Default> Keyed<V> {
    fn entry(&mut self, key: &[u8]) -> &mut V {
        if let Err(place) = self.lens.binary_search(&key.len()) {
            self.lens.insert(place, key.len());
        }
        self.by_key.entry(key.into()).or_default()
    }
}

impl Index {
    /// The index of these rules.
    pub(super) fn new<T>(rules: &[Rule<T>]) -> Self {
        let mut index = Self::default();
        for (number, rule) in (0..).zip(rules) {
            if rule.hosts.is_empty() {
                index.any.add(number, rule);
            }
            for host in &rule.hosts {
                match host {
                    Host::Exact(name) => index.exact.entry(name.clone()).or_default().add(number, rule),
                    Host::Suffix(suffix) => index.suffixes.entry(suffix).add(number, rule),
                }
            }
        }
        index
    }

    /// The first rule that `takes` the request among those that can.
    pub(super) fn first(&self, host: &[u8], path: &[u8], takes: impl Fn(u32) -> bool) -> Option<u32> {
        let mut best = None;
        if let Some(paths) = self.exact.get(host) {
            paths.first(path, &takes, &mut best);
        }
        for len in self.suffixes.lens.iter().take_while(|len| **len < host.len()) {
            if let Some(paths) = self.suffixes.by_key.get(&host[host.len() - len..]) {
                paths.first(path, &takes, &mut best);
            }
        }
        self.any.first(path, &takes, &mut best);
        best
    }
}

impl Paths {
    fn add<T>(&mut self, number: u32, rule: &Rule<T>) {
        let keys = match (rule.paths.is_empty(), rule.prefixes.is_empty()) {
            (false, _) => &rule.paths,
            (true, false) => &rule.prefixes,
            (true, true) => return self.any.push(number),
        };
        for key in keys {
            let numbers = match rule.paths.is_empty() {
                false => self.exact.entry(key.clone()).or_default(),
                true => self.prefixes.entry(key),
            };
            if numbers.last() != Some(&number) {
                numbers.push(number);
            }
        }
    }

    fn first(&self, path: &[u8], takes: &impl Fn(u32) -> bool, best: &mut Option<u32>) {
        if let Some(numbers) = self.exact.get(path) {
            lowest(numbers, takes, best);
        }
        for len in self.prefixes.lens.iter().take_while(|len| **len <= path.len()) {
            let prefix = &path[..*len];
            if is_below(path, prefix)
                && let Some(numbers) = self.prefixes.by_key.get(prefix)
            {
                lowest(numbers, takes, best);
            }
        }
        lowest(&self.any, takes, best);
    }
}

/// Lowers `best` to the first of the numbers that is below it and takes the request.
fn lowest(numbers: &[u32], takes: &impl Fn(u32) -> bool, best: &mut Option<u32>) {
    let better = numbers.iter().take_while(|number| best.is_none_or(|best| **number < best));
    *best = better.copied().find(|number| takes(*number)).or(*best);
}
