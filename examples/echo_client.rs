//! A WebSocket client that sends back whatever it gets, as it came. It does not reconnect.
//!
//! ```text
//! cargo run --example echo_client -- ws://127.0.0.1:9001/any/path --codec raw
//! ```
//!
//! It ends when the server closes: with code 0 if normally (1000, 1001, or a close without a code), else with 1 and why.

use std::error::Error;

use moorline::{
    Binary, Client, Codec, ConnectError, Connection, Json, Raw, Tokio, WebSocket, event,
};
use tokio::sync::mpsc;

const USAGE: &str = "\
usage: echo_client URL [--codec raw|json|binary] [--max-message BYTES]

  --codec NAME         raw by default: frames are the messages, for any WebSocket server
  --max-message BYTES  the largest message with its envelope; 1052672 by default, which is 1 MiB and 4 KiB";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read().unwrap_or_else(|why| {
        eprintln!("{why}\n{USAGE}");
        std::process::exit(2)
    });
    let connection = match options.codec.as_str() {
        "raw" => build(Raw, &options)?,
        "json" => build(Json, &options)?,
        _ => build(Binary, &options)?,
    };
    let (errors, mut error) = mpsc::unbounded_channel();
    connection.on(event::Error, move |error| drop(errors.send(error)));
    let (ends, mut end) = mpsc::unbounded_channel();
    connection.on_disconnect(move |end| drop(ends.send(end)));

    match connection.connect().await {
        // A server may close as soon as it is open: that is an end like any other.
        Ok(()) | Err(ConnectError::Disconnected) => {}
        Err(error) => return Err(error.into()),
    }
    while let Some(message) = connection.next_message().await {
        if connection.send(message).await.is_err() {
            // The connection is lost; why comes below.
            break;
        }
    }
    let end = end.recv().await.ok_or("the connection ended without a word")?;
    println!("{end}");
    match (error.try_recv(), end.close.map(|close| close.code)) {
        (Err(_), Some(1000 | 1001 | 1005)) => Ok(()),
        (Ok(error), _) => Err(error.to_string().into()),
        (Err(_), _) => Err(end.reason.to_string().into()),
    }
}

fn build(codec: impl Codec, options: &Options) -> Result<Connection, Box<dyn Error>> {
    let transport = WebSocket::new(&options.url, Tokio::current())?;
    let builder = Client::builder().transport(transport).runtime(Tokio::current()).codec(codec);
    let client = builder.max_frame(options.max_message).retry_first(false).reconnect(false).build();
    Ok(client.closed())
}

struct Options {
    url: String,
    codec: String,
    max_message: usize,
}

impl Options {
    fn read() -> Result<Self, Box<dyn Error>> {
        let (mut url, mut codec, mut max_message) = (None, "raw".to_owned(), 1_052_672);
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--codec" => codec = value()?,
                "--max-message" => max_message = value()?.parse()?,
                _ if argument.starts_with('-') || url.is_some() => {
                    return Err(format!("unexpected {argument}").into());
                }
                _ => url = Some(argument),
            }
        }
        if !["raw", "json", "binary"].contains(&codec.as_str()) {
            return Err(format!("unknown codec {codec}").into());
        }
        Ok(Self { url: url.ok_or("the URL is missing")?, codec, max_message })
    }
}
