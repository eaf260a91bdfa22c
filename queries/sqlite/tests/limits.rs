//! Each query has its limits, and one beyond them harms itself alone.

mod support;

use std::time::{Duration, Instant};

use moorline_core::{Asker, QueryEngine};
use moorline_sim::Sim;
use moorline_sqlite::{Rights, SqliteEngine};
use moorline_tokio::Tokio;
use support::{ask, builder, change, refusal, rows, script, with_schema};

const FOREVER: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n";

fn recursive(_: &Asker) -> Rights {
    Rights::none().table_all("menu").recursive()
}

#[test]
fn r42_a_query_without_end_is_interrupted() {
    Sim::new().run(async |sim| {
        let limit = Duration::from_millis(50);
        let engine = with_schema(builder(&sim).rights(recursive).time_limit(limit)).await;
        let mut query = ask(&engine, FOREVER).await;
        let start = Instant::now();
        let error = query.rows().await.unwrap_err();
        assert!(start.elapsed() >= limit, "{:?}", start.elapsed());
        assert_eq!(error.code, "query_timed_out");
        assert_eq!(error.message, "the query takes longer than 50ms");
        // It is over, and not tried again.
        assert_eq!(query.change().await.unwrap_err(), error);
        assert_eq!((engine.stats().evaluations, engine.stats().queries), (1, 0));
        // The connection is as good as before.
        script(&engine, "INSERT INTO menu VALUES ('tea', 1)").await;
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        assert_eq!(rows(&mut query).await, [r#"{"item":"tea"}"#]);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r42_one_who_asks_for_much_waits_for_itself() {
    let limit = Duration::from_secs(1);
    let builder = SqliteEngine::builder(Tokio::current()).rights(recursive).time_limit(limit);
    let engine = builder.readers(1).in_memory().unwrap();
    script(&engine, "CREATE TABLE menu (item)").await;
    let mut greedy = Asker::default();
    greedy.connection = 1;
    for n in 0..30 {
        let query = FOREVER.replace("count(*) AS c", &format!("count(*) AS c{n}"));
        let mut live = engine.prepare(&query, &greedy).await.unwrap().live;
        tokio::spawn(async move { live.rows().await });
    }
    tokio::time::sleep(limit / 4).await;
    for connection in 2..4 {
        let mut modest = Asker::default();
        modest.connection = connection;
        let start = Instant::now();
        let mut live = engine.prepare("SELECT item FROM menu", &modest).await.unwrap().live;
        assert_eq!(rows(&mut live).await, [""; 0]);
        assert!(start.elapsed() < 5 * limit, "{:?}", start.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r42_a_query_without_end_holds_up_others_no_longer_than_its_limit() {
    let limit = Duration::from_secs(3);
    let builder = SqliteEngine::builder(Tokio::current()).rights(recursive).time_limit(limit);
    let engine = builder.readers(1).in_memory().unwrap();
    script(&engine, "CREATE TABLE menu (item)").await;
    let (mut poison, mut other) =
        (ask(&engine, FOREVER).await, ask(&engine, "SELECT * FROM menu").await);
    other.rows().await.unwrap();
    let poisoned = tokio::spawn(async move { poison.rows().await });
    tokio::time::sleep(limit / 30).await;
    let start = Instant::now();
    // What is asked meanwhile is looked at at once.
    ask(&engine, "SELECT 1 AS one").await;
    assert!(start.elapsed() < limit / 3, "{:?}", start.elapsed());
    script(&engine, "INSERT INTO menu VALUES ('tea')").await;
    assert_eq!(change(&mut other).await, [r#"+{"item":"tea"}"#]);
    assert!(start.elapsed() < 3 * limit, "{:?}", start.elapsed());
    assert_eq!(poisoned.await.unwrap().unwrap_err().code, "query_timed_out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r42_an_evaluation_that_nobody_waits_for_ends_early() {
    let builder = SqliteEngine::builder(Tokio::current()).rights(recursive);
    let engine = builder.time_limit(Duration::from_secs(60)).readers(1).in_memory().unwrap();
    let mut poison = ask(&engine, FOREVER).await;
    tokio::time::timeout(Duration::from_millis(50), poison.rows()).await.unwrap_err();
    drop(poison);
    let mut other = ask(&engine, "SELECT 1 AS one").await;
    let rows = tokio::time::timeout(Duration::from_secs(20), other.rows()).await;
    assert_eq!(rows.unwrap().unwrap().count, 1);
}

#[test]
fn r42_rows_have_a_limit() {
    Sim::new().run(async |sim| {
        let engine = with_schema(builder(&sim).max_rows(2)).await;
        script(&engine, "INSERT INTO menu VALUES ('a', 1), ('b', 1)").await;
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        assert_eq!(query.rows().await.unwrap().count, 2);
        script(&engine, "INSERT INTO menu VALUES ('c', 1)").await;
        let error = query.change().await.unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.message.as_str()),
            ("query_too_large", "there are more than 2 rows")
        );
        // One that asks for less is answered.
        let mut query = ask(&engine, "SELECT item FROM menu LIMIT 2").await;
        assert_eq!(query.rows().await.unwrap().count, 2);
    });
}

#[test]
fn r42_bytes_have_a_limit() {
    Sim::new().run(async |sim| {
        // [{"a":"12345"}] is 15 bytes.
        let engine = with_schema(builder(&sim).max_bytes(15)).await;
        assert_eq!(ask(&engine, "SELECT '12345' AS a").await.rows().await.unwrap().json.len(), 15);
        let error = ask(&engine, "SELECT '123456' AS a").await.rows().await.unwrap_err();
        assert_eq!(error.code, "query_too_large");
        assert_eq!(error.message, "the rows are more than 15 bytes of JSON");
    });
}

#[test]
fn r42_a_value_has_a_limit_and_so_has_a_row_of_many() {
    Sim::new().run(async |sim| {
        let engine = with_schema(builder(&sim)).await;
        script(
            &engine,
            "CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(2000000)), (zeroblob(600000))",
        )
        .await;
        let error = ask(&engine, "SELECT a FROM t WHERE rowid = 1").await.rows().await.unwrap_err();
        assert_eq!(error.code, "query_too_large", "{error}");
        let columns: Vec<_> = (0..1000).map(|number| format!("a AS c{number}")).collect();
        let wide = format!("SELECT {} FROM t WHERE rowid = 2", columns.join(","));
        let error = ask(&engine, &wide).await.rows().await.unwrap_err();
        assert_eq!(error.message, "the rows are more than 786432 bytes of JSON");
        let pattern = format!("SELECT '' LIKE '{}' AS x", "%".repeat(300));
        let error = ask(&engine, &pattern).await.rows().await.unwrap_err();
        assert_eq!(error.code, "query_invalid", "{error}");
    });
}

#[test]
fn r42_a_query_has_a_length() {
    Sim::new().run(async |sim| {
        let engine = with_schema(builder(&sim).max_query(20)).await;
        // Tables may be declared at any length.
        let wide: Vec<_> = (0..1999).map(|number| format!("column_{number}")).collect();
        let wide = format!("CREATE TABLE t ({})", wide.join(","));
        engine.execute(wide, []).await.unwrap();
        assert!(engine.prepare("SELECT item FROM menu", &Asker::default()).await.is_err());
        assert!(engine.prepare("SELECT column_9FROM t", &Asker::default()).await.is_err());
        assert!(engine.prepare("SELECT 12345678 AS a", &Asker::default()).await.is_ok());
        let error = refusal(&engine, "SELECT 12345678 AS a ").await;
        assert_eq!(error.code, "query_too_large");
        assert_eq!(error.message, "the query is longer than 20 bytes");
    });
}

#[test]
fn r42_live_queries_have_a_number() {
    Sim::new().run(async |sim| {
        let engine = with_schema(builder(&sim).max_queries(2)).await;
        let (mut one, mut two) =
            (ask(&engine, "SELECT 1 AS a").await, ask(&engine, "SELECT 2 AS a").await);
        let mut three = ask(&engine, "SELECT 3 AS a").await;
        one.rows().await.unwrap();
        two.rows().await.unwrap();
        let error = three.rows().await.unwrap_err();
        assert_eq!(error.code, "query_refused");
        assert_eq!(error.message, "there are 2 live queries, as many as there may be");
        drop(one);
        assert!(three.rows().await.is_ok());
    });
}
