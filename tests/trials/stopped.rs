//! Readers that stop, among others that read on: what they cost the server's memory, and the others' time.
//!
//! ```text
//! MOORLINE_TRIAL_ROUNDS=1000 cargo test --release --all-features --test stopped -- --nocapture
//! ```
//!
//! 100 rounds by default, as in `cargo test`; `cargo xtask trial` plays the line above. 900 clients read and 100 do not. In
//! each round all are sent a small message, and then each of those that stopped ten distinct ones of 4 KiB. A second server,
//! whose 900 clients all read, is sent the small message in the same round: that is the time the others are held to.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

#[path = "../support/limit.rs"]
mod limit;
#[path = "../support/peer.rs"]
mod peer;
#[path = "../support/trial.rs"]
mod trial;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use moorline::{Heartbeat, Server, ServerConnection, Tokio, WebSocketAcceptor};
use peak_alloc::PeakAlloc;
use tokio::runtime::{Handle, Runtime};

use crate::peer::Peer;
use crate::trial::{setting, until_or};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const READERS: usize = 900;
const STOPPED: usize = 100;

/// What may wait for a connection, and what may be under way to it: in bytes.
const QUEUE: usize = 32 * 1024;
const WINDOW: usize = 32 * 1024;
const BOUND: usize = QUEUE + WINDOW;

const PAYLOAD: usize = 4 * 1024;
const PAYLOADS_A_ROUND: usize = 10;

/// Messages after which a reader acknowledges.
const ACKNOWLEDGED_AFTER: usize = 32;

/// Rounds before memory is looked at.
const WARM_UP: usize = 3 * ACKNOWLEDGED_AFTER;

/// Descriptors of the process beside its connections, each of which has two.
const SPARE: usize = 100;

#[test]
fn stopped_readers_cost_no_more_than_their_bound_and_no_others_time() {
    let rounds = setting("MOORLINE_TRIAL_ROUNDS", 100_usize);
    let this = "stopped_readers_cost_no_more_than_their_bound_and_no_others_time";
    if !limit::allows(2 * (2 * READERS + STOPPED) + SPARE, this) {
        return;
    }
    let clients = trial::runtime(1);
    let servers = trial::runtime(1);
    servers.block_on(async {
        let bounded = play(QUEUE, rounds, clients.handle()).await;
        println!("{bounded}");
        bounded.keeps_its_bound().unwrap();
        assert!(bounded.beside_stopped <= bounded.alone * 2, "the others wait longer");
        let lifted = play(1 << 30, 10, clients.handle()).await;
        println!("without a bound, {lifted}");
        lifted.keeps_its_bound().unwrap_err();
    });
    end(clients);
    end(servers);
}

/// What was measured.
struct Figures {
    payloads: usize,
    /// In bytes, over what it was at most before the first of them.
    growth: usize,
    /// The 99th percentile of the time to a reader, where nobody has stopped.
    alone: Duration,
    /// And where some have.
    beside_stopped: Duration,
}

impl Figures {
    fn keeps_its_bound(&self) -> Result<(), String> {
        let limit = STOPPED * BOUND * 11 / 10;
        let Self { growth, .. } = self;
        if *growth <= limit { Ok(()) } else { Err(format!("{growth} bytes are more than {limit}")) }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { payloads, growth, alone, beside_stopped } = self;
        write!(
            formatter,
            "{payloads} payloads to each of {STOPPED} stopped readers: {growth} bytes more, {} each; p99 of {READERS} readers: \
             {alone:?} alone, {beside_stopped:?} beside them",
            growth / STOPPED,
        )
    }
}

async fn play(queue: usize, rounds: usize, clients: &Handle) -> Figures {
    let mut alone = House::open(queue, rounds, clients).await;
    let mut mixed = House::open(queue, rounds, clients).await;
    // What goes back and forth with those that read is there already.
    MEMORY.reset_peak_usage();
    for _ in 0..WARM_UP {
        alone.tell_all().await;
        mixed.tell_all().await;
    }
    let usual = MEMORY.peak_usage() - MEMORY.current_usage();
    let stopped = mixed.admit_stopped(clients).await;
    let before = MEMORY.current_usage() + usual;
    MEMORY.reset_peak_usage();
    let mut number = 0_u64;
    for _ in 0..rounds {
        alone.tell_all().await;
        let told = mixed.begin_to_tell_all();
        for _ in 0..PAYLOADS_A_ROUND {
            for reader in &stopped {
                number += 1;
                let mut payload = vec![0; PAYLOAD];
                payload[..8].copy_from_slice(&number.to_be_bytes());
                let _ = mixed.server.emit_to([reader], payload);
            }
        }
        mixed.is_told(told).await;
    }
    let growth = MEMORY.peak_usage().saturating_sub(before);
    let lost = mixed.server.stats().sum.counts.lost;
    assert!(queue > QUEUE || lost > 0, "what finds no room is counted");
    assert_eq!(mixed.server.count(), READERS + STOPPED, "nobody was sent away");
    let figures = Figures {
        payloads: rounds * PAYLOADS_A_ROUND,
        growth,
        alone: alone.percentile(),
        beside_stopped: mixed.percentile(),
    };
    alone.server.stop().await.unwrap();
    mixed.server.stop().await.unwrap();
    figures
}

/// A server with its readers.
struct House {
    server: Server,
    epoch: Instant,
    told: usize,
    /// How long each message took to each reader.
    times: Arc<Mutex<Vec<Duration>>>,
}

impl House {
    async fn open(queue: usize, rounds: usize, clients: &Handle) -> Self {
        let acceptor = WebSocketAcceptor::new("127.0.0.1:0", Tokio::current()).unwrap();
        let server = Server::builder()
            .acceptor(acceptor)
            .runtime(Tokio::current())
            .queue(queue)
            .window(WINDOW)
            // Who has stopped stays, and answers no ping.
            .stalled_after(Duration::from_secs(3600))
            .heartbeat(Heartbeat::every(Duration::from_secs(3600)))
            .close_timeout(Duration::from_millis(100))
            .build();
        server.start().await.unwrap();
        let address = server.local_address().unwrap().parse().unwrap();
        let epoch = Instant::now();
        // All at once: it is not to grow while memory is looked at.
        let times = Arc::new(Mutex::new(Vec::with_capacity(READERS * (rounds + WARM_UP))));
        for _ in 0..READERS {
            let peer = Peer::connect_with(address, true, WINDOW as u64).await.unwrap();
            let _reader = clients.spawn(read(peer, epoch, times.clone()));
        }
        let house = Self { server, epoch, told: 0, times };
        house.holds(READERS).await;
        house
    }

    /// Lets clients in that never read.
    async fn admit_stopped(&self, clients: &Handle) -> Vec<ServerConnection> {
        let readers = self.server.connections();
        let address = self.server.local_address().unwrap().parse().unwrap();
        for _ in 0..STOPPED {
            let peer = Peer::connect_with(address, true, WINDOW as u64).await.unwrap();
            let _stopped = clients.spawn(async move {
                let _held = peer;
                std::future::pending::<()>().await;
            });
        }
        self.holds(READERS + STOPPED).await;
        let mut stopped = self.server.connections();
        stopped.retain(|guest| readers.iter().all(|reader| reader.id() != guest.id()));
        stopped
    }

    async fn holds(&self, count: usize) {
        let server = &self.server;
        trial::until("all are in", Duration::from_secs(60), || server.count() == count).await;
    }

    async fn tell_all(&mut self) {
        let told = self.begin_to_tell_all();
        self.is_told(told).await;
    }

    /// How many times there will be once everybody has the message.
    fn begin_to_tell_all(&mut self) -> usize {
        let now = self.epoch.elapsed().as_nanos() as u64;
        let emitted = self.server.emit(now.to_be_bytes().to_vec()).unwrap();
        assert!(emitted.sent >= READERS, "{emitted:?}");
        self.told += READERS;
        self.told
    }

    async fn is_told(&self, told: usize) {
        let count = || self.times.lock().unwrap().len();
        let limit = Duration::from_secs(30);
        until_or("all are told", limit, || count() == told, || count().to_string()).await;
    }

    /// The 99th.
    fn percentile(&self) -> Duration {
        let mut times = self.times.lock().unwrap().clone();
        times.sort_unstable();
        times[times.len() * 99 / 100]
    }
}

/// Reads until the server stops.
async fn read(mut peer: Peer, epoch: Instant, times: Arc<Mutex<Vec<Duration>>>) {
    let mut taken = 0;
    while let Ok(message) = peer.message().await {
        let sent = u64::from_be_bytes(message.bytes()[..].try_into().unwrap());
        let time = epoch.elapsed().saturating_sub(Duration::from_nanos(sent));
        times.lock().unwrap().push(time);
        taken += 1;
        if taken % ACKNOWLEDGED_AFTER == 0 {
            peer.acknowledge().await.unwrap();
        }
    }
}

fn end(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_secs(5));
}
