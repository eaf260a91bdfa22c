//! A server and two clients talk over WebSockets, lose the server, come back by themselves, and go on.
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! Every event of both connections is printed. It ends by itself within three seconds.

use std::error::Error;
use std::time::{Duration, Instant};

use moorline::{Backoff, Client, Connection, Event, Server, Tokio, WebSocket, WebSocketAcceptor};
use tokio::time::{sleep, timeout};

const MS: Duration = Duration::from_millis(1);

/// Ends the program if it hangs.
const AT_MOST: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    timeout(AT_MOST, play()).await?
}

async fn play() -> Result<(), Box<dyn Error>> {
    let say = story();

    let server = relay()?;
    server.start().await?;
    let url = format!("ws://{}/room", server.local_address().ok_or("it has no address")?);
    say("server", format!("listens at {url}"));

    let ann = client("ann", &url, say)?;
    let bob = client("bob", &url, say)?;
    ann.connect().await?;
    bob.connect().await?;
    ann.send("ann: hello, bob").await?;
    sleep(100 * MS).await;
    bob.send("bob: hello, ann").await?;
    sleep(100 * MS).await;

    say("server", "── stops ──".into());
    let stopped = server.stop().await?;
    say("server", format!("── has stopped; it had {} connections ──", stopped.connections));
    // It waits in the client's buffer, and is sent when the server is back.
    ann.send("ann: are you there?").await?;
    say("ann", "            says something all the same".into());
    sleep(700 * MS).await;

    say("server", "── runs again ──".into());
    server.start().await?;
    ann.opened().await?;
    bob.opened().await?;
    bob.send("bob: where were we?").await?;
    sleep(100 * MS).await;

    say("ann", "── both leave ──".into());
    ann.disconnect();
    bob.disconnect();
    sleep(100 * MS).await;
    server.stop().await?;
    Ok(())
}

/// A server that sends each message to everybody.
fn relay() -> Result<Server, Box<dyn Error>> {
    // Port 0 is any free one. It stays the same when the server runs again.
    let acceptor = WebSocketAcceptor::new("127.0.0.1:0", Tokio::current())?;
    let server = Server::builder()
        .acceptor(acceptor)
        .runtime(Tokio::current())
        // Over what time its clients come back when it stops. A real server keeps the default of 5 s.
        .spread(300 * MS)
        .build();
    let all = server.clone();
    server.on_connect(async move |connection| {
        while let Some(message) = connection.next_message().await {
            all.emit(message)?;
        }
        Ok(())
    });
    Ok(server)
}

/// A client that tells of everything.
fn client(name: &'static str, url: &str, say: Say) -> Result<Connection, Box<dyn Error>> {
    let connection = Client::builder()
        .transport(WebSocket::new(url, Tokio::current())?)
        .runtime(Tokio::current())
        // A real client keeps the defaults: it comes back within 5 s, then tries from every second to every 5 s.
        .backoff(Backoff::exponential(100 * MS).cap(400 * MS).spread(300 * MS))
        .build()
        .closed();
    connection.on_any(move |event| say(name, describe(&event)));
    Ok(connection)
}

type Say = fn(&str, String);

/// Prints who says what, and when.
fn story() -> Say {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    STARTED.get_or_init(Instant::now);
    |who, what| {
        let after = STARTED.get().map_or(Duration::ZERO, Instant::elapsed);
        println!("{:>5} ms  {who:<6}  {what}", after.as_millis());
    }
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
