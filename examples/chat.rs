//! A chat room: in the browser, by a WebSocket or by server-sent events, and in the terminal.
//!
//! ```text
//! cargo run --example chat
//! cargo run --example chat -- join ann
//! ```
//!
//! The first one serves the room, and prints the address of its page. Stop it and start it again: all others come back by
//! themselves. In the terminal the end of the input (Ctrl-D) leaves. Another address: `serve 127.0.0.1:9000`,
//! `join ann ws://127.0.0.1:9000/realtime`.
//!
//! The server is mounted in a router of axum's, beside the page.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::BufRead;
use std::sync::Arc;
use std::thread;

use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::get;
use futures_util::StreamExt;
use moorline::server::{Admission, Refusal, Visitor};
use moorline::{
    Client, Connection, Event, EventStreams, Message, Mount, SendError, Server, Status, Tokio,
    WebSocket, WebSockets,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const ADDRESS: &str = "127.0.0.1:7777";

const USAGE: &str = "usage: chat [serve [ADDRESS]] | chat join NAME [URL]";

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
        [] | ["serve"] => serve(ADDRESS).await,
        ["serve", address] => serve(address).await,
        ["join", name] => join(name, &format!("ws://{ADDRESS}/realtime")).await,
        ["join", name, url] => join(name, url).await,
        _ => {
            eprintln!("{USAGE}");
            std::process::exit(2)
        }
    }
}

async fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let (realtime, acceptor) =
        Mount::new(Tokio::current()).build((WebSockets::new(), EventStreams::new()));
    let server = Server::builder()
        .acceptor(acceptor)
        .runtime(Tokio::current())
        .authenticator(name_of)
        .build();

    let all = server.clone();
    server.on_connect(async move |connection| {
        let name = connection.identity().unwrap_or("somebody").to_owned();
        tell(&all, &name, "has come")?;
        tell_who(&all)?;
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
        if let Err(error) = tell(&all, name, "has gone").and_then(|()| tell_who(&all)) {
            eprintln!("{error}");
        }
    });
    server.start().await?;

    let script = ([(CONTENT_TYPE, "text/javascript")], include_str!("chat/moorline.js"));
    let router = axum::Router::new()
        .route("/", get(async || Html(include_str!("chat/page.html"))))
        .route("/moorline.js", get(async || script))
        .route_service("/realtime", realtime);
    let listener = TcpListener::bind(address).await;
    let listener =
        listener.map_err(|error| format!("{address}: {error}; or: serve 127.0.0.1:9000"))?;
    println!("http://{}", listener.local_addr()?);
    let stop = async move {
        let _ = tokio::signal::ctrl_c().await;
        // Its links end, so that axum does not wait for them.
        let _ = server.stop().await;
    };
    axum::serve(listener, router).with_graceful_shutdown(stop).await?;
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

/// Tells everybody who is there.
fn tell_who(server: &Server) -> Result<(), SendError> {
    let all = server.connections();
    let names: BTreeSet<_> = all.iter().filter_map(|connection| connection.identity()).collect();
    let message = Message::from_json(&names).map_err(|error| SendError::Json(error.to_string()))?;
    server.emit(message.on("who"))?;
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
    connection.on_channel("who", |names: Vec<String>| println!("── here: {} ──", names.join(", ")));
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
