//! Prints what any endpoint of WebSockets (`ws://…`) or server-sent events (`http://…`) says, each message as one line of JSON,
//! and reconnects.
//!
//! ```text
//! cargo run --example listen -- URL [--once] [--header NAME:VALUE]… [--runtime tokio|smol|async-std]
//! ```
//!
//! `--once` ends at the first end of the stream. The runtimes beside tokio, and TLS, need their features: `--all-features`.

use std::env;
use std::process::ExitCode;

use moorline::{
    Backoff, BoxTransport, Client, Connection, Message, Raw, Runtime, Sse, Tokio, WebSocket, event,
};
use moorline_core::Net;

const USAGE: &str =
    "usage: listen URL [--once] [--header NAME:VALUE]… [--runtime tokio|smol|async-std]";

struct Wanted {
    url: String,
    once: bool,
    headers: Vec<(String, String)>,
    runtime: String,
}

fn main() -> ExitCode {
    let wanted = match parse(env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted =
        Wanted { url: String::new(), once: false, headers: Vec::new(), runtime: "tokio".into() };
    while let Some(arg) = args.next() {
        let mut value = |of: &str| args.next().ok_or_else(|| format!("{of} needs a value"));
        match arg.as_str() {
            "--once" => wanted.once = true,
            "--runtime" => wanted.runtime = value("--runtime")?,
            "--header" => {
                let header = value("--header")?;
                let (name, value) = header.split_once(':').ok_or("a header is NAME:VALUE")?;
                wanted.headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            option if option.starts_with("--") => return Err(format!("no option {option}")),
            _ if wanted.url.is_empty() => wanted.url = arg,
            _ => return Err(format!("what is {arg}?")),
        }
    }
    if wanted.url.is_empty() { Err("no URL".into()) } else { Ok(wanted) }
}

fn run(wanted: &Wanted) -> Result<(), Box<dyn std::error::Error>> {
    match wanted.runtime.as_str() {
        "tokio" => {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(async { listen(wanted, Tokio::current()).await })
        }
        #[cfg(feature = "smol")]
        "smol" => smol::block_on(listen(wanted, moorline::Smol)),
        #[cfg(feature = "async-std")]
        "async-std" => async_std::task::block_on(listen(wanted, moorline::AsyncStd)),
        other => Err(format!("no runtime {other} here: is its feature on?").into()),
    }
}

async fn listen<R: Net + Runtime + Clone>(
    wanted: &Wanted,
    runtime: R,
) -> Result<(), Box<dyn std::error::Error>> {
    let events = wanted.url.starts_with("http");
    let transport = if events {
        let mut transport = Sse::raw(&wanted.url, runtime.clone())?.whole_events();
        for (name, value) in &wanted.headers {
            transport = transport.header(name, value)?;
        }
        BoxTransport::new(transport)
    } else {
        let mut transport = WebSocket::new(&wanted.url, runtime.clone())?;
        for (name, value) in &wanted.headers {
            transport = transport.header(name, value)?;
        }
        BoxTransport::new(transport)
    };
    let connection = Client::builder()
        .transport(transport)
        .runtime(runtime)
        .codec(Raw)
        .reconnect(!wanted.once)
        .retry_first(!wanted.once)
        .backoff(Backoff::default())
        .build()
        .closed();
    tell(&connection);
    connection.connect().await?;
    while let Some(message) = connection.next_message().await {
        println!("{}", line(&message, events));
    }
    Ok(())
}

/// Says on the error output what happens to the connection.
fn tell(connection: &Connection) {
    connection.on(event::Connect, |_| eprintln!("open"));
    connection.on(event::Disconnect, |end| eprintln!("closed: {end}"));
    connection.on(event::Error, |error| eprintln!("{error}"));
}

/// Whole events as they are; text as text, and what is none in base 64 under another name.
fn line(message: &Message, whole: bool) -> String {
    match message.text() {
        Some(event) if whole => return event.to_owned(),
        Some(text) => serde_json::json!({ "event": "message", "data": text, "id": null }),
        None => {
            use base64::Engine as _;
            let data = base64::prelude::BASE64_STANDARD.encode(message.bytes());
            serde_json::json!({ "event": "message", "base64": data, "id": null })
        }
    }
    .to_string()
}
