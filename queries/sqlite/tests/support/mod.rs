//! What the tests share: a database of a little restaurant, and somebody who asks.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

use std::time::Duration;

use futures_util::FutureExt;
use moorline_core::{Asker, LiveQuery, QueryEngine, QueryError, Rows};
use moorline_sim::Sim;
use moorline_sqlite::{Rights, SqliteBuilder, SqliteEngine};
use serde_json::Value;

pub(crate) const SCHEMA: &str = "
    CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, count INTEGER, card TEXT);
    CREATE TABLE menu (item TEXT PRIMARY KEY, price REAL) WITHOUT ROWID;
    CREATE TABLE secret (id INTEGER PRIMARY KEY, pin TEXT);
    CREATE VIEW large AS SELECT id, item FROM orders WHERE count > 9;
    CREATE VIEW pins AS SELECT id, pin FROM secret WHERE id > 100;
";

/// All that the tests of changes read.
pub(crate) fn all(_: &Asker) -> Rights {
    ["orders", "menu", "large", "parent", "child", "log", "t"]
        .into_iter()
        .fold(Rights::none(), Rights::table_all)
}

pub(crate) fn builder(sim: &Sim) -> SqliteBuilder {
    SqliteEngine::builder(sim.runtime()).rights(all)
}

/// An engine in memory with the schema.
pub(crate) async fn engine(sim: &Sim) -> SqliteEngine {
    with_schema(builder(sim)).await
}

pub(crate) async fn with_schema(builder: SqliteBuilder) -> SqliteEngine {
    let engine = builder.in_memory().unwrap();
    script(&engine, SCHEMA).await;
    engine
}

pub(crate) async fn script(engine: &SqliteEngine, sql: &'static str) {
    engine.write(move |transaction| transaction.execute_batch(sql)).await.unwrap();
}

pub(crate) async fn ask(engine: &SqliteEngine, query: &str) -> Box<dyn LiveQuery> {
    engine.prepare(query, &Asker::default()).await.unwrap().live
}

pub(crate) async fn refusal(engine: &SqliteEngine, query: &str) -> QueryError {
    match engine.prepare(query, &Asker::default()).await {
        Ok(_) => panic!("answered: {query}"),
        Err(error) => error,
    }
}

/// The rows as text, each as it is in JSON.
pub(crate) async fn rows(query: &mut Box<dyn LiveQuery>) -> Vec<String> {
    texts(&query.rows().await.unwrap())
}

pub(crate) fn texts(rows: &Rows) -> Vec<String> {
    let values: Vec<Value> = serde_json::from_slice(&rows.json).unwrap();
    assert_eq!(values.len() as u64, rows.count);
    values.iter().map(Value::to_string).collect()
}

/// The next change, with `+` before rows that are added and `-` before removed ones.
pub(crate) async fn change(query: &mut Box<dyn LiveQuery>) -> Vec<String> {
    signed(&query.change().await.unwrap())
}

pub(crate) fn signed(change: &Rows) -> Vec<String> {
    let values: Vec<Value> = serde_json::from_slice(&change.json).unwrap();
    assert_eq!(values.len() as u64, change.count);
    let sign = |value: &Value| match value["change"].as_str() {
        Some("added") => "+",
        Some("removed") => "-",
        other => panic!("{other:?}"),
    };
    values.iter().map(|value| format!("{}{}", sign(value), value["row"])).collect()
}

/// Lets a minute pass, in which no change may come.
pub(crate) async fn no_change(sim: &Sim, query: &mut Box<dyn LiveQuery>) {
    if let Ok(change) = sim.timeout(Duration::from_secs(60), query.change()).await {
        panic!("a change: {change:?}");
    }
}

/// Whether a change is there without waiting.
pub(crate) fn at_once(query: &mut Box<dyn LiveQuery>) -> Option<Vec<String>> {
    query.change().now_or_never().map(|change| signed(&change.unwrap()))
}

/// Does to a sorted list of rows what a change says.
pub(crate) fn apply(rows: &mut Vec<String>, change: &[String]) {
    for change in change {
        let (sign, row) = change.split_at(1);
        let found = rows.binary_search_by(|known| known.as_str().cmp(row));
        match (sign, found) {
            ("+", Ok(at) | Err(at)) => rows.insert(at, row.into()),
            (_, Ok(at)) => drop(rows.remove(at)),
            (_, Err(_)) => panic!("{row} is not there to be removed from {rows:?}"),
        }
    }
}

/// An engine whose database also has what nobody may read, and those rights.
pub(crate) async fn guarded(sim: &Sim, rights: fn(&Asker) -> Rights) -> SqliteEngine {
    let engine = SqliteEngine::in_memory(sim.runtime()).unwrap().rights(rights);
    script(&engine, SCHEMA).await;
    script(
        &engine,
        "INSERT INTO orders VALUES (1, 'tea', 10, '4111');
         INSERT INTO menu VALUES ('tea', 2.0);
         INSERT INTO secret VALUES (1, '1234'), (101, '5678');
         CREATE VIRTUAL TABLE search USING fts5 (text);
         CREATE TABLE plain (id INTEGER PRIMARY KEY, item)",
    )
    .await;
    engine
}
