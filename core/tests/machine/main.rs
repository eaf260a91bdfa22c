//! The session machine, in virtual time: one file a behaviour, and a search that breaks every rule it knows.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but does not see their helpers"
)]

mod acknowledging;
mod backoff;
mod batches;
mod closing;
mod connecting;
mod counting;
mod greeting;
mod heartbeat;
mod keeping_out;
mod life;
mod losing;
mod pair;
mod pinging;
mod search;
mod support;
mod together;
mod window;
