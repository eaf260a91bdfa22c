//! 50 clients and a server on real sockets, with faults in between.
//!
//! ```text
//! MOORLINE_SEED=7 MOORLINE_TRIAL_SECONDS=60 cargo test --release --all-features --test faults
//! ```
//!
//! 10 seconds by default, as in `cargo test`; `cargo xtask trial` plays the full minute. The seed is printed; it fixes the
//! faults and what is sent when, but not the order in which threads and sockets do it.
//!
//! At the end, with the faults healed: every client is open and gets an echo; the order of each one's events was legal;
//! over one link messages arrived in order, each once, without a gap; those that did not arrive were counted as unsent or
//! unconfirmed by their end; no task and no descriptor is left.
//!
//! It is played twice. Without sessions a message may be lost, and is counted. With them none is lost: each client hears
//! each of its messages back, once and in order.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

#[path = "faults/chaos.rs"]
mod chaos;
#[path = "faults/client.rs"]
mod client;
#[path = "../support/legal.rs"]
mod legal;
#[path = "faults/payload.rs"]
mod payload;
#[path = "../support/proxy/mod.rs"]
mod proxy;
#[path = "faults/server.rs"]
mod server;
#[path = "../support/trial.rs"]
mod trial;
#[path = "faults/watched.rs"]
mod watched;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;

use crate::chaos::{Chaos, Faults};
use crate::client::Client;
use crate::proxy::Proxy;
use crate::server::EchoServer;
use crate::trial::{descriptors, setting, tasks, until, until_or};
use crate::watched::Watched;

const CLIENTS: usize = 50;

/// The faults of one proxy strike its clients only, so that all kinds of them are at work at once.
const PROXIES: usize = 10;

/// How long it may take until all is well again: several heartbeats, back-offs and attempts, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn fifty_clients_live_through_faults() {
    let seconds = setting("MOORLINE_TRIAL_SECONDS", 10_u64);
    let seed = setting("MOORLINE_SEED", fastrand::u64(..1_000_000));
    println!("MOORLINE_SEED={seed} MOORLINE_TRIAL_SECONDS={seconds}");
    let runtime = trial::runtime(2);
    for sessions in [false, true] {
        println!("{} sessions", if sessions { "with" } else { "without" });
        runtime.block_on(play(seed, Duration::from_secs(seconds), sessions));
    }
}

async fn play(seed: u64, span: Duration, sessions: bool) {
    let mut rng = Rng::with_seed(seed);
    // Sockets share what the runtime has opened for itself; so it is warm before the count.
    let runtime = Watched::new();
    drop(EchoServer::start(&runtime, sessions).await.stop().await);
    until("the warming up is over", PATIENCE, || tasks() == 0).await;
    let before = descriptors();

    let server = EchoServer::start(&runtime, sessions).await;
    let proxies: Vec<_> = (0..PROXIES).map(|_| Arc::new(Proxy::new(server.address()))).collect();
    proxies.iter().for_each(|proxy| proxy.open());
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let address = proxies[n % PROXIES].address();
            Client::start(n, &runtime, address, rng.fork(), over.clone(), sessions)
        })
        .collect();

    let chaos: Vec<_> = proxies
        .iter()
        .map(|proxy| tokio::spawn(Chaos::new(proxy.clone(), rng.fork()).play(span)))
        .collect();
    let mut faults = Faults::default();
    for proxy in chaos {
        faults.add(proxy.await.unwrap());
    }

    for client in &clients {
        until(&format!("client {} is open", client.name()), PATIENCE, || client.is_open()).await;
    }
    // A link may be open at one end only: an echo shows that it is a whole one.
    for client in &clients {
        let heard = client.heard();
        let hears = || client.heard() > heard;
        until(&format!("client {} hears an echo", client.name()), PATIENCE, hears).await;
    }
    over.store(true, Ordering::Relaxed);
    // A busy machine may lose one to a heartbeat even now; it comes back.
    let all = || server.count() == CLIENTS && clients.iter().all(Client::is_open);
    // A session whose client never heard of it stays for its time.
    let patience = PATIENCE + server::RETENTION;
    until("every client is open, and no link more is left at the server", patience, all).await;
    println!("every client is open, and the server knows {CLIENTS}");

    let mut sums = client::Sums::default();
    let mut links = Vec::new();
    for client in clients {
        links.push(client.close().await);
    }
    until("the server has nobody", PATIENCE, || server.count() == 0).await;
    let logs = server.stop().await;
    for link in links {
        sums.add(if sessions { link.check_session() } else { link.check(&logs) });
    }
    for proxy in &proxies {
        until("no link is left in a proxy", PATIENCE, || proxy.links() == 0).await;
    }
    drop(proxies);

    let left = || format!("{} are: {:?}", tasks(), runtime.alive());
    until_or("no task is left", PATIENCE, || tasks() == 0, left).await;
    let left = || format!("{} and {before}", descriptors());
    until_or("the descriptors are as many as before", PATIENCE, || descriptors() == before, left)
        .await;
    println!("{faults}\n{sums}");
    println!("left over: {} tasks, {} descriptors", tasks(), descriptors() - before);
}
