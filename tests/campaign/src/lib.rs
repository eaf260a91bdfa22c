//! The campaign: real clients and a real server, through hours of every fault of the network in memory, in virtual
//! time, with what the applications saw checked against a model that knows nothing of the implementation.
//!
//! The same seed plays the same hours, and writes the same log, byte for byte.

#![allow(clippy::unwrap_used, missing_docs, reason = "a trial is code of a test")]

mod channels;
mod client;
mod log;
mod model;
mod order;
mod queries;
mod report;
mod server;
mod thief;
mod weather;
mod world;

pub use report::Report;
pub use world::play;
