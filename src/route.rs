//! Which rule takes this request: the first, in the order of the file, whose every condition holds.
//!
//! Pure: prebuilt rules against a host and a path in normal form. Rules that cannot apply to a listener
//! are left out when its table is built.

mod index;

use index::Index;

/// Rules up to which going through them is quicker than looking them up.
const MAX_SCANNED: usize = 8;

/// How a rule names a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// The host itself, in lower case.
    Exact(Box<[u8]>),
    /// One or more labels before this, never it alone; held with its leading dot.
    Suffix(Box<[u8]>),
}

/// One rule: every list that is not empty must hold an element that matches.
#[derive(Debug, Clone, Default)]
pub struct Rule<T> {
    /// Any of these hosts.
    pub hosts: Vec<Host>,
    /// Exactly one of these paths.
    pub paths: Vec<Box<[u8]>>,
    /// Below one of these, on whole segments: `/api` takes `/api` and `/api/x`; `/api/` takes `/api/` and
    /// what is below.
    pub prefixes: Vec<Box<[u8]>>,
    /// What the rule leads to.
    pub target: T,
}

/// Which conditions of a rule hold for a request; one that is not given holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// One of its hosts is the request's, or it names none.
    pub host: bool,
    /// One of its paths is.
    pub path: bool,
    /// The path is below one of its prefixes.
    pub prefix: bool,
}

impl Judgement {
    /// Whether the rule takes the request.
    pub fn takes(self) -> bool {
        self.host && self.path && self.prefix
    }
}

/// The rules of one listener.
#[derive(Debug, Clone)]
pub struct Table<T> {
    rules: Vec<Rule<T>>,
    /// None where there are few.
    index: Option<Index>,
}

impl<T> Table<T> {
    /// A table of rules, in order of precedence.
    pub fn new(rules: Vec<Rule<T>>) -> Self {
        let index = (rules.len() > MAX_SCANNED).then(|| Index::new(&rules));
        Self { rules, index }
    }

    /// The target of the first rule that takes a request. `host` is in lower case without port or
    /// trailing dot, `path` in normal form.
    pub fn find(&self, host: &[u8], path: &[u8]) -> Option<&T> {
        let rule = match &self.index {
            None => self.rules.iter().find(|rule| rule.takes(host, path)),
            Some(index) => {
                let takes = |number: u32| self.rules[number as usize].takes(host, path);
                index.first(host, path, takes).map(|number| &self.rules[number as usize])
            }
        };
        rule.map(|rule| &rule.target)
    }

    /// Every rule in order of precedence, and what of it holds: for those who ask why. The first that takes the request
    /// is the one that [`Self::find`] finds.
    pub fn judge(&self, host: &[u8], path: &[u8]) -> impl Iterator<Item = (&Rule<T>, Judgement)> {
        self.rules.iter().map(move |rule| (rule, rule.judge(host, path)))
    }

    /// Whether there is no rule: neither host nor path need be looked at then.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl<T> Rule<T> {
    fn takes(&self, host: &[u8], path: &[u8]) -> bool {
        self.takes_host(host) && self.takes_path(path) && self.takes_below(path)
    }

    fn judge(&self, host: &[u8], path: &[u8]) -> Judgement {
        Judgement { host: self.takes_host(host), path: self.takes_path(path), prefix: self.takes_below(path) }
    }

    fn takes_host(&self, host: &[u8]) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|h| h.takes(host))
    }

    fn takes_path(&self, path: &[u8]) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|p| path == &**p)
    }

    fn takes_below(&self, path: &[u8]) -> bool {
        self.prefixes.is_empty() || self.prefixes.iter().any(|p| is_below(path, p))
    }
}

impl Host {
    fn takes(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(name) => host == &**name,
            Self::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        }
    }
}

fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    path.starts_with(prefix)
        && (prefix.ends_with(b"/") || matches!(path.get(prefix.len()), None | Some(b'/')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule() -> impl Strategy<Value = Rule<usize>> {
        let name = proptest::sample::select(vec!["a", "b.a", "c.b.a", "a.b", ""]);
        let host = (any::<bool>(), name).prop_map(|(exact, name)| match exact {
            true => Host::Exact(name.as_bytes().into()),
            false => Host::Suffix(format!(".{name}").into_bytes().into()),
        });
        let path = proptest::sample::select(vec!["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab"]);
        let path = path.prop_map(|path| Box::from(path.as_bytes()));
        let paths = proptest::collection::vec(path, 0..3);
        let hosts = proptest::collection::vec(host, 0..3);
        (hosts, paths.clone(), paths).prop_map(|(hosts, paths, prefixes)| Rule {
            hosts,
            paths,
            prefixes,
            target: 0,
        })
    }

    proptest! {
        #[test]
        fn an_index_finds_what_going_through_the_rules_finds(
            rules in proptest::collection::vec(rule(), MAX_SCANNED + 1..40),
            host in proptest::sample::select(vec!["a", "b.a", "c.b.a", "x.c.b.a", "a.b", "b", "", ".a", "..a"]),
            path in proptest::sample::select(vec!["/", "/a", "/a/", "/a/b", "/a//b", "/a/b/c/d", "/ab", "/abc", "*", ""]),
        ) {
            let numbered = rules.into_iter().enumerate();
            let rules: Vec<_> = numbered.map(|(target, rule)| Rule { target, ..rule }).collect();
            let (host, path) = (host.as_bytes(), path.as_bytes());
            let expected = rules.iter().position(|rule| rule.takes(host, path));
            let table = Table::new(rules);
            prop_assert!(table.index.is_some());
            prop_assert_eq!(table.find(host, path).copied(), expected);
            prop_assert_eq!(table.judge(host, path).position(|(_, judged)| judged.takes()), expected);
        }
    }

    fn table() -> Table<&'static str> {
        let rule = |hosts: &[Host], paths: &[&str], prefixes: &[&str], target| Rule {
            hosts: hosts.into(),
            paths: paths.iter().map(|p| p.as_bytes().into()).collect(),
            prefixes: prefixes.iter().map(|p| p.as_bytes().into()).collect(),
            target,
        };
        let exact = |h: &str| Host::Exact(h.as_bytes().into());
        Table::new(vec![
            rule(&[exact("a.example")], &[], &["/api"], "api of a"),
            rule(&[Host::Suffix((*b".example").into())], &[], &["/deep/"], "deep"),
            rule(&[], &["/health"], &[], "health"),
            rule(&[exact("a.example"), exact("b.example")], &[], &[], "a or b"),
        ])
    }

    #[test]
    fn the_first_rule_whose_conditions_all_hold_takes_the_request() {
        let cases: [(&str, &str, Option<&str>); 12] = [
            ("a.example", "/api", Some("api of a")),
            ("a.example", "/api/x", Some("api of a")),
            ("a.example", "/apix", Some("a or b")),
            ("a.example", "/API", Some("a or b")),
            ("x.y.example", "/deep/", Some("deep")),
            ("x.example", "/deep/er", Some("deep")),
            ("x.example", "/deep", None),
            ("example", "/deep/", None),
            ("", "/health", Some("health")),
            ("c.other", "/health/", None),
            ("b.example", "/", Some("a or b")),
            ("b.example", "*", Some("a or b")),
        ];
        for (host, path, expected) in cases {
            assert_eq!(table().find(host.as_bytes(), path.as_bytes()).copied(), expected, "{host}{path}");
        }
    }
}
