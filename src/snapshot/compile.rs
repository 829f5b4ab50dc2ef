//! Checked description → running objects. Never fails: whatever can be wrong was found by `config`.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use tokio::sync::Notify;

use super::Snapshot;
use super::listener::{AcceptProxy, Capacity, Listener, Page, PerAddress, Protocols, Route, Tls};
use super::log;
use super::orders::{Entry, end_order};
use super::pool::{HostPolicy, Key, Member, Pool, Security};
use super::review::{Notes, Roster};
use super::routing;
use super::rules;
use super::tls::{self, Origination};
use crate::access::{self, Log, Sink};
use crate::announce;
use crate::backend::{Backend, Identity, Moment};
use crate::balance::{self, KeySource, Memory, Settings};
use crate::config;
use crate::http::{HeadLimits, HeadPolicy, OWN_ERRORS};
use crate::observe::{CertificateLabel, Metrics};
use crate::queue::Queue;
use crate::recent::{Names, Place};
use crate::resilience::RetryBudget;
use crate::route::{Host, Rule, Table};
use crate::tls::TicketKeys;
use crate::trace::{Exporter, Tracer};

/// Descriptors that are not client connections: logs, listeners, the runtime's own.
const RESERVED_FILES: u64 = 256;

/// The words that the configuration may use and that are defined by other rooms.
pub fn vocabulary() -> config::Vocabulary<'static> {
    static BALANCE: LazyLock<Vec<&'static str>> =
        LazyLock::new(|| balance::REGISTRY.iter().map(|algorithm| algorithm.name).collect());
    static LOG: LazyLock<Vec<&'static str>> =
        LazyLock::new(|| access::VARIABLES.iter().map(|variable| variable.name).collect());
    config::Vocabulary {
        balance: &BALANCE,
        errors: OWN_ERRORS,
        log_variables: &LOG,
        listener_tls: super::tls::listener_flaws,
        pool_tls: super::tls::pool_flaws,
        otlp: super::tls::collector_flaws,
    }
}

/// Compiles a configuration. What `previous` shares with it by identity is carried over. `files` is the soft limit on open
/// files: it bounds the connections of listeners that name no limit. `sink` and `exporter`, opened before: where lines and
/// spans go.
pub fn compile(
    config: &config::Config,
    previous: Option<&Snapshot>,
    metrics: &Arc<Metrics>,
    files: u64,
    sink: Option<&Arc<Sink>>,
    exporter: Option<&Arc<Exporter>>,
    now: Instant,
) -> Snapshot {
    let shared_capacity = previous.map_or_else(|| Capacity::new(1), |p| Arc::clone(&p.shared_capacity));
    let default_room = files.saturating_sub(RESERVED_FILES).max(2) / 2;
    shared_capacity.set_max(u32::try_from(default_room).unwrap_or(u32::MAX));
    let changed = previous.map_or_else(Arc::<Notify>::default, |p| Arc::clone(&p.changed));
    let names = previous.map_or_else(Arc::<Names>::default, |p| Arc::clone(&p.names));
    names.begin();
    let pool = |pool| Arc::new(compile_pool(pool, previous, (metrics, &names), &changed, now));
    let pools: Vec<_> = config.pools.iter().map(pool).collect();
    let tickets = previous.map_or_else(|| TicketKeys::random(now), |p| Arc::clone(&p.tickets));
    let log = config.log.access.as_ref().zip(sink).map(|(log, sink)| Arc::new(log::compile(log, sink)));
    let context = Listeners {
        config,
        previous,
        metrics,
        names: &names,
        pools: &pools,
        shared: &shared_capacity,
        tickets: &tickets,
        log: log.as_ref(),
        tracer: log::tracer(config, exporter),
    };
    let listeners = (0..config.listeners.len()).map(|index| Arc::new(context.compile(index))).collect();
    let routings = routing::compile(config, &pools, metrics);
    Snapshot {
        routings,
        listeners,
        pools,
        drain_timeout: config.server.drain_timeout,
        shutdown_delay: config.server.shutdown_delay,
        buffer_memory: config.server.buffer_memory,
        sha256: config.sha256.clone(),
        admin_token: config.admin.token.clone(),
        recent_each: config.admin.recent_requests.div_ceil(metrics.workers().max(1)),
        names,
        metrics: Arc::clone(metrics),
        shared_capacity,
        tickets,
        changed,
    }
}

fn compile_pool(
    pool: &config::Pool,
    previous: Option<&Snapshot>,
    (metrics, names): (&Arc<Metrics>, &Names),
    changed: &Arc<Notify>,
    now: Instant,
) -> Pool {
    let before = previous.and_then(|snapshot| snapshot.pool(&pool.name));
    let algorithm = balance::find(&pool.balance).unwrap_or(&balance::REGISTRY[0]);
    let origination = compile_pool_tls(pool, before);
    let member = |backend| {
        let security = security(pool, backend, origination.as_ref());
        compile_member(pool, backend, security, before, (metrics, names), now)
    };
    let members: Vec<Member> = pool.backends.iter().map(member).collect();
    let queue = before.map_or_else(Arc::<Queue>::default, |before| Arc::clone(&before.queue));
    members.iter().for_each(|member| member.backend.serves(&queue));
    let memory = before.map_or_else(|| Arc::new(Memory::default()), |p| Arc::clone(&p.memory));
    let budget =
        before.map_or_else(|| Arc::new(RetryBudget::new(pool.retry.budget)), |p| Arc::clone(&p.budget));
    let squad = rules::squad(pool, &members, before, changed);
    if pool.passive.as_ref().is_some_and(|passive| passive.latency_factor > 0.0) {
        members.iter().for_each(|member| member.backend.latency().measure_by(&memory.norm));
    }
    let selection = squad.select(squad.look(Moment::of(now)));
    let settings = Settings { balance_factor: pool.hash_balance_factor };
    let roster = Roster::compile(&selection, &squad, algorithm, settings, &memory);
    Pool {
        name: pool.name.as_str().into(),
        algorithm,
        settings,
        key: compile_key(algorithm.key, &pool.hash_key),
        pass_host: match &pool.pass_host {
            config::PassHost::Client => HostPolicy::Client,
            config::PassHost::Backend => HostPolicy::Backend,
            config::PassHost::Fixed(host) => HostPolicy::Fixed(host.as_str().into()),
        },
        protocol: rules::protocol(pool),
        load_header: pool.load_header.as_deref().map(Into::into),
        announce: match pool.proxy_protocol {
            config::SendProxy::Off => None,
            config::SendProxy::V1 => Some(announce::Version::V1),
            config::SendProxy::V2 => Some(announce::Version::V2),
        },
        check: pool.health.as_ref().map(|health| Arc::new(rules::check(health))),
        retry: rules::retry(&pool.retry),
        retry_buffer: pool.retry.buffer as usize,
        budget,
        budget_ratio: pool.retry.budget,
        hedge: pool.hedge.then(|| before.and_then(|before| before.hedge.clone()).unwrap_or_default()),
        connect_timeout: pool.timeouts.connect,
        response_timeout: pool.timeouts.response,
        idle_timeout: pool.timeouts.idle,
        tunnel_timeout: pool.timeouts.tunnel,
        keep_alive: pool.timeouts.keep_alive,
        sticky: rules::sticky(pool),
        objective: pool.slo.as_ref().map(routing::compile_objective),
        queue,
        queue_max: pool.queue.max as usize,
        queue_timeout: pool.queue.timeout,
        series: metrics.pool(&pool.name),
        origination,
        memory,
        roster: arc_swap::ArcSwap::from_pointee(roster),
        notes: std::sync::Mutex::new(Notes::of(selection.seen)),
        squad,
        members,
    }
}

fn compile_member(
    pool: &config::Pool,
    backend: &config::Backend,
    security: Security,
    before: Option<&Arc<Pool>>,
    (metrics, names): (&Arc<Metrics>, &Names),
    now: Instant,
) -> Member {
    let identity = Identity {
        pool: pool.name.as_str().into(),
        name: backend.name.as_str().into(),
        address: backend.address.as_str().into(),
    };
    let carried = before.and_then(|p| p.members.iter().find(|m| *m.backend.identity() == identity));
    let entry = Entry::of(pool, backend);
    let object = match carried {
        Some(member) => {
            if member.entry != entry {
                end_order(&member.backend, now);
            }
            Arc::clone(&member.backend)
        }
        None => {
            let object = Backend::new(identity, pool.health.as_ref().is_none_or(|health| health.initial_up));
            if before.is_some() {
                object.condition().join(now); // the pool runs already
            }
            object
        }
    };
    Member {
        series: metrics.backend(&object, now),
        backend: object,
        tag: names.tag(&backend.name),
        weight: backend.weight,
        priority: backend.priority,
        limit: rules::limit(backend.max_connections),
        security,
        entry,
    }
}

fn compile_pool_tls(pool: &config::Pool, before: Option<&Arc<Pool>>) -> Option<Origination> {
    let tls = pool.tls.as_ref()?;
    match tls::originate(tls, rules::protocol(pool), before.and_then(|pool| pool.origination.as_ref())) {
        Ok(origination) => Some(origination),
        Err(flaw) => {
            // `config` has had the very same files looked into: only the system's roots can have changed since.
            tracing::error!(target: "equipoise::snapshot", pool = %pool.name, "no TLS to its backends: {}", flaw.message);
            None
        }
    }
}

fn security(pool: &config::Pool, backend: &config::Backend, origination: Option<&Origination>) -> Security {
    match (&pool.tls, origination.map(|origination| origination.to(&backend.address))) {
        (None, _) => Security::Plain,
        (Some(_), Some(Ok(secure))) => Security::Tls(Arc::new(secure)),
        (Some(_), _) => Security::Broken,
    }
}

fn compile_key(source: KeySource, key: &config::HashKey) -> Key {
    match (source, key) {
        (KeySource::None, _) => Key::None,
        (KeySource::ClientIp, _) | (KeySource::HashKey, config::HashKey::ClientIp) => Key::ClientIp,
        (KeySource::HashKey, config::HashKey::Path) => Key::Path,
        (KeySource::HashKey, config::HashKey::Uri) => Key::Uri,
        (KeySource::HashKey, config::HashKey::Header(name)) => Key::Header(name.as_str().into()),
        (KeySource::HashKey, config::HashKey::Cookie(name)) => Key::Cookie(name.as_str().into()),
        (KeySource::HashKey, config::HashKey::Query(name)) => Key::Query(name.as_str().into()),
    }
}

/// What the listeners are compiled from.
struct Listeners<'a> {
    config: &'a config::Config,
    previous: Option<&'a Snapshot>,
    metrics: &'a Arc<Metrics>,
    names: &'a Names,
    pools: &'a [Arc<Pool>],
    shared: &'a Arc<Capacity>,
    tickets: &'a Arc<TicketKeys>,
    log: Option<&'a Arc<Log>>,
    tracer: Option<Tracer>,
}

impl Listeners<'_> {
    fn compile(&self, index: usize) -> Listener {
        let listener = &self.config.listeners[index];
        let before = self.previous.and_then(|snapshot| snapshot.listener(&listener.name));
        let default = listener.pool.map(|pool| Arc::new(self.route(listener, routing::DEFAULT, pool, None)));
        let series = self.metrics.listener(&listener.name);
        let tls = listener.tls.as_ref().map(|tls| {
            let made = tls::terminate(tls, listener.protocols, self.tickets, &mut Vec::new());
            if let Err(flaw) = &made {
                tracing::error!(target: "equipoise::snapshot", listener = %listener.name, "no TLS: {}", flaw.message);
            }
            made.ok()
        });
        let shown = tls.iter().flatten().flat_map(|made| &made.certificates);
        series.set_certificates(listener.tls.is_some(), shown.map(label_of).collect());
        Listener {
            protocols: Protocols { h1: listener.protocols.h1, h2: listener.protocols.h2 },
            tls: tls.map(|made| Tls { config: made.map(|made| made.config) }),
            tls_timeout: listener.timeouts.tls,
            https_redirect: listener.https_redirect,
            name: listener.name.as_str().into(),
            place: Place { listener: self.names.tag(&listener.name), ..Place::default() },
            bind: listener.bind.clone(),
            routes: self.table(index, listener),
            default,
            unrouted: self.metrics.route(&listener.name, "none"),
            series,
            access: self.log.cloned(),
            tracer: self.tracer.clone(),
            trusted: listener.trusted_proxies.clone(),
            accept_proxy: match listener.proxy_protocol {
                config::AcceptProxy::Off => AcceptProxy::Off,
                config::AcceptProxy::Optional => AcceptProxy::Optional,
                config::AcceptProxy::Require => AcceptProxy::Require,
            },
            pages: listener.error_pages.iter().map(compile_page).collect(),
            via: self.config.server.via,
            shows_certificates: listener.tls.as_ref().is_some_and(|tls| tls.client_cert_headers),
            abort_on_close: listener.abort_on_close,
            head: HeadLimits {
                max_size: listener.limits.max_head_size as usize,
                max_fields: usize::from(listener.limits.max_headers),
            },
            policy: HeadPolicy {
                underscores: rules::underscores(listener.underscores),
                allow_connect: listener.allow_connect,
            },
            max_body: listener.limits.max_body_size,
            min_rate: listener.limits.min_rate,
            head_timeout: listener.timeouts.head,
            body_timeout: listener.timeouts.body,
            keep_alive: listener.timeouts.keep_alive,
            write_timeout: listener.timeouts.write,
            capacity: self.capacity(listener.limits.max_connections, before),
            per_address: before.map_or_else(Arc::<PerAddress>::default, |b| Arc::clone(&b.per_address)),
            max_per_address: listener.limits.max_connections_per_ip,
        }
    }

    fn capacity(&self, max: Option<u32>, before: Option<&Arc<Listener>>) -> Arc<Capacity> {
        let Some(max) = max else { return Arc::clone(self.shared) };
        match before {
            Some(before) if !Arc::ptr_eq(&before.capacity, self.shared) => {
                before.capacity.set_max(max);
                Arc::clone(&before.capacity)
            }
            _ => Capacity::new(max),
        }
    }

    fn table(&self, index: usize, listener: &config::Listener) -> Table<Arc<Route>> {
        let applies = |route: &&config::Route| route.listeners.as_ref().is_none_or(|l| l.contains(&index));
        Table::new(
            self.config
                .routes
                .iter()
                .filter(applies)
                .map(|route| Rule {
                    hosts: route.matches.host.iter().map(compile_host).collect(),
                    paths: compile_paths(&route.matches.path),
                    prefixes: compile_paths(&route.matches.path_prefix),
                    target: Arc::new(self.route(listener, &route.name, route.pool, Some(route))),
                })
                .collect(),
        )
    }

    /// `route` is `None` for what the listener sends to its own pool.
    fn route(
        &self,
        listener: &config::Listener,
        name: &str,
        pool: usize,
        route: Option<&config::Route>,
    ) -> Route {
        let (pool, tag) = (&self.pools[pool], |name: &str| self.names.tag(name));
        Route {
            name: name.into(),
            place: Place {
                listener: tag(&listener.name),
                route: tag(name),
                pool: tag(&pool.name),
                balance: tag(pool.algorithm.name),
            },
            pool: Arc::clone(pool),
            timeout: route.and_then(|route| route.timeout),
            access_log: route.is_none_or(|route| route.access_log),
            class: route.map(|route| rules::class(route.priority)).unwrap_or_default(),
            series: self.metrics.route(&listener.name, name),
        }
    }
}

fn compile_page(page: &config::ErrorPage) -> Page {
    Page { status: page.status, content_type: page.content_type, body: page.body.clone() }
}

fn label_of(facts: &crate::tls::Facts) -> CertificateLabel {
    CertificateLabel {
        name: facts.name.as_str().into(),
        serial: facts.serial.as_str().into(),
        not_after: facts.not_after,
    }
}

fn compile_host(pattern: &config::HostPattern) -> Host {
    match pattern {
        config::HostPattern::Exact(name) => Host::Exact(name.as_bytes().into()),
        config::HostPattern::Suffix(suffix) => Host::Suffix(format!(".{suffix}").into_bytes().into()),
    }
}

fn compile_paths(paths: &[String]) -> Vec<Box<[u8]>> {
    paths.iter().map(|path| path.as_bytes().into()).collect()
}
