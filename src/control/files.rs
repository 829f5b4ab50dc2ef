//! Looks at the files that the configuration names, and has them read again when they have changed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Control;
use crate::config::{Config, NamedFile, Stamp};

/// What a configuration that is in force was read from.
pub(super) struct InForce {
    pub(super) text: Arc<str>,
    files: Vec<NamedFile>,
    every: Option<Duration>,
}

impl InForce {
    pub(super) fn of(config: &Config) -> Self {
        Self { text: Arc::clone(&config.text), files: config.files.clone(), every: config.server.watch_files }
    }

    /// The files as they are now.
    fn now(&self) -> Vec<NamedFile> {
        let look = |file: &NamedFile| NamedFile { path: file.path.clone(), stamp: Stamp::of(&file.path) };
        self.files.iter().map(look).collect()
    }

    fn changed<'a>(&'a self, now: &[NamedFile]) -> Vec<&'a Path> {
        let pairs = self.files.iter().zip(now);
        pairs.filter(|(read, now)| read != now).map(|(read, _)| &*read.path).collect()
    }
}

impl Control {
    /// Reads the files again when one of them has changed and then stood still for a look: a certificate and its key
    /// are written one after the other. Never ends.
    pub async fn watch_files(&self) {
        let mut settling = None;
        loop {
            let every = self.in_force.borrow().every;
            tokio::select! {
                () = elapsed(every) => {}
                // Everything was read again.
                () = self.replaced.notified() => continue,
            }
            let now = self.in_force.borrow().now();
            let changed = !self.in_force.borrow().changed(&now).is_empty();
            if changed && settling.as_ref() == Some(&now) {
                settling = None;
                self.read_again(now).await;
            } else {
                settling = changed.then_some(now);
            }
        }
    }

    async fn read_again(&self, now: Vec<NamedFile>) {
        tracing::info!(target: "equipoise::control", files = ?self.in_force.borrow().changed(&now), "files have changed");
        // As they are now they are not read twice, whatever comes of it.
        self.in_force.borrow_mut().files = now;
        self.reload_files().await;
    }
}

async fn elapsed(every: Option<Duration>) {
    match every {
        Some(every) => tokio::time::sleep(every).await,
        None => std::future::pending().await,
    }
}
