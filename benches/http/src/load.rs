//! Echo under load: processor time for a message, and how evenly it is shared.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use crate::child::Server;
use crate::client::Client;
use crate::median;
use crate::servers::Speaks;

/// How long one measurement runs, after a tenth of it to warm up.
const SPAN: Duration = Duration::from_millis(300);

/// How much is sent, by whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    /// Bytes of a message.
    pub(crate) payload: usize,
    /// Messages of one connection under way at once.
    pub(crate) in_flight: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// The server's processor time for one message.
    pub(crate) micros: f64,
    /// The worst connection's p99 latency beside the median connection's.
    pub(crate) worst_p99: f64,
}

pub(crate) async fn run(server: &Server, shape: Shape, speaks: Speaks) -> Figures {
    let mut clients = Vec::new();
    for _ in 0..shape.connections {
        clients.push(Client::connect(server.address, speaks).await);
    }
    let begin = Instant::now() + SPAN / 10;
    let end = begin + SPAN;
    let tasks: Vec<_> =
        clients.into_iter().map(|client| tokio::spawn(echo(client, shape, begin, end))).collect();
    tokio::time::sleep_until(begin.into()).await;
    let before = server.nanos();
    tokio::time::sleep_until(end.into()).await;
    let nanos = server.nanos() - before;
    let (mut messages, mut p99) = (0, Vec::new());
    for task in tasks {
        let mut latencies = task.await.unwrap();
        messages += latencies.len();
        latencies.sort_unstable();
        if let Some(latency) = latencies.get(latencies.len() * 99 / 100) {
            p99.push(latency.as_secs_f64());
        }
    }
    let worst = p99.iter().copied().fold(0.0, f64::max);
    Figures {
        micros: nanos as f64 / 1_000.0 / messages as f64,
        worst_p99: worst / median(p99.into_iter()),
    }
}

/// Keeps so many messages under way; how long each took that came back between `begin` and `end`.
async fn echo(mut client: Client, shape: Shape, begin: Instant, end: Instant) -> Vec<Duration> {
    let message = client.message(shape.payload);
    let mut latencies = Vec::new();
    let mut sent = VecDeque::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut batch = message.repeat(shape.in_flight);
    let mut back = shape.in_flight;
    loop {
        let now = Instant::now();
        if now >= end {
            return latencies;
        }
        sent.extend(std::iter::repeat_n(now, back));
        // Read while writing: a server that answers at once would else wait for us, and we for it.
        let (mut reader_done, mut written) = (0, 0);
        while written < batch.len() {
            match client.stream.try_write(&batch[written..]) {
                Ok(count) => written += count,
                Err(_) => reader_done += client.read(&mut buffer).await,
            }
        }
        back = reader_done;
        while back == 0 {
            tokio::select! {
                messages = client.read(&mut buffer) => back = messages,
                () = tokio::time::sleep_until(end.into()) => return latencies,
            }
        }
        let now = Instant::now();
        for begun in sent.drain(..back) {
            if now >= begin {
                latencies.push(now - begun);
            }
        }
        batch.clear();
        for _ in 0..back {
            batch.extend_from_slice(&message);
        }
        batch.extend(client.ack().unwrap_or_default());
        let _flushed_by_itself = client.stream.flush().await;
    }
}
