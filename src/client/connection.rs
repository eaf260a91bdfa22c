//! A client's connection.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::task::Waker;

use moorline_core::wire::Close;
use moorline_core::{Status, close_code};

use super::Lazy;
use crate::shared::{Command, Shared};
use crate::sync::{lock, wait_until};
use crate::{ConnectError, Handle};

/// A client's connection. Cheap to clone; all clones are one connection.
///
/// What it shares with a server's (send, listen, look) is in [`Handle`], to which it dereferences.
/// Dropping the last clone closes it: what was accepted by `send` still goes out, within the closing
/// time-out.
#[derive(Clone)]
pub struct Connection {
    handle: Arc<Guarded>,
}

/// Closes the connection when the last handle is gone.
struct Guarded(Handle);

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { handle: Arc::new(Guarded(Handle::new(shared))) }
    }

    /// Opens a closed connection again, and waits until it is open or has failed for good (R3). Listeners
    /// are kept.
    ///
    /// # Errors
    ///
    /// [`AlreadyConnecting`](ConnectError::AlreadyConnecting) or
    /// [`AlreadyConnected`](ConnectError::AlreadyConnected) when there is nothing to do (R4);
    /// otherwise when no further attempt will be made.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it goes on connecting.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let opens = self.begin()?;
        self.opened_since(opens).await
    }

    /// Opens a closed connection again without waiting (R2). Does nothing if it is not closed (R4).
    pub fn open(&self) {
        let _nothing_to_do = self.begin();
    }

    /// How often it had opened before.
    fn begin(&self) -> Result<u64, ConnectError> {
        let mut state = lock(&self.shared.state);
        match state.status {
            _ if state.driver_gone => return Err(ConnectError::Disconnected),
            Status::Connecting => return Err(ConnectError::AlreadyConnecting),
            Status::Open | Status::Throttled => return Err(ConnectError::AlreadyConnected),
            Status::Closing => return Err(ConnectError::Closing),
            _ => {}
        }
        let opens = state.opens;
        let waker = state.command(Command::Connect);
        lock(&self.shared.delivery).begin_connecting();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Ok(opens)
    }

    /// Waits until it is open; at once if it is. Through retries too, and for the first use of a lazy connection (R2),
    /// which this is not.
    ///
    /// # Errors
    ///
    /// When it is closed: why it did not open, or [`Disconnected`](ConnectError::Disconnected).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn opened(&self) -> Result<(), ConnectError> {
        self.opened_since(u64::MAX).await
    }

    /// Waits until it is open, or has been since it had opened so often: it may have been closed at once.
    pub(super) async fn opened_since(&self, opens: u64) -> Result<(), ConnectError> {
        wait_until(
            &self.shared.state,
            |state| &mut state.openers,
            |state| match state.status {
                _ if state.opens > opens => Some(Ok(())),
                Status::Open | Status::Throttled => Some(Ok(())),
                Status::Closed if state.lazy == Lazy::Asleep => None,
                Status::Closed => {
                    Some(Err(state.failure.clone().unwrap_or(ConnectError::Disconnected)))
                }
                _ => None,
            },
        )
        .await
    }

    /// Ends the connection, or the attempts to make one; whether there was something to end (R5).
    ///
    /// What was accepted by `send` still goes out. It stays closed until it is connected by hand (R6), a lazy connection
    /// that was never used too.
    #[allow(clippy::must_use_candidate, reason = "most callers only want it closed")]
    pub fn disconnect(&self) -> bool {
        let mut state = lock(&self.shared.state);
        // While the server closes there is something to end: the coming back.
        if state.status == Status::Closed || state.leaving {
            drop(state);
            self.stay_closed();
            return false;
        }
        let waker = state.command(Command::Disconnect(goodbye()));
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        true
    }

    /// [`disconnect`](Self::disconnect) without an answer.
    pub fn close(&self) {
        self.disconnect();
    }

    /// A handle that does not keep the connection open: for its own listeners.
    #[must_use]
    pub fn downgrade(&self) -> WeakConnection {
        WeakConnection { handle: Arc::downgrade(&self.handle) }
    }
}

fn goodbye() -> Box<Close> {
    Box::new(Close::new(close_code::NORMAL, ""))
}

impl Deref for Connection {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle.0
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let waker = lock(&self.0.shared.state).command(Command::Abandon(goodbye()));
        waker.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.0.fmt(f)
    }
}

/// A [`Connection`] that does not keep it open.
#[derive(Clone)]
pub struct WeakConnection {
    handle: Weak<Guarded>,
}

impl WeakConnection {
    /// The connection, unless its last handle is gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<Connection> {
        self.handle.upgrade().map(|handle| Connection { handle })
    }
}

impl fmt::Debug for WeakConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakConnection")
    }
}
