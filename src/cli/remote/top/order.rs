//! What is ordered of a backend, in words before it is done.

use super::super::orders::{Target, Weight};

/// An order that waits for a yes, or is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    /// Of whom.
    pub(super) target: Target,
    /// What.
    pub(super) change: Change,
}

/// What is to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// To `ready`, `drain` or `maintenance`.
    State(&'static str),
    /// To another weight.
    Weight(Weight),
}

impl Order {
    /// The question before it is given.
    pub(super) fn question(&self) -> String {
        let whose = whose(&self.target);
        match self.change {
            Change::State("drain") => format!("Drain {whose}: no new clients?"),
            Change::State("maintenance") => format!("Put {whose} into maintenance: nothing new at all?"),
            Change::State(_) => format!("Enable {whose}: end drain or maintenance?"),
            Change::Weight(Weight(Some(weight))) => format!("Give {whose} the weight {weight}?"),
            Change::Weight(Weight(None)) => format!("Give {whose} the weight of the file?"),
        }
    }
}

/// `crm/app1`, as it may be shown.
pub(super) fn whose(target: &Target) -> String {
    let shown = |name: &str| super::told::Words::from(name).to_string();
    format!("{}/{}", shown(&target.pool), shown(&target.backend))
}
