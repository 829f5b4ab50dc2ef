//! Spreads connections evenly over the workers.
//!
//! The kernel gives each connection to one worker's socket by a hash of its addresses, whatever that worker
//! already has: with 4 workers and 64 connections the fullest had 25 % more than its share in half of the trials
//! and 44 % in a tenth of them. So the worker that accepts one hands it on where another has clearly fewer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::drive::Visit;
use crate::snapshot::Listener;

/// A worker keeps a connection unless it has so many more than the emptiest one: below that the waking of the
/// other costs more than evenness gains, and workers would hand each other whatever they accept.
const SLACK: usize = 4;

/// Of many connections, this part is as good as none.
const SLACK_PART: usize = 16;

/// Connections on their way to one worker.
const MAX_GUESTS: usize = 256;

/// What one worker knows of the others.
#[derive(Debug)]
pub struct Neighbours {
    index: usize,
    open: Arc<[Open]>,
    /// `None` is the worker itself.
    doors: Box<[Option<mpsc::Sender<Guest>>]>,
}

/// Connections that come to a worker from the others.
#[derive(Debug)]
pub struct Guests(mpsc::Receiver<Guest>);

/// The open connections of one worker, and those on their way to it. On cache lines of its own: each worker writes
/// its own for every connection.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Open(AtomicUsize);

/// A connection, counted for the worker that is to serve it; given back on drop.
#[derive(Debug)]
pub(super) struct Share {
    open: Arc<[Open]>,
    of: usize,
}

/// An accepted connection that another worker is to serve.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) listener: Arc<Listener>,
    pub(super) stream: std::net::TcpStream,
    pub(super) visit: Visit,
}

/// One for each worker.
pub fn neighbours(workers: usize) -> Vec<(Neighbours, Guests)> {
    let open: Arc<[Open]> = (0..workers).map(|_| Open::default()).collect();
    let (senders, guests): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(MAX_GUESTS)).unzip();
    let one = |(index, guests)| {
        // Nobody holds a sender to itself: a worker's guests end when all the others have closed their doors.
        let door = |(other, sender): (usize, &mpsc::Sender<Guest>)| (other != index).then(|| sender.clone());
        let doors = senders.iter().enumerate().map(door).collect();
        (Neighbours { index, open: Arc::clone(&open), doors }, Guests(guests))
    };
    guests.into_iter().enumerate().map(one).collect()
}

impl Guests {
    /// The next one; `None` when none can come any more.
    pub(super) async fn next(&mut self) -> Option<Guest> {
        self.0.recv().await
    }
}

impl Neighbours {
    /// Counts a new connection for the worker that is to serve it.
    pub(super) fn share(&self) -> Share {
        let open = |index: usize| self.open[index].0.load(Ordering::Relaxed);
        let own = open(self.index);
        let slack = SLACK.max(own / SLACK_PART);
        let emptiest = (0..self.open.len()).min_by_key(|&index| open(index)).unwrap_or(self.index);
        let of = if own >= open(emptiest).saturating_add(slack) { emptiest } else { self.index };
        self.count(of)
    }

    fn count(&self, of: usize) -> Share {
        self.open[of].0.fetch_add(1, Ordering::Relaxed);
        Share { open: Arc::clone(&self.open), of }
    }

    /// Hands a connection to the worker it was counted for; gives it back where that is this one. A worker that
    /// takes no more for now leaves it here.
    pub(super) fn hand_over(&self, guest: Guest) -> Option<Guest> {
        let Some(door) = self.doors.get(guest.visit.share.of).and_then(Option::as_ref) else {
            return Some(guest);
        };
        let mut guest = door.try_send(guest).err()?.into_inner();
        guest.visit.share = self.count(self.index);
        Some(guest)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.open[self.of].0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(workers: usize) -> Vec<(Neighbours, Guests)> {
        neighbours(workers)
    }

    /// How many each worker serves when one accepts all of them.
    fn spread(workers: usize, connections: usize) -> (Vec<usize>, Vec<Share>) {
        let all = all(workers);
        let shares: Vec<Share> = (0..connections).map(|_| all[0].0.share()).collect();
        ((0..workers).map(|of| shares.iter().filter(|share| share.of == of).count()).collect(), shares)
    }

    #[test]
    fn the_fullest_has_little_more_than_its_share() {
        for (workers, connections, allowed) in
            [(2, 64, 0.20), (4, 64, 0.20), (2, 1000, 0.10), (4, 1000, 0.10), (8, 1000, 0.10)]
        {
            let (each, _) = spread(workers, connections);
            let most = each.iter().max().copied().unwrap_or_default() as f64;
            let mean = connections as f64 / workers as f64;
            assert!(most <= mean * (1.0 + allowed), "{connections} connections: {each:?}");
        }
    }

    #[test]
    fn a_few_connections_stay_where_they_came() {
        assert_eq!(spread(2, SLACK).0, [SLACK, 0]);
        assert_eq!(spread(1, 100).0, [100]);
    }

    #[test]
    fn what_ends_makes_room() {
        let all = all(2);
        let mut shares: Vec<Share> = (0..SLACK).map(|_| all[0].0.share()).collect();
        shares.pop();
        assert_eq!(all[0].0.share().of, 0);
        shares.push(all[0].0.share());
        assert_eq!(all[0].0.share().of, 1);
    }
}
