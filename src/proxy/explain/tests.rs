//! Explanations against what then happens, in random configurations, states and requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::pick::{Attempt, Leases};
use super::*;
use crate::backend::{Duty, Lease, Order, epoch};
use crate::balance::REGISTRY;
use crate::snapshot::{Snapshot, of_text};

const TRIPLES: u64 = 10_000;
/// Triples of one configuration.
const EACH: u64 = 100;

const HOSTS: [&str; 5] = ["a.example", "b.a.example", "b.example", "c.test", "*.a.example"];
const PATHS: [&str; 6] = ["/", "/api", "/api/x", "/api/", "/apix", "/static/1"];

fn file(random: &mut fastrand::Rng) -> String {
    let mut text = String::from("[[listener]]\nname = 'web'\nbind = '127.0.0.1:0'\n");
    if random.bool() {
        text.push_str("pool = 'p0'\n");
    }
    let pools = 3;
    for number in 0..random.usize(..14) {
        text.push_str(&format!("[[route]]\nname = 'r{number}'\npool = 'p{}'\n", random.usize(..pools)));
        let mut conditions = Vec::new();
        if random.bool() {
            conditions.push(format!("host = '{}'", HOSTS[random.usize(..HOSTS.len())]));
        }
        if random.u8(..3) == 0 {
            conditions.push(format!("path = '{}'", PATHS[random.usize(..PATHS.len())]));
        }
        if random.bool() {
            conditions.push(format!("path_prefix = '{}'", PATHS[random.usize(..PATHS.len())]));
        }
        text.push_str(&format!("match = {{ {} }}\n", conditions.join(", ")));
    }
    for number in 0..pools {
        let balance = REGISTRY[random.usize(..REGISTRY.len())].name;
        let key = ["client-ip", "path", "header:x-user", "query:q"][random.usize(..4)];
        text.push_str(&format!(
            "[pool.p{number}]\nbalance = '{balance}'\nhash_key = '{key}'\nbackends = [\n"
        ));
        // Beyond 32 some algorithms draw.
        let backends = if random.u8(..8) == 0 { 40 } else { random.usize(1..6) };
        for port in 0..backends {
            let (weight, limit, priority) = (random.u8(..5), random.u8(..4), random.u8(..2));
            text.push_str(&format!(
                "{{ address = '127.0.0.1:{}', weight = {weight}, max_connections = {limit}, priority = {priority} }},\n",
                1000 + port
            ));
        }
        text.push_str("]\n");
        if random.bool() && matches!(balance, "hash" | "ip-hash") {
            text.push_str("hash_balance_factor = 1.25\n");
        }
    }
    text
}

fn disturb(snapshot: &Snapshot, random: &mut fastrand::Rng, leases: &mut Vec<Lease>, now: Instant) {
    for pool in &snapshot.pools {
        for (place, member) in pool.members.iter().enumerate() {
            let backend = &member.backend;
            match random.u8(..24) {
                0 => drop(backend.condition().set(random.bool(), "by the test", now)),
                1 => {
                    let duty = Duty::ALL[random.usize(..Duty::ALL.len())];
                    backend.obey(Order { duty, ..backend.orders().order() }, now);
                }
                2 => (0..6).for_each(|_| {
                    pool.squad.count(place, Moment::of(now));
                    pool.squad.went_badly(place, Moment::of(now), Moment::of(now));
                }),
                3..6 => leases.extend(Lease::take(backend, member.limit, now)),
                6 if !leases.is_empty() => drop(leases.swap_remove(random.usize(..leases.len()))),
                7 => backend.latency().record(Duration::from_millis(random.u64(1..500)), now),
                _ => {}
            }
        }
        pool.review(now);
    }
}

fn head(random: &mut fastrand::Rng) -> String {
    let host = HOSTS[random.usize(..HOSTS.len())].replace('*', "x");
    let (path, user) = (PATHS[random.usize(..PATHS.len())], random.u8(..20));
    let method = ["GET", "POST", "PUT"][random.usize(..3)];
    let length = if method == "GET" { "" } else { "Content-Length: 1\r\n" };
    format!("{method} {path}?q={user} HTTP/1.1\r\nHost: {host}\r\nX-User: {user}\r\n{length}\r\n")
}

/// What must not change by asking.
fn traces(snapshot: &Snapshot) -> Vec<(u64, Vec<(u32, bool)>)> {
    let of = |pool: &Arc<Pool>| {
        let members = pool.members.iter().map(|member| &member.backend);
        let seen = members.map(|backend| (backend.in_flight(), backend.conduct().is_out())).collect();
        (pool.turn().load(Ordering::Relaxed), seen)
    };
    snapshot.pools.iter().map(of).collect()
}

type Picked<'l> = Result<(Attempt<'l>, Why), Fault>;

/// What the daemon does then: its own gate and its own pick, with leases.
fn happens<'l>(asked: &Asked<'l>, random: &mut fastrand::Rng) -> Result<(&'l Route, Picked<'l>), Fault> {
    let mut request = RequestHead::new();
    request.parse(asked.head, asked.listener.head, asked.listener.policy).unwrap();
    let route = gate::find(asked.listener, &request, asked.origin)?;
    let pool = &*route.pool;
    let id = random.u128(..);
    let client = gate::edit(
        &mut request,
        &mut Forwarding::default(),
        (asked.listener, pool),
        (asked.origin, None),
        id,
    );
    let listed = pool.retry.lists_method(request.method_token());
    let wish = Wish { request: &request, client, stuck: None, listed, bound: false, now: asked.now };
    let roster = pool.roster();
    let tried = &mut Tried::default();
    Ok((route, choose(&mut Leases(pool), (pool, &roster), &*roster.balancer, &wish, tried, random)))
}

#[test]
fn an_explanation_agrees_with_what_then_happens() {
    let (mut drawn, mut certain, mut refused, mut trials) = (0, 0, 0, 0);
    for configuration in 0..TRIPLES / EACH {
        let mut random = fastrand::Rng::with_seed(configuration);
        let text = file(&mut random);
        let mut now = epoch() + Duration::from_secs(1);
        let snapshot = of_text(&text, now);
        let mut leases = Vec::new();
        for _ in 0..EACH {
            now += Duration::from_millis(random.u64(1..2_000));
            disturb(&snapshot, &mut random, &mut leases, now);
            let head = head(&mut random);
            let peer = SocketAddr::from(([10, 0, 0, random.u8(..)], 4711));
            let origin = Origin::new(peer, 80, false, false);
            let asked =
                Asked { listener: &snapshot.listeners[0], head: head.as_bytes(), origin: &origin, now };
            let (mut same, before) = (random.fork(), traces(&snapshot));
            let told = explain(&asked, &mut same.clone()).unwrap();
            assert_eq!(traces(&snapshot), before, "asking has changed something\n{head}");
            match (happens(&asked, &mut same), told.outcome) {
                (Err(fault), Err(foretold)) => {
                    assert_eq!(fault, foretold);
                    assert!(told.judged.iter().all(|(_, judged)| !judged.takes()));
                    refused += 1;
                }
                (Ok((route, picked)), Ok(foretold)) => {
                    assert_eq!(route.name, foretold.route.name, "{text}\n{head}");
                    let named = told.judged.last().filter(|(_, judged)| judged.takes());
                    assert!(
                        named.map_or("default", |(rule, _)| &*rule.target.name) == &*route.name,
                        "{text}\n{head}"
                    );
                    match (picked, foretold.pick) {
                        (Err(fault), Err(foretold)) => assert_eq!(fault, foretold),
                        (Ok((attempt, why)), Ok(shares)) => {
                            assert_eq!(why, shares.why);
                            let mut places = shares.places.iter();
                            assert!(places.any(|(place, _)| *place == attempt.place), "{text}\n{head}");
                            let sum: f64 = shares.places.iter().map(|(_, chance)| chance).sum();
                            assert!((sum - 1.0).abs() < 1e-9);
                            if shares.certain {
                                certain += 1
                            } else {
                                drawn += 1
                            }
                            trials += usize::from(why == Why::Trial);
                            leases.extend(random.bool().then_some(attempt.lease));
                        }
                        (happened, foretold) => {
                            panic!(
                                "{:?} but {foretold:?}\n{text}\n{head}",
                                happened.map(|(one, _)| one.place)
                            )
                        }
                    }
                }
                (happened, foretold) => panic!("{} but {foretold:?}\n{text}\n{head}", happened.is_ok()),
            }
        }
    }
    // Else it would prove little.
    assert!(
        drawn > 500 && certain > 1_000 && refused > 500 && trials > 10,
        "{drawn} {certain} {refused} {trials}"
    );
}
