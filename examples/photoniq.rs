//! The `Connection` of PhotonIQ Event Delivery, step by step: connect, look, ask queries, disconnect.
//!
//! ```text
//! cargo run --example photoniq
//! ```
//!
//! Above each step stands the call of Event Delivery's client that it is the counterpart of. Server and client are in this process,
//! on the in-memory network. It checks what it prints, and ends by itself within a second.

mod said;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use moorline::server::{Admission, Visitor};
use moorline::{
    Client, ConnectError, Connection, ConnectionId, Network, Server, Status, Tokio, event,
};
use said::{said, say};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = Network::new(Tokio::current());
    let server = server(&network);
    server.start().await?;
    let connection = Client::builder()
        .transport(network.transport("events"))
        .runtime(Tokio::current())
        .build()
        .closed();

    // connection.getStatus(): ConnectionType.Closed, Connecting, Open, Closing
    assert_eq!(connection.status(), Status::Closed);
    connection.on_status(|status| say(format!("status {status:?}")));

    // connection.connect();
    connection.connect().await?;
    said("status Connecting").await;
    said("status Open").await;
    assert_eq!(connection.connect().await, Err(ConnectError::AlreadyConnected));

    // connection.getConfig();
    let config = connection.config();
    say(format!("config: reconnects {}, {:?}", config.reconnect, config.backoff));
    assert!(config.reconnect);

    // connection.getId(); "number: ID of the connection"
    let id: u64 = connection.id().ok_or("it is open, and has an id")?.as_str().parse()?;
    assert_eq!(id, 1);

    // connection.getProperty(name);
    assert_eq!(connection.property("region").as_deref(), Some("eu"));
    assert_eq!(connection.property("colour"), None);

    // connection.getProperties();
    assert_eq!(connection.properties(), [("region".to_owned(), "eu".to_owned())]);
    connection.on(event::Properties, |properties| say(format!("properties {properties:?}")));
    let served = server.connection("1").ok_or("the server knows it")?;
    served.set_property("colour", Some("green"))?;
    said(r#"properties [("region", "eu"), ("colour", "green")]"#).await;

    // connection.disconnect(); "true if disconnected; false if it was not connected"
    assert!(connection.disconnect());
    assert!(!connection.disconnect());
    said("status Closing").await;
    said("status Closed").await;

    queries(&connection);

    // "This method can be used to reconnect after a disconnection, such as after using the disconnect method"
    // connection.connect();
    closed(&connection).await;
    connection.connect().await?;
    assert_eq!(connection.id().as_ref().map(ConnectionId::as_str), Some("2"));

    connection.disconnect();
    server.stop().await?;
    Ok(())
}

/// A server whose ids are numbers, and which tells each client where it is.
fn server(network: &Network) -> Server {
    let last = AtomicU64::new(0);
    let next = move || (last.fetch_add(1, Ordering::Relaxed) + 1).to_string();
    Server::builder()
        .acceptor(network.acceptor("events"))
        .runtime(Tokio::current())
        .ids(move || ConnectionId::new(next()).expect("a number is short enough"))
        .authenticator(async |_: Arc<Visitor>| Ok(Admission::anonymous().property("region", "eu")))
        .build()
}

/// `connection.querySet()`: queries may be registered before the connection is open, and none is asked twice.
fn queries(connection: &Connection) {
    // connection.querySet();
    let set = connection.query_set();
    let options = moorline::QueryOptions::default;

    // querySet.retrieve(query, onResult, onError, options), subscribe(...), retrieveAndSubscribe(...)
    set.subscribe(
        "SELECT * FROM prices",
        |result| say(format!("{} changes", result.count)),
        |error| say(format!("prices: {error}")),
        options(),
    );

    // querySet.batch() ... .assemble();
    set.batch()
        .retrieve("SELECT * FROM menu", |_| {}, |_| {}, options())
        .retrieve_and_subscribe("SELECT * FROM orders", |_| {}, |_| {}, options())
        .unsubscribe("SELECT * FROM prices")
        .assemble();
    assert_eq!(set.queries(), ["SELECT * FROM menu", "SELECT * FROM orders"]);

    // querySet.unsubscribe(query), unsubscribeAll()
    assert!(set.unsubscribe("SELECT * FROM menu"));
    assert!(set.unsubscribe_all());
    assert!(set.queries().is_empty());
}

/// Waits until it is closed.
async fn closed(connection: &Connection) {
    let mut statuses = connection.statuses();
    while statuses.next().await.is_some_and(|status| status != Status::Closed) {}
}
