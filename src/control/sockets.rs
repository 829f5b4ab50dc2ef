//! Which listening sockets are open, and what a new configuration changes about them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::StartError;
use crate::config::Config;
use crate::listen::{self, Command};

/// An address as configured. Several may ask for a port of the kernel's choice: they are told apart by
/// their order.
type Key = (SocketAddr, usize);

/// The sockets that are open, on all workers.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: HashMap<Key, Open>,
    order: Vec<Key>,
    next_id: u64,
    /// What the workers have not been told yet, per worker.
    untold: Vec<Vec<Command>>,
}

#[derive(Debug, Clone)]
struct Open {
    id: u64,
    listener: Arc<str>,
    address: SocketAddr,
}

/// A change that has been prepared: every new socket is bound.
#[derive(Debug)]
pub(super) struct Plan {
    open: HashMap<Key, Open>,
    order: Vec<Key>,
    next_id: u64,
    removed: Vec<u64>,
    untold: Vec<Vec<Command>>,
}

impl Sockets {
    /// Binds what is new. Nothing else changes until [`Plan::keep`].
    pub(super) fn plan(&self, config: &Config, workers: usize) -> Result<Plan, StartError> {
        let mut plan = Plan {
            open: HashMap::new(),
            order: Vec::new(),
            next_id: self.next_id,
            removed: Vec::new(),
            untold: (0..workers).map(|_| Vec::new()).collect(),
        };
        for listener in &config.listeners {
            for address in &listener.bind {
                let nth = plan.order.iter().filter(|(other, _)| other == address).count();
                plan.place((*address, nth), &listener.name, self)?;
            }
        }
        for (key, open) in &self.open {
            if !plan.open.contains_key(key) {
                tracing::info!(target: "equipoise::control", listener = %open.listener, address = %open.address, "listener closes");
                plan.removed.push(open.id);
                plan.untold.iter_mut().for_each(|worker| worker.push(Command::Close(open.id)));
            }
        }
        Ok(plan)
    }

    /// Names and real addresses, in the order of the file.
    pub(super) fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.order
            .iter()
            .filter_map(|key| self.open.get(key))
            .map(|open| (Arc::clone(&open.listener), open.address))
            .collect()
    }

    /// What the workers are to be told, per worker.
    pub(super) fn take_commands(&mut self) -> Vec<Vec<Command>> {
        std::mem::take(&mut self.untold)
    }
}

impl Plan {
    /// Puts the change into force; the workers are to be told next.
    pub(super) fn keep(self, sockets: &mut Sockets) {
        sockets.open = self.open;
        sockets.order = self.order;
        sockets.next_id = self.next_id;
        sockets.untold = self.untold;
    }

    /// The sockets that close.
    pub(super) fn removed(&self) -> Vec<u64> {
        self.removed.clone()
    }

    fn place(&mut self, key: Key, name: &str, sockets: &Sockets) -> Result<(), StartError> {
        self.order.push(key);
        let listener: Arc<str> = name.into();
        if let Some(open) = sockets.open.get(&key) {
            if *open.listener != *name {
                let (id, listener) = (open.id, &listener);
                self.tell(|| Command::Assign { id, listener: Arc::clone(listener) });
            }
            self.open.insert(key, Open { listener, ..open.clone() });
            return Ok(());
        }
        // A reload may narrow 0.0.0.0 to one address of the same port: both are open for a moment.
        let shares_port = sockets.open.values().any(|open| open.address.port() == key.0.port());
        let bound = listen::bind(key.0, self.untold.len(), shares_port)
            .map_err(|error| StartError::Bind { listener: name.to_owned(), address: key.0, error })?;
        let id = self.next_id;
        self.next_id += 1;
        tracing::info!(target: "equipoise::control", listener = name, address = %bound.address, "listener opens");
        for (worker, socket) in self.untold.iter_mut().zip(bound.per_worker) {
            worker.push(Command::Open { id, listener: Arc::clone(&listener), socket });
        }
        self.open.insert(key, Open { id, listener, address: bound.address });
        Ok(())
    }

    fn tell(&mut self, command: impl Fn() -> Command) {
        self.untold.iter_mut().for_each(|worker| worker.push(command()));
    }
}
