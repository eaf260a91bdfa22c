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
//! The server is mounted in a router of axum's, beside the page. The room is a channel, on which the clients publish; who is there
//! they know from its presence.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::BufRead;
use std::sync::Arc;
use std::thread;

use async_trait::async_trait;
use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::get;
use futures_util::StreamExt;
use moorline::server::{Admission, Middleware, Refusal, Visitor};
use moorline::{
    Client, Connection, Event, EventStreams, Member, Message, Mount, PresenceChange, SendError,
    Server, ServerConnection, Status, Tokio, WebSocket, WebSockets,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const ADDRESS: &str = "127.0.0.1:7777";

const ROOM: &str = "lobby";

const USAGE: &str = "usage: chat [serve [ADDRESS]] | chat join NAME [URL]";

/// What somebody says.
#[derive(Serialize, Deserialize)]
struct Line {
    from: String,
    text: String,
}

/// What the others see of somebody.
#[derive(Serialize, Deserialize)]
struct Profile {
    name: String,
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
        .add_middleware(OwnName)
        .build();
    server.on_connect(async |connection| {
        println!("{} has come", connection.identity().unwrap_or("somebody"));
        Ok(())
    });
    server.on_disconnect(|connection, _| {
        println!("{} has gone", connection.identity().unwrap_or("somebody"));
    });
    server.on_message(|_, message| {
        if let Ok(Line { from, text }) = message.json() {
            println!("{from}: {text}");
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

/// Nobody speaks in another one's name.
struct OwnName;

#[async_trait]
impl Middleware for OwnName {
    async fn message(
        &self,
        connection: &ServerConnection,
        message: &Message,
    ) -> Result<(), Refusal> {
        match message.json() {
            Ok(Line { from, .. }) if Some(&*from) == connection.identity() => Ok(()),
            _ => Err(Refusal::for_good("not_you", "say it in your own name")),
        }
    }
}

async fn join(name: &str, url: &str) -> Result<(), Box<dyn Error>> {
    let credentials = name.to_owned();
    let connection = Client::builder()
        .transport(WebSocket::new(url, Tokio::current())?)
        .runtime(Tokio::current())
        .credentials(move || {
            let name = credentials.clone();
            async move { Ok::<_, SendError>(name) }
        })
        .build()
        .closed();
    let room = connection.channel(ROOM);
    connection.on_channel(ROOM, |Line { from, text }| println!("{from}: {text}"));
    let weak = connection.downgrade();
    room.on_presence(move |presence| {
        let Some(connection) = weak.upgrade() else { return };
        match presence.change {
            PresenceChange::Joined(one) => println!("── {} has come ──", name_in(&one)),
            _ => println!("── here: {} ──", present(&connection).join(", ")),
        }
    });
    connection.on_any(|event| match event {
        Event::Connect(_) => eprintln!("── connected ──"),
        Event::Disconnect(end) => eprintln!("── {end} ──"),
        Event::Error(error) => eprintln!("── {error} ──"),
        _ => {}
    });

    connection.update_profile(&Profile { name: name.to_owned() })?;
    connection.connect().await?;
    room.join().await?;
    tokio::select! {
        () = say_all(&connection, name) => {
            connection.disconnect();
            closed(&connection).await;
        }
        // The server wants us no more.
        () = closed(&connection) => {}
    }
    Ok(())
}

/// Who is in the room, by name.
fn present(connection: &Connection) -> Vec<String> {
    let members = connection.channel(ROOM).present().unwrap_or_default();
    // Somebody may be there twice.
    members.iter().map(name_in).collect::<BTreeSet<_>>().into_iter().collect()
}

fn name_in(member: &Member) -> String {
    let profile = member.profile::<Profile>().ok().flatten();
    profile.map_or_else(|| "somebody".to_owned(), |profile| profile.name)
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
async fn say_all(connection: &Connection, name: &str) {
    let mut lines = typed();
    while let Some(text) = lines.recv().await {
        let said = async {
            connection.opened().await?;
            let line = Line { from: name.to_owned(), text };
            connection.channel(ROOM).publish(Message::from_json(&line)?).await?;
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
