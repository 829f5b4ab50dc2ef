//! What the file says of who is usable, who stays, who tries again, who goes first, and what is let through.

use std::sync::Arc;

use tokio::sync::Notify;

use super::pool::{Member, Pool};
use crate::backend::ADAPTIVE;
use crate::config;
use crate::health::{AgentCheck, Check, GrpcCheck, HttpCheck, Kind};
use crate::http::Underscores;
use crate::queue::Class;
use crate::resilience::{Passive, Policy};
use crate::roster::{self, Keeper, Rules, Squad};
use crate::sticky::Sticky;
use crate::upstream::Protocol;

/// The squad of a pool's members; what the pool had before a reload goes on.
pub(super) fn squad(
    pool: &config::Pool,
    members: &[Member],
    before: Option<&Arc<Pool>>,
    changed: &Arc<Notify>,
) -> Squad {
    let keeper = before.map_or_else(
        || Arc::new(Keeper::new(Arc::clone(changed))),
        |before| Arc::clone(before.squad.keeper()),
    );
    let rules = Rules {
        slow_start: pool.slow_start,
        panic_threshold: pool.panic_threshold,
        passive: pool.passive.as_ref().map(passive),
        checked: pool.health.is_some(),
        loads: pool.load_header.is_some(),
    };
    let member = |member: &Member| roster::Member {
        backend: Arc::clone(&member.backend),
        weight: member.weight,
        priority: member.priority,
        limit: member.limit,
    };
    Squad::new(members.iter().map(member).collect(), rules, keeper)
}

/// How the pool keeps a client at its backend.
pub(super) fn sticky(pool: &config::Pool) -> Option<Sticky> {
    let sticky = pool.sticky.as_ref()?;
    let secrets: Vec<_> = sticky.secrets.iter().map(|secret| secret.0.clone()).collect();
    let names = pool.backends.iter().map(|backend| backend.name.as_str());
    Some(Sticky::new((&pool.name, &sticky.cookie), &secrets, sticky.ttl, names))
}

/// When another try is made.
pub(super) fn retry(retry: &config::Retry) -> Policy {
    Policy {
        attempts: retry.attempts,
        on_connect: retry.on.connect,
        on_reset: retry.on.reset,
        on_invalid: retry.on.invalid,
        on_timeout: retry.on.timeout,
        statuses: retry.on.statuses.as_slice().into(),
        methods: retry.methods.iter().map(|method| method.as_str().into()).collect(),
    }
}

/// Most requests in flight, in the form in which leases take it.
pub(super) fn limit(written: config::MaxConnections) -> u32 {
    match written {
        config::MaxConnections::AtMost(limit) => limit,
        config::MaxConnections::Adaptive => ADAPTIVE,
    }
}

fn passive(passive: &config::Passive) -> Passive {
    Passive {
        consecutive: passive.consecutive_failures,
        ratio: passive.failure_ratio,
        min_requests: u64::from(passive.min_requests),
        window: passive.window,
        latency_factor: passive.latency_factor,
        eject_for: passive.eject_for,
        max_ejected: passive.max_ejected,
        end_by_check: passive.end_by_check,
    }
}

/// Who of those that wait goes first.
pub(super) fn class(priority: config::Priority) -> Class {
    match priority {
        config::Priority::High => Class::High,
        config::Priority::Normal => Class::Normal,
        config::Priority::Low => Class::Low,
    }
}

/// What becomes of fields with an underscore in their names.
pub(super) fn underscores(written: config::Underscores) -> Underscores {
    match written {
        config::Underscores::Safe => Underscores::Safe,
        config::Underscores::Allow => Underscores::Allow,
        config::Underscores::Drop => Underscores::Drop,
        config::Underscores::Reject => Underscores::Reject,
    }
}

/// How each of its backends is probed.
pub(super) fn check(health: &config::Health) -> Check {
    let statuses: Vec<_> = health.expect_status.iter().map(|(first, last)| *first..=*last).collect();
    let http = || {
        HttpCheck::new(
            &health.method,
            &health.path,
            health.host.as_deref(),
            &statuses,
            health.expect_body.as_deref(),
        )
    };
    Check {
        kind: match health.kind {
            config::HealthKind::Tcp => Kind::Tcp,
            // `config` lets only valid methods, paths and hosts through; a TCP check is the weaker
            // promise that is left if the two rooms should ever disagree.
            config::HealthKind::Http => http().map_or(Kind::Tcp, Kind::Http),
            config::HealthKind::Grpc => {
                GrpcCheck::new(&health.service, health.host.as_deref()).map_or(Kind::Tcp, Kind::Grpc)
            }
        },
        port: health.port,
        interval: health.interval,
        fast_interval: health.fast_interval,
        down_interval: health.down_interval,
        timeout: health.timeout,
        rise: health.rise,
        fall: health.fall,
        agent: health.agent.map(|agent| AgentCheck { port: agent.port, interval: agent.interval }),
    }
}

/// What is spoken to its backends. In clear there is nobody to ask, and where a connection announces its client it
/// cannot be shared.
pub(super) fn protocol(pool: &config::Pool) -> Protocol {
    match pool.protocol {
        config::Protocol::H1 => Protocol::Http1,
        config::Protocol::H2 => Protocol::Http2,
        config::Protocol::Auto if pool.tls.is_none() || pool.proxy_protocol != config::SendProxy::Off => {
            Protocol::Http1
        }
        config::Protocol::Auto => Protocol::Either,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::{Snapshot, compile, vocabulary};
    use crate::config;
    use crate::observe::Metrics;

    #[test]
    fn a_reload_changes_how_many_tries_a_pool_can_afford() {
        let (metrics, now) = (Metrics::new(1), Instant::now());
        let put = |budget: &str, before: Option<&Snapshot>| {
            let file = format!(
                "[[listener]]\nbind = '127.0.0.1:0'\npool = 'crm'\n\
                 [pool.crm]\nbackends = '127.0.0.1:1'\nretry.budget = {budget}\n"
            );
            let config = config::read("test", &file, &vocabulary()).config.unwrap();
            let snapshot = compile(&config, before, &metrics, 1024, None, None, now);
            snapshot.enter(now);
            snapshot
        };
        let first = put("0.2", None);
        (0..1_000).for_each(|_| first.pools[0].budget.on_request(now));
        let afforded =
            |snapshot: &Snapshot| (0..1_000).filter(|_| snapshot.pools[0].budget.take(now)).count();
        assert_eq!(afforded(&first), 200);
        let second = put("0.5", Some(&first));
        assert_eq!(afforded(&second), 300, "what was taken before counts");
        let third = put("0.1", Some(&second));
        assert_eq!(afforded(&third), 0);
    }
}
