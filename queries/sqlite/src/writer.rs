//! The application's connection, and what it has written.

use std::sync::{Arc, Mutex};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, Result};

use crate::rights::lower;
use crate::watch::{Registry, Tables, lock};

pub(crate) struct Writer {
    connection: Connection,
    /// SQLite's count of what others have committed, as last seen.
    others: i64,
    /// What was written in a transaction that is still open: nobody sees it before the last of it.
    uncommitted: Tables,
}

impl Writer {
    pub(crate) fn new(connection: Connection) -> Result<Self> {
        let mut writer = Self { connection, others: 0, uncommitted: Tables::NONE };
        writer.others = writer.data_version()?;
        Ok(writer)
    }

    /// Does something, and tells everybody whose tables it may have written, however it ends.
    ///
    /// SQLite's authorizer names each table when a statement is compiled: also those that triggers and foreign keys write, and
    /// those of which the update hook says nothing. It may name more than are written, never less.
    pub(crate) fn noting<T>(
        &mut self,
        registry: &Registry,
        work: impl FnOnce(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        let uncommitted = std::mem::replace(&mut self.uncommitted, Tables::NONE);
        let tell = Tell { registry, written: Arc::new(Mutex::new(uncommitted)) };
        let written = Arc::clone(&tell.written);
        // To set it makes SQLite compile again what the application keeps compiled.
        self.connection.authorizer(Some(move |context: AuthContext<'_>| {
            note(&mut lock(&written), &context.action);
            Authorization::Allow
        }))?;
        let before = self.connection.total_changes();
        let result = work(&mut self.connection);
        let mut written = lock(&tell.written);
        if written.is_none() && self.connection.total_changes() != before {
            // The application has set an authorizer of its own.
            *written = Tables::All;
        }
        if !self.connection.is_autocommit() {
            self.uncommitted = written.clone();
        }
        drop(written);
        result
    }

    /// Whether others have committed anything since this was last asked.
    pub(crate) fn others_wrote(&mut self) -> Result<bool> {
        let now = self.data_version()?;
        Ok(std::mem::replace(&mut self.others, now) != now)
    }

    fn data_version(&self) -> Result<i64> {
        self.connection.pragma_query_value(None, "data_version", |row| row.get(0))
    }
}

/// Tells when dropped, so after a panic too: what was written before may be committed.
struct Tell<'r> {
    registry: &'r Registry,
    written: Arc<Mutex<Tables>>,
}

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        self.registry.mark(&lock(&self.written));
    }
}

fn note(written: &mut Tables, action: &AuthAction<'_>) {
    match action {
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name } => written.add(lower(table_name)),
        AuthAction::Read { .. }
        | AuthAction::Select
        | AuthAction::Function { .. }
        | AuthAction::Recursive
        | AuthAction::Transaction { .. }
        | AuthAction::Savepoint { .. } => {}
        // Tables made, altered and dropped, and what else may change the answer to a query.
        _ => *written = Tables::All,
    }
}
