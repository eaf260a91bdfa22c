//! The pairs of a transport and a runtime.
//!
//! A file lists its behaviours once: `behaviours![a_promise, another];`, and each becomes one test for each pair. To
//! add a pair, write a [`Venue`](super::venue::Venue) for its transport, a runner below, and a module in the macro.

use std::cell::OnceCell;
use std::env;
use std::future::Future;
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moorline::{AsyncStd, Network, Sim, Smol, Tokio};
use moorline_core::Net;

use super::by_http::{ByHttp, BySse, ByWebSocket, HttpVenue};
use super::counted::Counted;
use super::exceptions::left_out;
use super::venue::{Memory, PLACE, Venue};
use super::{Inner, MS, Stage};
use crate::proxy::Proxy;

/// Makes tests of these functions, each `async fn(Stage)`, on every pair.
macro_rules! behaviours {
    ($($name:ident),* $(,)?) => {
        mod memory_on_sim {
            $(#[test] fn $name() { $crate::stage::pairs::memory_on_sim(super::$name); })*
        }
        mod memory_on_tokio {
            $(#[test] fn $name() { $crate::stage::pairs::memory_on_tokio(super::$name); })*
        }
        mod memory_on_smol {
            $(#[test] fn $name() { $crate::stage::pairs::memory_on_smol(super::$name); })*
        }
        mod memory_on_async_std {
            $(#[test] fn $name() { $crate::stage::pairs::memory_on_async_std(super::$name); })*
        }
        mod websocket_on_tokio {
            $(#[test] fn $name() {
                $crate::stage::pairs::websocket_on_tokio(stringify!($name), super::$name);
            })*
        }
        mod websocket_on_smol {
            $(#[test] fn $name() {
                $crate::stage::pairs::websocket_on_smol(stringify!($name), super::$name);
            })*
        }
        mod websocket_on_async_std {
            $(#[test] fn $name() {
                $crate::stage::pairs::websocket_on_async_std(stringify!($name), super::$name);
            })*
        }
        mod sse_on_tokio {
            $(#[test] fn $name() {
                $crate::stage::pairs::sse_on_tokio(stringify!($name), super::$name);
            })*
        }
        mod sse_on_smol {
            $(#[test] fn $name() {
                $crate::stage::pairs::sse_on_smol(stringify!($name), super::$name);
            })*
        }
        mod sse_on_async_std {
            $(#[test] fn $name() {
                $crate::stage::pairs::sse_on_async_std(stringify!($name), super::$name);
            })*
        }
    };
}

/// The pairs of [`behaviours`], the first one in virtual time.
pub(crate) const PAIRS: [&str; 10] = [
    "memory_on_sim",
    "memory_on_tokio",
    "memory_on_smol",
    "memory_on_async_std",
    "websocket_on_tokio",
    "websocket_on_smol",
    "websocket_on_async_std",
    "sse_on_tokio",
    "sse_on_smol",
    "sse_on_async_std",
];

/// Makes tests of these functions, each `async fn(Sockets)`, on real sockets only: they use a fault that only the proxy
/// has.
macro_rules! on_sockets {
    ($($name:ident),* $(,)?) => {
        mod on_sockets {
            $(#[test] fn $name() { $crate::stage::pairs::on_sockets(super::$name); })*
        }
    };
}

/// Makes tests of these functions, each `async fn(Virtual)`, in virtual time only: they check times to the instant,
/// let hours pass, or use a fault that only the network in memory has.
///
/// `seeds: 2;` in front plays them in fewer orders than usual: for what is large.
macro_rules! in_virtual_time {
    (seeds: $seeds:expr; $($name:ident),* $(,)?) => {
        mod in_virtual_time {
            $(#[test] fn $name() { $crate::stage::pairs::in_virtual_time($seeds, super::$name); })*
        }
    };
    ($($name:ident),* $(,)?) => { in_virtual_time![seeds: $crate::stage::pairs::SEEDS; $($name),*]; };
}

/// How many orders of tasks each simulated test is played in.
pub(crate) const SEEDS: u64 = 20;

/// By how much a real runtime is faster than the protocol: the longest wait of a usual test, a minute, becomes 1.2 s,
/// and the shortest time-out, a second, 20 ms, which a busy machine still keeps.
const SCALE: u32 = 50;

/// The same where links are sockets, with a proxy's thread and the system in between: a heartbeat's time-out and an attempt's
/// become a second each, which they keep even where many share the machine.
const SOCKET_SCALE: u32 = 20;

/// How long a wait in virtual time may be: ten minutes, longer than anything that a test waits for.
const VIRTUAL_PATIENCE: Duration = Duration::from_secs(600);

/// How long a wait in real time may be: a machine that builds meanwhile is slow.
const REAL_PATIENCE: Duration = Duration::from_secs(60);

/// A stage with its run and its network, for what only they can do.
#[derive(Clone)]
pub(crate) struct Virtual {
    stage: Stage,
    pub(crate) sim: Sim,
    pub(crate) network: Network,
}

impl Virtual {
    /// The name of the stage's endpoint in its network.
    pub(crate) const PLACE: &'static str = PLACE;

    fn new(sim: &Sim) -> Self {
        let runtime = sim.runtime();
        let network = Network::builder(runtime.clone()).seed(sim.seed());
        // Every other seed has a network that takes time.
        let network = if sim.seed() % 2 == 1 { network.latency(5 * MS..=50 * MS) } else { network };
        let network = network.build();
        let inner = Inner {
            runtime: Arc::new(runtime),
            venue: Box::new(Memory(network.clone())),
            scale: 1,
            patience: VIRTUAL_PATIENCE,
            glance: 10 * MS,
            tasks: Box::new({
                let sim = sim.clone();
                move || sim.tasks()
            }),
            servers: Mutex::default(),
        };
        Self { stage: Stage { inner: Arc::new(inner) }, sim: sim.clone(), network }
    }
}

impl Deref for Virtual {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

pub(crate) fn in_virtual_time<F: Future<Output = ()>>(
    seeds: u64,
    behaviour: impl Fn(Virtual) -> F,
) {
    let seeds = match env::var("MOORLINE_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("MOORLINE_SEED is a number");
            seed..=seed
        }
        Err(_) => 1..=seeds,
    };
    for seed in seeds {
        Sim::seeded(seed).run(async |sim| {
            let stage = Virtual::new(&sim);
            behaviour(stage.clone()).await;
            stage.curtain().await;
        });
    }
}

pub(crate) fn memory_on_sim<F: Future<Output = ()>>(behaviour: impl Fn(Stage) -> F) {
    in_virtual_time(SEEDS, |stage| behaviour(stage.stage));
}

pub(crate) fn memory_on_tokio<F: Future<Output = ()>>(behaviour: impl Fn(Stage) -> F) {
    on_tokio(SCALE, |runtime| Box::new(Memory(Network::new(runtime))), behaviour);
}

pub(crate) fn memory_on_smol<F: Future<Output = ()>>(behaviour: impl Fn(Stage) -> F) {
    smol::block_on(on(Smol, SCALE, |runtime| Box::new(Memory(Network::new(runtime))), behaviour));
}

pub(crate) fn memory_on_async_std<F: Future<Output = ()>>(behaviour: impl Fn(Stage) -> F) {
    let venue = |runtime| Box::new(Memory(Network::new(runtime))) as Box<dyn Venue>;
    async_std::task::block_on(on(AsyncStd, SCALE, venue, behaviour));
}

pub(crate) fn websocket_on_tokio<F: Future<Output = ()>>(
    name: &str,
    behaviour: impl Fn(Stage) -> F,
) {
    if is_played("websocket", name) {
        on_tokio(SOCKET_SCALE, by_http::<_, ByWebSocket>, behaviour);
    }
}

pub(crate) fn websocket_on_smol<F: Future<Output = ()>>(
    name: &str,
    behaviour: impl Fn(Stage) -> F,
) {
    if is_played("websocket", name) {
        smol::block_on(on(Smol, SOCKET_SCALE, by_http::<_, ByWebSocket>, behaviour));
    }
}

pub(crate) fn websocket_on_async_std<F: Future<Output = ()>>(
    name: &str,
    behaviour: impl Fn(Stage) -> F,
) {
    if is_played("websocket", name) {
        let playing = on(AsyncStd, SOCKET_SCALE, by_http::<_, ByWebSocket>, behaviour);
        async_std::task::block_on(playing);
    }
}

pub(crate) fn sse_on_tokio<F: Future<Output = ()>>(name: &str, behaviour: impl Fn(Stage) -> F) {
    if is_played("sse", name) {
        on_tokio(SOCKET_SCALE, by_http::<_, BySse>, behaviour);
    }
}

pub(crate) fn sse_on_smol<F: Future<Output = ()>>(name: &str, behaviour: impl Fn(Stage) -> F) {
    if is_played("sse", name) {
        smol::block_on(on(Smol, SOCKET_SCALE, by_http::<_, BySse>, behaviour));
    }
}

pub(crate) fn sse_on_async_std<F: Future<Output = ()>>(name: &str, behaviour: impl Fn(Stage) -> F) {
    if is_played("sse", name) {
        async_std::task::block_on(on(AsyncStd, SOCKET_SCALE, by_http::<_, BySse>, behaviour));
    }
}

fn by_http<R: Net + Clone, T: ByHttp>(runtime: R) -> Box<dyn Venue> {
    Box::new(HttpVenue::<R, T>::new(runtime, SOCKET_SCALE))
}

/// Whether that transport plays it; `counting` tells of those left out.
fn is_played(transport: &str, name: &str) -> bool {
    left_out(transport).all(|left_out| left_out.behaviour != name)
}

/// Plays a behaviour on a runtime whose threads are the process's own.
async fn on<R: Net + Clone, F: Future<Output = ()>>(
    runtime: R,
    scale: u32,
    venue: impl FnOnce(Counted<R>) -> Box<dyn Venue>,
    behaviour: impl Fn(Stage) -> F,
) {
    let runtime = Counted::new(runtime);
    let tasks = Box::new(runtime.tasks());
    play(runtime, tasks, scale, venue, behaviour).await;
}

/// Plays a behaviour in real time.
async fn play<R: Net + Clone, F: Future<Output = ()>>(
    runtime: R,
    tasks: Box<dyn Fn() -> usize + Send + Sync>,
    scale: u32,
    venue: impl FnOnce(R) -> Box<dyn Venue>,
    behaviour: impl Fn(Stage) -> F,
) {
    let inner = Inner {
        runtime: Arc::new(runtime.clone()),
        venue: venue(runtime),
        scale,
        patience: REAL_PATIENCE,
        glance: MS,
        tasks,
        servers: Mutex::default(),
    };
    let stage = Stage { inner: Arc::new(inner) };
    behaviour(stage.clone()).await;
    stage.curtain().await;
}

/// A stage with its proxy, for what only that can do.
pub(crate) struct Sockets {
    stage: Stage,
    pub(crate) proxy: Arc<Proxy>,
}

impl Deref for Sockets {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

pub(crate) fn on_sockets<F: Future<Output = ()>>(behaviour: impl Fn(Sockets) -> F) {
    let proxy = OnceCell::new();
    let venue = |runtime| {
        let venue = HttpVenue::<_, ByWebSocket>::new(runtime, SOCKET_SCALE);
        proxy.get_or_init(|| venue.proxy.clone());
        Box::new(venue) as Box<dyn Venue>
    };
    let proxy = || proxy.get().expect("the venue comes first").clone();
    on_tokio(SOCKET_SCALE, venue, |stage| behaviour(Sockets { stage, proxy: proxy() }));
}

/// Plays a behaviour on tokio, over the transport that `venue` makes.
fn on_tokio<F: Future<Output = ()>>(
    scale: u32,
    venue: impl FnOnce(Tokio) -> Box<dyn Venue>,
    behaviour: impl Fn(Stage) -> F,
) {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("tokio starts");
    threads.block_on(async {
        let handle = tokio::runtime::Handle::current();
        // All of them, also those that are not moorline's.
        let tasks = Box::new(move || handle.metrics().num_alive_tasks());
        play(Tokio::current(), tasks, scale, venue, behaviour).await;
    });
}

impl Stage {
    /// Stops the servers that still run, and sees that nothing is left behind: no task, and no link. So every test
    /// shows that nothing leaks.
    async fn curtain(&self) {
        self.heal();
        let servers = std::mem::take(&mut *self.inner.servers.lock().unwrap());
        for server in servers {
            if server.is_running() {
                self.within("the server stops", server.stop()).await.unwrap();
            }
        }
        self.until("every task ends", || self.tasks() == 0).await;
        self.until("every link ends", || self.links() == 0).await;
    }
}
