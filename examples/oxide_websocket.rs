//! The `Connection` class of Oxide WebSocket, step by step: a server's connection, its properties, channels and errors.
//!
//! ```text
//! cargo run --example oxide_websocket
//! ```
//!
//! Above each step stands the member of Oxide's class that it is the counterpart of. Server and client are in this process, on the
//! in-memory network. It checks what it prints, and ends by itself within a second.

mod said;

use std::error::Error;
use std::sync::Mutex;

use moorline::{
    Client, DisconnectError, Message, MessageError, Network, SendError, Server, ServerConnection,
    Tokio, event,
};
use said::{said, say};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// The type parameter `CustomProperties`.
#[derive(Debug, Default)]
struct CustomProperties {
    name: String,
    messages: u32,
}

/// The type parameter `MessageType`.
#[derive(Debug, Serialize, Deserialize)]
struct Chat {
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = Network::new(Tokio::current());
    let server =
        Server::builder().acceptor(network.acceptor("oxide")).runtime(Tokio::current()).build();

    // "An instance of this class is received through the `connect` event from Server."
    let (sender, mut connections) = mpsc::unbounded_channel();
    server.on_connect(async move |connection| {
        listen(&connection);
        sender.send(connection)?;
        Ok(())
    });
    server.start().await?;

    let client = Client::builder()
        .transport(network.transport("oxide"))
        .runtime(Tokio::current())
        .build()
        .connect()
        .await?;
    client.on_channel("chat", |Chat { text }| say(format!("the client hears on chat: {text}")));
    client.on_channel("typing", |nothing: serde_json::Value| {
        say(format!("the client hears on typing: {nothing}"));
    });
    client.on_disconnect(|end| say(format!("the client: {end}, again: {}", end.reconnects)));
    let connection = connections.recv().await.ok_or("the server has stopped")?;

    // connection.getIdentifier()
    assert_eq!(Some(connection.id()), client.id());

    // Event `message` of the channel `chat`, and of no other.
    client.send_json("chat", &Chat { text: "hello".to_owned() }).await?;
    said("message: hello").await;
    client.send_json("elsewhere", &Chat { text: "not heard on chat".to_owned() }).await?;

    // Event `messageError`
    client.send(Message::from("this is no JSON").on("chat")).await?;
    said("messageError on chat").await;
    assert!(connection.is_alive(), "the connection stays open");

    // connection.props
    let props = connection.props::<Mutex<CustomProperties>>().ok_or("it has no props")?;
    props.lock().expect("nobody panics under it").name = "ann".to_owned();
    say(format!("props: {props:?}"));
    said(r#"props: Mutex { data: CustomProperties { name: "ann", messages: 1 }"#).await;

    // await connection.send("chat", { text: "welcome" });
    connection.send_json("chat", &Chat { text: "welcome".to_owned() }).await?;
    said("the client hears on chat: welcome").await;

    // await connection.send("typing"); "The actual message. Default: `{}`."
    connection.send(Message::default().on("typing")).await?;
    said("the client hears on typing: {}").await;

    // connection.isAlive()
    assert!(connection.is_alive());

    // await connection.disconnect();
    connection.disconnect(Some(4001))?;
    said("the client: the server disconnected: 4001, again: false").await;
    said("disconnect: 4001").await;
    assert!(!connection.is_alive());

    // "Promise error argument: error code from ConnectionErrors."
    assert_eq!(connection.disconnect(None), Err(DisconnectError::NotAlive));
    let unsent = connection.send_json("chat", &Chat { text: "too late".to_owned() }).await;
    assert!(matches!(unsent, Err(SendError::NotConnected)));

    server.stop().await?;
    Ok(())
}

/// The events of a connection.
fn listen(connection: &ServerConnection) {
    connection.set_props(Mutex::new(CustomProperties::default()));

    // connection.on("message", "chat", (message) => ...)
    let weak = connection.downgrade();
    connection.on_channel("chat", move |message: Chat| {
        let connection = weak.upgrade();
        if let Some(props) = connection.and_then(|own| own.props::<Mutex<CustomProperties>>()) {
            props.lock().expect("nobody panics under it").messages += 1;
        }
        say(format!("message: {}", message.text));
    });

    // connection.on("messageError", (error) => ...)
    connection.on(event::MessageError, |error: MessageError| {
        let channel = error.message.channel.unwrap_or_default();
        say(format!("messageError on {channel}: {}", error.cause));
    });

    // connection.on("disconnect", (code) => ...)
    connection.on_disconnect(|end| {
        let code = end.close.map(|close| close.code.to_string());
        say(format!("disconnect: {}", code.unwrap_or_default()));
    });
}
