//! A server's connection.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::task::Waker;

use moorline_core::wire::Close;
use moorline_core::{ConnectionId, close_code};

use super::Visitor;
use crate::shared::Command;
use crate::sync::lock;
use crate::{DisconnectError, Handle, Status};

/// One client, as its server sees it. Cheap to clone; all clones are one connection.
///
/// What it shares with a client's connection (send, listen, look) is in [`Handle`], to which it
/// dereferences. It lives as long as its session, whatever becomes of its handles: when the link is lost it waits for
/// its client to come back, [`retention`](crate::Config::retention) long, with what was sent meanwhile.
#[derive(Clone)]
pub struct ServerConnection {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) handle: Handle,
    pub(super) visitor: Arc<Visitor>,
    pub(super) identity: Option<String>,
}

impl ServerConnection {
    /// Its id, also after its end (R11). A client that comes back to its session has a new one from then on.
    ///
    /// # Panics
    ///
    /// Never: a connection has its id before anybody has the connection.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.inner.handle.id().expect("a server's connection has an id")
    }

    /// Whether it is open, or its client may come back (R34).
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(self.status(), Status::Closed | Status::Closing)
    }

    /// Who it is, as the [`Authenticator`](super::Authenticator) has said.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        self.inner.identity.as_deref()
    }

    /// What it said of itself when it came (R15).
    #[must_use]
    pub fn visitor(&self) -> &Visitor {
        &self.inner.visitor
    }

    /// Disconnects the client for good: it does not come back by itself (R7). What was accepted by
    /// `send` still goes out.
    ///
    /// The code is 4000 if there is none.
    ///
    /// # Errors
    ///
    /// When it is dead already, or the code is not an application's.
    pub fn disconnect(&self, code: Option<u16>) -> Result<(), DisconnectError> {
        self.disconnect_because(code, "")
    }

    /// [`disconnect`](Self::disconnect) with a text for the client; what is longer than 123 bytes is cut.
    ///
    /// # Errors
    ///
    /// As `disconnect`.
    pub fn disconnect_because(
        &self,
        code: Option<u16>,
        reason: &str,
    ) -> Result<(), DisconnectError> {
        let code = code.unwrap_or(close_code::SERVER_DISCONNECT);
        if !(4000..=4999).contains(&code) {
            return Err(DisconnectError::Code(code));
        }
        let mut state = lock(&self.shared.state);
        if matches!(state.status, Status::Closed | Status::Closing) {
            return Err(DisconnectError::NotAlive);
        }
        let close = Box::new(Close::new(code, reason));
        let waker = state.command(Command::Disconnect(close));
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }
}

impl Deref for ServerConnection {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.inner.handle
    }
}

impl fmt::Debug for ServerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConnection")
            .field("id", &self.id())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
