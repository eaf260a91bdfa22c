//! How much may be asked, and how much is.

/// How many queries clients may ask, within which limits they are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryLimits {
    /// Of one connection at a time, those that it waits for included. Past it a query fails with `too_many_queries`.
    pub per_connection: usize,
    /// Different ones of all connections together. Past it a query fails with `queries_full`.
    pub shared: usize,
    /// Of one connection that the engine is asked to prepare at a time; the others wait in order.
    pub preparing: usize,
}

impl QueryLimits {
    /// A page with many tables.
    pub const PER_CONNECTION: usize = 100;
    /// Each is a task, and what the engine keeps for it.
    pub const SHARED: usize = 10_000;
    /// Enough for an engine that waits for a disk, and little for one that never answers.
    pub const PREPARING: usize = 8;

    /// How many queries a connection may ask at a time. Default: 100.
    #[must_use]
    pub const fn per_connection(mut self, count: usize) -> Self {
        self.per_connection = count;
        self
    }

    /// How many different queries are answered at a time. Default: 10,000.
    #[must_use]
    pub const fn shared(mut self, count: usize) -> Self {
        self.shared = count;
        self
    }

    /// How many queries of a connection the engine is asked to prepare at a time. Default: 8; at least 1.
    #[must_use]
    pub const fn preparing(mut self, count: usize) -> Self {
        self.preparing = if count == 0 { 1 } else { count };
        self
    }
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            per_connection: Self::PER_CONNECTION,
            shared: Self::SHARED,
            preparing: Self::PREPARING,
        }
    }
}

/// How much is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryStats {
    /// Queries that are being answered: each once, however many ask it.
    pub shared: usize,
    /// Those who are told of changes: each connection once for each query that it has subscribed to.
    pub subscribers: usize,
}
