//! A chat in the terminal.
//!
//! ```text
//! cargo run --example chat -- serve
//! cargo run --example chat -- join ann
//! cargo run --example chat -- join bob
//! ```
//!
//! Each in a terminal of its own. Stop the server and start it again: the others come back by themselves. The end of the
//! input (Ctrl-D) leaves. Another address: `serve 127.0.0.1:9000`, `join ann ws://127.0.0.1:9000`.

use std::error::Error;
use std::io::BufRead;
use std::sync::Arc;
use std::thread;

use futures_util::StreamExt;
use moorline::server::{Admission, Refusal, Visitor};
use moorline::{
    Client, Connection, Event, Message, SendError, Server, Status, Tokio, WebSocket,
    WebSocketAcceptor,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

const ADDRESS: &str = "127.0.0.1:7777";

const USAGE: &str = "usage: chat serve [ADDRESS] | chat join NAME [URL]";

/// What somebody said.
#[derive(Serialize, Deserialize)]
struct Line {
    from: String,
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => serve(ADDRESS).await,
        ["serve", address] => serve(address).await,
        ["join", name] => join(name, &format!("ws://{ADDRESS}")).await,
        ["join", name, url] => join(name, url).await,
        _ => {
            eprintln!("{USAGE}");
            std::process::exit(2)
        }
    }
}

async fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .acceptor(WebSocketAcceptor::new(address, Tokio::current())?)
        .runtime(Tokio::current())
        .authenticator(name_of)
        .build();

    let all = server.clone();
    server.on_connect(async move |connection| {
        let name = connection.identity().unwrap_or("somebody").to_owned();
        tell(&all, &name, "has come")?;
        while let Some(message) = connection.next_message().await {
            if let Some(text) = message.text() {
                tell(&all, &name, text)?;
            }
        }
        Ok(())
    });
    let all = server.clone();
    server.on_disconnect(move |connection, _| {
        let name = connection.identity().unwrap_or("somebody");
        if let Err(error) = tell(&all, name, "has gone") {
            eprintln!("{error}");
        }
    });

    server.start().await?;
    println!("{}", server.local_address().ok_or("it has no address")?);
    tokio::signal::ctrl_c().await?;
    server.stop().await?;
    Ok(())
}

/// Lets in whoever has a name.
async fn name_of(visitor: Arc<Visitor>) -> Result<Admission, Refusal> {
    match visitor.auth::<String>() {
        Ok(Some(name)) if !name.is_empty() => Ok(Admission::of(name)),
        _ => Err(Refusal::for_good("unauthorized", "a name is needed")),
    }
}

/// Tells everybody what `from` said.
fn tell(server: &Server, from: &str, text: &str) -> Result<(), SendError> {
    let line = Line { from: from.to_owned(), text: text.to_owned() };
    let message = Message::from_json(&line).map_err(|error| SendError::Json(error.to_string()))?;
    server.emit(message.on("chat"))?;
    println!("{from}: {text}");
    Ok(())
}

async fn join(name: &str, url: &str) -> Result<(), Box<dyn Error>> {
    let name = name.to_owned();
    let connection = Client::builder()
        .transport(WebSocket::new(url, Tokio::current())?)
        .runtime(Tokio::current())
        .credentials(move || {
            let name = name.clone();
            async move { Ok::<_, SendError>(name) }
        })
        .build()
        .closed();
    connection.on_channel("chat", |Line { from, text }| println!("{from}: {text}"));
    connection.on_any(|event| match event {
        Event::Connect(_) => eprintln!("── connected ──"),
        Event::Disconnect(end) => eprintln!("── {end} ──"),
        Event::Error(error) => eprintln!("── {error} ──"),
        _ => {}
    });

    connection.connect().await?;
    tokio::select! {
        () = say_all(&connection) => {
            connection.disconnect();
            closed(&connection).await;
        }
        // The server wants us no more.
        () = closed(&connection) => {}
    }
    Ok(())
}

/// Waits until it is closed, and does not come back.
async fn closed(connection: &Connection) {
    let mut statuses = connection.statuses();
    while let Some(status) = statuses.next().await {
        if status == Status::Closed {
            return;
        }
    }
}

/// Says what is typed, until there is no more. While there is no connection it waits for one.
async fn say_all(connection: &Connection) {
    let mut lines = typed();
    while let Some(line) = lines.recv().await {
        let said = async {
            connection.opened().await?;
            connection.send(line).await?;
            Ok::<_, Box<dyn Error>>(())
        };
        if let Err(error) = said.await {
            eprintln!("── not said: {error} ──");
        }
    }
}

/// The lines typed, read in a thread of its own: reading a terminal cannot be cancelled.
fn typed() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
