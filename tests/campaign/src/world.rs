//! Some hours of one seed.

use std::time::Duration;

use fastrand::Rng;
use moorline::{Network, Sim};

use crate::log::Log;
use crate::report::Report;
use crate::server::Running;
use crate::{client, model, server, weather};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const PLACE: &str = "campaign";
/// How long a session is kept: short against the longest outages.
pub(crate) const RETENTION: Duration = Duration::from_secs(120);
/// How old a message may get that waits for a connection.
pub(crate) const AGE: Duration = Duration::from_secs(60);
const CLIENTS: usize = 4;

/// Plays so much time of that seed, and checks what was seen.
#[must_use]
pub fn play(seed: u64, span: Duration) -> Report {
    let sim = Sim::seeded(seed);
    let entries = sim.run(async |sim| {
        let mut rng = Rng::with_seed(seed);
        let network = Network::builder(sim.runtime()).seed(rng.u64(..));
        let network = network.latency(Duration::from_millis(1)..=Duration::from_millis(80)).build();
        let (log, until) = (Log::new(&sim), sim.now() + span);
        let server = server::build(&sim, &network, &log, rng.u64(..), until);
        let running = Running::begin(&sim, &server);
        let broadcasts =
            server::broadcast(sim.clone(), server.clone(), log.clone(), rng.fork(), until);
        sim.spawn(broadcasts);
        let clients = (0..CLIENTS)
            .map(|n| client::live(sim.clone(), network.clone(), log.clone(), n, rng.fork(), until));
        let clients = futures_util::future::join_all(clients.collect::<Vec<_>>());
        let weather =
            weather::blow(sim.clone(), network.clone(), running, log.clone(), rng.fork(), until);
        let (mut running, _) = futures_util::future::join(weather, clients).await;
        running.stop().await;
        drop(server);
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
