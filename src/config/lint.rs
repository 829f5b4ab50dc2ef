//! What is allowed but probably not meant. Runs only over a file without errors: after one, half of these
//! would be its echoes.

mod shadow;

use super::build::Places;
use super::model::{Config, Listener, MaxConnections, Pool};
use super::report::{Code, Diagnostic, Findings, printable};

/// Methods that a second try cannot make worse (RFC 9110 9.2.2).
const IDEMPOTENT: [&str; 6] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"];

/// Adds all warnings.
pub(super) fn check(config: &Config, places: &Places, findings: &mut Findings) {
    shadow::check(config, places, findings);
    unused_pools(config, places, findings);
    unreachable_listeners(config, places, findings);
    shared_names(config, places, findings);
    overlapping_admin(config, places, findings);
    for (pool, at) in config.pools.iter().zip(&places.pools) {
        slow_health(pool, at, findings);
        hash_key(pool, at, findings);
        queue(pool, at, findings);
        no_active_backend(pool, at, findings);
        unsafe_retry(pool, at, findings);
        unverified(pool, at, findings);
    }
}

fn unused_pools(config: &Config, places: &Places, findings: &mut Findings) {
    let mut used = vec![false; config.pools.len()];
    let referred = config.listeners.iter().filter_map(|listener| listener.pool);
    for at in referred.chain(config.routes.iter().map(|route| route.pool)) {
        used[at] = true;
    }
    let all = config.pools.iter().zip(&places.pools).zip(used);
    for ((pool, at), _) in all.filter(|(_, used)| !used) {
        let message = format!("nothing uses the pool \"{}\"", printable(&pool.name));
        let one = Diagnostic::warning(Code::UnusedPool, at.section.clone(), message);
        findings.push(one.help(Some("name it as `pool` of a [[listener]] or [[route]], or remove it")));
    }
}

fn unreachable_listeners(config: &Config, places: &Places, findings: &mut Findings) {
    // Routes without `listeners` reach every listener: then none is unreachable.
    if config.routes.iter().any(|route| route.listeners.is_none()) {
        return;
    }
    let mut reached = vec![false; config.listeners.len()];
    for at in config.routes.iter().filter_map(|route| route.listeners.as_ref()).flatten() {
        reached[*at] = true;
    }
    for ((listener, span), reached) in config.listeners.iter().zip(&places.listeners).zip(reached) {
        if listener.pool.is_none() && !reached {
            let message = format!("the listener \"{}\" answers every request 404", printable(&listener.name));
            let one = Diagnostic::warning(Code::UnreachableListener, span.clone(), message);
            findings.push(one.label("no pool, and no route for it").help(Some("give it a `pool`")));
        }
    }
}

/// Requests of no route have names too, in metrics and logs.
fn shared_names(config: &Config, places: &Places, findings: &mut Findings) {
    for (route, span) in config.routes.iter().zip(&places.routes) {
        let takes = |at: usize| route.listeners.as_ref().is_none_or(|taken| taken.contains(&at));
        let has_pool = |(at, listener): (usize, &Listener)| listener.pool.is_some() && takes(at);
        let others = match route.name.as_str() {
            "default" if config.listeners.iter().enumerate().any(has_pool) => {
                "go to its listener's own `pool`"
            }
            "none" => "no route takes",
            _ => continue,
        };
        let message = format!("the route \"{}\" is called as requests are that {others}", route.name);
        let one = Diagnostic::warning(Code::SharedName, span.clone(), message);
        findings.push(one.help(Some("choose another `name`: metrics and logs do not tell the two apart")));
    }
}

/// The admin socket is bound first and without SO_REUSEPORT, so the wildcard address is taken then.
fn overlapping_admin(config: &Config, places: &Places, findings: &mut Findings) {
    let admin = config.admin.bind;
    for (listener, binds) in config.listeners.iter().zip(&places.binds) {
        for (address, span) in listener.bind.iter().zip(binds) {
            let overlap = address.port() == admin.port()
                && address.port() != 0
                && address.is_ipv4() == admin.is_ipv4()
                && (address.ip().is_unspecified() || admin.ip().is_unspecified());
            if overlap {
                let message = format!("{address} overlaps the admin endpoint at {admin}");
                let one = Diagnostic::warning(Code::OverlappingAddress, span.clone(), message);
                findings.push(one.help(Some("choose another port for one of them")));
            }
        }
    }
}

fn slow_health(pool: &Pool, at: &super::build::PoolPlaces, findings: &mut Findings) {
    let Some(health) = &pool.health else { return };
    if health.timeout > health.interval {
        let message = format!(
            "the health check of \"{}\" may last {}, longer than its interval of {}",
            printable(&pool.name),
            super::units::duration_text(health.timeout),
            super::units::duration_text(health.interval)
        );
        let one = Diagnostic::warning(Code::SlowHealth, at.health_timeout.clone(), message);
        findings.push(one.help(Some("set `timeout` at or below `interval`")));
    }
    if health.method == "HEAD" && health.expect_body.is_some() {
        let message = "an answer to HEAD has no body, so `expect_body` is never found";
        findings.push(Diagnostic::warning(Code::UnusedKey, at.health_method.clone(), message));
    }
}

fn hash_key(pool: &Pool, at: &super::build::PoolPlaces, findings: &mut Findings) {
    if let Some(span) = &at.hash_key
        && pool.balance != "hash"
    {
        let message = format!("`hash_key` has no effect with balance = \"{}\"", pool.balance);
        let one = Diagnostic::warning(Code::UnusedKey, span.clone(), message);
        findings.push(one.help(Some("only balance = \"hash\" reads it")));
    }
    if let Some(span) = &at.hash_balance_factor
        && !matches!(pool.balance.as_str(), "hash" | "ip-hash")
    {
        let message = format!("`hash_balance_factor` has no effect with balance = \"{}\"", pool.balance);
        let one = Diagnostic::warning(Code::UnusedKey, span.clone(), message);
        findings.push(one.help(Some("only balance = \"hash\" and \"ip-hash\" read it")));
    }
}

fn queue(pool: &Pool, at: &super::build::PoolPlaces, findings: &mut Findings) {
    if let Some(span) = &at.queue
        && pool.backends.iter().all(|backend| backend.max_connections == MaxConnections::AtMost(0))
    {
        let message = "`queue` has no effect where every backend takes any number of requests";
        let one = Diagnostic::warning(Code::UnusedKey, span.clone(), message);
        findings.push(one.help(Some("set `max_connections`")));
    }
}

fn no_active_backend(pool: &Pool, at: &super::build::PoolPlaces, findings: &mut Findings) {
    let name = printable(&pool.name);
    let message = if pool.backends.iter().all(|backend| backend.weight == 0) {
        format!("every backend of \"{name}\" has weight 0: it gets no new traffic")
    } else if pool.backends.iter().all(|backend| backend.priority > 0 || backend.weight == 0) {
        format!("\"{name}\" has only backup backends for new traffic")
    } else {
        return;
    };
    findings.push(Diagnostic::warning(Code::NoActiveBackend, at.backends.clone(), message));
}

fn unverified(pool: &Pool, at: &super::build::PoolPlaces, findings: &mut Findings) {
    if pool.tls.as_ref().is_some_and(|tls| !tls.verify) {
        let message = format!(
            "whoever answers for the backends of \"{}\" is believed: their certificates are not checked",
            printable(&pool.name)
        );
        let one = Diagnostic::warning(Code::Unverified, at.verify.clone(), message);
        findings.push(one.help(Some("name who signs them as `ca`, and the name they hold as `server_name`")));
    }
}

fn unsafe_retry(pool: &Pool, at: &super::build::PoolPlaces, findings: &mut Findings) {
    for (method, span) in pool.retry.methods.iter().zip(&at.retry_methods) {
        if !IDEMPOTENT.contains(&method.as_str()) {
            let message = format!("a repeated {method} may do a thing twice");
            let one = Diagnostic::warning(Code::UnsafeRetry, span.clone(), message);
            findings.push(one.help(Some("a failed connect is retried for every method anyway")));
        }
    }
}
