//! A set of queries.

use std::fmt;
use std::sync::Arc;

use moorline_core::QueryError;
use moorline_core::wire::Asked;

use super::{QueryResult, run_error, run_result};
use crate::Handle;
use crate::client::{Callbacks, Standing, Wanted};
use crate::listeners::Outcome;
use crate::shared::Shared;
use crate::sync::lock;

/// A set of queries of one connection (R38). Cheap to clone; all clones are one set, and with the last of them its queries end.
///
/// Sets do not know of each other, but a query that several of them want is asked once. Queries may be registered before the
/// connection is open (a lazy one is opened by the first), and live on over reconnects: where changes may have been missed they are asked again, and whoever wanted
/// rows gets them anew.
///
/// Results come to the listeners in order, in the task of the connection's listeners; an async one is awaited before the next.
/// An error ends its query: it goes to the query's own listener, and to those of
/// [`event::QueryError`](crate::event::QueryError) (R41).
///
/// ```
/// # fn watch(connection: &moorline::Connection) {
/// let orders = connection.query_set();
/// orders.retrieve_and_subscribe(
///     "SELECT id, item FROM orders WHERE open",
///     |result| println!("{} rows, all: {}", result.count, result.retrieve),
///     |error| println!("{error}"),
///     Default::default(),
/// );
/// # }
/// ```
#[derive(Clone)]
pub struct QuerySet {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    standing: Arc<Standing>,
    id: u64,
}

/// How a query is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryOptions {
    compress: bool,
}

impl QueryOptions {
    /// Whether its results travel packed by gzip. Default: false. Unpacked they may have 16 MiB.
    #[cfg(feature = "gzip")]
    #[must_use]
    pub const fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }
}

impl QuerySet {
    pub(crate) fn new(shared: Arc<Shared>, standing: Arc<Standing>) -> Self {
        let id = lock(standing.state()).queries.new_set();
        Self { inner: Arc::new(Inner { shared, standing, id }) }
    }

    /// Asks for the query's rows, once: it is then over.
    pub fn retrieve<F, R, M, G, S, N>(
        &self,
        query: impl Into<String>,
        on_result: F,
        on_error: G,
        options: QueryOptions,
    ) where
        F: Fn(QueryResult) -> R + Send + Sync + 'static,
        R: Outcome<M>,
        G: Fn(QueryError) -> S + Send + Sync + 'static,
        S: Outcome<N>,
    {
        self.batch().retrieve(query, on_result, on_error, options).assemble();
    }

    /// Asks for the changes of the query's rows from now on.
    pub fn subscribe<F, R, M, G, S, N>(
        &self,
        query: impl Into<String>,
        on_result: F,
        on_error: G,
        options: QueryOptions,
    ) where
        F: Fn(QueryResult) -> R + Send + Sync + 'static,
        R: Outcome<M>,
        G: Fn(QueryError) -> S + Send + Sync + 'static,
        S: Outcome<N>,
    {
        self.batch().subscribe(query, on_result, on_error, options).assemble();
    }

    /// Asks for the query's rows, and for all their changes after that: none is missed between the two.
    pub fn retrieve_and_subscribe<F, R, M, G, S, N>(
        &self,
        query: impl Into<String>,
        on_result: F,
        on_error: G,
        options: QueryOptions,
    ) where
        F: Fn(QueryResult) -> R + Send + Sync + 'static,
        R: Outcome<M>,
        G: Fn(QueryError) -> S + Send + Sync + 'static,
        S: Outcome<N>,
    {
        self.batch().retrieve_and_subscribe(query, on_result, on_error, options).assemble();
    }

    /// Ends a query in this set; whether it was there.
    #[allow(clippy::must_use_candidate, reason = "most callers only want it ended")]
    pub fn unsubscribe(&self, query: &str) -> bool {
        self.inner.end(|own| own == query)
    }

    /// Ends all queries of this set; whether there were any.
    #[allow(clippy::must_use_candidate, reason = "most callers only want them ended")]
    pub fn unsubscribe_all(&self) -> bool {
        self.inner.end(|_| true)
    }

    /// The queries of this set that are not over.
    #[must_use]
    pub fn queries(&self) -> Vec<String> {
        lock(self.inner.standing.state()).queries.of_set(self.inner.id)
    }

    /// Several queries that are sent in one frame (R39): nothing of them happens before
    /// [`assemble`](QueryBatch::assemble).
    pub fn batch(&self) -> QueryBatch<'_> {
        QueryBatch { set: self, steps: Vec::new() }
    }
}

impl Inner {
    fn end(&self, which: impl Fn(&str) -> bool) -> bool {
        let ended =
            self.standing.change(&self.shared, |state| state.queries.unwant(self.id, which));
        !ended.is_empty()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end(|_| true);
    }
}

impl fmt::Debug for QuerySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuerySet").field("queries", &self.queries().len()).finish()
    }
}

/// Queries that are sent in one frame (R39).
///
/// ```
/// # fn watch(connection: &moorline::Connection) {
/// let set = connection.query_set();
/// set.batch()
///     .subscribe("SELECT * FROM prices", |_| {}, |_| {}, Default::default())
///     .retrieve("SELECT * FROM menu", |_| {}, |_| {}, Default::default())
///     .unsubscribe("SELECT * FROM orders")
///     .assemble();
/// # }
/// ```
#[must_use = "nothing is sent before `assemble`"]
pub struct QueryBatch<'a> {
    set: &'a QuerySet,
    steps: Vec<Step>,
}

enum Step {
    Want(Asked, Wanted),
    End(String),
}

impl QueryBatch<'_> {
    /// See [`QuerySet::retrieve`].
    pub fn retrieve<F, R, M, G, S, N>(
        self,
        query: impl Into<String>,
        on_result: F,
        on_error: G,
        options: QueryOptions,
    ) -> Self
    where
        F: Fn(QueryResult) -> R + Send + Sync + 'static,
        R: Outcome<M>,
        G: Fn(QueryError) -> S + Send + Sync + 'static,
        S: Outcome<N>,
    {
        let callbacks = Callbacks { result: run_result(on_result), error: run_error(on_error) };
        self.want(query.into(), options, (true, false), callbacks)
    }

    /// See [`QuerySet::subscribe`].
    pub fn subscribe<F, R, M, G, S, N>(
        self,
        query: impl Into<String>,
        on_result: F,
        on_error: G,
        options: QueryOptions,
    ) -> Self
    where
        F: Fn(QueryResult) -> R + Send + Sync + 'static,
        R: Outcome<M>,
        G: Fn(QueryError) -> S + Send + Sync + 'static,
        S: Outcome<N>,
    {
        let callbacks = Callbacks { result: run_result(on_result), error: run_error(on_error) };
        self.want(query.into(), options, (false, true), callbacks)
    }

    /// See [`QuerySet::retrieve_and_subscribe`].
    pub fn retrieve_and_subscribe<F, R, M, G, S, N>(
        self,
        query: impl Into<String>,
        on_result: F,
        on_error: G,
        options: QueryOptions,
    ) -> Self
    where
        F: Fn(QueryResult) -> R + Send + Sync + 'static,
        R: Outcome<M>,
        G: Fn(QueryError) -> S + Send + Sync + 'static,
        S: Outcome<N>,
    {
        let callbacks = Callbacks { result: run_result(on_result), error: run_error(on_error) };
        self.want(query.into(), options, (true, true), callbacks)
    }

    /// See [`QuerySet::unsubscribe`].
    pub fn unsubscribe(mut self, query: impl Into<String>) -> Self {
        self.steps.push(Step::End(query.into()));
        self
    }

    /// Sends them.
    pub fn assemble(self) {
        let inner = &self.set.inner;
        let steps = self.steps;
        if steps.iter().any(|step| matches!(step, Step::Want(..))) {
            Handle::new(inner.shared.clone()).open_if_lazy();
        }
        // Bound to a name, so that it is dropped after the lock: what listeners hold is user code.
        let _ended = inner.standing.change(&inner.shared, |state| {
            let mut ended = Vec::new();
            for step in steps {
                match step {
                    Step::Want(asked, wanted) => state.queries.want(asked, wanted),
                    Step::End(query) => {
                        ended.extend(state.queries.unwant(inner.id, |own| own == query));
                    }
                }
            }
            ended
        });
    }

    fn want(
        mut self,
        query: String,
        options: QueryOptions,
        (retrieve, subscribe): (bool, bool),
        callbacks: Callbacks,
    ) -> Self {
        let asked = Asked { query, compress: options.compress };
        let wanted = Wanted::new(self.set.inner.id, retrieve, subscribe, Arc::new(callbacks));
        self.steps.push(Step::Want(asked, wanted));
        self
    }
}

impl fmt::Debug for QueryBatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryBatch").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}
