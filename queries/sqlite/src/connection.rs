//! Opening connections: one that writes, and others that only read.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, Result};

use crate::builder::Settings;

/// Where the database is.
pub(crate) enum Source {
    File(PathBuf),
    /// In memory, by a name that this process's connections find it by. It lives as long as one of them.
    Memory(String),
}

impl Source {
    pub(crate) fn memory() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::Memory(format!("file:/moorline-{}-{number}?vfs=memdb", std::process::id()))
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    fn open(&self, flags: OpenFlags) -> Result<Connection> {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match self {
            // Without URIs: a path is a path, whatever it starts with.
            Self::File(path) => Connection::open_with_flags(path, flags),
            Self::Memory(uri) => {
                Connection::open_with_flags(Path::new(uri), flags | OpenFlags::SQLITE_OPEN_URI)
            }
        }
    }

    /// The connection for the application.
    pub(crate) fn writer(&self, settings: &Settings) -> Result<Connection> {
        let connection =
            self.open(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        connection.busy_timeout(WRITE_PATIENCE.max(settings.time_limit.saturating_mul(2)))?;
        if self.is_file() && settings.wal {
            // A file system that cannot do it says so in the mode that it answers with, and all works as before.
            connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        }
        Ok(connection)
    }

    /// A connection for clients' queries.
    pub(crate) fn reader(&self, settings: &Settings) -> Result<Connection> {
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(settings.time_limit)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        // "a misspelt name" is an error, and not a text.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        // The statements' own length is not limited here: the schema's would be with it.
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, settings.value_limit())?;
        connection.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LIKE_PATTERN)?;
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        connection.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
        Ok(connection)
    }
}

/// How long a write waits for a lock at least: SQLite's usual five seconds. Without a write-ahead log evaluations hold one too.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// The longest pattern of `LIKE` and `GLOB`, in bytes: no search box needs more, and matching takes the product of both lengths
/// within one step, which no time limit interrupts.
const LIKE_PATTERN: i32 = 256;

/// A place for a reading connection, which is opened when it is first needed, and again after a panic.
#[derive(Default)]
pub(crate) struct Slot(Option<Connection>);

impl Slot {
    pub(crate) fn with<T>(
        &mut self,
        source: &Source,
        settings: &Settings,
        work: impl FnOnce(&Connection) -> T,
    ) -> Result<T> {
        let connection = match self.0.take() {
            Some(connection) => connection,
            None => source.reader(settings)?,
        };
        let result = work(&connection);
        self.0 = Some(connection);
        Ok(result)
    }
}
