//! What an operator has ordered of a backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use super::{Advice, Backend};

/// Whether it is to serve; the stricter the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Duty {
    /// As the file says.
    #[default]
    Ready,
    /// No new clients. Those that were with it may stay, and what runs goes on.
    Drain,
    /// Nothing new at all. What runs goes on to its end.
    Maintenance,
}

/// An order: what it is to do, and with what weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Order {
    /// Whether it is to serve.
    pub duty: Duty,
    /// In place of the file's; `None`: the file's.
    pub weight: Option<u16>,
}

/// The order in force. It is given by the control thread alone, and read by all.
#[derive(Debug, Default)]
pub struct Orders {
    order: AtomicU32,
    /// Since it is not ready any more, all that ran there has ended once.
    drained: AtomicBool,
}

impl Duty {
    /// Every duty.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Drain, Self::Maintenance];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maintenance => "maintenance",
        }
    }
}

impl Order {
    /// What the file's weight becomes under it; 0: no new clients.
    pub fn share(self, weight: u16) -> u16 {
        match self.duty {
            Duty::Ready => self.weight.unwrap_or(weight),
            Duty::Drain | Duty::Maintenance => 0,
        }
    }
}

/// Where the duty stands in the number; below it the weight, and whether there is one.
const DUTY: u32 = 17;
const WEIGHED: u32 = 1 << 16;

impl Orders {
    /// The order in force.
    pub fn order(&self) -> Order {
        let bits = self.order.load(Ordering::Acquire);
        let duty = match bits >> DUTY {
            0 => Duty::Ready,
            1 => Duty::Drain,
            _ => Duty::Maintenance,
        };
        Order { duty, weight: (bits & WEIGHED != 0).then_some(bits as u16) }
    }

    /// Puts another into force. Gives the one before.
    pub fn give(&self, order: Order) -> Order {
        let before = self.order();
        let weight = order.weight.map_or(0, |weight| WEIGHED | u32::from(weight));
        self.order.store((order.duty as u32) << DUTY | weight, Ordering::Release);
        if before.duty != order.duty {
            self.drained.store(false, Ordering::Release);
        }
        before
    }

    /// Whether nothing new is to go there.
    pub fn is_maintenance(&self) -> bool {
        self.order.load(Ordering::Acquire) >> DUTY == Duty::Maintenance as u32
    }

    /// Whether all that ran there has ended, at least once since it was told to drain or put into maintenance.
    pub fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Acquire)
    }

    /// Notes that all that ran there has ended.
    pub fn drained(&self) {
        self.drained.store(true, Ordering::Release);
    }
}

impl Backend {
    /// What is ordered of it by an operator or its own agent: the stricter of both holds.
    pub fn order(&self) -> Order {
        let order = self.orders.order();
        Order { duty: order.duty.max(self.agent.advice().duty), ..order }
    }

    /// Whether nothing new at all is to go there.
    pub fn is_maintenance(&self) -> bool {
        self.orders.is_maintenance() || self.agent.advice().duty == Duty::Maintenance
    }

    /// Puts into force what its agent says of it; `said` in its own words, `None` where there is no agent any more.
    /// Gives back whether anything has changed.
    pub fn heed(&self, advice: Advice, said: Option<&str>, now: Instant) -> bool {
        let was = self.is_maintenance();
        let before = self.agent.advise(advice, said.map(Arc::from));
        let why = said.filter(|_| advice.down).map(|said| format!("agent: {said}"));
        self.condition.veto(why.as_deref().or(advice.down.then_some("agent")), now);
        self.left_maintenance(was, now);
        before != advice
    }

    fn left_maintenance(&self, was: bool, now: Instant) {
        let is = self.is_maintenance();
        if was && !is {
            self.conduct.begin_anew();
            self.pause.end();
            self.condition.join(now);
        }
        if was != is {
            self.want_probe(); // the prober has to see it, also when it sleeps for long
        }
    }

    /// Puts an operator's order into force. Who comes back from maintenance may be another machine by now: it
    /// comes up, and what was said of it is forgotten but up and down, which the next check alone decides.
    pub fn obey(&self, order: Order, now: Instant) {
        let was = self.is_maintenance();
        self.orders.give(order);
        self.left_maintenance(was, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_kept_whole() {
        let orders = Orders::default();
        assert_eq!(orders.order(), Order::default());
        for duty in Duty::ALL {
            for weight in [None, Some(0), Some(1), Some(u16::MAX)] {
                let (order, before) = (Order { duty, weight }, orders.order());
                assert_eq!(orders.give(order), before);
                assert_eq!(orders.order(), order);
                assert_eq!(orders.is_maintenance(), duty == Duty::Maintenance);
            }
        }
    }

    #[test]
    fn it_has_drained_until_it_is_to_do_something_else() {
        let orders = Orders::default();
        orders.give(Order { duty: Duty::Drain, weight: None });
        orders.drained();
        orders.give(Order { duty: Duty::Drain, weight: Some(3) });
        assert!(orders.is_drained(), "its weight says nothing of that");
        orders.give(Order { duty: Duty::Maintenance, weight: Some(3) });
        assert!(!orders.is_drained());
    }

    #[test]
    fn who_is_not_ready_has_no_share() {
        let share = |duty, weight| Order { duty, weight }.share(3);
        assert_eq!([share(Duty::Ready, None), share(Duty::Ready, Some(7))], [3, 7]);
        assert_eq!([share(Duty::Drain, Some(7)), share(Duty::Maintenance, None)], [0, 0]);
    }
}
