//! What stands between a client and the application (R36).

use std::sync::Arc;

use async_trait::async_trait;
use moorline_core::Message;
use moorline_core::machine::Refusal;

use super::{Admission, ServerConnection, Visitor};

/// Stands between clients and the application: sees what they want to do before any hook does, and may refuse it.
///
/// Several run in the order in which they were added, each after the one before it has agreed. What one connection sends is
/// looked at in order, one after another; other connections do not wait for that. It runs in the connection's own task, so it
/// must not block; one that panics refuses with the code `internal`.
///
/// ```
/// use moorline::server::{Middleware, Refusal};
/// use moorline::{Message, ServerConnection};
///
/// struct NoShouting;
///
/// #[async_trait::async_trait]
/// impl Middleware for NoShouting {
///     async fn message(&self, _: &ServerConnection, message: &Message) -> Result<(), Refusal> {
///         match message.text() {
///             Some(text) if text.ends_with("!!!") => {
///                 Err(Refusal::for_good("too_loud", "fewer exclamation marks, please"))
///             }
///             _ => Ok(()),
///         }
///     }
/// }
/// ```
#[async_trait]
#[allow(unused_variables, reason = "the names are for those who read the documentation")]
pub trait Middleware: Send + Sync + 'static {
    /// A client wants to come in, and the authenticator has let it: what it is let in with may be changed. A refused one is told
    /// why, and no hook hears of it.
    ///
    /// # Errors
    ///
    /// What the client is told.
    async fn connect(&self, visitor: &Visitor, admission: &mut Admission) -> Result<(), Refusal> {
        Ok(())
    }

    /// A message has come: to the application, to be published, or a request. Refused, nobody receives it: its sender is told by an
    /// [`Error`](crate::Event::Error) event, who asks by [`Failed`](crate::RequestError::Failed). Its receipt then says that it was
    /// acknowledged: it was taken, by what has refused it.
    ///
    /// # Errors
    ///
    /// What the sender is told.
    async fn message(
        &self,
        connection: &ServerConnection,
        message: &Message,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    /// A client wants to join a channel.
    ///
    /// # Errors
    ///
    /// What the client is told: its join fails with that.
    async fn join(&self, connection: &ServerConnection, channel: &str) -> Result<(), Refusal> {
        Ok(())
    }

    /// A client wants to ask a query, as it has written it. It is asked before the engine is; several at a time of one connection,
    /// beside what else that sends.
    ///
    /// # Errors
    ///
    /// What the client is told: the query fails with that.
    async fn query(&self, connection: &ServerConnection, query: &str) -> Result<(), Refusal> {
        Ok(())
    }
}

#[async_trait]
impl<M: Middleware + ?Sized> Middleware for Arc<M> {
    async fn connect(&self, visitor: &Visitor, admission: &mut Admission) -> Result<(), Refusal> {
        (**self).connect(visitor, admission).await
    }

    async fn message(
        &self,
        connection: &ServerConnection,
        message: &Message,
    ) -> Result<(), Refusal> {
        (**self).message(connection, message).await
    }

    async fn join(&self, connection: &ServerConnection, channel: &str) -> Result<(), Refusal> {
        (**self).join(connection, channel).await
    }

    async fn query(&self, connection: &ServerConnection, query: &str) -> Result<(), Refusal> {
        (**self).query(connection, query).await
    }
}
