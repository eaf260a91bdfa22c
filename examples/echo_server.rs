//! A WebSocket server that sends every message back: text as text, binary as binary, on any path.
//!
//! ```text
//! cargo run --release --example echo_server -- --listen 127.0.0.1:9001 --codec raw
//! ```
//!
//! Its first line is its address. Ctrl-C stops it: its clients are told to come back. On the path `/close/4001` it
//! disconnects whoever comes with that code, so that a client can be tried against it.

use std::error::Error;
use std::num::NonZeroUsize;

use moorline::server::HookError;
use moorline::{
    Binary, Codec, EventStreams, HttpAcceptor, Json, Raw, Server, ServerConnection, Tokio,
    TransportError, WebSocketAcceptor, WebSockets,
};
use moorline_http::Route;
use tokio::runtime;

const USAGE: &str = "\
usage: echo_server [options]

  --listen ADDR        where to listen; 127.0.0.1:0 by default, which is any free port
  --codec NAME         raw, json or binary; raw by default: frames are the messages, for any WebSocket client
  --threads N          worker threads; one for each core by default
  --sse                takes server-sent events with POST upstream, too
  --broadcast          sends each message to every connection, the sender's too
  --max-message BYTES  the largest message with its envelope; 1052672 by default, which is 1 MiB and 4 KiB";

/// How much of a broadcast may wait for each connection, besides its largest message: many senders at once fill the
/// queues of all faster than a turn of the runtime empties them.
const BROADCAST_QUEUE: usize = 16 << 20;

fn main() -> Result<(), HookError> {
    let options = Options::read().unwrap_or_else(|why| {
        eprintln!("{why}\n{USAGE}");
        std::process::exit(2)
    });
    let mut runtime = runtime::Builder::new_multi_thread();
    if let Some(threads) = options.threads {
        runtime.worker_threads(threads.get());
    }
    let runtime = runtime.enable_all().build()?;
    // On a worker, as all else: whoever calls `block_on` is a thread more.
    runtime.block_on(runtime.spawn(async move { serve(&options).await }))??;
    Ok(())
}

async fn serve(options: &Options) -> Result<(), HookError> {
    let server = match options.codec.as_str() {
        "raw" => build(Raw, options)?,
        "json" => build(Json, options)?,
        _ => build(Binary, options)?,
    };
    if options.broadcast {
        let all = server.clone();
        server.on_connect(async move |connection| broadcast(&all, &connection).await);
    } else {
        server.on_connect(async |connection| echo(&connection).await);
    }
    server.on_error(|error| eprintln!("{error}"));
    server.start().await?;
    println!("{}", server.local_address().ok_or("it has no address")?);
    tokio::signal::ctrl_c().await?;
    server.stop().await?;
    Ok(())
}

fn build(codec: impl Codec, options: &Options) -> Result<Server, TransportError> {
    if options.sse {
        type Both = (WebSockets, EventStreams);
        build_at(HttpAcceptor::<_, Both>::new(&options.listen, Tokio::current())?, codec, options)
    } else {
        build_at(WebSocketAcceptor::new(&options.listen, Tokio::current())?, codec, options)
    }
}

fn build_at<R: Route>(
    acceptor: HttpAcceptor<Tokio, R>,
    codec: impl Codec,
    options: &Options,
) -> Result<Server, TransportError> {
    let builder = Server::builder()
        .acceptor(acceptor.max_frame(options.max_message))
        .runtime(Tokio::current())
        .codec(codec)
        .max_frame(options.max_message);
    Ok(if options.broadcast { builder.queue(BROADCAST_QUEUE).build() } else { builder.build() })
}

async fn echo(connection: &ServerConnection) -> Result<(), HookError> {
    if let Some(code) = wanted_close(connection) {
        return Ok(connection.disconnect(Some(code))?);
    }
    while let Some(message) = connection.next_message().await {
        connection.send(message).await?;
    }
    Ok(())
}

async fn broadcast(server: &Server, connection: &ServerConnection) -> Result<(), HookError> {
    while let Some(message) = connection.next_message().await {
        let emitted = server.emit(message)?;
        if emitted.skipped > 0 {
            eprintln!("{} connections are too slow, and miss a message", emitted.skipped);
        }
    }
    Ok(())
}

/// The code in a path such as `/close/4001`.
fn wanted_close(connection: &ServerConnection) -> Option<u16> {
    connection.visitor().peer.path.as_deref()?.strip_prefix("/close/")?.parse().ok()
}

struct Options {
    listen: String,
    codec: String,
    threads: Option<NonZeroUsize>,
    sse: bool,
    broadcast: bool,
    max_message: usize,
}

impl Options {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            listen: "127.0.0.1:0".into(),
            codec: "raw".into(),
            threads: None,
            sse: false,
            broadcast: false,
            max_message: 1_052_672,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--listen" => options.listen = value()?,
                "--codec" => options.codec = value()?,
                "--threads" => options.threads = Some(value()?.parse()?),
                "--sse" => options.sse = true,
                "--broadcast" => options.broadcast = true,
                "--max-message" => options.max_message = value()?.parse()?,
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        match options.codec.as_str() {
            "raw" | "json" | "binary" => Ok(options),
            other => Err(format!("unknown codec {other}").into()),
        }
    }
}
