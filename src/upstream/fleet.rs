//! How workers ask each other for a backend's place.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Requests that may wait in one mailbox; more are dropped, for they are repeated while needed.
const MAX_WAITING: usize = 256;

/// What other workers ask of one worker.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    close_one: Mutex<Vec<u64>>,
    arrived: Notify,
}

impl Mailbox {
    /// Waits for requests and takes them: backends of which one idle connection is to be closed.
    pub(super) async fn take(&self) -> Vec<u64> {
        loop {
            let taken = std::mem::take(&mut *self.close_one.lock().unwrap_or_else(PoisonError::into_inner));
            if !taken.is_empty() {
                return taken;
            }
            self.arrived.notified().await;
        }
    }
}

/// The mailboxes of all workers.
#[derive(Debug, Clone)]
pub struct Fleet(Arc<[Arc<Mailbox>]>);

impl Fleet {
    /// Mailboxes for so many workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Arc::default()).collect())
    }

    /// The mailbox of one worker.
    pub(super) fn mailbox(&self, worker: usize) -> Arc<Mailbox> {
        Arc::clone(&self.0[worker])
    }

    /// Asks every worker to close one idle connection to a backend.
    pub(super) fn ask_to_close_one(&self, backend_id: u64) {
        for mailbox in self.0.iter() {
            let mut waiting = mailbox.close_one.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() < MAX_WAITING && !waiting.contains(&backend_id) {
                waiting.push(backend_id);
                mailbox.arrived.notify_one();
            }
        }
    }
}
