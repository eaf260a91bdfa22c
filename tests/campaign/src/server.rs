//! The server's application: answers, sends to each client and to all, and restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use moorline::server::HookError;
use moorline::{Buffer, Network, Server, ServerConnection, Sim, Status, Time};

use crate::client::{any_class, send};
use crate::log::{Entry, Letter, Log, Stream};
use crate::queries::Tables;
use crate::world::{AGE, PLACE, RETENTION, SECOND};

/// The server, which is not running.
pub(crate) fn build(
    sim: &Sim,
    network: &Network,
    log: &Log,
    tables: &Tables,
    seed: u64,
    until: Time,
) -> Server {
    let server = Server::builder()
        .acceptor(network.acceptor(PLACE))
        .runtime(sim.runtime())
        .queries(tables.clone())
        .retention(RETENTION)
        .buffer(Buffer::default().age(AGE))
        .window(32 * 1024)
        .queue(32 * 1024)
        .build();
    let sessions = Arc::new(AtomicUsize::new(0));
    let (sim, log) = (sim.clone(), log.clone());
    server.on_connect(async move |guest: ServerConnection| {
        let session = sessions.fetch_add(1, Ordering::Relaxed);
        let rng = Rng::with_seed(seed ^ (session as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        serve(&sim, &log, guest, session, rng, until).await
    });
    server
}

async fn serve(
    sim: &Sim,
    log: &Log,
    guest: ServerConnection,
    session: usize,
    mut rng: Rng,
    until: Time,
) -> Result<(), HookError> {
    let client: usize = guest.visitor().query("client").ok_or("no number")?.parse()?;
    let own = log.clone();
    guest.on_any(move |event| own.guest(client, session, event));
    let (own, slow) = (log.clone(), sim.clone());
    guest.on_request(move |asked| {
        let (log, sim) = (own.clone(), slow.clone());
        async move {
            let text = asked.message.to_string();
            let n = text.split(' ').nth(1).and_then(|n| n.parse().ok()).ok_or("no number")?;
            log.write(Entry::Heard { client, n });
            sim.sleep(Duration::from_millis(n % 7 * 500)).await;
            Ok::<_, &str>(asked.message)
        }
    });
    let mut n = 0;
    while sim.now() < until && guest.status() != Status::Closed {
        sim.sleep(Duration::from_millis(rng.u64(..4_000))).await;
        for _ in 0..rng.u32(1..5) {
            let stream = Stream::Down { client, session };
            send(sim, &guest, log, stream, n, &mut rng).await;
            n += 1;
        }
    }
    Ok(())
}

/// Sends to all, now and then in floods that a slow client cannot take.
pub(crate) async fn broadcast(sim: Sim, server: Server, log: Log, mut rng: Rng, until: Time) {
    let mut n = 0;
    while sim.now() < until {
        sim.sleep(Duration::from_millis(rng.u64(..8_000))).await;
        let (count, padding) = match rng.u32(..40) {
            0 => (60, 4_000),
            _ => (rng.u32(1..4), rng.usize(..200)),
        };
        for _ in 0..count {
            let stream = Stream::Broadcast;
            let class = any_class(&mut rng);
            log.write(Entry::Sent { stream, n, class, ttl: None, lost: false });
            let message = Letter { stream, n }.write(padding).class(class);
            let _nobody_is_there = server.emit(message);
            n += 1;
        }
    }
}

/// Runs a server until it is told to restart, in order or abruptly, again and again.
pub(crate) struct Running {
    sim: Sim,
    server: Server,
    kill: Option<oneshot::Sender<()>>,
}

impl Running {
    pub(crate) fn begin(sim: &Sim, server: &Server) -> Self {
        let mut running = Self { sim: sim.clone(), server: server.clone(), kill: None };
        running.run();
        running
    }

    fn run(&mut self) {
        let (kill, killed) = oneshot::channel::<()>();
        self.kill = Some(kill);
        let server = self.server.clone();
        self.sim.spawn(async move {
            let run = std::pin::pin!(server.run());
            if let Either::Left((result, _)) = select(run, killed).await {
                result.unwrap();
            }
        });
    }

    pub(crate) async fn restart(&mut self, abruptly: bool, pause: Duration) {
        if abruptly {
            drop(self.kill.take());
            self.sim.sleep(SECOND / 100).await;
        } else {
            self.server.stop().await.unwrap();
        }
        self.sim.sleep(pause).await;
        self.run();
    }

    pub(crate) async fn stop(&mut self) {
        self.server.stop().await.unwrap();
    }
}
