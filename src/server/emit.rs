//! One message to many.

use std::borrow::Borrow;

use moorline_core::Frame;
use moorline_core::wire::{EncodeError, Packet};

use super::{Server, ServerConnection};
use crate::sending::About;
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
        let message = message.into();
        let about = About::of(&message);
        let packet = Packet::Message(message);
        let mut encoded: Vec<(&'static str, Result<Frame, EncodeError>)> = Vec::new();
        let mut emitted = Emitted::default();
        for connection in connections {
            let connection = connection.borrow();
            let Some(codec) = connection.codec() else { continue };
            let known = encoded.iter().find(|(name, _)| *name == codec.name());
            let frame = match known {
                Some((_, frame)) => frame.clone(),
                None => {
                    let frame = codec.encode(packet.clone());
                    encoded.push((codec.name(), frame.clone()));
                    frame
                }
            };
            let sent = frame.is_ok_and(|frame| {
                connection.broadcast_encoded(about.outgoing(frame, &*self.core.runtime))
            });
            emitted.sent += usize::from(sent);
            emitted.skipped += usize::from(!sent);
        }
        match encoded.into_iter().find_map(|(_, frame)| frame.err()) {
            Some(error) if emitted.sent == 0 => Err(error.into()),
            _ => Ok(emitted),
        }
    }
}
