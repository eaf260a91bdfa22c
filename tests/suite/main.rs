//! The behaviour suite: every promise of the product, played on every pair of a transport and a runtime.
//!
//! One file a behaviour; a test's name says the promise, with the number of its row in the requirements. A test gets a
//! [`Stage`](stage::Stage) and knows neither the transport nor the runtime: see [`stage`] for what it offers, and
//! [`stage::pairs`] for how another pair is added.
//!
//! A failing simulated test prints its seed; `MOORLINE_SEED=7 cargo test …` plays only that one.
#![cfg(all(
    feature = "async-std",
    feature = "gzip",
    feature = "http-server",
    feature = "memory",
    feature = "sim",
    feature = "smol",
    feature = "sse",
    feature = "tokio",
    feature = "websocket"
))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

#[path = "../support/proxy/mod.rs"]
mod proxy;
#[macro_use]
mod stage;

mod admission;
mod background;
mod backoff;
mod backpressure;
mod cancelling;
mod channels;
mod closing;
mod connecting;
mod counting;
mod credentials;
mod crowd;
mod crowded;
mod cutting;
mod disconnecting;
mod dropping;
mod fallback;
mod groups;
mod handshakes;
mod heartbeat;
mod hostile;
mod ids;
mod lagging;
mod lazy;
mod lessons;
mod listener_objects;
mod listeners;
mod losing;
mod memberships;
mod middleware;
mod outcomes;
mod panics;
mod payloads;
mod presence;
mod properties;
mod publishing;
mod queries;
mod rate_limits;
mod raw;
mod ready;
mod recovery;
mod registry;
mod requests;
mod resuming;
mod rooms;
mod running;
mod simulated;
mod sizes;
mod slow;
mod sockets;
mod stats;
mod statuses;
mod stopping;
mod strangers;
mod taking;
mod throttling;
