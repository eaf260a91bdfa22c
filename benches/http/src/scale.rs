//! `cargo xtask bench scale`: one message to thousands, beside tungstenite's; and what memberships cost.
//!
//! The servers are processes of their own on the first core, as in `bench websocket`. A subscriber of moorline's acknowledges as
//! its own client does: 50 ms after the first message that it has not acknowledged, and up to 400 ms in a stream.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, SinkExt, StreamExt};
use moorline::server::Channels;
use moorline::{Message, Server, Tokio, WebSocketAcceptor};
use moorline_core::wire::{Binary, Codec, Join, Packet};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::child;
use crate::client::{Client, masked};
use crate::median;
use crate::servers::Speaks;

/// Subscribers, and messages under way at once.
const SHAPES: [(usize, usize); 4] = [(1000, 1), (1000, 8), (5000, 1), (5000, 8)];

/// How often each is measured, one after the other.
const ROUNDS: usize = 5;

/// How long one measurement runs, after a third of it to warm up.
const SPAN: Duration = Duration::from_millis(1500);

/// Bytes of a message.
const PAYLOAD: usize = 32;

/// How long a client's acknowledgement waits at first, and at most.
const ACK_DELAY: Duration = Duration::from_millis(50);
const MAX_ACK_DELAY: Duration = Duration::from_millis(400);

/// Members in one channel, and channels of one member.
const MEMBERS: usize = 10_000;

/// What a delivery of moorline's may cost beside one of tungstenite's.
const BAR: f64 = 1.5;

/// Serves until it is killed; prints its address first.
pub(crate) fn serve(by: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match by {
            "moorline" => moorline().await,
            _ => bare().await,
        }
    });
    ExitCode::SUCCESS
}

/// Every message of a client goes to all on the channel.
async fn moorline() {
    let acceptor = WebSocketAcceptor::new("127.0.0.1:0", Tokio::current()).unwrap();
    let server = Server::builder()
        .acceptor(acceptor)
        .runtime(Tokio::current())
        .channels(Channels::default().per_connection(usize::MAX))
        .build();
    let all = server.clone();
    server.on_connect(async move |connection: moorline::ServerConnection| {
        while let Some(message) = connection.next_message().await {
            all.channel("news").emit(Message::new(message.data))?;
        }
        Ok(())
    });
    server.start().await.unwrap();
    println!("{}", server.local_address().unwrap());
    std::future::pending::<()>().await;
}

/// tungstenite with a read buffer of 4 KiB: a queue for each subscriber, written out with one flush for all that waits.
async fn bare() {
    type Queue = mpsc::UnboundedSender<tungstenite::Message>;
    let subscribers: Arc<Mutex<Vec<Queue>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let subscribers = subscribers.clone();
        tokio::spawn(async move {
            let config = WebSocketConfig::default().read_buffer_size(4096);
            let socket = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await;
            let (mut sink, mut stream) = socket.unwrap().split();
            let (queue, mut messages) = mpsc::unbounded_channel();
            subscribers.lock().unwrap().push(queue);
            loop {
                tokio::select! {
                    message = messages.recv() => {
                        let Some(message) = message else { return };
                        if sink.feed(message).await.is_err() {
                            return;
                        }
                        while let Some(Some(message)) = messages.recv().now_or_never() {
                            if sink.feed(message).await.is_err() {
                                return;
                            }
                        }
                        if sink.flush().await.is_err() {
                            return;
                        }
                    }
                    message = stream.next() => {
                        let Some(Ok(message)) = message else { return };
                        if message.is_binary() {
                            subscribers.lock().unwrap().retain(|one| one.send(message.clone()).is_ok());
                        }
                    }
                }
            }
        });
    }
}

pub(crate) fn compare() -> ExitCode {
    child::pin_to_second_core();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut missed = 0;
    println!(
        "| subscribers | in flight | tungstenite, µs a delivery | moorline | ratio | at most | |"
    );
    println!("| --: | --: | --: | --: | --: | --: | --- |");
    for (subscribers, in_flight) in SHAPES {
        let mut figures = Vec::new();
        for round in 0..ROUNDS {
            eprint!("\r{subscribers} subscribers, {in_flight} in flight: round {}  ", round + 1);
            let bare = runtime.block_on(deliver("bare", Speaks::Raw, subscribers, in_flight));
            let own = runtime.block_on(deliver("moorline", Speaks::Binary, subscribers, in_flight));
            figures.push((bare, own));
        }
        let bare = median(figures.iter().map(|(bare, _)| *bare));
        let own = median(figures.iter().map(|(_, own)| *own));
        let ratio = median(figures.iter().map(|(bare, own)| own / bare));
        missed += usize::from(ratio > BAR);
        let said = if ratio <= BAR { "reached" } else { "MISSED" };
        println!(
            "| {subscribers} | {in_flight} | {bare:.2} | {own:.2} | {ratio:.2} | {BAR:.2} | {said} |"
        );
    }
    eprintln!();
    println!("\n| memberships | bytes each | µs of the server a join | joins a second |");
    println!("| --- | --: | --: | --: |");
    for (name, one_channel) in
        [("10,000 members of one channel", true), ("10,000 channels of one member", false)]
    {
        let (bytes, micros, rate) = runtime.block_on(join_all(one_channel));
        println!("| {name} | {bytes:.0} | {micros:.1} | {rate:.0} |");
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn join(channel: &str) -> Vec<u8> {
    let join = Join { channel: channel.into(), echo: true, presence: false };
    masked(Binary.encode(Packet::Join(join)).unwrap().payload())
}

/// Microseconds of the server's processor for one delivery.
async fn deliver(by: &str, speaks: Speaks, subscribers: usize, in_flight: usize) -> f64 {
    let server = child::Server::start_as("serve-scale", by);
    let received = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    // Of tungstenite's the publisher hears the messages, too.
    let others = subscribers - usize::from(speaks == Speaks::Raw);
    for _ in 0..others {
        let mut client = Client::connect(server.address, speaks).await;
        if speaks == Speaks::Binary {
            client.stream.write_all(&join("news")).await.unwrap();
            // The answer says that it is on the channel.
            client.read_packet().await;
        }
        tasks.push(tokio::spawn(subscribe(client, received.clone())));
    }
    let client = Client::connect(server.address, speaks).await;
    let message = client.message(PAYLOAD);
    let (mut reader, mut writer) = client.stream.into_split();
    let heard = received.clone();
    tasks.push(tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = tokio::io::AsyncReadExt::read(&mut reader, &mut buffer).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            if speaks == Speaks::Raw {
                // Each is as long as the others: two bytes stand before a short payload.
                heard.fetch_add((read / (PAYLOAD + 2)) as u64, Ordering::Relaxed);
            }
        }
    }));
    let begin = Instant::now() + SPAN / 3;
    let stop = begin + SPAN;
    let (mut sent, mut measured) = (0_u64, None);
    loop {
        let now = Instant::now();
        if measured.is_none() && now >= begin {
            measured = Some((received.load(Ordering::Relaxed), server.nanos()));
        }
        if now >= stop {
            break;
        }
        let done = received.load(Ordering::Relaxed) / subscribers as u64;
        while sent < done + in_flight as u64 {
            writer.write_all(&message).await.unwrap();
            sent += 1;
        }
        tokio::task::yield_now().await;
    }
    let (before, nanos) = measured.unwrap();
    let delivered = received.load(Ordering::Relaxed) - before;
    let micros = (server.nanos() - nanos) as f64 / 1000.0 / delivered as f64;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    micros
}

async fn subscribe(mut client: Client, received: Arc<AtomicU64>) {
    let mut buffer = vec![0; 16 * 1024];
    let mut acknowledge_at: Option<Instant> = None;
    let mut delay = ACK_DELAY;
    loop {
        let due = async {
            match acknowledge_at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            messages = client.read(&mut buffer) => {
                received.fetch_add(messages as u64, Ordering::Relaxed);
                acknowledge_at.get_or_insert_with(|| Instant::now() + delay);
            }
            () = due => {
                acknowledge_at = None;
                delay = MAX_ACK_DELAY.min(delay * 2);
                if let Some(ack) = client.ack() {
                    client.stream.write_all(&ack).await.unwrap();
                }
            }
        }
    }
}

/// Bytes for one membership, microseconds of the server's for one join, and joins in a second.
async fn join_all(one_channel: bool) -> (f64, f64, f64) {
    let server = child::Server::start_as("serve-scale", "moorline");
    let mut clients = Vec::new();
    for _ in 0..MEMBERS {
        clients.push(Client::connect(server.address, Speaks::Binary).await);
    }
    // The first answer takes memory that a connection keeps: it is no membership's.
    join_each(&mut clients, |number| format!("first {number}")).await;
    let (bytes, nanos, begun) = (server.resident(), server.nanos(), Instant::now());
    let channel = |number| if one_channel { "news".to_owned() } else { format!("room {number}") };
    join_each(&mut clients, channel).await;
    let (took, micros) = (begun.elapsed() - SETTLING, (server.nanos() - nanos) as f64 / 1000.0);
    let grown = server.resident().saturating_sub(bytes) as f64;
    let members = MEMBERS as f64;
    (grown / members, micros / members, members / took.as_secs_f64())
}

/// How long a server has to come to rest.
const SETTLING: Duration = Duration::from_millis(500);

async fn join_each(clients: &mut [Client], channel: impl Fn(usize) -> String) {
    for (number, client) in clients.iter_mut().enumerate() {
        client.stream.write_all(&join(&channel(number))).await.unwrap();
    }
    for client in clients.iter_mut() {
        client.read_packet().await;
        if let Some(ack) = client.ack() {
            client.stream.write_all(&ack).await.unwrap();
        }
    }
    tokio::time::sleep(SETTLING).await;
}
