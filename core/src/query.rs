//! What answers queries (R42): an engine that an application gives its server.
//!
//! The server knows nothing of what a query says. It asks the engine once for each query that its clients share, passes on the
//! rows and each change, encoded once for all, and drops the [`LiveQuery`] with the last client that wants it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

/// Who asks: what an engine may decide by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asker {
    /// Who it is, as the server's authenticator has said.
    pub identity: Option<String>,
    /// The room that it is in (R8).
    pub room: Option<String>,
    /// A number of the server's for the connection that asks: who has no identity is told from others by that. Rights should not
    /// hang on it, or no two connections share a query.
    pub connection: u64,
}

impl Asker {
    /// Somebody of that identity.
    pub fn of(identity: impl Into<String>) -> Self {
        Self { identity: Some(identity.into()), ..Self::default() }
    }
}

/// Answers queries.
///
/// # Behaviour
///
/// - [`prepare`](Self::prepare) MUST refuse what that asker may not read, and MUST NOT give two askers the same
///   [`key`](Prepared::key) unless each may see all that the other one sees.
/// - It MUST NOT evaluate the query: most are shared with one that is live already, and its [`live`](Prepared::live) is dropped.
/// - Neither may block its thread: see [`Runtime::spawn_blocking`](crate::Runtime::spawn_blocking).
#[async_trait]
pub trait QueryEngine: Send + Sync + 'static {
    /// Reads a query, and decides whether it is answered.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or that asker may not ask it. The text goes to the client.
    ///
    /// # Cancel safety
    ///
    /// Dropped when the client goes away.
    async fn prepare(&self, query: &str, asker: &Asker) -> Result<Prepared, QueryError>;
}

#[async_trait]
impl<E: QueryEngine + ?Sized> QueryEngine for Arc<E> {
    async fn prepare(&self, query: &str, asker: &Asker) -> Result<Prepared, QueryError> {
        (**self).prepare(query, asker).await
    }
}

/// A query that may be answered.
pub struct Prepared {
    /// Queries of equal keys are one: it is evaluated once for all who ask.
    pub key: String,
    /// The query.
    pub live: Box<dyn LiveQuery>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A query that is being answered. Dropped when nobody wants it any more.
///
/// # Behaviour
///
/// - The rows given last by [`rows`](Self::rows), with every change given since by [`change`](Self::change), MUST be the rows
///   that the next `rows` gives: nothing is missed between the two, and nothing told twice.
/// - Both MUST be cancel safe: a call that is dropped and made again gives what the first one would have given. A change is waited
///   for anew with each client that comes or goes, so what takes long to find MUST NOT be begun anew each time.
#[async_trait]
pub trait LiveQuery: Send + 'static {
    /// All rows, as of the last change that was given.
    ///
    /// # Errors
    ///
    /// When it cannot be evaluated, or has too many rows. The query is then over.
    async fn rows(&mut self) -> Result<Rows, QueryError>;

    /// Waits for the next change, counted from the first call of either method.
    ///
    /// # Errors
    ///
    /// As `rows`.
    async fn change(&mut self) -> Result<Rows, QueryError>;
}

/// Rows, or changes of rows: what a client's result listener gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// How many there are.
    pub count: u64,
    /// A JSON array of that length.
    pub json: Bytes,
}

impl Rows {
    /// So many rows, as a JSON array.
    #[must_use]
    pub const fn new(count: u64, json: Bytes) -> Self {
        Self { count, json }
    }
}

/// Why a query is not answered, or not any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct QueryError {
    /// For programs: `"query_refused"`, `"query_invalid"`, `"query_too_large"`, `"query_timed_out"`, or the engine's own.
    pub code: Cow<'static, str>,
    /// For people.
    pub message: String,
}

impl QueryError {
    /// An error of that code.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}
