//! A client's application: sends, asks, listens, and leaves now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use moorline::{
    Backoff, Binary, Buffer, Class, Client, Codec, Connection, Handle, Json, Message, Sim, Status,
};

use crate::channels::Attendance;
use crate::log::{Entry, Letter, Log, Stream};
use crate::queries::Questions;
use crate::thief::Overheard;
use crate::world::{AGE, SECOND, World};

/// How long a send is waited for.
pub(crate) const PATIENCE: Duration = SECOND.saturating_mul(10);

/// One client's life.
pub(crate) async fn live(world: World, client: usize, mut rng: Rng) {
    let World { sim, network, log, .. } = &world;
    let link = Overheard::new(sim, network, log, rng.fork());
    let connection = if client % 2 == 0 {
        build(sim, link, client, Binary, rng.u64(..))
    } else {
        build(sim, link, client, Json, rng.u64(..))
    };
    let own = log.clone();
    connection.on_any(move |event| own.client(client, event));
    let mut member = Attendance::new(client, &connection);
    let mut questions = Questions::new(client, &connection);
    connection.open();
    let (sent, asked) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(0));
    while sim.now() < world.until {
        sim.sleep(Duration::from_millis(rng.u64(..4_000))).await;
        match rng.u32(..100) {
            0..2 => leave(sim, &connection, &mut rng).await,
            2..6 => ask(sim, &connection, log, client, asked.fetch_add(1, Ordering::Relaxed)),
            6..10 => listen_a_while(sim, &connection, &mut rng),
            10..14 => member.comes_or_goes(&connection, log, &mut rng),
            14..30 => member.publishes(sim, &connection, log, &mut rng).await,
            30..34 => questions.begin_or_end(&world.tables, log, &mut rng),
            _ => {
                for _ in 0..rng.u32(1..6) {
                    let n = sent.fetch_add(1, Ordering::Relaxed);
                    send(sim, &connection, log, Stream::Up { client }, n, &mut rng).await;
                }
            }
        }
    }
    world.settled().await;
    member.agrees(&world, &connection);
    questions.agree(&world);
    // Long enough for every retention, age and time to live to pass.
    sim.sleep(600 * SECOND).await;
    connection.disconnect();
    sim.sleep(60 * SECOND).await;
}

fn build(sim: &Sim, link: Overheard, client: usize, codec: impl Codec, seed: u64) -> Connection {
    Client::builder()
        .transport(link)
        .runtime(sim.runtime())
        .codec(codec)
        .query("client", client.to_string())
        .backoff(Backoff::default())
        .buffer(Buffer::default().age(AGE))
        .window(32 * 1024)
        .queue(32 * 1024)
        .seed(seed)
        .build()
        .closed()
}

/// Sends a message of any class, and writes down what becomes of it.
pub(crate) async fn send(
    sim: &Sim,
    from: &Handle,
    log: &Log,
    stream: Stream,
    n: u64,
    rng: &mut Rng,
) {
    let class = any_class(rng);
    let padding = if rng.u32(..20) == 0 { rng.usize(..8_000) } else { rng.usize(..200) };
    let ttl = (rng.u32(..10) == 0).then(|| Duration::from_millis(rng.u64(1..20_000)));
    let mut message = Letter { stream, n }.write(padding).class(class);
    if let Some(ttl) = ttl {
        message = message.ttl(ttl);
    }
    let (begun, lost) = (sim.now(), !from.is_connected());
    let Ok(Ok(receipt)) = sim.timeout(PATIENCE, from.send(message)).await else { return };
    // It may have waited for room, and for the connection with that.
    let lost = lost && begun == sim.now() && !from.is_connected();
    log.write(Entry::Sent { stream, n, class, ttl, lost });
    let (receipt, log) = (receipt.into_owned(), log.clone());
    sim.spawn(async move {
        let outcome = receipt.outcome().await;
        log.write(Entry::Outcome { stream, n, outcome });
    });
}

pub(crate) fn any_class(rng: &mut Rng) -> Class {
    match rng.u32(..10) {
        0 => Class::Volatile,
        1 | 2 => Class::AtMostOnce,
        _ => Class::AtLeastOnce,
    }
}

fn ask(sim: &Sim, connection: &Connection, log: &Log, client: usize, n: u64) {
    log.write(Entry::Asked);
    let (handle, log) = (connection.downgrade(), log.clone());
    sim.spawn(async move {
        let Some(connection) = handle.upgrade() else { return };
        let text = format!("{client} {n}");
        if let Ok(answer) = connection.request(Message::from(text.as_str())).await {
            log.write(Entry::Answered { client, n, right: answer.text() == Some(text.as_str()) });
        }
    });
}

/// Listeners come, panic, and go.
fn listen_a_while(sim: &Sim, connection: &Connection, rng: &mut Rng) {
    let panics = rng.bool();
    let token = connection.on_any(move |_| {
        if panics {
            // As a panic, but for the report of it.
            std::panic::resume_unwind(Box::new("a listener panics"));
        }
    });
    let (handle, span) = (connection.downgrade(), Duration::from_millis(rng.u64(..20_000)));
    let slept = sim.sleep(span);
    sim.spawn(async move {
        slept.await;
        if let Some(connection) = handle.upgrade() {
            connection.off(token);
        }
    });
}

async fn leave(sim: &Sim, connection: &Connection, rng: &mut Rng) {
    connection.disconnect();
    sim.sleep(Duration::from_millis(rng.u64(..10_000))).await;
    // Over a link that is half lost the good-bye takes its time.
    while connection.status() != Status::Closed {
        sim.sleep(SECOND).await;
    }
    connection.open();
}
