//! Thousands of connections held while others come and go, and what their memory is afterwards.
//!
//! ```text
//! MOORLINE_TRIAL_CONNECTIONS=10000 MOORLINE_TRIAL_SECONDS=30 \
//!     cargo test --release --all-features --test churn -- --nocapture
//! ```
//!
//! 1,000 connections and 2 seconds by default, as in `cargo test`; `cargo xtask trial` plays the line above. Once in raw and
//! once with a session. The clients are bare sockets, since moorline's own never reset a connection. The server is a
//! process of its own: each of the two needs a descriptor for each connection, and its memory is to be its own. It has
//! glibc's threshold for large memory fixed, as the guide advises for servers of large messages: by itself glibc raises it with
//! the first of them, and then keeps what they leave behind.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

#[path = "churn/crowd.rs"]
mod crowd;
#[path = "../support/limit.rs"]
mod limit;
#[path = "../support/peer.rs"]
mod peer;
#[path = "churn/process.rs"]
mod process;
#[path = "churn/server.rs"]
mod server;
#[path = "../support/trial.rs"]
mod trial;

use std::env;
use std::time::Duration;

use crate::crowd::{Churned, Crowd};
use crate::process::Process;
use crate::trial::{descriptors, setting};

/// What a connection may cost after a large message, in bytes.
const EACH: usize = 24 * 1024;

/// How large the large messages are.
const LARGE: usize = 1 << 20;

/// Descriptors of a process beside its connections.
const SPARE: usize = 100;

#[test]
fn thousands_of_connections_come_and_go() {
    let connections = setting("MOORLINE_TRIAL_CONNECTIONS", 1_000_usize);
    let seconds = setting("MOORLINE_TRIAL_SECONDS", 2_u64);
    let seed = setting("MOORLINE_SEED", fastrand::u64(..1_000_000));
    if !limit::allows(connections + SPARE, "thousands_of_connections_come_and_go") {
        return;
    }
    println!(
        "MOORLINE_SEED={seed} MOORLINE_TRIAL_CONNECTIONS={connections} MOORLINE_TRIAL_SECONDS={seconds}"
    );
    for codec in ["raw", "session"] {
        let server = Process::start(codec);
        trial::runtime(1).block_on(come_and_go(server, codec, connections, seconds, seed));
    }
}

/// The server's process: this binary, started again by a trial. Does nothing in a usual run.
#[test]
fn the_server_of_a_trial() {
    if let Ok(codec) = env::var(process::SERVER) {
        trial::runtime(2).block_on(server::serve(codec == "session"));
    }
}

async fn come_and_go(mut server: Process, codec: &str, held: usize, seconds: u64, seed: u64) {
    // What a first connection brings about stays: so it comes before the count.
    let mut first = Crowd::gather(server.address, codec == "session", 1, seed).await;
    first.echo(1, 100).await;
    first.leave().await;
    let empty = server.settled(0).await;
    let own = descriptors();

    let mut crowd = Crowd::gather(server.address, codec == "session", held, seed).await;
    let Churned { closed, ended, reset } = crowd.churn(Duration::from_secs(seconds)).await;
    let come = held + closed + ended + reset;
    println!(
        "{codec}: {held} held, {come} came; left: {closed} closed, {ended} ended without a close, {reset} reset"
    );
    assert!(reset * 6 >= closed + ended + reset, "a fifth of them, about, are resets");
    crowd.echo(held, 100).await;
    let idle = server.settled(held).await;

    let echoes = held.min(1_000);
    crowd.echo(echoes, LARGE).await;
    let after = server.settled(held).await;
    let before = idle.resident.saturating_sub(empty.resident) / held;
    let growth = after.resident.saturating_sub(idle.resident) / echoes;
    println!(
        "{codec}: {before} bytes a connection after the churn; {growth} more each after 1 MiB echoed on {echoes}; \
         the server {} kB empty, {} kB with {held}, {} kB after the echoes",
        empty.resident / 1024,
        idle.resident / 1024,
        after.resident / 1024,
    );
    assert!(before + growth <= EACH, "{} bytes each are more than {EACH}", before + growth);

    crowd.leave().await;
    let end = server.settled(0).await;
    println!(
        "{codec}: descriptors of the server {} before and {} after, of the clients {own} and {}",
        empty.descriptors,
        end.descriptors,
        descriptors()
    );
    assert_eq!(end.descriptors, empty.descriptors);
    assert_eq!(descriptors(), own);
    server.end();
}
