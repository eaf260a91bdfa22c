//! How an engine is configured.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use moorline_core::{Asker, Runtime};

use crate::connection::Source;
use crate::engine::{Decide, SqliteEngine};
use crate::error::SqliteError;
use crate::rights::Rights;

/// Configures an engine: [`SqliteEngine::builder`].
#[must_use = "an engine is opened by `open` or `in_memory`"]
pub struct SqliteBuilder {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) settings: Settings,
    pub(crate) decide: Arc<Decide>,
}

/// What a client can make an engine do, and what it does by itself.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) max_rows: usize,
    pub(crate) max_bytes: usize,
    pub(crate) max_query: usize,
    pub(crate) max_queries: usize,
    pub(crate) readers: usize,
    pub(crate) time_limit: Duration,
    pub(crate) pause: Duration,
    pub(crate) poll: Duration,
    pub(crate) wal: bool,
}

impl Settings {
    /// The longest value, in bytes: 1 MiB, or as much as the rows may have. One that is only looked at may be longer than any
    /// that can be given; more than that is a client that fills the memory.
    pub(crate) fn value_limit(&self) -> i32 {
        i32::try_from(self.max_bytes.max(1 << 20)).unwrap_or(i32::MAX)
    }
}

impl SqliteBuilder {
    /// The most rows of a query by default: 10,000, more than anybody looks at.
    pub const MAX_ROWS: usize = 10_000;

    /// The most bytes of a query's rows as JSON by default: 768 KiB, which fits into a frame of moorline's (1 MiB).
    pub const MAX_BYTES: usize = 768 * 1024;

    /// The longest query by default, in bytes: 16 KiB.
    pub const MAX_QUERY: usize = 16 * 1024;

    /// The most live queries by default: 4096. Each is evaluated by itself when its tables are written.
    pub const MAX_QUERIES: usize = 4096;

    /// The evaluations at a time by default: 4. One that takes its whole time then leaves room for the others.
    pub const READERS: usize = 4;

    /// The longest evaluation by default: one second.
    pub const TIME_LIMIT: Duration = Duration::from_secs(1);

    /// The pause between a write and the evaluation by default: 20 ms, in which nobody sees a delay, and a burst of writes
    /// becomes one evaluation.
    pub const PAUSE: Duration = Duration::from_millis(20);

    /// How often other connections' writes are looked for by default: each 500 ms.
    pub const POLL: Duration = Duration::from_millis(500);

    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        let settings = Settings {
            max_rows: Self::MAX_ROWS,
            max_bytes: Self::MAX_BYTES,
            max_query: Self::MAX_QUERY,
            max_queries: Self::MAX_QUERIES,
            readers: Self::READERS,
            time_limit: Self::TIME_LIMIT,
            pause: Self::PAUSE,
            poll: Self::POLL,
            wal: true,
        };
        Self { runtime, settings, decide: Arc::new(|_| Rights::none()) }
    }

    /// Who may read what. Without it, nobody may read anything.
    pub fn rights(mut self, decide: impl Fn(&Asker) -> Rights + Send + Sync + 'static) -> Self {
        self.decide = Arc::new(decide);
        self
    }

    /// The most rows of a query. One with more is `query_too_large`.
    pub fn max_rows(mut self, rows: usize) -> Self {
        self.settings.max_rows = rows;
        self
    }

    /// The most bytes of a query's rows as JSON. One with more is `query_too_large`; a change with more is told in parts.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_bytes = bytes;
        self
    }

    /// The longest query, in bytes. A longer one is `query_too_large`.
    pub fn max_query(mut self, bytes: usize) -> Self {
        self.settings.max_query = bytes;
        self
    }

    /// The most live queries; queries that are shared count once. One more is `query_refused`.
    pub fn max_queries(mut self, queries: usize) -> Self {
        self.settings.max_queries = queries;
        self
    }

    /// How many evaluations run at a time, each with a connection; at least one.
    pub fn readers(mut self, readers: usize) -> Self {
        self.settings.readers = readers.max(1);
        self
    }

    /// The longest evaluation, in real time also under a simulated runtime. A longer one is `query_timed_out`.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.settings.time_limit = limit;
        self
    }

    /// The pause between a write and the evaluation. What is written during it is one change.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.settings.pause = pause;
        self
    }

    /// How often a file is asked whether other connections have written to it; zero for never. It is asked only while there are
    /// live queries.
    pub fn poll(mut self, interval: Duration) -> Self {
        self.settings.poll = interval;
        self
    }

    /// Whether a file is set to SQLite's write-ahead log, which it then keeps: without it, a write waits for evaluations, and
    /// evaluations for writes. It is by default.
    pub fn wal(mut self, wal: bool) -> Self {
        self.settings.wal = wal;
        self
    }

    /// Opens a file, which is made if there is none. It blocks for as long as SQLite takes to open it.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or is none of SQLite's.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteEngine, SqliteError> {
        SqliteEngine::from_builder(self, Source::File(path.as_ref().to_owned()))
    }

    /// A new and empty database in memory, which is gone with the engine and its queries.
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub fn in_memory(self) -> Result<SqliteEngine, SqliteError> {
        SqliteEngine::from_builder(self, Source::memory())
    }
}

impl fmt::Debug for SqliteBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
