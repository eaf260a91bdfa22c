//! The `Connection` of SpreadJS' collaboration server, step by step: rooms, plain and typed messages, events and reasons.
//!
//! ```text
//! cargo run --example spreadjs
//! ```
//!
//! Above each step stands the call of SpreadJS that it is the counterpart of. Server and client are in this process, on the
//! in-memory network. It checks what it prints, and ends by itself within a second.

mod said;

use std::error::Error;
use std::time::Duration;

use futures_util::StreamExt;
use moorline::server::RoomEvent;
use moorline::{
    Backoff, Client, Connection, ErrorEvent, Heartbeat, Message, Network, Reason, Server, Status,
    Tokio, event,
};
use said::{said, say};
use serde_json::json;

const MS: Duration = Duration::from_millis(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = Network::new(Tokio::current());
    let server =
        Server::builder().acceptor(network.acceptor("sheets")).runtime(Tokio::current()).build();

    // server.on("connect", ({ connection }) => {
    //   console.log(connection.id); // Example output: XBtqzsRMPh7MaVvaAAAB
    // });
    server.on_connect(async |connection| {
        say(format!("server: {}", connection.id()));
        Ok(())
    });
    // A room sends what one of it sends to the others. With a type of its own, the message says what it is for.
    server.on_message(|connection, message| {
        say(format!("server: {:?} {message}", message.event.as_deref()));
        if message.event.is_some() {
            let told = connection.broadcast(message);
            assert!(told.is_ok(), "every codec can write it");
        }
    });
    server.on_room(|event| match event {
        RoomEvent::Created(room) => say(format!("{room} is created")),
        RoomEvent::Destroyed(room) => say(format!("{room} is destroyed")),
        _ => {}
    });
    server.start().await?;

    // A real client keeps the default, which comes back within 5 s and never gives up.
    let backoff = Backoff::exponential(20 * MS).spread(20 * MS);
    let connection = client(&network, "room1", backoff.clone()).closed();
    identifiers(&connection).await?;
    let other = client(&network, "room1", backoff.clone()).connect().await?;
    messages(&connection, &other).await?;
    other.close();
    closed(&other).await;
    let other = client(&network, "room2", backoff.attempts(2)).connect().await?;
    listeners(&connection, &other, &server, &network).await?;
    reasons(&connection, &server, &network).await?;

    server.stop().await?;
    Ok(())
}

/// Enters a room at its connect.
fn client(network: &Network, room: &str, backoff: Backoff) -> Client {
    Client::builder()
        .transport(network.transport("sheets"))
        .runtime(Tokio::current())
        .room(room)
        .query("user", "user1")
        .backoff(backoff)
        // A real client keeps the default, and notices a silent server within a minute.
        .heartbeat(Heartbeat::every(200 * MS).timeout(2_000 * MS))
        .build()
}

/// `connection.id`, `roomId` and `connected`.
async fn identifiers(connection: &Connection) -> Result<(), Box<dyn Error>> {
    // connection.on("connect", () => {
    //   console.log(connection.id); // Example output: XBtqzsRMPh7MaVvaAAAB
    //   console.log(connection.connected); // true
    // });
    let weak = connection.downgrade(); // a listener that held the connection would keep it open for ever
    connection.on(event::Connect, move |_| {
        let Some(connection) = weak.upgrade() else { return };
        say(format!("connect: {:?} {}", connection.id(), connection.is_connected()));
    });

    // connection.on("disconnect", () => {
    //   console.log(connection.id); // undefined
    //   console.log(connection.connected); // false
    // });
    let weak = connection.downgrade();
    connection.on_disconnect(move |end| {
        let Some(connection) = weak.upgrade() else { return };
        let (id, connected) = (connection.id(), connection.is_connected());
        say(format!("disconnect: {id:?} {connected} {:?}", end.reason));
    });

    connection.connect().await?;
    let id = connection.id().ok_or("it is open, and has an id")?;
    said(&format!("connect: {:?} true", Some(&id))).await;
    said(&format!("server: {id}")).await;
    said("room1 is created").await;

    // console.log('connection.roomId'); // Example output: "room1"
    assert_eq!(connection.room(), Some("room1"));
    Ok(())
}

/// `connection.send` and the event `message`.
async fn messages(connection: &Connection, other: &Connection) -> Result<(), Box<dyn Error>> {
    // connection.send('Hello, server!');
    connection.send("Hello, server!").await?;
    said("server: None Hello, server!").await;

    // connection.send('Hello, server!', 'document');
    connection.send(Message::from("Hello, server!").event("document")).await?;
    said(r#"server: Some("document") Hello, server!"#).await;

    // connection.send({ userId: 'user1', active: true });
    let active = json!({ "userId": "user1", "active": true });
    connection.send(Message::from_json(&active)?).await?;
    said(r#"server: None {"active":true,"userId":"user1"}"#).await;

    // connection.on('message', (data, type) => {
    //   if (type === 'my-document') {
    //     console.log('Document update:', data);
    //   } else if (type === 'my-presence') {
    //     console.log('Status update:', data);
    //   }
    // });
    other.on_message(|message| match message.event.as_deref() {
        Some("my-document") => say(format!("Document update: {message}")),
        Some("my-presence") => say(format!("Status update: {message}")),
        _ => {}
    });

    // Send a document update
    // connection.send({ content: 'New paragraph' }, 'my-document');
    let paragraph = Message::from_json(&json!({ "content": "New paragraph" }))?;
    connection.send(paragraph.event("my-document")).await?;
    said(r#"Document update: {"content":"New paragraph"}"#).await;

    // Send an online status
    // connection.send({ userId: 'user1', active: true }, 'my-presence');
    connection.send(Message::from_json(&active)?.event("my-presence")).await?;
    said(r#"Status update: {"active":true,"userId":"user1"}"#).await;
    Ok(())
}

/// `connection.on`, `once`, `off` and `close`.
async fn listeners(
    connection: &Connection,
    other: &Connection,
    server: &Server,
    network: &Network,
) -> Result<(), Box<dyn Error>> {
    // connection.on('connect', () => { console.log('Connected to the server'); });
    connection.on(event::Connect, |_| say("Connected to the server"));

    // connection.on('message', (data, type) => { console.log('Received message:', data, 'Type:', type); });
    connection.on_message(|message| {
        say(format!("Received message: {message} Type: {:?}", message.event.as_deref()));
    });

    server.room("room1").emit(Message::from("to all of you").event("note"))?;
    said(r#"Received message: to all of you Type: Some("note")"#).await;

    // connection.once('reconnect', (attempts) => { console.log(`Reconnection attempt #${attempts}`); });
    connection.once(event::Reconnect, |attempts| say(format!("Reconnection attempt #{attempts}")));

    // const handler = () => console.log('Error occurred');
    // connection.on('error', handler);
    // connection.off('error', handler);
    let handler = |_: ErrorEvent| say("Error occurred");
    let token = connection.on(event::Error, handler);
    assert!(connection.off(token));

    // The events of the table, beside those above.
    connection.on(event::ReconnectAttempt, |attempt| say(format!("reconnectAttempt {attempt}")));
    other.on(event::ReconnectFailed, |()| say("reconnectFailed"));

    network.reset("sheets");
    said("disconnect: None false TransportError").await;
    said("reconnectAttempt 1").await;
    said("Connected to the server").await;
    said("Reconnection attempt #1").await;
    assert_eq!(connection.listeners(event::Reconnect), 0, "it was for once");

    // The other one gives up.
    network.cut("sheets");
    said("reconnectFailed").await;
    assert_eq!(other.status(), Status::Closed);
    network.heal("sheets");
    connection.opened().await?;

    // connection.close();
    connection.close();
    said("disconnect: None false ClientDisconnect").await;
    said("room1 is destroyed").await;
    Ok(())
}

/// The reasons of the event `disconnect`, and whether it comes back by itself.
async fn reasons(
    connection: &Connection,
    server: &Server,
    network: &Network,
) -> Result<(), Box<dyn Error>> {
    // "Client actively disconnected", "Transport layer error occurred": see above.
    assert!(!Reason::ClientDisconnect.reconnects() && Reason::TransportError.reconnects());

    // "Server actively disconnected"
    connection.connect().await?;
    for one in server.room("room1").connections() {
        one.disconnect(Some(4002))?;
    }
    said("disconnect: None false ServerDisconnect").await;

    // "Client failed to respond to ping in time"
    connection.connect().await?;
    network.partition("sheets");
    said("disconnect: None false PingTimeout").await;
    network.heal("sheets");
    connection.opened().await?;

    // "Transport layer connection closed"
    server.stop().await?;
    said("disconnect: None false TransportClose").await;
    server.start().await?;
    connection.opened().await?;
    connection.close();
    Ok(())
}

/// Waits until it is closed.
async fn closed(connection: &Connection) {
    let mut statuses = connection.statuses();
    while statuses.next().await.is_some_and(|status| status != Status::Closed) {}
}
