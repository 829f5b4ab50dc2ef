//! What both sides of HTTP/2 have in common: the bytes of HTTP/1.1 that stand for one stream, turned into what h2
//! sends, and what h2 gives turned into such bytes.

mod fields;
mod heads;
mod inflow;
mod outflow;
mod piece;
mod spring;

pub use fields::{NotFields, fields, is_grpc, line, write_trailers};
pub use heads::{FrameHead, Heads};
pub use inflow::Inflow;
pub use outflow::{Outflow, feed};
pub use piece::{Backlog, Piece};
pub use spring::{Crumbs, FRAME_BUDGET, MAX_READ, Spring, Springs};
