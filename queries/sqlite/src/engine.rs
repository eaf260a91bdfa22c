//! The engine.

use std::fmt;
use std::mem;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use futures_channel::oneshot;
use moorline_core::{Asker, Prepared, QueryEngine, QueryError, Runtime};
use rusqlite::{Params, Transaction, TransactionBehavior};

use crate::builder::{Settings, SqliteBuilder};
use crate::connection::{Slot, Source};
use crate::error::{SqliteError, failed, invalid, refused, too_large};
use crate::evaluate::check;
use crate::guard::Question;
use crate::live::SqliteQuery;
use crate::pool::{Pool, Who};
use crate::rights::Rights;
use crate::text::Text;
use crate::watch::Registry;
use crate::writer::Writer;

/// Answers SELECTs over a SQLite database, live.
///
/// Cheap to clone; clones are the same engine. The application writes by [`execute`](Self::execute) and [`write`](Self::write),
/// and each query whose tables were written is evaluated again. Other connections' writes are found too, a little later: see
/// [`SqliteBuilder::poll`].
#[derive(Clone)]
pub struct SqliteEngine {
    inner: Arc<Inner>,
}

/// Who may read what.
pub(crate) type Decide = dyn Fn(&Asker) -> Rights + Send + Sync;

/// What clones and queries share.
pub(crate) struct Inner {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) settings: Settings,
    pub(crate) source: Source,
    pub(crate) registry: Arc<Registry>,
    pub(crate) writer: Arc<Pool<Writer>>,
    pub(crate) readers: Arc<Pool<Slot>>,
    /// One of its own, so that no evaluation holds up whoever comes.
    checker: Arc<Pool<Slot>>,
    decide: RwLock<Arc<Decide>>,
    pub(crate) evaluations: AtomicU64,
}

/// What an engine has done, and has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How often any query was evaluated.
    pub evaluations: u64,
    /// How many queries are live.
    pub queries: usize,
}

impl SqliteEngine {
    /// An engine to be configured. The runtime gives it time and threads.
    pub fn builder(runtime: impl Runtime) -> SqliteBuilder {
        SqliteBuilder::new(Arc::new(runtime))
    }

    /// Opens a file with the defaults of [`builder`](Self::builder): [`SqliteBuilder::open`].
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or is none of SQLite's.
    pub fn open(path: impl AsRef<Path>, runtime: impl Runtime) -> Result<Self, SqliteError> {
        Self::builder(runtime).open(path)
    }

    /// A new database in memory with the defaults of [`builder`](Self::builder): [`SqliteBuilder::in_memory`].
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub fn in_memory(runtime: impl Runtime) -> Result<Self, SqliteError> {
        Self::builder(runtime).in_memory()
    }

    pub(crate) fn from_builder(
        builder: SqliteBuilder,
        source: Source,
    ) -> Result<Self, SqliteError> {
        let SqliteBuilder { runtime, settings, decide } = builder;
        let writer = Writer::new(source.writer(&settings)?)?;
        let readers = Pool::new((0..settings.readers).map(|_| Slot::default()));
        let inner = Inner {
            runtime,
            settings,
            source,
            registry: Arc::new(Registry::new()),
            writer: Pool::new([writer]),
            readers,
            checker: Pool::new([Slot::default()]),
            decide: RwLock::new(decide),
            evaluations: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Says who may read what, from the next query on; queries that are live keep the rights that they were asked with.
    ///
    /// Two askers share a query only if their rights are equal.
    #[must_use]
    pub fn rights(self, decide: impl Fn(&Asker) -> Rights + Send + Sync + 'static) -> Self {
        let mut old: Arc<Decide> = Arc::new(decide);
        mem::swap(
            &mut *self.inner.decide.write().unwrap_or_else(PoisonError::into_inner),
            &mut old,
        );
        // User code, and dropped without the lock.
        drop(old);
        self
    }

    /// Executes one statement, and says how many rows it has changed. Queries learn of it before this returns.
    ///
    /// # Errors
    ///
    /// SQLite's own.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it is either not executed, or executed to its end.
    pub async fn execute<P>(&self, sql: impl Into<String>, params: P) -> Result<usize, SqliteError>
    where
        P: Params + Send + 'static,
    {
        let sql = sql.into();
        self.noting(move |connection| connection.execute(&sql, params)).await
    }

    /// Does something in a transaction, which is committed when it succeeds and rolled back when it fails or panics. Queries
    /// learn of it before this returns. One such work runs at a time.
    ///
    /// The work runs where it may block. It must not set an authorizer on the connection: by its own one the engine sees what is
    /// written.
    ///
    /// # Errors
    ///
    /// The work's, and SQLite's own at the commit.
    ///
    /// # Cancel safety
    ///
    /// As [`execute`](Self::execute).
    pub async fn write<T, F>(&self, work: F) -> Result<T, SqliteError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.noting(move |connection| {
            let mut transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&mut transaction)?;
            transaction.commit()?;
            Ok(value)
        })
        .await
    }

    async fn noting<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SqliteError> {
        let mut writer = self.inner.writer.lease(&Who::Own).await;
        let registry = Arc::clone(&self.inner.registry);
        let done = self.inner.blocking(move || writer.noting(&registry, work)).await;
        Ok(done.ok_or(SqliteError::Lost)??)
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let evaluations = self.inner.evaluations.load(Ordering::Relaxed);
        Stats { evaluations, queries: self.inner.registry.len() }
    }
}

#[async_trait]
impl QueryEngine for SqliteEngine {
    async fn prepare(&self, query: &str, asker: &Asker) -> Result<Prepared, QueryError> {
        let most = self.inner.settings.max_query;
        if query.len() > most {
            return Err(too_large(format!("the query is longer than {most} bytes")));
        }
        // SQLite reads no further.
        if query.contains('\0') {
            return Err(invalid("there is a NUL in the query"));
        }
        let text = Text::of(query);
        if text.sql.is_empty() {
            return Err(invalid("the query is empty"));
        }
        let decide = {
            let decide = self.inner.decide.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&decide)
        };
        let rights = decide(asker);
        if rights == Rights::none() {
            return Err(refused("nothing may be read"));
        }
        // With the rights, since what a view reads may change, and then be allowed to one of two askers.
        let key = format!("{rights:?}\n{}", text.sql);
        let question = Arc::new(Question { text, rights });
        let who = match &asker.identity {
            Some(identity) => Who::Identity(identity.as_str().into()),
            None => Who::Connection(asker.connection),
        };
        let mut slot = self.inner.checker.lease(&who).await;
        let (inner, asked) = (Arc::clone(&self.inner), Arc::clone(&question));
        let checked = self.inner.blocking(move || {
            slot.with(&inner.source, &inner.settings, |connection| {
                check(connection, &asked, &inner.settings)
            })
        });
        match checked.await {
            None => return Err(failed("the server is going away")),
            Some(checked) => checked.map_err(|_| failed("the database cannot be opened"))??,
        }
        let live = Box::new(SqliteQuery::new(Arc::clone(&self.inner), question, who));
        Ok(Prepared { key, live })
    }
}

impl fmt::Debug for SqliteEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteEngine").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Inner {
    /// Runs work where it may block; `None` when it panics, or the runtime has gone.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, done) = oneshot::channel();
        self.runtime.spawn_blocking(Box::new(move || {
            // Whoever asked may have gone.
            let _ = sender.send(work());
        }));
        done.await.ok()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // To close a file may take its time, and whoever drops an engine is not to wait for it.
        let pools = (
            mem::replace(&mut self.writer, Pool::new([])),
            mem::replace(&mut self.readers, Pool::new([])),
            mem::replace(&mut self.checker, Pool::new([])),
        );
        self.runtime.spawn_blocking(Box::new(move || drop(pools)));
    }
}
