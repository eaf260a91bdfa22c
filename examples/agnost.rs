//! The realtime module of Agnost, step by step: a connection that opens itself, by hand, and what it tells.
//!
//! ```text
//! cargo run --example agnost
//! ```
//!
//! Above each step stands the call of Agnost's client library that it is the counterpart of. Server and client are in this
//! process, on the in-memory network. It checks what it prints, and ends by itself within a second.

mod said;

use std::error::Error;
use std::time::Duration;

use futures_util::StreamExt;
use moorline::server::UserEvent;
use moorline::{
    Backoff, Client, Connection, Message, Network, PresenceChange, Server, Status, Tokio, event,
    server,
};
use said::{said, say};
use serde_json::json;

const MS: Duration = Duration::from_millis(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = Network::new(Tokio::current());
    let server = Server::builder()
        .acceptor(network.acceptor("agnost"))
        .runtime(Tokio::current())
        .channels(server::Channels::default().broadcasts(true))
        .authenticator(async |visitor: std::sync::Arc<server::Visitor>| {
            let name = visitor.auth::<String>().ok().flatten().unwrap_or_default();
            Ok(server::Admission::of(name))
        })
        .build();
    server.start().await?;
    let realtime = realtime(&network, "ann");

    manage(&realtime).await?;
    listen(&realtime, &network).await?;
    channels(&realtime, &server, &network).await?;

    server.stop().await?;
    Ok(())
}

/// What `agnost.realtime` is: a connection that opens itself when it is first used.
fn realtime(network: &Network, name: &'static str) -> Connection {
    Client::builder()
        .transport(network.transport("agnost"))
        .runtime(Tokio::current())
        .lazy(true)
        .credentials(move || async move { Ok::<_, std::io::Error>(name) })
        // A real client keeps the default, which comes back within 5 s.
        .backoff(Backoff::exponential(20 * MS).spread(20 * MS))
        .build()
        .start()
}

/// "Manually manage the connection" and "Get websocket info".
async fn manage(realtime: &Connection) -> Result<(), Box<dyn Error>> {
    assert_eq!(realtime.status(), Status::Closed, "it was not used yet");

    // Manually open the websocket connection
    // agnost.realtime.open();
    realtime.open();
    realtime.opened().await?;

    // if (agnost.realtime.isConnected()) console.log("Connected");
    if realtime.is_connected() {
        say("Connected");
    }
    said("Connected").await;

    // const socketId = agnost.realtime.getSocketId();
    let socket_id = realtime.id();
    assert_eq!(socket_id.map(|id| id.as_ref().len()), Some(20));

    // Manually close the websocket connection
    // agnost.realtime.close();
    realtime.close();
    closed(realtime).await;
    assert_eq!(realtime.id(), None);

    // "If you manually disconnect the connection, the socket will not try to reconnect."
    tokio::time::sleep(60 * MS).await;
    assert_eq!(realtime.status(), Status::Closed);
    Ok(())
}

/// "Listen to connection events".
async fn listen(realtime: &Connection, network: &Network) -> Result<(), Box<dyn Error>> {
    // agnost.realtime.onConnect(() => console.log("Connection established!"));
    realtime.on(event::Connect, |_| say("Connection established!"));

    // agnost.realtime.onDisconnect((reason) => {
    //   console.log("Disconnected due to", reason, agnost.realtime.getSocketId());
    // });
    let weak = realtime.downgrade(); // a listener that held the connection would keep it open for ever
    realtime.on_disconnect(move |end| {
        let socket_id = weak.upgrade().and_then(|realtime| realtime.id());
        say(format!("Disconnected due to: {} {socket_id:?}", end.reason));
    });

    // agnost.realtime.onReconnectAttempt((attemptNumber) =>
    //   console.log("Reconnecting attempt#", attemptNumber);
    // );
    realtime.on(event::ReconnectAttempt, |attempt_number: u32| {
        say(format!("Reconnecting attempt# {attempt_number}"));
    });

    // agnost.realtime.onError((error) =>
    //   console.log("Connection error", error, error.data);
    // );
    realtime.on(event::Error, |error: moorline::ErrorEvent| {
        say(format!("Connection error {error} {:?}", error.details));
    });

    realtime.open();
    said("Connection established!").await;

    // The network is gone for a while.
    network.cut("agnost");
    said("Disconnected due to: the link broke None").await;
    said("Reconnecting attempt# 1").await;
    said("Connection error link unreachable").await;
    network.heal("agnost");
    said("Connection established!").await;
    Ok(())
}

/// What else there is in the realtime module: channels, who is on them, and events of a user.
async fn channels(
    realtime: &Connection,
    server: &Server,
    network: &Network,
) -> Result<(), Box<dyn Error>> {
    let bob = self::realtime(network, "bob");
    let (lobby, bobs) = (realtime.channel("lobby"), bob.channel("lobby"));

    // agnost.realtime.onJoin, onLeave, onUpdate
    lobby.on_presence(|presence| match presence.change {
        PresenceChange::Joined(member) => say(format!("Joined {:?}", member.profile::<String>())),
        PresenceChange::Left(_) => say("Left"),
        PresenceChange::Updated(one) => say(format!("Updated {:?}", one.profile::<String>())),
        _ => {}
    });

    // agnost.realtime.onMessage(...), onAny(...)
    lobby.on_message(|message| say(format!("{:?} {message}", message.event.as_deref())));

    // agnost.realtime.join("lobby", { echo: false });
    lobby.clone().echo(false).join().await?;

    // The first use opens bob's connection.
    // agnost.realtime.updateProfile({ ... });
    bob.update_profile("Bob")?;
    bobs.join().await?;
    said(r#"Joined Ok(Some("Bob"))"#).await;
    bob.update_profile("Bobby")?;
    said(r#"Updated Ok(Some("Bobby"))"#).await;

    // agnost.realtime.getMembers("lobby")
    assert_eq!(lobby.members().await?.len(), 2);

    // agnost.realtime.send("lobby", "greeting", { text: "hello" });
    bobs.publish(Message::from_json(&json!({ "text": "hello" }))?.event("greeting")).await?;
    said(r#"Some("greeting") {"text":"hello"}"#).await;

    // agnost.realtime.broadcast("news", { text: "to all" });
    realtime.on_message(|message| say(format!("{:?}: {message}", message.channel)));
    bob.broadcast(Message::from_json(&json!({ "text": "to all" }))?.event("news")).await?;
    said(r#"None: {"text":"to all"}"#).await;

    // agnost.realtime.onUserEvent(...)
    realtime.on_user_event(|event| say(format!("User event {}", event.name)));
    server.user("ann").emit_event(&UserEvent::new("user.signedout"))?;
    said("User event user.signedout").await;

    // agnost.realtime.leave("lobby");
    bobs.leave();
    said("Left").await;
    Ok(())
}

/// Waits until it is closed.
async fn closed(connection: &Connection) {
    let mut statuses = connection.statuses();
    while statuses.next().await.is_some_and(|status| status != Status::Closed) {}
}
