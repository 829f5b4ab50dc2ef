//! What would become of a request: asked of the code that decides it, by one who takes no lease, no turn and no trial.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::fault::Fault;
use super::pick::{Hand, Tried, Wish, choose};
use super::{gate, hedge, key, stick};
use crate::backend::Moment;
use crate::balance::Pick;
use crate::http::{self, Forwarding, Origin, Parsed, Refusal, RequestHead};
use crate::recent::Why;
use crate::route::{Judgement, Rule};
use crate::snapshot::{Listener, Pool, Roster, Route};

/// Where a pick is drawn, so often it is drawn to tell the chances: a share of 1 % is seen twenty times.
const DRAWS: u32 = 2_000;

/// A request that somebody asks about.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Where it would come.
    pub listener: &'a Listener,
    /// Its head, to the empty line.
    pub head: &'a [u8],
    /// Its connection.
    pub origin: &'a Origin,
    /// When.
    pub now: Instant,
}

/// What would become of a request.
#[derive(Debug)]
pub struct Explanation<'l> {
    /// Its host, as routes look at it.
    pub host: String,
    /// Its path, as routes look at it.
    pub path: String,
    /// Every route of the listener up to the one that takes it, and which of its conditions hold.
    pub judged: Vec<(&'l Rule<Arc<Route>>, Judgement)>,
    /// Where it goes, or how it is answered without a backend.
    pub outcome: Result<Foreseen<'l>, Fault>,
}

/// What a route would do with it.
#[derive(Debug)]
pub struct Foreseen<'l> {
    /// The route.
    pub route: &'l Route,
    /// Who asks, by what trusted proxies say.
    pub client: IpAddr,
    /// Its method is listed in the pool's `retry.methods`.
    pub method_listed: bool,
    /// Another backend may be asked beside the first one, if that takes long.
    pub hedged: bool,
    /// It carries a login that holds for a connection, and is not sent elsewhere.
    pub bound: bool,
    /// Others wait for a place in the pool: it stands behind them first.
    pub awaited: bool,
    /// Who is picked.
    pub pick: Result<Shares, Fault>,
    /// What the algorithm makes of each candidate, by place in the pool; see [`crate::balance::Algorithm::score`].
    pub scores: Vec<(usize, f64)>,
}

/// With what chances backends are picked.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// Why.
    pub why: Why,
    /// No chance is in it.
    pub certain: bool,
    /// Places in the pool and their chances, the likeliest first.
    pub places: Vec<(usize, f64)>,
}

/// Tells what would become of a request at this moment.
///
/// # Errors
/// The head would be refused.
pub fn explain<'l>(asked: &Asked<'l>, random: &mut fastrand::Rng) -> Result<Explanation<'l>, Refusal> {
    let (listener, origin) = (asked.listener, asked.origin);
    let mut request = RequestHead::new();
    match request.parse(asked.head, listener.head, listener.policy)? {
        Parsed::Complete(_) => {}
        Parsed::Partial => return Err(Refusal::bad("the head is not whole")),
    }
    let host = http::host_for_matching(request.host()).into_owned();
    let path = http::normal_path(request.path()).map(Cow::into_owned).unwrap_or_default();
    let outcome = gate::find(listener, &request, origin);
    let mut judged = Vec::new();
    if matches!(outcome, Ok(_) | Err(Fault::NoRoute)) {
        for (rule, judgement) in listener.routes.judge(&host, &path) {
            judged.push((rule, judgement));
            if judgement.takes() {
                break;
            }
        }
    }
    let outcome = outcome.map(|route| foresee(route, &mut request, asked, random));
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Explanation { host: shown(&host), path: shown(&path), judged, outcome })
}

fn foresee<'l>(
    route: &'l Route,
    request: &mut RequestHead,
    asked: &Asked<'_>,
    random: &mut fastrand::Rng,
) -> Foreseen<'l> {
    let pool = &*route.pool;
    let stuck =
        pool.sticky.as_ref().and_then(|sticky| stick::read_cookie(sticky, request, asked.origin).place());
    let id = random.u128(..);
    let client =
        gate::edit(request, &mut Forwarding::default(), (asked.listener, pool), (asked.origin, None), id);
    let method_listed = pool.retry.lists_method(request.method_token());
    let bound = http::carries_login(&request.fields);
    let wish = Wish { request, client, stuck, listed: method_listed, bound, now: asked.now };
    let roster = pool.roster();
    Foreseen {
        route,
        client,
        method_listed,
        hedged: pool.hedge.is_some()
            && method_listed
            && !bound
            && stuck.is_none()
            && hedge::may_be_doubled(request),
        bound,
        awaited: pool.queue.is_awaited(),
        pick: picked(pool, &roster, &wish, random),
        scores: scores(pool, &roster, &wish, random),
    }
}

/// Who the pool's algorithm picks, by trying it out: once where no chance is in it, often where it draws.
fn picked(
    pool: &Pool,
    roster: &Roster,
    wish: &Wish<'_>,
    random: &mut fastrand::Rng,
) -> Result<Shares, Fault> {
    let rehearsal = pool.rehearse(roster);
    let once = |random: &mut fastrand::Rng| {
        let balancer = rehearsal.balancer();
        choose(&mut Looks(pool), (pool, roster), balancer, wish, &mut Tried::default(), random)
    };
    let before = random.get_seed();
    let (first, why) = once(random)?;
    if random.get_seed() == before {
        return Ok(Shares { why, certain: true, places: vec![(first, 1.0)] });
    }
    let mut counts = vec![0_u32; pool.members.len()];
    counts[first] += 1;
    for _ in 1..DRAWS {
        // Where a place is lost while it is drawn, there is nobody to count.
        if let Ok((place, _)) = once(random) {
            counts[place] += 1;
        }
    }
    let drawn = f64::from(counts.iter().sum::<u32>());
    let mut places: Vec<(usize, f64)> =
        counts.into_iter().map(|count| f64::from(count) / drawn).enumerate().collect();
    places.retain(|(_, chance)| *chance > 0.0);
    places.sort_by(|one, other| other.1.total_cmp(&one.1));
    Ok(Shares { why, certain: false, places })
}

fn scores(pool: &Pool, roster: &Roster, wish: &Wish<'_>, random: &mut fastrand::Rng) -> Vec<(usize, f64)> {
    let rehearsal = pool.rehearse(roster);
    let key = key::of(&pool.key, wish.request, wish.client);
    let pick = Pick { key, tried: &[], random, now: wish.now };
    let scored = roster.places.iter().enumerate();
    scored.filter_map(|(index, place)| Some((*place, rehearsal.balancer().score(index, &pick)?))).collect()
}

/// The hand of one who only looks.
struct Looks<'p>(&'p Pool);

impl Hand for Looks<'_> {
    type Held = usize;

    fn take(&mut self, place: usize, limit: u32, _now: Instant) -> Option<usize> {
        let member = self.0.members.get(place)?;
        member.backend.has_room(limit).then_some(place)
    }

    fn attempt(&mut self, place: usize, now: Instant) -> Option<usize> {
        self.0.squad.trial_due(place, Moment::of(now))?;
        self.take(place, self.0.members.get(place)?.limit, now)
    }
}

impl Fault {
    /// How it would be answered, in words: the status, and why in one word.
    pub fn told(self) -> (Option<u16>, &'static str) {
        let word = match self {
            Self::Redirected => "https_redirect",
            Self::LastHop => "max_forwards",
            other => other.word(),
        };
        (self.answer().status, word)
    }
}

#[cfg(test)]
mod tests;
