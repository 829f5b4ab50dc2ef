//! What an operator orders of one backend while the configuration stays as it is.

use std::time::Instant;

use super::Control;
use crate::backend::Order;
use crate::snapshot::{Member, Pool};

impl Control {
    /// Puts an order into force: when this returns nothing new is picked against it. It holds until another is
    /// given, or a reload changes what the file says of the backend.
    pub fn order(&self, pool: &Pool, member: &Member, order: Order) {
        let (backend, now) = (&member.backend, Instant::now());
        backend.obey(order, now);
        pool.review(now);
        member.series.note_condition(now);
        tracing::info!(target: "equipoise::control", pool = &*pool.name, backend = &*backend.identity().name,
            state = order.duty.name(), weight = order.weight.unwrap_or(member.weight), "an operator orders");
        // From now on it is waited for what still runs there, or its share grows.
        self.snapshot().changed().notify_one();
    }
}
