//! SQL over the whole way: a client's query, the server, SQLite, and back (R42).
#![cfg(all(feature = "memory", feature = "tokio"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

use std::time::Duration;

use moorline::{Client, Network, QueryError, QueryResult, QuerySet, Server, Tokio};
use moorline_sqlite::{Rights, SqliteEngine};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// What a set is told of a query.
fn ask(set: &QuerySet, query: &str) -> UnboundedReceiver<Result<QueryResult, QueryError>> {
    let (rows, told) = unbounded_channel();
    let errors = rows.clone();
    set.retrieve_and_subscribe(
        query,
        move |result| drop(rows.send(Ok(result))),
        move |error| drop(errors.send(Err(error))),
        Default::default(),
    );
    told
}

async fn next(
    told: &mut UnboundedReceiver<Result<QueryResult, QueryError>>,
) -> Result<QueryResult, QueryError> {
    timeout(Duration::from_secs(20), told.recv()).await.expect("it is told").unwrap()
}

fn text(result: &QueryResult) -> String {
    let rows = result.read::<Value>().unwrap();
    rows.iter().map(Value::to_string).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn r42_clients_see_the_rows_of_a_table_and_then_its_changes() {
    let stock = SqliteEngine::in_memory(Tokio::current())
        .unwrap()
        .rights(|_| Rights::none().table("stock", ["id", "item"]));
    stock.execute("CREATE TABLE stock (id INTEGER PRIMARY KEY, item, price)", []).await.unwrap();
    stock.execute("INSERT INTO stock (item, price) VALUES ('tea', 3)", []).await.unwrap();

    let network = Network::new(Tokio::current());
    let server = Server::builder()
        .acceptor(network.acceptor("shop"))
        .runtime(Tokio::current())
        .queries(stock.clone())
        .build();
    server.start().await.unwrap();
    let client =
        Client::builder().transport(network.transport("shop")).runtime(Tokio::current()).build();
    let (ann, ben) = (client.connect().await.unwrap(), client.connect().await.unwrap());
    let (anns, bens) = (ann.query_set(), ben.query_set());
    let query = "SELECT id, item FROM stock";
    let mut told = [ask(&anns, query), ask(&bens, query)];
    for one in &mut told {
        let rows = next(one).await.unwrap();
        assert_eq!((rows.retrieve, text(&rows).as_str()), (true, r#"{"id":1,"item":"tea"}"#));
    }
    assert_eq!((server.queries().shared, server.queries().subscribers), (1, 2));

    stock.execute("UPDATE stock SET item = 'chai' WHERE id = 1", []).await.unwrap();
    for one in &mut told {
        let change = next(one).await.unwrap();
        assert!(!change.retrieve);
        assert_eq!(
            text(&change),
            r#"{"change":"removed","row":{"id":1,"item":"tea"}} {"change":"added","row":{"id":1,"item":"chai"}}"#
        );
    }
    // What it has no right to read, it does not learn of.
    let mut refused = ask(&anns, "SELECT price FROM stock");
    assert_eq!(next(&mut refused).await.unwrap_err().code, "query_refused");
    assert!(ann.is_connected());
    drop((anns, bens));
    let over = async {
        while server.queries().shared > 0 || stock.stats().queries > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), over).await.expect("nothing is left");
    server.stop().await.unwrap();
}
