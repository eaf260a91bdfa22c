//! Databases in files, which others write too.

mod support;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moorline_core::{Asker, QueryEngine};
use moorline_sim::Sim;
use moorline_sqlite::rusqlite::Connection;
use moorline_sqlite::{Rights, SqliteEngine};
use moorline_tokio::Tokio;
use support::{ask, builder, change, no_change, rows, script};

/// A directory of its own, removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("moorline-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("there is room for a test");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("data.db")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn r42_what_another_connection_writes_is_noticed() {
    let directory = Directory::new();
    Sim::new().run(async |sim| {
        let engine = builder(&sim).open(directory.file()).unwrap();
        let other = Connection::open(directory.file()).unwrap();
        other.execute_batch(support::SCHEMA).unwrap();
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        assert!(rows(&mut query).await.is_empty());
        other.execute_batch("INSERT INTO menu VALUES ('tea', 1)").unwrap();
        let start = sim.now();
        assert_eq!(change(&mut query).await, [r#"+{"item":"tea"}"#]);
        assert!(sim.now() - start <= Duration::from_millis(520), "{:?}", sim.now() - start);
        // And again, with writes of the engine's own in between.
        script(&engine, "INSERT INTO menu VALUES ('pie', 1)").await;
        assert_eq!(change(&mut query).await, [r#"+{"item":"pie"}"#]);
        other.execute_batch("DELETE FROM menu").unwrap();
        assert_eq!(change(&mut query).await, [r#"-{"item":"pie"}"#, r#"-{"item":"tea"}"#]);
        // What it has itself written is not taken for another's.
        let evaluations = engine.stats().evaluations;
        script(&engine, "INSERT INTO orders VALUES (1, 'tea', 1, '')").await;
        no_change(&sim, &mut query).await;
        assert_eq!(engine.stats().evaluations, evaluations);
    });
}

#[test]
fn r42_what_statements_write_is_a_change_once_they_are_committed() {
    let directory = Directory::new();
    Sim::new().run(async |sim| {
        let engine = builder(&sim).open(directory.file()).unwrap();
        script(&engine, support::SCHEMA).await;
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        query.rows().await.unwrap();
        engine.execute("BEGIN", []).await.unwrap();
        engine.execute("INSERT INTO menu VALUES ('tea', 1)", []).await.unwrap();
        no_change(&sim, &mut query).await;
        engine.execute("INSERT INTO menu VALUES ('pie', 1)", []).await.unwrap();
        no_change(&sim, &mut query).await;
        engine.execute("COMMIT", []).await.unwrap();
        assert_eq!(change(&mut query).await, [r#"+{"item":"pie"}"#, r#"+{"item":"tea"}"#]);
    });
}

#[test]
fn r42_others_are_looked_for_only_while_somebody_wants_to_know() {
    let directory = Directory::new();
    Sim::new().run(async |sim| {
        let engine = builder(&sim).open(directory.file()).unwrap();
        script(&engine, support::SCHEMA).await;
        assert_eq!(sim.tasks(), 0);
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        assert_eq!(sim.tasks(), 0);
        query.rows().await.unwrap();
        let mut second = ask(&engine, "SELECT price FROM menu").await;
        second.rows().await.unwrap();
        assert_eq!(sim.tasks(), 1);
        sim.settle().await;
        drop(second);
        drop(engine);
        sim.sleep(Duration::from_millis(1)).await;
        assert_eq!(sim.tasks(), 1);
        drop(query);
        sim.sleep(Duration::from_millis(1)).await;
        assert_eq!(sim.tasks(), 0);
    });
}

#[test]
fn r42_looking_for_others_can_be_off() {
    let directory = Directory::new();
    Sim::new().run(async |sim| {
        let engine = builder(&sim).poll(Duration::ZERO).open(directory.file()).unwrap();
        script(&engine, support::SCHEMA).await;
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        query.rows().await.unwrap();
        assert_eq!(sim.tasks(), 0);
        let other = Connection::open(directory.file()).unwrap();
        other.execute_batch("INSERT INTO menu VALUES ('tea', 1)").unwrap();
        no_change(&sim, &mut query).await;
        script(&engine, "INSERT INTO menu VALUES ('pie', 1)").await;
        assert_eq!(change(&mut query).await, [r#"+{"item":"pie"}"#, r#"+{"item":"tea"}"#]);
    });
}

#[test]
fn r42_a_file_is_kept_and_its_log_is_as_it_was_asked_for() {
    let directory = Directory::new();
    let mode = || -> String {
        let other = Connection::open(directory.file()).unwrap();
        other.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap()
    };
    Sim::new().run(async |sim| {
        let engine = builder(&sim).wal(false).open(directory.file()).unwrap();
        script(&engine, support::SCHEMA).await;
        script(&engine, "INSERT INTO menu VALUES ('tea', 1)").await;
        drop(engine);
        assert_eq!(mode(), "delete");
        let engine = builder(&sim).open(directory.file()).unwrap();
        assert_eq!(
            rows(&mut ask(&engine, "SELECT item FROM menu").await).await,
            [r#"{"item":"tea"}"#]
        );
        assert_eq!(mode(), "wal");
    });
}

#[test]
fn r42_what_is_no_database_is_an_error() {
    let directory = Directory::new();
    std::fs::write(directory.file(), "not a database, but long enough to be looked at".repeat(99))
        .unwrap();
    Sim::new().run(async |sim| {
        assert!(SqliteEngine::open(directory.file(), sim.runtime()).is_err());
        assert!(SqliteEngine::open(directory.0.join("no/such"), sim.runtime()).is_err());
    });
}

#[test]
fn r42_a_path_is_a_path_and_nothing_else() {
    let directory = Directory::new();
    let path = directory.0.join("file:data?mode=memory");
    Sim::new().run(async |sim| {
        let engine = SqliteEngine::open(&path, sim.runtime()).unwrap().rights(support::all);
        script(&engine, support::SCHEMA).await;
        assert!(path.exists());
        assert!(rows(&mut ask(&engine, "SELECT item FROM menu").await).await.is_empty());
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r42_readers_and_writers_of_a_file_do_not_wait_for_each_other() {
    let directory = Directory::new();
    let builder = SqliteEngine::builder(Tokio::current())
        .rights(|_| Rights::none().table_all("t").recursive())
        .time_limit(Duration::from_secs(5));
    let engine = builder.open(directory.file()).unwrap();
    engine.execute("CREATE TABLE t (a)", []).await.unwrap();
    let forever = "WITH RECURSIVE n (i) AS (SELECT a FROM t UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n";
    engine.execute("INSERT INTO t VALUES (1)", []).await.unwrap();
    let mut poison = engine.prepare(forever, &Asker::default()).await.unwrap().live;
    let poisoned = tokio::spawn(async move { poison.rows().await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = std::time::Instant::now();
    engine.execute("INSERT INTO t VALUES (2)", []).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    poisoned.abort();
}
