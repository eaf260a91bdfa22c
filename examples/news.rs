//! Server-sent events for any `EventSource` in the world: news of the codec `Raw`, which goes on where a reader has left it.
//!
//! ```text
//! cargo run --example news -- 127.0.0.1:8000
//! curl --no-buffer http://127.0.0.1:8000/news
//! cargo run --example listen -- http://127.0.0.1:8000/news
//! ```
//!
//! Its first line is its address. Each reader gets a piece of news every 100 ms, with its number as the event's id; whoever comes
//! back says by `Last-Event-ID` which one it had. Every seventh event ends the stream, to show just that.

use std::error::Error;
use std::time::Duration;

use moorline::{EventStreams, HttpDoor, Message, Raw, Server, SseAcceptor, Tokio};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let door = HttpDoor::new(address, Tokio::current())?.path("/news").allow_any_origin();
    let server = Server::builder()
        .acceptor(SseAcceptor::of(door, EventStreams::new().raw_whole_events()))
        .runtime(Tokio::current())
        .codec(Raw)
        .build();
    server.on_connect(async |reader| {
        let seen = reader.visitor().peer.header("last-event-id").map(str::to_owned);
        let mut number: u64 = seen.and_then(|seen| seen.parse().ok()).unwrap_or(0);
        loop {
            number += 1;
            let data = format!("number {number}\nof many");
            let event =
                serde_json::json!({ "event": "news", "data": data, "id": number.to_string() });
            reader.send(Message::from_json(&event)?).await?;
            if number % 7 == 0 {
                return Ok(reader.disconnect(None)?);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    server.start().await?;
    println!("{}", server.local_address().ok_or("it has no address")?);
    tokio::signal::ctrl_c().await?;
    server.stop().await?;
    Ok(())
}
