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

use async_trait::async_trait;
use futures_util::StreamExt;
use moorline::server::{Admission, Visitor};
use moorline::{
    Client, ConnectError, Connection, ConnectionId, Network, QueryError, QueryOptions, Server,
    Status, Tokio, event,
};
use moorline_core::{Asker, LiveQuery, Prepared, QueryEngine, Rows};
use said::{said, say};
use serde_json::{Value, json};
use tokio::sync::watch;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = Network::new(Tokio::current());
    let prices = Prices::default();
    let server = server(&network, prices.clone());
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

    // "This method can be used to reconnect after a disconnection, such as after using the disconnect method"
    // connection.connect();
    closed(&connection).await;
    connection.connect().await?;
    assert_eq!(connection.id().as_ref().map(ConnectionId::as_str), Some("2"));

    queries(&connection, &prices).await;

    connection.disconnect();
    server.stop().await?;
    Ok(())
}

/// A server whose ids are numbers, which tells each client where it is, and answers queries.
fn server(network: &Network, prices: Prices) -> Server {
    let last = AtomicU64::new(0);
    let next = move || (last.fetch_add(1, Ordering::Relaxed) + 1).to_string();
    Server::builder()
        .acceptor(network.acceptor("events"))
        .runtime(Tokio::current())
        .ids(move || ConnectionId::new(next()).expect("a number is short enough"))
        .authenticator(async |_: Arc<Visitor>| Ok(Admission::anonymous().property("region", "eu")))
        .queries(prices)
        .build()
}

/// What a query set does.
async fn queries(connection: &Connection, prices: &Prices) {
    // connection.querySet();
    let set = connection.query_set();
    let options = QueryOptions::default;
    let error = |error: QueryError| say(format!("error: {error}"));

    // querySet.retrieve(query, onResult, onError, options)
    prices.add("tea", 2);
    let all = |result: moorline::QueryResult| say(format!("all: {:?}", result.read::<Value>()));
    set.retrieve(PRICES, all, error, options());
    said(r#"all: Ok([Object {"cents": Number(2), "item": String("tea")}])"#).await;
    assert!(set.queries().is_empty(), "it has removed itself");

    // querySet.subscribe(query, onResult, onError, options)
    let changes = connection.query_set();
    changes.subscribe(
        PRICES,
        |result| say(format!("{} changed, of all: {}", result.count, result.retrieve)),
        error,
        options(),
    );

    // querySet.retrieveAndSubscribe(query, onResult, onError, options)
    set.retrieve_and_subscribe(
        PRICES,
        |result| say(format!("{} rows, of all: {}", result.count, result.retrieve)),
        error,
        options(),
    );
    said("1 rows, of all: true").await;
    prices.add("coffee", 3);
    said("1 rows, of all: false").await;
    said("1 changed, of all: false").await;

    // querySet.batch() ... .assemble(); "sends one frame"
    connection.on(event::QueryError, |failure| say(format!("global: {}", failure.error)));
    set.batch()
        .retrieve("SELECT * FROM nowhere", |_| say("never"), error, options())
        .unsubscribe(PRICES)
        .assemble();
    said("error: there is no such table").await;
    said("global: there is no such table").await;

    // querySet.unsubscribe(query), unsubscribeAll()
    assert!(!set.unsubscribe(PRICES));
    assert!(changes.unsubscribe_all());
    assert!(changes.queries().is_empty());
}

/// The only query that is answered.
const PRICES: &str = "SELECT * FROM prices";

/// A table that only grows, and the engine that answers queries for it.
#[derive(Clone, Default)]
struct Prices(watch::Sender<Vec<Value>>);

impl Prices {
    fn add(&self, item: &str, cents: u32) {
        self.0.send_modify(|rows| rows.push(json!({ "item": item, "cents": cents })));
    }
}

#[async_trait]
impl QueryEngine for Prices {
    async fn prepare(&self, query: &str, _: &Asker) -> Result<Prepared, QueryError> {
        if query != PRICES {
            return Err(QueryError::new("query_invalid", "there is no such table"));
        }
        let live = Live { table: self.0.subscribe(), told: None };
        Ok(Prepared { key: query.to_owned(), live: Box::new(live) })
    }
}

/// The query, and how many rows it has told of.
struct Live {
    table: watch::Receiver<Vec<Value>>,
    told: Option<usize>,
}

#[async_trait]
impl LiveQuery for Live {
    async fn rows(&mut self) -> Result<Rows, QueryError> {
        let table = self.table.borrow();
        let told = *self.told.get_or_insert(table.len());
        Ok(rows(&table[..told]))
    }

    async fn change(&mut self) -> Result<Rows, QueryError> {
        let told = *self.told.get_or_insert(self.table.borrow().len());
        let grown = self.table.wait_for(|table| table.len() > told).await;
        let table = grown.map_err(|_| QueryError::new("query_refused", "the table is gone"))?;
        self.told = Some(table.len());
        Ok(rows(&table[told..]))
    }
}

fn rows(rows: &[Value]) -> Rows {
    Rows::new(rows.len() as u64, Value::from(rows).to_string().into())
}

/// Waits until it is closed.
async fn closed(connection: &Connection) {
    let mut statuses = connection.statuses();
    while statuses.next().await.is_some_and(|status| status != Status::Closed) {}
}
