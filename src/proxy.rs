//! One request through its phases.
//!
//! admit → route → edit for the backend → pick (a lease is taken; where all are full, wait) → connect → send → the response head,
//! judged: may it be tried elsewhere? → edit for the client → relay → release. One task drives both
//! connections; nothing here crosses threads.

mod attempt;
mod bonds;
mod call;
mod client;
mod converse;
mod deliver;
mod exchange;
mod explain;
mod fault;
mod gate;
mod hedge;
mod key;
mod log;
mod pace;
mod pick;
mod pipe;
mod recall;
mod respond;
mod settle;
mod stick;
mod trail;
mod tunnel;
mod upload;
mod wait;
mod worker;

pub use crate::access::Arrival;
pub use client::{Client, Seat};
pub use exchange::{After, LARGE_HEAD, Scratch, serve};
pub use explain::{Asked, Explanation, Foreseen, Shares, explain};
pub use fault::Fault;
pub use respond::refuse;
pub use worker::{Desk, Desks, Worker};
