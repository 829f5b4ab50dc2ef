//! Signal the end and wait for it.
//!
//! One side holds the [`Signal`] and says when; the others hold a [`Watch`] each, and the end is reached
//! when every watch has been dropped.

use tokio::sync::watch;

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Serving.
    Running,
    /// No new work; what runs is finished.
    Draining,
    /// What still runs is ended.
    Ended,
}

/// Says when.
#[derive(Debug)]
pub struct Signal(watch::Sender<Phase>);

/// Sees when. Work holds a clone for as long as it lasts.
#[derive(Debug, Clone)]
pub struct Watch(watch::Receiver<Phase>);

/// A signal and its first watch.
pub fn channel() -> (Signal, Watch) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (Signal(sender), Watch(receiver))
}

impl Signal {
    /// Moves on to a later phase; never back.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let later = phase > *current;
            if later {
                *current = phase;
            }
            later
        });
    }

    /// Waits until every watch has been dropped.
    pub async fn finished(&self) {
        self.0.closed().await;
    }
}

impl Watch {
    /// Where it stands now.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits until `phase` has come (or the signal is gone, which ends everything).
    pub async fn reached(&mut self, phase: Phase) {
        // An error means that the sender is gone: the process is ending.
        let _ = self.0.wait_for(|current| *current >= phase).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_waits_for_every_watch() {
        let (signal, watch) = channel();
        let mut second = watch.clone();
        signal.advance(Phase::Draining);
        signal.advance(Phase::Running);
        second.reached(Phase::Draining).await;
        assert_eq!(watch.phase(), Phase::Draining);
        drop(watch);
        assert!(tokio::time::timeout(std::time::Duration::ZERO, signal.finished()).await.is_err());
        drop(second);
        signal.finished().await;
    }
}
