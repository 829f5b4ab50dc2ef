//! Explanations for the admin endpoint: a question as a request, and what the proxy foretells in words.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use crate::admin::{ChanceView, ChoiceView, ExplainView, JudgedView, OwnAnswerView, Question, TermsView};
use crate::http::Origin;
use crate::proxy::{self, Asked, Explanation, Fault, Foreseen};
use crate::recent::Why;
use crate::route::{Host, Judgement, Rule};
use crate::snapshot::{Listener, Member, Pool, Roster, Route, Snapshot};

/// Of a question that names no client.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// A question comes from no port; it must be some.
const CLIENT_PORT: u16 = 1024;
/// Bytes of a question as a head.
const MAX_HEAD: usize = 64 * 1024;

type Addresses = [(Arc<str>, SocketAddr)];

/// What would become of the request that is asked about.
pub(super) fn explain(
    snapshot: &Snapshot,
    addresses: &Addresses,
    question: &Question,
    now: Instant,
) -> Result<ExplainView, String> {
    let url = Url::read(&question.url)?;
    let (listener, listener_why) = listener_of(snapshot, addresses, question, &url)?;
    let peer = question.from.unwrap_or(CLIENT);
    let origin = Origin::new(SocketAddr::new(peer, CLIENT_PORT), url.port, url.secure, listener.trusts(peer));
    let head = head(question, &url)?;
    let asked = Asked { listener, head: &head, origin: &origin, now };
    let told = proxy::explain(&asked, &mut fastrand::Rng::new())
        .map_err(|refusal| format!("no such request is taken: {} ({})", refusal.reason, refusal.status))?;
    Ok(view(snapshot, listener, listener_why, told))
}

/// The parts of a URL.
struct Url<'q> {
    secure: bool,
    authority: &'q str,
    port: u16,
    target: String,
}

impl<'q> Url<'q> {
    fn read(text: &'q str) -> Result<Self, String> {
        let form = || "expected a URL such as https://crm.example.com/api/x".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(form()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let digits = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let port = match digits {
            Some((_, port)) => port.parse().map_err(|_| form())?,
            None if secure => 443,
            None => 80,
        };
        if authority.is_empty() {
            return Err(form());
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { secure, authority, port, target: format!("{slash}{target}") })
    }
}

/// The question as a client would send it.
fn head(question: &Question, url: &Url<'_>) -> Result<Vec<u8>, String> {
    let parts = question.headers.iter().chain([&question.method, &question.url]);
    if parts.clone().any(|part| part.contains(['\r', '\n', '\0'])) {
        return Err("a line end stands in the question".to_owned());
    }
    let names_host = |field: &&String| {
        field.split(':').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("host"))
    };
    let mut head = format!("{} {} HTTP/1.1\r\n", question.method, url.target);
    if !question.headers.iter().any(|field| names_host(&field)) {
        let _ = write!(head, "Host: {}\r\n", url.authority);
    }
    for field in &question.headers {
        let (name, value) = field.split_once(':').ok_or_else(|| format!("{field:?} is no `name: value`"))?;
        let _ = write!(head, "{}: {}\r\n", name.trim(), value.trim());
    }
    head.push_str("\r\n");
    if head.len() > MAX_HEAD { Err("the question is too long".to_owned()) } else { Ok(head.into_bytes()) }
}

/// The listener that the request comes to, and why it is this one.
fn listener_of<'s>(
    snapshot: &'s Snapshot,
    addresses: &Addresses,
    question: &Question,
    url: &Url<'_>,
) -> Result<(&'s Listener, String), String> {
    if let Some(name) = &question.listener {
        let found = snapshot.listener(name).ok_or_else(|| format!("no listener {name:?}"))?;
        return Ok((found, "as asked".to_owned()));
    }
    let is_at = |listener: &Listener, port: u16| {
        addresses.iter().any(|(name, address)| *name == listener.name && address.port() == port)
    };
    let mut all = snapshot.listeners.iter().map(|listener| &**listener);
    let speaks = |listener: &&Listener| listener.tls.is_some() == url.secure;
    if let Some(found) = all.clone().find(|listener| is_at(listener, url.port) && speaks(listener)) {
        return Ok((found, format!("it listens on port {}", url.port)));
    }
    let scheme = if url.secure { "https" } else { "http" };
    if let Some(found) = all.clone().find(speaks) {
        let why =
            format!("none for {scheme} listens on port {}; it is the first that speaks {scheme}", url.port);
        return Ok((found, why));
    }
    let first = all.next().ok_or("there is no listener")?;
    Ok((first, format!("none speaks {scheme}; it is the first, which a proxy before it may stand for")))
}

fn view(
    snapshot: &Snapshot,
    listener: &Listener,
    listener_why: String,
    told: Explanation<'_>,
) -> ExplainView {
    let mut routes = routes(snapshot, listener, &told);
    let (answer, pool) = match &told.outcome {
        Err(fault) => (Some(own_answer(*fault)), None),
        Ok(foreseen) => {
            if routes.iter().all(|route| !route.takes) {
                let why = "no route takes it: the listener's own pool does".to_owned();
                routes.push(JudgedView { name: foreseen.route.name.to_string(), takes: true, why });
            }
            let answer = foreseen.pick.as_ref().err().map(|fault| own_answer(*fault));
            // Where the pool is full it may wait first.
            let waits = matches!(foreseen.pick, Err(Fault::PoolFull)) && foreseen.route.pool.queue_max > 0;
            (answer.filter(|_| !waits), Some(choice(foreseen)))
        }
    };
    ExplainView {
        listener: listener.name.to_string(),
        listener_why,
        host: told.host,
        path: told.path,
        routes,
        answer,
        pool,
    }
}

fn own_answer(fault: Fault) -> OwnAnswerView {
    let (status, reason) = fault.told();
    OwnAnswerView { status, reason: reason.to_owned() }
}

/// Every route of the file up to the one that takes it; those of other listeners among them.
fn routes(snapshot: &Snapshot, listener: &Listener, told: &Explanation<'_>) -> Vec<JudgedView> {
    let mut views = Vec::new();
    let mut judged = told.judged.iter();
    if told.judged.is_empty() && !matches!(told.outcome, Ok(_) | Err(Fault::NoRoute)) {
        return views;
    }
    for routing in snapshot.routings.iter().filter(|routing| routing.account.listener().is_none()) {
        let name = routing.account.route().to_owned();
        if !routing.listeners.contains(&listener.name) {
            let why = format!("not for listener {}", listener.name);
            views.push(JudgedView { name, takes: false, why });
            continue;
        }
        let Some((rule, judgement)) = judged.next() else { break };
        let why = why(rule, *judgement, &told.host, &told.path);
        views.push(JudgedView { name, takes: judgement.takes(), why });
        if judgement.takes() {
            break;
        }
    }
    views
}

/// `host is api.example.com: no; path below /api: yes`
fn why(rule: &Rule<Arc<Route>>, judgement: Judgement, host: &str, path: &str) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let hosts = rule.hosts.iter().map(|one| match one {
        Host::Exact(name) => text(name),
        Host::Suffix(suffix) => format!("*{}", text(suffix)),
    });
    let hosts: Vec<String> = hosts.collect();
    let paths: Vec<String> = rule.paths.iter().map(|one| text(one)).collect();
    let prefixes: Vec<String> = rule.prefixes.iter().map(|one| text(one)).collect();
    let conditions = [
        (hosts, judgement.host, format!("host {host:?} is")),
        (paths, judgement.path, format!("path {path:?} is")),
        (prefixes, judgement.prefix, format!("path {path:?} is below")),
    ];
    let told: Vec<String> = conditions
        .into_iter()
        .filter(|(wanted, ..)| !wanted.is_empty())
        .map(|(wanted, holds, what)| {
            format!("{what} {}: {}", wanted.join(" or "), if holds { "yes" } else { "no" })
        })
        .collect();
    if told.is_empty() { "it has no conditions".to_owned() } else { told.join("; ") }
}

fn choice(foreseen: &Foreseen<'_>) -> ChoiceView {
    let pool = &*foreseen.route.pool;
    let roster = pool.roster();
    let chance = |place: usize| {
        let shares = foreseen.pick.as_ref().ok()?;
        shares.places.iter().find(|(one, _)| *one == place).map(|(_, chance)| *chance)
    };
    let score = |place: usize| foreseen.scores.iter().find(|(one, _)| *one == place).map(|(_, score)| *score);
    let members = pool.members.iter().enumerate();
    let backends = members.map(|(place, member)| {
        let (eligible, why, limit) = standing(pool, &roster, place, member);
        ChanceView {
            name: member.backend.identity().name.to_string(),
            eligible,
            why,
            chance: chance(place).unwrap_or(0.0),
            score: score(place),
            in_flight: member.backend.in_flight(),
            limit,
        }
    });
    let (pick, why) = picked(foreseen);
    ChoiceView {
        name: pool.name.to_string(),
        balance: pool.algorithm.name.to_owned(),
        client: foreseen.client,
        pick,
        why,
        score: pool.algorithm.score.to_owned(),
        backends: backends.collect(),
        terms: terms(foreseen),
    }
}

/// Whether the algorithm may pick it, why, and the most that may be in flight there.
fn standing(pool: &Pool, roster: &Roster, place: usize, member: &Member) -> (bool, String, u32) {
    let backend = &member.backend;
    let (state, reason) = backend.condition().shown();
    let Some(index) = roster.places.iter().position(|one| *one == place) else {
        let limit = backend.limit(member.limit);
        let share = backend.order().share(member.weight);
        let why = match roster.priority {
            _ if state.name() != "up" && state.name() != "slow_start" => {
                format!("{}: {reason}", state.name())
            }
            _ if share == 0 => "its weight is 0".to_owned(),
            Some(serves) if serves != member.priority => {
                format!("its priority is {}, and those of {serves} serve", member.priority)
            }
            _ => format!("{}: {reason}", state.name()),
        };
        let trial =
            if roster.trials.contains(&place) { "; a request may try it when its time is over" } else { "" };
        return (false, format!("{why}{trial}"), limit);
    };
    let candidate = &roster.candidates[index];
    let limit = backend.limit(candidate.limit);
    if roster.heeds_ejections && backend.conduct().is_out() {
        return (false, "ejected a moment ago".to_owned(), limit);
    }
    if !backend.has_room(candidate.limit) {
        return (false, format!("full: {} of {limit} in flight", backend.in_flight()), limit);
    }
    let total: u64 = roster.candidates.iter().map(|one| u64::from(one.weight)).sum();
    let share = 100.0 * f64::from(candidate.weight) / total.max(1) as f64;
    (true, format!("{}: {reason}; {share:.1} % of the weights of pool {}", state.name(), pool.name), limit)
}

fn picked(foreseen: &Foreseen<'_>) -> (Option<String>, String) {
    let pool = &*foreseen.route.pool;
    let wait = format!(
        "it waits up to {:?} with at most {} others, then gets 503",
        pool.queue_timeout, pool.queue_max
    );
    let shares = match &foreseen.pick {
        Ok(shares) => shares,
        Err(Fault::PoolFull) if pool.queue_max > 0 => {
            return (None, format!("every backend that might take it is full: {wait}"));
        }
        Err(Fault::PoolFull) => {
            return (None, "every backend that might take it is full, and nobody may wait".to_owned());
        }
        Err(_) => return (None, "no backend is usable".to_owned()),
    };
    let name =
        |place: usize| pool.members.get(place).map(|member| member.backend.identity().name.to_string());
    let mut why = match shares.why {
        Why::Cookie => "its cookie says that its client was with this one".to_owned(),
        Why::Login => "its client's login was made there".to_owned(),
        Why::Trial => "it finds out whether this one is well again, and goes elsewhere if not".to_owned(),
        Why::Algorithm if shares.certain => format!("{} picks it", pool.algorithm.name),
        Why::Algorithm => format!("{} draws: see the chances", pool.algorithm.name),
    };
    if foreseen.awaited {
        let _ = write!(why, "; others wait, and are served before: {wait}");
    }
    if foreseen.bound {
        why.push_str(
            "; it carries a login: on a connection that a login was made on, it goes where that was made",
        );
    }
    let first = shares.places.first().filter(|_| shares.certain);
    (first.and_then(|(place, _)| name(*place)), why)
}

fn terms(foreseen: &Foreseen<'_>) -> TermsView {
    let (route, pool) = (foreseen.route, &*foreseen.route.pool);
    let policy = &pool.retry;
    let words = [
        (policy.on_connect, "connect"),
        (policy.on_reset, "reset"),
        (policy.on_invalid, "invalid"),
        (policy.on_timeout, "timeout"),
    ];
    let words = words.iter().filter(|(listed, _)| *listed).map(|(_, word)| (*word).to_owned());
    TermsView {
        retries: policy.attempts,
        retry_on: words.chain(policy.statuses.iter().map(u16::to_string)).collect(),
        method_listed: foreseen.method_listed,
        hedge: foreseen.hedged,
        timeout_seconds: route.timeout.map(|timeout| timeout.as_secs_f64()),
        connect_timeout_seconds: pool.connect_timeout.as_secs_f64(),
        response_timeout_seconds: pool.response_timeout.as_secs_f64(),
        idle_timeout_seconds: pool.idle_timeout.as_secs_f64(),
        queue_max: pool.queue_max,
        queue_timeout_seconds: pool.queue_timeout.as_secs_f64(),
    }
}
