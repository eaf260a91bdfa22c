//! What goes wrong: for the application, and for clients.

use moorline_core::QueryError;
use rusqlite::ffi::ErrorCode;

/// Why the engine did not do what its application asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// SQLite's own error. What was to be written is rolled back.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The work panicked, or the runtime has shut down. What was to be written is rolled back.
    #[error("the work did not end")]
    Lost,
}

pub(crate) fn refused(message: impl Into<String>) -> QueryError {
    QueryError::new("query_refused", message)
}

pub(crate) fn invalid(message: impl Into<String>) -> QueryError {
    QueryError::new("query_invalid", message)
}

pub(crate) fn too_large(message: impl Into<String>) -> QueryError {
    QueryError::new("query_too_large", message)
}

pub(crate) fn timed_out(message: impl Into<String>) -> QueryError {
    QueryError::new("query_timed_out", message)
}

/// What is nobody's fault that a client could mend: the text stays short of the server's own matters.
pub(crate) fn failed(message: impl Into<String>) -> QueryError {
    QueryError::new("query_failed", message)
}

/// What SQLite says of a client's query, sorted.
pub(crate) enum Complaint {
    /// It names what there is not, or what two tables have.
    Name,
    Interrupted,
    Busy,
    /// A value is too large, or there is no memory for it.
    Large,
    /// Anything else that the query's author can mend.
    Invalid(String),
    /// What the author cannot.
    Other,
}

impl Complaint {
    pub(crate) fn of(error: &rusqlite::Error) -> Self {
        let (code, message) = match error {
            rusqlite::Error::SqliteFailure(failure, message) => (failure.code, message.as_deref()),
            rusqlite::Error::SqlInputError { error, msg, .. } => (error.code, Some(msg.as_str())),
            rusqlite::Error::MultipleStatement => {
                return Self::Invalid("there is more than one statement".into());
            }
            _ => return Self::Other,
        };
        let message = message.unwrap_or("SQLite says no more");
        match code {
            ErrorCode::OperationInterrupted => Self::Interrupted,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::TooBig | ErrorCode::OutOfMemory => Self::Large,
            ErrorCode::Unknown if NAMES.iter().any(|start| message.starts_with(start)) => {
                Self::Name
            }
            ErrorCode::Unknown => Self::Invalid(message.into()),
            _ => Self::Other,
        }
    }
}

/// How SQLite's messages start that would tell which names there are.
const NAMES: [&str; 4] =
    ["no such table", "no such column", "ambiguous column name", "cannot join using column"];
