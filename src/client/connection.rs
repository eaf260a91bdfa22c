//! A client's connection.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::task::Waker;

use bytes::Bytes;
use bytestring::ByteString;
use moorline_core::wire::{Close, Packet, Publish};
use moorline_core::{Message, Status, close_code};
use serde::Serialize;

use super::{Channel, Lazy, Standing};
use crate::listeners::{Callback, Outcome, Token};
use crate::query::QuerySet;
use crate::sending::About;
use crate::server::{USER_EVENT, UserEvent};
use crate::shared::{Command, Shared};
use crate::sync::{lock, wait_until};
use crate::{ConnectError, Handle, ProfileError, Receipt, SendError};

/// The largest profile in bytes: each is told to everybody on its channels.
const MAX_PROFILE: usize = 4096;

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
struct Guarded(Handle, Arc<Standing>);

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, standing: Arc<Standing>) -> Self {
        Self { handle: Arc::new(Guarded(Handle::new(shared), standing)) }
    }

    pub(super) fn standing(&self) -> &Arc<Standing> {
        &self.handle.1
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

    /// The features that the server holds back now (R37), as its application names them; empty while it holds back none, and
    /// while there is no connection. A change comes as [`Event::Throttled`](crate::Event::Throttled).
    #[must_use]
    pub fn throttled(&self) -> Vec<String> {
        lock(&self.shared.state).throttled.clone()
    }

    /// The room that it enters with each open, the same for its life (R8).
    #[must_use]
    pub fn room(&self) -> Option<&str> {
        self.config().room.as_deref()
    }

    /// A channel: join it, publish there, see who else is there (R26, R29, R30).
    #[must_use]
    pub fn channel(&self, name: impl Into<ByteString>) -> Channel<'_> {
        Channel::new(self, name.into())
    }

    /// The channels that this end is on or wants to be, in the order in which they were joined.
    #[must_use]
    pub fn channels(&self) -> Vec<ByteString> {
        lock(self.standing().state()).channels.names()
    }

    /// Sends a message to every connection of the server (R26), if the server lets clients do that: see
    /// [`Channels`](crate::server::Channels). This end hears it too; see [`broadcast_to_others`](Self::broadcast_to_others).
    ///
    /// # Errors
    ///
    /// As [`send`](Handle::send). What the server does not pass on it tells by an [`Error`](crate::Event::Error) event.
    ///
    /// # Cancel safety
    ///
    /// As `send`.
    pub fn broadcast(
        &self,
        message: impl Into<Message>,
    ) -> impl Future<Output = Result<Receipt<'_>, SendError>> + Send {
        self.broadcast_with(message.into(), Some(true))
    }

    /// [`broadcast`](Self::broadcast) to all but this end (R27).
    ///
    /// # Errors
    ///
    /// As `broadcast`.
    ///
    /// # Cancel safety
    ///
    /// As `send`.
    pub fn broadcast_to_others(
        &self,
        message: impl Into<Message>,
    ) -> impl Future<Output = Result<Receipt<'_>, SendError>> + Send {
        self.broadcast_with(message.into(), Some(false))
    }

    fn broadcast_with(
        &self,
        mut message: Message,
        echo: Option<bool>,
    ) -> impl Future<Output = Result<Receipt<'_>, SendError>> + Send {
        message.channel = None;
        self.publish_with(message, echo)
    }

    pub(super) fn publish_with(
        &self,
        message: Message,
        echo: Option<bool>,
    ) -> impl Future<Output = Result<Receipt<'_>, SendError>> + Send + use<'_> {
        let about = About::of(&message, &*self.shared.runtime);
        let packet = Packet::Publish(Box::new(Publish { message, echo }));
        self.enqueue(self.encode_packet(packet, &about))
    }

    /// Sets the profile that others on the same channels see (R30): any value that serde writes as JSON, of at most 4 KiB. It
    /// outlives reconnects. Others on the same channels hear of it, and this end too where its membership has an echo.
    ///
    /// # Errors
    ///
    /// When the value cannot be written as JSON, or is too large.
    pub fn update_profile<T: Serialize + ?Sized>(&self, profile: &T) -> Result<(), ProfileError> {
        self.set_profile(Some(profile), None)
    }

    /// [`update_profile`](Self::update_profile) without hearing of it at this end (R27).
    ///
    /// # Errors
    ///
    /// As `update_profile`.
    pub fn update_profile_silently<T: Serialize + ?Sized>(
        &self,
        profile: &T,
    ) -> Result<(), ProfileError> {
        self.set_profile(Some(profile), Some(false))
    }

    fn set_profile<T: Serialize + ?Sized>(
        &self,
        profile: Option<&T>,
        echo: Option<bool>,
    ) -> Result<(), ProfileError> {
        let written = profile.map(serde_json::to_vec).transpose();
        let data = written.map_err(|error| ProfileError::Json(error.to_string()))?;
        let size = data.as_ref().map_or(0, Vec::len);
        if size > MAX_PROFILE {
            return Err(ProfileError::TooLarge { size, limit: MAX_PROFILE });
        }
        let data = data.map(Bytes::from);
        self.standing().change(&self.shared, |state| state.channels.set_profile(data, echo));
        Ok(())
    }

    /// Listens for what concerns the user of this connection (R32): see
    /// [`Group::emit_event`](crate::server::Group::emit_event).
    pub fn on_user_event<F, R, M>(&self, listener: F) -> Token
    where
        F: Fn(UserEvent) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        self.add(Callback::of_event(USER_EVENT, listener), false)
    }

    /// A new set of queries (R38). Its queries end with it: keep it.
    #[must_use = "a set that is dropped ends its queries"]
    pub fn query_set(&self) -> QuerySet {
        QuerySet::new(self.shared.clone(), self.standing().clone())
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
