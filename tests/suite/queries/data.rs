//! What is asked here: a table of numbers, whose engine counts what it does.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use async_trait::async_trait;
use moorline::query::{QueryOptions, QueryResult, QuerySet};
use moorline::{Connection, QueryError};
use moorline_core::{Asker, LiveQuery, Prepared, QueryEngine, Rows};

use crate::stage::{Journal, Stage};

/// A table that the test changes. Clones are the same table.
///
/// `numbers` asks for all of it, `numbers from 5` for those from 5 on, in any case of letters. Other queries misbehave.
#[derive(Clone, Default)]
pub(super) struct Table {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    log: Mutex<Log>,
    /// How often rows were asked for.
    evaluations: AtomicUsize,
    /// How often changes were given.
    changes: AtomicUsize,
    prepares: AtomicUsize,
    /// How many are being prepared now, and were at most.
    preparing: AtomicUsize,
    most: AtomicUsize,
    /// Queries that are being answered.
    live: AtomicUsize,
    /// Nothing is prepared while this holds.
    shut: AtomicBool,
    /// Each query that is live fails with its next call.
    broken: AtomicBool,
}

#[derive(Default)]
struct Log {
    /// Every number that was set, in order; `None` where it was removed.
    all: Vec<(u64, Option<u64>)>,
    waiting: Vec<Waker>,
}

impl Table {
    pub(super) fn of(numbers: &[(u64, u64)]) -> Self {
        let table = Self::default();
        numbers.iter().for_each(|(key, value)| table.set(*key, Some(*value)));
        table
    }

    pub(super) fn set(&self, key: u64, value: Option<u64>) {
        self.inner.log.lock().unwrap().all.push((key, value));
        self.wake();
    }

    pub(super) fn now(&self) -> BTreeMap<u64, u64> {
        applied(&self.inner.log.lock().unwrap().all)
    }

    pub(super) fn evaluations(&self) -> usize {
        self.inner.evaluations.load(Ordering::SeqCst)
    }

    pub(super) fn changes(&self) -> usize {
        self.inner.changes.load(Ordering::SeqCst)
    }

    pub(super) fn prepares(&self) -> usize {
        self.inner.prepares.load(Ordering::SeqCst)
    }

    pub(super) fn live(&self) -> usize {
        self.inner.live.load(Ordering::SeqCst)
    }

    pub(super) fn most_prepared_at_once(&self) -> usize {
        self.inner.most.load(Ordering::SeqCst)
    }

    pub(super) fn shut(&self, shut: bool) {
        self.inner.shut.store(shut, Ordering::SeqCst);
        self.wake();
    }

    /// Makes every query that is live fail, or has new ones work again.
    pub(super) fn break_down(&self, broken: bool) {
        self.inner.broken.store(broken, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut self.inner.log.lock().unwrap().waiting);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits until the log gives something.
    async fn wait<T>(&self, mut look: impl FnMut(&Log) -> Option<T>) -> T {
        poll_fn(|context| {
            let mut log = self.inner.log.lock().unwrap();
            if let Some(found) = look(&log) {
                return Poll::Ready(found);
            }
            log.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

pub(super) fn applied(log: &[(u64, Option<u64>)]) -> BTreeMap<u64, u64> {
    let mut rows = BTreeMap::new();
    for (key, value) in log {
        match value {
            Some(value) => drop(rows.insert(*key, *value)),
            None => drop(rows.remove(key)),
        }
    }
    rows
}

/// One of those, until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize, most: &AtomicUsize) -> Self {
        most.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl QueryEngine for Table {
    async fn prepare(&self, query: &str, asker: &Asker) -> Result<Prepared, QueryError> {
        let inner = &self.inner;
        inner.prepares.fetch_add(1, Ordering::SeqCst);
        let _one = Counted::new(&inner.preparing, &inner.most);
        self.wait(|_| (!inner.shut.load(Ordering::SeqCst)).then_some(())).await;
        let key = query.to_lowercase();
        let mut words = key.split(' ');
        let (kind, from) = match (words.next(), words.next(), words.next()) {
            (Some("numbers"), None, None) => (Kind::Numbers, 0),
            (Some("numbers"), Some("from"), Some(from)) => (Kind::Numbers, from.parse().unwrap()),
            (Some("zeros"), Some(size), _) => (Kind::Zeros, size.parse().unwrap()),
            (Some("whoami"), ..) => {
                let who = asker.identity.clone().unwrap_or_default();
                return Err(QueryError::new("you_are", who));
            }
            (Some("panic"), ..) => panic!("on purpose"),
            (Some("never"), Some("prepare"), _) => std::future::pending().await,
            (Some("never"), ..) => (Kind::Never, 0),
            (Some("panics"), ..) => (Kind::Panics, 0),
            (Some("always"), ..) => (Kind::Always, 0),
            _ => return Err(QueryError::new("query_invalid", format!("what is `{query}`?"))),
        };
        inner.live.fetch_add(1, Ordering::SeqCst);
        let live = Live { table: self.clone(), kind, from, seen: None };
        Ok(Prepared { key, live: Box::new(live) })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Numbers,
    /// Rows of so many bytes.
    Zeros,
    Never,
    Panics,
    /// There is always a change.
    Always,
}

struct Live {
    table: Table,
    kind: Kind,
    from: u64,
    /// How much of the log it has given.
    seen: Option<usize>,
}

impl Live {
    fn works(&self) -> Result<(), QueryError> {
        if self.table.inner.broken.load(Ordering::SeqCst) {
            return Err(QueryError::new("disk_on_fire", "the table is gone"));
        }
        Ok(())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.table.inner.live.fetch_sub(1, Ordering::SeqCst);
    }
}

fn written<T: serde::Serialize>(rows: &[T]) -> Rows {
    Rows::new(rows.len() as u64, serde_json::to_vec(rows).unwrap().into())
}

#[async_trait]
impl LiveQuery for Live {
    async fn rows(&mut self) -> Result<Rows, QueryError> {
        self.table.inner.evaluations.fetch_add(1, Ordering::SeqCst);
        self.works()?;
        match self.kind {
            Kind::Never => std::future::pending().await,
            Kind::Panics => panic!("on purpose"),
            Kind::Always => return Ok(written::<u64>(&[])),
            Kind::Zeros => return Ok(written(&["0".repeat(self.from as usize)])),
            Kind::Numbers => {}
        }
        let log = self.table.inner.log.lock().unwrap();
        let seen = *self.seen.get_or_insert(log.all.len());
        let rows = applied(&log.all[..seen]).into_iter().filter(|(key, _)| *key >= self.from);
        Ok(written(&rows.collect::<Vec<_>>()))
    }

    async fn change(&mut self) -> Result<Rows, QueryError> {
        self.works()?;
        match self.kind {
            Kind::Never => std::future::pending().await,
            Kind::Panics => panic!("on purpose"),
            Kind::Always => return Ok(written(&[0])),
            Kind::Zeros | Kind::Numbers => {}
        }
        let (table, from, seen) = (self.table.clone(), self.from, &mut self.seen);
        let changed = table.wait(|log| {
            if table.inner.broken.load(Ordering::SeqCst) {
                return Some(Vec::new());
            }
            let seen = seen.get_or_insert(log.all.len());
            let new = &log.all[*seen..];
            let new: Vec<_> = new.iter().filter(|(key, _)| *key >= from).copied().collect();
            *seen = log.all.len();
            (!new.is_empty()).then_some(new)
        });
        let changed = changed.await;
        self.works()?;
        table.inner.changes.fetch_add(1, Ordering::SeqCst);
        Ok(written(&changed))
    }
}

/// What a client sees of the table: its rows, with the changes since.
#[derive(Clone, Default)]
pub(super) struct View {
    rows: Arc<Mutex<Option<BTreeMap<u64, u64>>>>,
    /// `rows`, `changes` and `error` with its code, in order.
    pub(super) journal: Journal,
}

impl View {
    pub(super) fn hear(&self, result: QueryResult) {
        let mut rows = self.rows.lock().unwrap();
        if result.retrieve {
            let all: Vec<(u64, u64)> = result.read().unwrap();
            assert_eq!(all.len() as u64, result.count);
            *rows = Some(all.into_iter().collect());
            self.journal.write("rows");
        } else {
            let changes: Vec<(u64, Option<u64>)> = result.read().unwrap();
            let rows = rows.get_or_insert_default();
            for (key, value) in changes {
                match value {
                    Some(value) => drop(rows.insert(key, value)),
                    None => drop(rows.remove(&key)),
                }
            }
            self.journal.write("changes");
        }
    }

    pub(super) fn rows(&self) -> Option<BTreeMap<u64, u64>> {
        self.rows.lock().unwrap().clone()
    }

    /// A listener for results.
    pub(super) fn ear(&self) -> impl Fn(QueryResult) + Send + Sync + use<> {
        let view = self.clone();
        move |result| view.hear(result)
    }

    /// A listener for errors.
    pub(super) fn errors(&self) -> impl Fn(QueryError) + Send + Sync + use<> {
        let journal = self.journal.clone();
        move |error| journal.write(format!("error {}", error.code))
    }
}

/// What a set is told of a query.
pub(super) fn watch(set: &QuerySet, query: &str) -> View {
    watch_as(set, query, QueryOptions::default())
}

pub(super) fn watch_as(set: &QuerySet, query: &str, options: QueryOptions) -> View {
    let view = View::default();
    set.retrieve_and_subscribe(query, view.ear(), view.errors(), options);
    view
}

/// Errors of all queries of a connection: the query, and the code.
pub(super) fn errors(connection: &Connection) -> Journal {
    let journal = Journal::default();
    let pen = journal.clone();
    connection.on(moorline::event::QueryError, move |failure| {
        pen.write(format!("{}: {}", failure.query.unwrap_or_default(), failure.error.code));
    });
    journal
}

impl Stage {
    /// Waits until a client sees the table as it is.
    pub(super) async fn sees(&self, view: &View, table: &Table) {
        let same = || view.rows() == Some(table.now());
        self.until("the client sees the table", same).await;
    }
}
