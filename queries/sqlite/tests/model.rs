//! A query's rows, with its changes, are the table: whatever is written, and however it is asked.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use moorline_core::LiveQuery;
use moorline_sim::Sim;
use moorline_sqlite::SqliteEngine;
use moorline_sqlite::rusqlite::Error;
use moorline_tokio::Tokio;
use support::{apply, ask, builder, script, signed, texts};

const SEEDS: u64 = 40;

const SCHEMA: &str = "
    CREATE TABLE parent (id INTEGER PRIMARY KEY, a INTEGER);
    CREATE TABLE child (id INTEGER PRIMARY KEY, up REFERENCES parent ON DELETE CASCADE, b INTEGER);
    CREATE TABLE log (text TEXT, n INTEGER, PRIMARY KEY (text, n)) WITHOUT ROWID;
    CREATE TRIGGER gone AFTER DELETE ON child BEGIN REPLACE INTO log VALUES ('gone', old.b); END;
    CREATE VIEW large AS SELECT child.id, a FROM child JOIN parent ON up = parent.id WHERE a > 4;
";

const QUERIES: [&str; 7] = [
    "SELECT id, a FROM parent",
    "SELECT b FROM child ORDER BY b",
    "SELECT text, n FROM log",
    "SELECT id, a FROM large",
    "SELECT count(*) AS n, sum(a) AS s FROM parent LEFT JOIN child ON up = parent.id",
    "SELECT child.b FROM child JOIN parent USING (id)",
    "SELECT a FROM parent WHERE a IN (SELECT n FROM log) LIMIT 5",
];

fn statement(rng: &mut Rng) -> String {
    let (id, value) = (rng.u8(..12), rng.u8(..10));
    match rng.u8(..10) {
        0..3 => format!("INSERT OR REPLACE INTO parent VALUES ({id}, {value})"),
        3..6 => format!("INSERT OR IGNORE INTO child SELECT {id}, max(id), {value} FROM parent"),
        6 => format!("UPDATE parent SET a = {value} WHERE id < {id}"),
        7 => format!("DELETE FROM parent WHERE id = {id}"),
        8 => "DELETE FROM child".into(),
        _ => "DELETE FROM log".into(),
    }
}

/// Writes a few statements at once; some are rolled back.
async fn write(engine: &SqliteEngine, rng: &mut Rng) {
    let statements: Vec<_> = (0..rng.u8(1..4)).map(|_| statement(rng)).collect();
    let sql = statements.join(";");
    let kept = rng.u8(..5) > 0;
    let _ = engine
        .write(move |transaction| {
            transaction.execute_batch(&sql)?;
            if kept { Ok(()) } else { Err(Error::InvalidQuery) }
        })
        .await;
}

/// One who listens: what it would have if it drew the rows and applied each change.
struct Listener {
    text: &'static str,
    query: Box<dyn LiveQuery>,
    model: Option<Vec<String>>,
}

impl Listener {
    async fn new(engine: &SqliteEngine, text: &'static str) -> Self {
        Self { text, query: ask(engine, text).await, model: None }
    }

    async fn rows(&mut self) {
        let mut rows = texts(&self.query.rows().await.unwrap());
        rows.sort();
        if let Some(model) = &self.model {
            assert_eq!(&rows, model, "{}", self.text);
        }
        self.model = Some(rows);
    }

    fn changed(&mut self, change: &moorline_core::Rows) {
        let change = signed(change);
        assert!(!change.is_empty());
        apply(self.model.as_mut().unwrap(), &change);
    }
}

#[test]
fn r42_rows_and_changes_are_always_the_table() {
    for seed in 0..SEEDS {
        Sim::seeded(seed).run(async |sim| {
            let engine = builder(&sim).readers(2).max_bytes(600).in_memory().unwrap();
            script(&engine, SCHEMA).await;
            let mut rng = Rng::with_seed(seed);
            let ended = Arc::new(AtomicBool::new(false));
            let (writer, clock, done, mut writes) =
                (engine.clone(), sim.clone(), Arc::clone(&ended), rng.fork());
            sim.spawn(async move {
                for _ in 0..60 {
                    write(&writer, &mut writes).await;
                    clock.sleep(Duration::from_millis(writes.u64(..30))).await;
                }
                done.store(true, Ordering::Relaxed);
            });
            let mut listeners = Vec::new();
            while !ended.load(Ordering::Relaxed) || listeners.len() < QUERIES.len() {
                if listeners.len() < QUERIES.len() {
                    listeners.push(Listener::new(&engine, QUERIES[listeners.len()]).await);
                }
                let number = rng.usize(..listeners.len());
                let listener = &mut listeners[number];
                if listener.model.is_none() || rng.u8(..4) == 0 {
                    listener.rows().await;
                }
                // Most calls are dropped before they end.
                let wait = Duration::from_millis(rng.u64(..12));
                if let Ok(change) = sim.timeout(wait, listener.query.change()).await {
                    listener.changed(&change.unwrap());
                }
            }
            for listener in &mut listeners {
                listener.rows().await;
                while let Ok(change) =
                    sim.timeout(Duration::from_secs(1), listener.query.change()).await
                {
                    listener.changed(&change.unwrap());
                    listener.rows().await;
                }
                let mut now = texts(&ask(&engine, listener.text).await.rows().await.unwrap());
                now.sort();
                assert_eq!(listener.model.as_ref(), Some(&now), "{}", listener.text);
            }
        });
    }
}

/// The same with threads, where a write may come at any moment of an evaluation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r42_nothing_is_missed_between_threads() {
    let builder = SqliteEngine::builder(Tokio::current()).rights(support::all);
    let engine = builder.pause(Duration::ZERO).readers(2).in_memory().unwrap();
    script(&engine, SCHEMA).await;
    let mut rng = Rng::with_seed(7);
    let (writer, mut writes) = (engine.clone(), rng.fork());
    let written = Arc::new(AtomicBool::new(false));
    let end = written.clone();
    let writing = tokio::spawn(async move {
        for _ in 0..400 {
            write(&writer, &mut writes).await;
        }
        end.store(true, Ordering::SeqCst);
    });
    let mut listening = Vec::new();
    for text in QUERIES {
        let (engine, written) = (engine.clone(), written.clone());
        listening.push(tokio::spawn(async move {
            let mut listener = Listener::new(&engine, text).await;
            listener.rows().await;
            loop {
                let all_is_written = written.load(Ordering::SeqCst);
                let change = listener.query.change();
                match tokio::time::timeout(Duration::from_secs(2), change).await {
                    Ok(change) => listener.changed(&change.unwrap()),
                    Err(_) if all_is_written => return listener,
                    Err(_) => continue,
                }
                listener.rows().await;
            }
        }));
        tokio::time::sleep(Duration::from_millis(rng.u64(..5))).await;
    }
    writing.await.unwrap();
    for listener in listening {
        let listener = listener.await.unwrap();
        let mut now = texts(&ask(&engine, listener.text).await.rows().await.unwrap());
        now.sort();
        assert_eq!(listener.model, Some(now), "{}", listener.text);
    }
}
