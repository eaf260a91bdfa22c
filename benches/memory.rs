//! `cargo xtask bench memory`: what moorline costs without a network. One thread, all in one run, rounds
//! interleaved, medians. Prints Markdown.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark measures real time"
)]

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join;
use moorline::{Client, Connection, Network, Server, Sim, Tokio};
use moorline_core::{
    Acceptor, ConnectRequest, Frame, Incoming, Pending, Receiver, Sender, Transport,
};

/// Messages of one measurement; enough for a millisecond of work, so that a look at the clock costs nothing.
const MESSAGES: u32 = 100_000;
const ROUNDS: usize = 9;
const PAYLOAD: [u8; 32] = [7; 32];
/// Messages under way at once where that is not said.
const IN_FLIGHT: u32 = 64;

fn main() {
    // `cargo test --benches` runs this too: one short round shows that it works.
    let test = std::env::args().any(|argument| argument == "--test");
    let (messages, rounds) = if test { (1_000, 1) } else { (MESSAGES, ROUNDS) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..rounds {
        let round = [
            runtime.block_on(tokio_mpsc(messages)),
            runtime.block_on(memory_link(messages)),
            runtime.block_on(full_stack(messages / 10, 1)),
            runtime.block_on(full_stack(messages, IN_FLIGHT)),
        ];
        for (all, time) in times.iter_mut().zip(round) {
            all.push(time);
        }
    }
    let [mpsc, link, one, many] = times.map(median);
    let hours = simulated_hours(if test { 10.0 } else { 5_000.0 });
    println!("| 32 B messages, one thread | ns a message | beside tokio's mpsc |");
    println!("| --- | --: | --: |");
    let row = |name: &str, time: f64| println!("| {name} | {time:.0} | {:.2} × |", time / mpsc);
    row("tokio's bounded mpsc, one way", mpsc);
    row("the memory transport alone, one way", link);
    row("full stack, there and back, 1 in flight", one);
    row(&format!("full stack, there and back, {IN_FLIGHT} in flight"), many);
    println!();
    println!("One idle client and server: {hours:.0} simulated hours in a real second.");
    if !test && (link / mpsc > 3.0 || hours < 1_000.0) {
        println!(
            "FAILED: the memory transport may take 3 × tokio's mpsc, the simulation at least 1,000 hours."
        );
        std::process::exit(1);
    }
}

/// Nanoseconds that one of `messages` took.
async fn timed<T>(messages: u32, work: impl Future<Output = T>) -> f64 {
    let start = Instant::now();
    work.await;
    start.elapsed().as_nanos() as f64 / f64::from(messages)
}

async fn tokio_mpsc(messages: u32) -> f64 {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1024);
    let payload = Bytes::from_static(&PAYLOAD);
    let send = async {
        for _ in 0..messages {
            sender.send(Frame::Binary(payload.clone())).await.unwrap();
        }
    };
    let receive = async {
        for _ in 0..messages {
            receiver.recv().await.unwrap();
        }
    };
    timed(messages, join(send, receive)).await
}

async fn memory_link(messages: u32) -> f64 {
    let network = Network::new(Tokio::current());
    let mut acceptor = network.acceptor("bench");
    acceptor.listen().await.unwrap();
    let request = ConnectRequest::default();
    let (mut sender, _receiver) = network.transport("bench").connect(&request).await.unwrap();
    let pending = acceptor.accept().await.unwrap();
    let (_sender, mut receiver, _peer) = pending.handshake().await.unwrap();
    let payload = Bytes::from_static(&PAYLOAD);
    let send = async {
        for _ in 0..messages {
            sender.send(Frame::Binary(payload.clone())).await.unwrap();
        }
    };
    let receive = async {
        for _ in 0..messages {
            assert!(matches!(receiver.receive().await, Ok(Some(Incoming::Frame(_)))));
        }
    };
    timed(messages, join(send, receive)).await
}

/// Client → server → client, with a session and the binary codec.
async fn full_stack(messages: u32, in_flight: u32) -> f64 {
    let network = Network::new(Tokio::current());
    let server =
        Server::builder().acceptor(network.acceptor("bench")).runtime(Tokio::current()).build();
    server.on_connect(async |connection| {
        while let Some(message) = connection.next_message().await {
            connection.send(message).await?;
        }
        Ok(())
    });
    let running = tokio::spawn({
        let server = server.clone();
        async move { server.run().await.unwrap() }
    });
    let client =
        Client::builder().transport(network.transport("bench")).runtime(Tokio::current()).build();
    let connection = client.connect().await.unwrap();
    let time = timed(messages, echo(&connection, messages, in_flight)).await;
    server.stop().await.unwrap();
    running.await.unwrap();
    time
}

async fn echo(connection: &Connection, messages: u32, in_flight: u32) {
    let payload = Bytes::from_static(&PAYLOAD);
    for _ in 0..in_flight {
        connection.send(payload.clone()).await.unwrap();
    }
    for received in 1..=messages {
        assert_eq!(connection.next_message().await.unwrap().bytes().len(), PAYLOAD.len());
        if received + in_flight <= messages {
            connection.send(payload.clone()).await.unwrap();
        }
    }
}

/// Simulated hours of one idle client and server in a real second.
fn simulated_hours(hours: f64) -> f64 {
    let start = Instant::now();
    Sim::seeded(1).run(async |sim| {
        let network = Network::new(sim.runtime());
        let server =
            Server::builder().acceptor(network.acceptor("idle")).runtime(sim.runtime()).build();
        sim.spawn({
            let server = server.clone();
            async move { server.run().await.unwrap() }
        });
        let client =
            Client::builder().transport(network.transport("idle")).runtime(sim.runtime()).build();
        let connection = client.connect().await.unwrap();
        sim.sleep(Duration::from_secs_f64(hours * 3600.0)).await;
        assert!(connection.is_connected());
    });
    hours / start.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
