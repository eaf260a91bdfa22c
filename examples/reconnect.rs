//! Every event of one connection, through an outage of a second.
//!
//! ```text
//! cargo run --example reconnect
//! ```
//!
//! The server echoes. The client prints what happens to its connection while the network between the two is cut and
//! healed. The back-off is short, so that it ends within three seconds.

use std::error::Error;
use std::time::{Duration, Instant};

use moorline::{Backoff, Client, Event, Network, Server, Tokio};
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = Network::new(Tokio::current());
    let server = echo(&network);
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.run().await }
    });

    let connection = Client::builder()
        .transport(network.transport("echo"))
        .runtime(Tokio::current())
        // A real client keeps the defaults: it comes back within 5 s, then tries from every second to every 5 s.
        .backoff(Backoff::exponential(100 * MS).cap(400 * MS).spread(200 * MS))
        .build()
        .closed();

    let started = Instant::now();
    let say = move |line: String| println!("{:>5} ms  {line}", started.elapsed().as_millis());
    connection.on_any(move |event| say(describe(&event)));

    connection.connect().await?;
    connection.send("before the outage").await?;
    sleep(300 * MS).await;

    say("── the network is cut ──".into());
    network.cut("echo");
    sleep(500 * MS).await;
    // It waits in the client's buffer, and is sent when the network is back.
    connection.send("during the outage").await?;
    say("            sends a message all the same".into());
    sleep(500 * MS).await;
    say("── the network is back ──".into());
    network.heal("echo");

    connection.opened().await?;
    connection.send("after the outage").await?;
    sleep(300 * MS).await;

    say("── the application disconnects ──".into());
    connection.disconnect();
    sleep(100 * MS).await;

    server.stop().await?;
    serving.await??;
    Ok(())
}

/// A server that sends every message back.
fn echo(network: &Network) -> Server {
    let server =
        Server::builder().acceptor(network.acceptor("echo")).runtime(Tokio::current()).build();
    server.on_connect(async |connection| {
        while let Some(message) = connection.next_message().await {
            connection.send(message).await?;
        }
        Ok(())
    });
    server
}

/// One line for each event.
fn describe(event: &Event) -> String {
    match event {
        Event::Status(status) => format!("status      {status:?}"),
        Event::Connecting => "connecting".into(),
        Event::Connect(connected) => match &connected.id {
            Some(id) => format!("connect     its id is {id}"),
            None => "connect".into(),
        },
        Event::Message(message) => format!("message     {message}"),
        Event::Disconnect(end) => {
            format!("disconnect  {end}; {} unsent, {} unconfirmed", end.unsent, end.unconfirmed)
        }
        Event::Error(error) => format!("error       {error}"),
        Event::ReconnectAttempt(attempt) => format!("attempt     {attempt}"),
        Event::Reconnect(attempts) => format!("reconnect   after {attempts} attempts"),
        other => format!("{other:?}"),
    }
}
