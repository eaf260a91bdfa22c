//! Some hours of one seed.

use std::time::Duration;

use fastrand::Rng;
use moorline::{Network, Server, Sim, Time};

use crate::log::Log;
use crate::queries::Tables;
use crate::report::Report;
use crate::server::Running;
use crate::{channels, client, model, queries, server, weather};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const PLACE: &str = "campaign";
/// How long a session is kept: short against the longest outages.
pub(crate) const RETENTION: Duration = Duration::from_secs(120);
/// How old a message may get that waits for a connection.
pub(crate) const AGE: Duration = Duration::from_secs(60);
pub(crate) const CLIENTS: usize = 4;
/// How long after the last fault all is quiet: longer than the longest fault that began before, and every retention.
const SETTLED: Duration = Duration::from_secs(400);

/// Where all of it happens.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) network: Network,
    pub(crate) log: Log,
    pub(crate) server: Server,
    pub(crate) tables: Tables,
    /// When the applications do no more, and the faults end.
    pub(crate) until: Time,
}

impl World {
    /// Waits until all is quiet.
    pub(crate) async fn settled(&self) {
        self.sim.sleep((self.until + SETTLED).since(self.sim.now())).await;
    }
}

/// Plays so much time of that seed, and checks what was seen.
#[must_use]
pub fn play(seed: u64, span: Duration) -> Report {
    let sim = Sim::seeded(seed);
    let entries = sim.run(async |sim| {
        let mut rng = Rng::with_seed(seed);
        let network = Network::builder(sim.runtime()).seed(rng.u64(..));
        let network = network.latency(Duration::from_millis(1)..=Duration::from_millis(80)).build();
        let (log, until) = (Log::new(&sim), sim.now() + span);
        let tables = Tables::new(&sim);
        let server = server::build(&sim, &network, &log, &tables, rng.u64(..), until);
        let mut running = Running::begin(&sim, &server);
        let world = World { sim: sim.clone(), network, log: log.clone(), server, tables, until };
        let broadcasts =
            server::broadcast(sim.clone(), world.server.clone(), log.clone(), rng.fork(), until);
        sim.spawn(broadcasts);
        sim.spawn(channels::announce(world.clone(), rng.fork()));
        sim.spawn(queries::change(world.clone(), rng.fork()));
        sim.spawn(queries::are_answered(world.clone()));
        let clients = (0..CLIENTS).map(|n| client::live(world.clone(), n, rng.fork()));
        let clients = futures_util::future::join_all(clients.collect::<Vec<_>>());
        let weather = weather::blow(
            sim.clone(),
            world.network.clone(),
            running,
            log.clone(),
            rng.fork(),
            until,
        );
        (running, _) = futures_util::future::join(weather, clients).await;
        channels::are_gone(&world);
        queries::are_over(&world);
        running.stop().await;
        drop(world);
        sim.sleep(60 * SECOND).await;
        log.take()
    });
    if let Ok(path) = std::env::var("CAMPAIGN_LOG") {
        let lines = entries.iter().map(|(at, entry)| format!("{at:?} {entry:?}\n"));
        std::fs::write(path, lines.collect::<String>()).unwrap();
    }
    let violations = model::check(&entries);
    Report::of(seed, span, &entries, violations)
}
