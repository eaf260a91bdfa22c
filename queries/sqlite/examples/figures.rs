//! What queries cost: `cargo run --profile campaign -p moorline-sqlite --example figures`.

#![allow(clippy::unwrap_used, reason = "a figure that cannot be taken ends it")]
#![allow(clippy::disallowed_methods, reason = "real time is what it measures")]

use std::time::Instant;

use futures_util::future::{join_all, select_all};
use moorline_core::{Asker, QueryEngine};
use moorline_sqlite::{Rights, SqliteEngine};
use moorline_tokio::Tokio;

const LIVE: u32 = 1_000;
const ROUNDS: u32 = 1_000;

#[tokio::main]
async fn main() {
    let engine = SqliteEngine::in_memory(Tokio::current()).unwrap();
    let engine = engine.rights(|_| Rights::none().table_all("orders"));
    let filled = engine.write(|transaction| {
        transaction.execute_batch(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, count INTEGER);
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000)
             INSERT INTO orders SELECT i, 'item ' || i, i % 10 FROM n",
        )
    });
    filled.await.unwrap();
    let asker = Asker::default();

    let start = Instant::now();
    for _ in 0..ROUNDS {
        engine.prepare("SELECT id, item FROM orders WHERE id < 10", &asker).await.unwrap();
    }
    println!("prepare: {:?}", start.elapsed() / ROUNDS);

    let start = Instant::now();
    for _ in 0..ROUNDS {
        let prepared = engine.prepare("SELECT id, item FROM orders WHERE id < 10", &asker).await;
        prepared.unwrap().live.rows().await.unwrap();
    }
    println!("prepare and nine rows: {:?}", start.elapsed() / ROUNDS);

    let prepared = engine.prepare("SELECT * FROM orders", &asker).await.unwrap();
    let mut all = prepared.live;
    let start = Instant::now();
    let rows = all.rows().await.unwrap();
    println!("{} rows, {} bytes: {:?}", rows.count, rows.json.len(), start.elapsed());
    engine.execute("UPDATE orders SET count = 7 WHERE id = 5", []).await.unwrap();
    let start = Instant::now();
    all.change().await.unwrap();
    println!("a change of one of them, with the pause of 20 ms: {:?}", start.elapsed());
    drop(all);

    let mut live = Vec::new();
    for number in 0..LIVE {
        let text = format!("SELECT id, count FROM orders WHERE id = {number}");
        live.push(engine.prepare(&text, &asker).await.unwrap().live);
    }
    let start = Instant::now();
    join_all(live.iter_mut().map(|query| query.rows())).await;
    println!("first rows of {LIVE} queries: {:?}", start.elapsed());
    let start = Instant::now();
    for number in 0..ROUNDS {
        let sql = "UPDATE orders SET count = count + 1 WHERE id = 5000 + ?1";
        engine.execute(sql, [number % 10]).await.unwrap();
    }
    println!("a write beside {LIVE} live queries: {:?}", start.elapsed() / ROUNDS);
    let before = engine.stats().evaluations;
    engine.execute("UPDATE orders SET count = 99 WHERE id = 999", []).await.unwrap();
    let start = Instant::now();
    select_all(live.iter_mut().map(|query| query.change())).await.0.unwrap();
    let count = engine.stats().evaluations - before;
    println!("its change, after {count} evaluations and the pause: {:?}", start.elapsed());
}
