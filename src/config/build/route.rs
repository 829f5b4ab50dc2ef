//! `[[route]]`

use super::{Names, Places, slo, unique};
use crate::config::model::{Match, Priority, Route};
use crate::config::report::Findings;
use crate::config::walk::{Item, Section, Value};

pub(super) fn build_all(
    sections: &[Section],
    pools: &Names<'_>,
    listeners: &Names<'_>,
    places: &mut Places,
    findings: &mut Findings,
) -> Vec<Route> {
    let routes: Vec<Route> = sections
        .iter()
        .enumerate()
        .map(|(at, section)| {
            places.routes.push(section.span.clone());
            build(at, section, pools, listeners, findings)
        })
        .collect();
    let named = routes.iter().zip(sections);
    let named = named.map(|(route, section)| {
        (route.name.as_str(), section.place("name"), section.given("name").is_some())
    });
    unique("route", named, "the names are route-1, route-2, … where none is given", findings);
    routes
}

fn build(
    at: usize,
    section: &Section,
    pools: &Names<'_>,
    listeners: &Names<'_>,
    findings: &mut Findings,
) -> Route {
    let name = match (section.given("name"), section.text("name")) {
        (_, Some(name)) => name.to_owned(),
        (Some(_), None) => String::new(),
        (None, None) => format!("route-{}", at + 1),
    };
    let taken = section.given("listeners").map(|_| {
        let names = section.list("listeners").iter();
        let mut taken: Vec<usize> = names
            .filter_map(|item| match &item.value {
                Value::Text(name) => listeners.find(name, item.span.clone(), findings),
                _ => None,
            })
            .collect();
        taken.sort_unstable();
        taken.dedup();
        taken
    });
    let pool = section.text("pool").and_then(|pool| pools.find(pool, section.place("pool"), findings));
    Route {
        name,
        listeners: taken,
        matches: section.table("match").map(matches).unwrap_or_default(),
        pool: pool.unwrap_or(0),
        timeout: section.duration("timeout"),
        access_log: section.boolean("access_log").unwrap_or(true),
        slo: slo::build(section, findings),
        priority: match section.text("priority") {
            Some("low") => Priority::Low,
            Some("high") => Priority::High,
            _ => Priority::Normal,
        },
    }
}

fn matches(section: &Section) -> Match {
    let hosts = section.list("host").iter();
    Match {
        host: hosts
            .filter_map(|item| if let Value::Host(host) = &item.value { Some(host.clone()) } else { None })
            .collect(),
        path: texts(section.list("path")),
        path_prefix: texts(section.list("path_prefix")),
    }
}

fn texts(items: &[Item]) -> Vec<String> {
    items
        .iter()
        .filter_map(|item| if let Value::Text(text) = &item.value { Some(text.clone()) } else { None })
        .collect()
}
