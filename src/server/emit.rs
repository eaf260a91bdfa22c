//! One message to many.

use std::borrow::Borrow;

use super::fanout::Fanout;
use super::{Server, ServerConnection};
use crate::{Message, SendError};

/// What became of a message sent to many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Emitted {
    /// Connections that it was accepted for.
    pub sent: usize,
    /// Connections that it was not sent to: their queue was full, the message too large for them or
    /// not to be said in their codec, or they were just closing. Those that read on are told what they miss.
    pub skipped: usize,
}

impl Server {
    /// Sends a message to every connection (R34), also to those whose clients are away for the moment, encoded
    /// once for each codec in use. It never waits: a connection whose queue is full is skipped, and counted, and
    /// its client is told what it misses: a numbered message as a gap at its place
    /// ([`Recovery::Gap`](crate::Recovery)), another one as [`Missed`](crate::Event::Missed).
    ///
    /// # Errors
    ///
    /// When it reached nobody and a codec in use cannot write it.
    pub fn emit(&self, message: impl Into<Message>) -> Result<Emitted, SendError> {
        self.emit_to(self.connections(), message)
    }

    /// As [`emit`](Self::emit), to these connections.
    ///
    /// ```
    /// # fn pass_on(server: &moorline::Server, sender: &moorline::ServerConnection) -> Result<(), moorline::SendError> {
    /// let others = server.connections().into_iter().filter(|other| other.id() != sender.id());
    /// server.emit_to(others, "somebody has come")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When it reached nobody and a codec in use cannot write it.
    pub fn emit_to<C: Borrow<ServerConnection>>(
        &self,
        connections: impl IntoIterator<Item = C>,
        message: impl Into<Message>,
    ) -> Result<Emitted, SendError> {
        let mut fanout = Fanout::of_message(message.into(), &*self.core.runtime);
        for connection in connections {
            fanout.send(&connection.borrow().shared);
        }
        fanout.finish()
    }
}
