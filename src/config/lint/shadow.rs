//! Routes that can never take a request.

use crate::config::build::Places;
use crate::config::model::{Config, HostPattern, Match, Route};
use crate::config::report::{Code, Diagnostic, Findings, printable};

/// Each route is compared with all before it; beyond this many only the first ones are looked at.
const ROUTES_MAX: usize = 2000;

pub(super) fn check(config: &Config, places: &Places, findings: &mut Findings) {
    for (at, route) in config.routes.iter().enumerate().take(ROUTES_MAX) {
        let name = printable(&route.name);
        let never = format!("the route \"{name}\" can never match");
        let span = places.routes[at].clone();
        if impossible(&route.matches) {
            let one = Diagnostic::warning(Code::NeverMatches, span, never);
            findings.push(one.label("no `match.path` of it is below a `match.path_prefix` of it"));
            continue;
        }
        if let Some(first) = config.routes[..at].iter().position(|earlier| covers(earlier, route)) {
            let earlier = printable(&config.routes[first].name);
            let one = Diagnostic::warning(Code::NeverMatches, span, never)
                .label(format!("\"{earlier}\" takes all its requests"))
                .note(places.routes[first].clone(), format!("\"{earlier}\" stands before it"))
                .help(Some("the first route that matches takes the request: put the narrower one first"));
            findings.push(one);
        }
    }
}

/// Whether `earlier` takes every request that `later` would.
fn covers(earlier: &Route, later: &Route) -> bool {
    listeners_cover(earlier.listeners.as_deref(), later.listeners.as_deref())
        && hosts_cover(&earlier.matches.host, &later.matches.host)
        && paths_cover(&earlier.matches, &later.matches)
}

fn listeners_cover(earlier: Option<&[usize]>, later: Option<&[usize]>) -> bool {
    match (earlier, later) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(earlier), Some(later)) => later.iter().all(|listener| earlier.contains(listener)),
    }
}

fn hosts_cover(earlier: &[HostPattern], later: &[HostPattern]) -> bool {
    earlier.is_empty()
        || !later.is_empty() && later.iter().all(|host| earlier.iter().any(|wider| host_covers(wider, host)))
}

fn host_covers(wider: &HostPattern, host: &HostPattern) -> bool {
    let below = |name: &str, suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'));
    match (wider, host) {
        (HostPattern::Exact(wider), HostPattern::Exact(host)) => wider == host,
        (HostPattern::Exact(_), HostPattern::Suffix(_)) => false,
        (HostPattern::Suffix(wider), HostPattern::Exact(host)) => below(host, wider),
        (HostPattern::Suffix(wider), HostPattern::Suffix(host)) => wider == host || below(host, wider),
    }
}

fn paths_cover(earlier: &Match, later: &Match) -> bool {
    // The paths that `later` can take at all are its exact ones, where it has any.
    let exact = reachable(later);
    let by_path = earlier.path.is_empty()
        || !later.path.is_empty() && exact.iter().all(|path| earlier.path.contains(path));
    let under = |path: &String| earlier.path_prefix.iter().any(|prefix| takes(prefix, path));
    let by_prefix = earlier.path_prefix.is_empty()
        || if later.path.is_empty() {
            !later.path_prefix.is_empty() && later.path_prefix.iter().all(under)
        } else {
            exact.into_iter().all(under)
        };
    by_path && by_prefix
}

fn impossible(matches: &Match) -> bool {
    !matches.path.is_empty() && reachable(matches).is_empty()
}

/// The exact paths that also fulfil the prefixes.
fn reachable(matches: &Match) -> Vec<&String> {
    let fits = |path: &&String| {
        matches.path_prefix.is_empty() || matches.path_prefix.iter().any(|prefix| takes(prefix, path))
    };
    matches.path.iter().filter(fits).collect()
}

/// Whether a prefix takes a path, and so everything below it: on whole segments.
fn takes(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}
