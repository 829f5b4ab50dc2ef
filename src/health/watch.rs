//! The loop of one backend: probe, judge, sleep.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::monitor::{Event, Listener, Target, What};
use super::probe::{Failure, probe};
use super::streak::Streak;
use crate::backend::Backend;

/// Live traffic that fails to connect asks for a probe with every request; between two probes lies at
/// least this.
const WANTED_GAP: Duration = Duration::from_millis(100);

/// Statuses of a first probe that mean «you asked the wrong way» more often than «I am not well».
const MISDIRECTED: [u16; 4] = [400, 403, 404, 421];

pub(super) struct Watch {
    target: Target,
    streak: Streak,
    decided: Arc<AtomicBool>,
    on_event: Listener,
    random: fastrand::Rng,
}

impl Watch {
    pub(super) fn new(target: Target, decided: Arc<AtomicBool>, on_event: Listener) -> Self {
        let streak = Streak::new(target.check.rise, target.check.fall, decided.load(Ordering::Relaxed));
        Self { target, streak, decided, on_event, random: fastrand::Rng::new() }
    }

    /// Runs until it is dropped. The time from a backend's death to its being down is at most
    /// interval × 1.1 + (fall − 1) × fast_interval + fall × timeout: each wait runs from the end of a probe.
    pub(super) async fn run(mut self, delay: Duration) {
        sleep(delay).await;
        loop {
            match self.target.backend.address() {
                Some(address) if !self.is_in_maintenance() => self.probe_once(address).await,
                // Whoever resolves names has set it down with the reason. Once it resolves it is a new
                // server to us, and so it is when it comes back from maintenance.
                _ => {
                    self.streak.restart();
                    self.decided.store(false, Ordering::Relaxed);
                }
            }
            self.wait().await;
        }
    }

    async fn probe_once(&mut self, address: SocketAddr) {
        let begun = Instant::now();
        let backend = &self.target.backend;
        let Target { check, opening, .. } = &self.target;
        // Its memory is that of all the ways to ask, and nearly all of the time there is no probe: not kept in the task.
        let verdict = Box::pin(probe(check, opening, address, &backend.identity().address)).await;
        if self.is_in_maintenance() {
            return; // it began since, and whatever is done there is no failure
        }
        let result = verdict.as_ref().err().map_or("passed", Failure::result);
        (self.on_event)(self.event(What::Probed { result, elapsed: begun.elapsed() }));
        self.hint(&verdict);
        let was_up = backend.condition().passes();
        let up = self.streak.feed(was_up, verdict.is_ok());
        self.decided.store(true, Ordering::Relaxed);
        let reason = match &verdict {
            // One failure of a backend that stays up, or one pass of one that stays down, is not why it is so.
            Ok(()) if !up => return,
            Err(_) if up => return,
            Ok(()) => "check passed".to_owned(),
            Err(failure) => failure.to_string(),
        };
        if backend.condition().set(up, &reason, Instant::now().into_std()) {
            tell(backend, up, &reason);
            (self.on_event)(self.event(What::Changed { up, reason: Arc::from(reason) }));
        }
    }

    async fn wait(&mut self) {
        let check = &self.target.check;
        if self.streak.is_turning() {
            return sleep(check.fast_interval).await;
        }
        let backend = &self.target.backend;
        let interval = if backend.condition().passes() { check.interval } else { check.down_interval };
        let ended = Instant::now();
        let wanted = async {
            sleep_until(ended + WANTED_GAP.min(check.fast_interval)).await;
            backend.probe_wanted().await;
        };
        let jitter = 0.9 + 0.2 * self.random.f64();
        tokio::select! {
            () = sleep(interval.mul_f64(jitter)) => {}
            () = wanted => {}
        }
    }

    fn is_in_maintenance(&self) -> bool {
        self.target.backend.is_maintenance()
    }

    fn event(&self, what: What) -> Event {
        Event { backend: Arc::clone(&self.target.backend), what }
    }

    /// Most checks that never worked ask for the wrong virtual host or path; say so at the first answer.
    fn hint(&self, verdict: &Result<(), Failure>) {
        let Err(Failure::Status(status)) = verdict else { return };
        if self.streak.is_fresh() && MISDIRECTED.contains(status) {
            let identity = self.target.backend.identity();
            tracing::warn!(
                target: "equipoise::health",
                pool = &*identity.pool,
                backend = &*identity.name,
                "the first probe was answered with status {status}: set health.host or health.path"
            );
        }
    }
}

/// Says that a backend went up or down, and why.
pub(super) fn tell(backend: &Backend, up: bool, reason: &str) {
    let identity = backend.identity();
    let (pool, backend) = (&*identity.pool, &*identity.name);
    if up {
        tracing::info!(target: "equipoise::health", pool, backend, reason, "backend is up");
    } else {
        tracing::warn!(target: "equipoise::health", pool, backend, reason, "backend is down");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Backend, Identity};
    use crate::health::{Check, Kind, Opening};

    /// There is one for each backend, and nearly all of the time it waits.
    #[test]
    fn a_watch_has_no_room_for_a_probe() {
        let identity = Identity { pool: "crm".into(), name: "app1".into(), address: "127.0.0.1:1".into() };
        let second = Duration::from_secs(1);
        let check = Check {
            kind: Kind::Tcp,
            port: None,
            interval: second,
            fast_interval: second,
            down_interval: second,
            timeout: second,
            rise: 2,
            fall: 3,
            agent: None,
        };
        let target = Target {
            backend: Backend::new(identity, true),
            check: Arc::new(check),
            opening: Opening::default(),
        };
        let watch = Watch::new(target, Arc::default(), Arc::new(|_| ()));
        let size = size_of_val(&watch.run(second));
        assert!(size <= 1024, "{size} bytes");
    }
}
