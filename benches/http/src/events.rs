//! `cargo xtask bench sse`: server-sent events beside WebSockets, both with the codec `Raw`, and the decoder by itself.

use std::process::ExitCode;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use moorline::{
    EventStreams, HttpAcceptor, Raw, Server as Moorline, Sse, Tokio, WebSocket, WebSockets,
};
use moorline_core::{
    BoxReceiver, BoxSender, BoxTransport, ConnectRequest, Frame, Incoming, Receiver, Sender,
    Transport,
};
use moorline_sse::{EventDecoder, Item};

use crate::child::{Server, pin_to_second_core};
use crate::median;

const TRANSPORTS: [&str; 2] = ["websocket", "sse"];
const ROUNDS: usize = 9;
const CONNECTIONS: usize = 32;
const MESSAGES: usize = 5_000;
const PAYLOAD: usize = 32;
/// How many a client sends before it flushes.
const BATCH: usize = 64;
const IDLE: usize = 4_000;

/// Serves both ways in; a message that is a number is answered with so many, any other is counted until an empty one asks for an
/// answer.
pub(crate) fn serve(_: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let acceptor =
            HttpAcceptor::<_, (WebSockets, EventStreams)>::new("127.0.0.1:0", Tokio::current());
        let server = Moorline::builder()
            .acceptor(acceptor.unwrap())
            .runtime(Tokio::current())
            .codec(Raw)
            .build();
        server.on_connect(async |connection| {
            let payload = Bytes::from_static(&[7; PAYLOAD]);
            while let Some(message) = connection.next_message().await {
                match message.text().map(str::parse::<usize>) {
                    Some(Ok(count)) => {
                        for _ in 0..count {
                            connection.send(payload.clone()).await?;
                        }
                    }
                    Some(Err(_)) => connection.send("done").await.map(drop)?,
                    None => {}
                }
            }
            Ok(())
        });
        server.start().await.unwrap();
        println!("{}", server.local_address().unwrap());
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

type Link = (BoxSender, BoxReceiver);

async fn connect(server: &Server, by: &str) -> Link {
    let place = server.address;
    let transport = match by {
        "sse" => BoxTransport::new(Sse::new(format!("http://{place}/"), Tokio::current()).unwrap()),
        _ => BoxTransport::new(WebSocket::new(format!("ws://{place}/"), Tokio::current()).unwrap()),
    };
    transport.connect(&ConnectRequest::default()).await.unwrap()
}

async fn receive(receiver: &mut BoxReceiver, mut frames: usize) {
    while frames > 0 {
        match receiver.receive().await.unwrap() {
            Some(Incoming::Frame(_)) => frames -= 1,
            Some(Incoming::Activity) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn down((sender, receiver): &mut Link) {
    sender.send(Frame::text(MESSAGES.to_string())).await.unwrap();
    sender.flush().await.unwrap();
    receive(receiver, MESSAGES).await;
}

async fn up((sender, receiver): &mut Link) {
    let payload = Bytes::from_static(&[7; PAYLOAD]);
    for _ in 0..MESSAGES / BATCH {
        for _ in 0..BATCH {
            sender.send(Frame::Binary(payload.clone())).await.unwrap();
        }
        sender.flush().await.unwrap();
    }
    sender.send(Frame::text("")).await.unwrap();
    sender.flush().await.unwrap();
    receive(receiver, 1).await;
}

#[derive(Default)]
struct Figures {
    /// The server's processor time for a message, in microseconds, and messages a second.
    down: Vec<(f64, f64)>,
    up: Vec<(f64, f64)>,
    idle: f64,
}

pub(crate) fn compare() -> ExitCode {
    pin_to_second_core();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut all = TRANSPORTS.map(|_| Figures::default());
    for round in 0..ROUNDS {
        eprint!("\rround {} of {ROUNDS}  ", round + 1);
        for (by, figures) in TRANSPORTS.iter().zip(&mut all) {
            runtime.block_on(measure(by, figures));
        }
    }
    eprintln!();
    for (by, figures) in TRANSPORTS.iter().zip(&mut all) {
        figures.idle = runtime.block_on(idle(by));
    }
    println!(
        "| {CONNECTIONS} connections, {PAYLOAD} B, raw | µs down | down a second | µs up | up a second | bytes an idle connection |"
    );
    println!("| --- | --: | --: | --: | --: | --: |");
    for (by, Figures { down, up, idle }) in TRANSPORTS.iter().zip(&all) {
        let middle = |figures: &[(f64, f64)]| {
            (
                median(figures.iter().map(|figure| figure.0)),
                median(figures.iter().map(|figure| figure.1)),
            )
        };
        let ((down, down_rate), (up, up_rate)) = (middle(down), middle(up));
        println!("| {by} | {down:.2} | {down_rate:.0} | {up:.2} | {up_rate:.0} | {idle:.0} |");
    }
    decoder()
}

async fn measure(by: &str, figures: &mut Figures) {
    let server = Server::start_as("serve-events", by);
    let mut links = join_all((0..CONNECTIONS).map(|_| connect(&server, by))).await;
    // Once to warm up.
    join_all(links.iter_mut().map(down)).await;
    let (nanos, begun) = (server.nanos(), Instant::now());
    join_all(links.iter_mut().map(down)).await;
    let total = (CONNECTIONS * MESSAGES) as f64;
    figures.down.push((
        (server.nanos() - nanos) as f64 / 1_000.0 / total,
        total / begun.elapsed().as_secs_f64(),
    ));
    let (nanos, begun) = (server.nanos(), Instant::now());
    join_all(links.iter_mut().map(up)).await;
    figures.up.push((
        (server.nanos() - nanos) as f64 / 1_000.0 / total,
        total / begun.elapsed().as_secs_f64(),
    ));
}

async fn idle(by: &str) -> f64 {
    let server = Server::start_as("serve-events", by);
    let mut links = Vec::new();
    for _ in 0..100 {
        links.push(connect(&server, by).await);
    }
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let before = server.resident();
    for _ in 0..IDLE {
        links.push(connect(&server, by).await);
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    (server.resident() - before) as f64 / IDLE as f64
}

/// Megabytes a second of a stream in pieces of that size; and how many events it had.
fn decode(stream: &Bytes, piece: usize, limit: usize) -> (f64, usize) {
    let mut decoder = EventDecoder::new(limit);
    let (mut events, mut from) = (0, 0);
    let begun = Instant::now();
    while from < stream.len() {
        let to = (from + piece).min(stream.len());
        decoder.push(stream.slice(from..to));
        while let Some(item) = decoder.next().unwrap() {
            events += usize::from(matches!(item, Item::Event(_)));
        }
        from = to;
    }
    (stream.len() as f64 / 1e6 / begun.elapsed().as_secs_f64(), events)
}

fn decoder() -> ExitCode {
    let small =
        Bytes::from("data: {\"type\":\"message\",\"text\":\"hello\"}\n\n".repeat(1_000_000));
    let large = |size: usize| {
        Bytes::from(format!("data: {}\n\n", "x".repeat(size)).repeat((64 << 20) / size))
    };
    let speed = |stream: &Bytes, piece| {
        median((0..5).map(|_| {
            let (speed, events) = decode(stream, piece, 2 << 20);
            assert!(events > 0, "nothing was decoded");
            speed
        }))
    };
    let small = speed(&small, 16 * 1024);
    let (eighth, whole) = (speed(&large(128 << 10), 1024), speed(&large(1 << 20), 1024));
    println!("\n| decoder | MB a second |");
    println!("| --- | --: |");
    println!("| events of 46 bytes, read 16 KiB at a time | {small:.0} |");
    println!("| events of 128 KiB, read 1 KiB at a time | {eighth:.0} |");
    println!("| events of 1 MiB, read 1 KiB at a time | {whole:.0} |");
    println!("\n| bar | measured | wanted | |\n| --- | --: | --: | --- |");
    let mut missed = 0;
    let mut bar = |name: &str, value: f64, least: f64| {
        missed += usize::from(value < least);
        let verdict = if value < least { "MISSED" } else { "reached" };
        println!("| {name} | {value:.2} | {least:.2} | {verdict} |");
    };
    bar("small events, MB/s", small, 300.0);
    bar("1 MiB beside 128 KiB in pieces, as fast a byte", whole / eighth, 0.5);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
