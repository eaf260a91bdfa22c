//! What a connection tells its application.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::DeserializeOwned;

use crate::{CloseFrame, ConnectionId, Message, QueryError, Reason};

/// Where a connection stands (R9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Status {
    /// Not connected, and not trying to be.
    #[default]
    Closed,
    /// Connecting, or waiting to try again.
    Connecting,
    /// Connected.
    Open,
    /// Saying good-bye.
    Closing,
    /// Connected, with some features held back by the server (R37).
    Throttled,
}

impl Status {
    /// Whether messages can be sent: open or throttled (R10).
    #[must_use]
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Open | Self::Throttled)
    }
}

/// What happened to a connection (R17), in the order in which it happened.
///
/// A loss reads: `Disconnect`, `Connecting`, `ReconnectAttempt(1)`, …, `Connect`, `Reconnect(n)` (R18). A change of
/// status comes before the event that goes with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Its status changed: what [`Status`] it has now.
    Status(Status),
    /// It began to connect, by hand or after a loss. Once for each outage.
    Connecting,
    /// It is open: at first, and after each reconnect.
    Connect(Connected),
    /// A message came.
    Message(Message),
    /// A message came that its listener could not read (R25). The connection stays open.
    MessageError(MessageError),
    /// It is no longer open.
    Disconnect(Disconnect),
    /// Something went wrong. What follows from it, if anything, comes as an event of its own.
    Error(ErrorEvent),
    /// It is about to try again: the number of the attempt, from 1.
    ReconnectAttempt(u32),
    /// It is open again, after so many attempts. Comes right after `Connect`.
    Reconnect(u32),
    /// What became of the session, told after a reconnect and before the next message (R45). Of a gap also
    /// later, at its place among the messages.
    Recovery(Recovery),
    /// The other end has dropped so many messages that have no number, because this end was too slow.
    Missed(u64),
    /// It has given up trying again. It stays closed until it is connected by hand.
    ReconnectFailed,
    /// So many messages waited for a listener until they were too old, and are gone. Told once when
    /// it begins.
    Unheard(u64),
    /// This reader was too slow, and has missed so many events.
    Lagged(u64),
    /// The server has set properties (R14): all of them, as they are now.
    Properties(Vec<(String, String)>),
    /// The server holds features back, or none any more (R37): the names of those that it holds back now. Told with none
    /// after a `Connect` where some were held back before it.
    Throttled(Vec<String>),
    /// Who is on a channel has changed (R30).
    Presence(Presence),
    /// A query failed (R41).
    QueryError(QueryFailure),
}

/// Who is on a channel, or who has come or gone (R30).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presence {
    /// The channel.
    pub channel: ByteString,
    /// What has changed.
    pub change: PresenceChange,
}

impl Presence {
    /// A change on that channel.
    pub fn new(channel: impl Into<ByteString>, change: PresenceChange) -> Self {
        Self { channel: channel.into(), change }
    }
}

/// What has changed on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceChange {
    /// These are all, this end included: told after a join, and anew when changes may have been missed.
    Members(Vec<Member>),
    /// One has come.
    Joined(Member),
    /// One has gone.
    Left(Member),
    /// One has changed its profile.
    Updated(Member),
    /// The server does not tell any more who is there: too many are, or it is under load.
    Hidden,
}

/// One on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Who it is among the channel's members. It stays the same as long as its session goes on.
    pub id: ByteString,
    /// Its profile, a JSON value; `None` when it has none.
    pub data: Option<Bytes>,
}

impl Member {
    /// A member of that id and profile.
    pub fn new(id: impl Into<ByteString>, data: Option<Bytes>) -> Self {
        Self { id: id.into(), data }
    }

    /// Its profile; `None` when it has none.
    ///
    /// # Errors
    ///
    /// When it is not of that type.
    pub fn profile<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        self.data.as_ref().map(|data| serde_json::from_slice(data)).transpose()
    }
}

/// A query that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryFailure {
    /// The query; `None` where no single one is meant.
    pub query: Option<String>,
    /// Why.
    pub error: QueryError,
}

impl QueryFailure {
    /// That query failed for that reason.
    #[must_use]
    pub const fn new(query: Option<String>, error: QueryError) -> Self {
        Self { query, error }
    }
}

/// What became of a session (R45).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Recovery {
    /// It goes on: what was missed follows, each message once and in order, and then what is new.
    Recovered,
    /// A new one begins: the other end has been restarted, or was away for too long. Messages may be missing.
    Fresh {
        /// Messages of this end that were handed to a link and not acknowledged: each may have arrived.
        unconfirmed: u64,
    },
    /// It goes on, and here the numbered messages `from` up to and without `to` are lost: this end was too
    /// slow for them.
    Gap {
        /// The number of the first one that is lost.
        from: u64,
        /// The number of the first one that is not.
        to: u64,
    },
}

/// An open connection, as its client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connected {
    /// The id that the server gave; `None` in raw, which has none.
    pub id: Option<ConnectionId>,
    /// The properties that the server gave.
    pub properties: Vec<(String, String)>,
}

impl Connected {
    /// A connection of that id.
    #[must_use]
    pub const fn new(id: Option<ConnectionId>, properties: Vec<(String, String)>) -> Self {
        Self { id, properties }
    }
}

/// The end of an open connection, and what was lost with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disconnect {
    /// Why.
    pub reason: Reason,
    /// The close code and text, where there were any.
    pub close: Option<CloseFrame>,
    /// Messages accepted by `send` that were never handed to the link: they did not arrive.
    pub unsent: u64,
    /// Messages handed to the link that the other end has not acknowledged: each may have arrived
    /// or not. Always 0 in raw, where nothing is acknowledged.
    pub unconfirmed: u64,
    /// Whether it will now try to connect again.
    pub reconnects: bool,
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        if let Some(close) = &self.close {
            write!(f, ": {close}")?;
        }
        Ok(())
    }
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorEvent {
    /// Where.
    pub origin: Origin,
    /// For programs: a code of `docs/protocol.md`, or the peer's own.
    pub code: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// More, as a JSON value.
    pub details: Option<Bytes>,
}

impl ErrorEvent {
    /// An error without details.
    pub fn new(
        origin: Origin,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self { origin, code: code.into(), message: message.into(), details: None }
    }

    /// How long the peer asks to wait before it is tried again, where its details say so: of `rate_limit_exceeded`, and of
    /// every refusal for now.
    ///
    /// ```
    /// use std::time::Duration;
    /// use moorline_core::{ErrorEvent, Origin};
    ///
    /// let mut error = ErrorEvent::new(Origin::Peer, "rate_limit_exceeded", "too many messages");
    /// assert_eq!(error.retry_after(), None);
    /// error.details = Some(r#"{"retry_after":250}"#.into());
    /// assert_eq!(error.retry_after(), Some(Duration::from_millis(250)));
    /// ```
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.details.as_ref().and_then(|details| retry_after(details))
    }
}

/// What an error's details say of it, in whole milliseconds.
pub(crate) fn retry_after(details: &[u8]) -> Option<Duration> {
    #[derive(serde::Deserialize)]
    struct Details {
        retry_after: u64,
    }
    let details: Details = serde_json::from_slice(details).ok()?;
    Some(Duration::from_millis(details.retry_after))
}

impl fmt::Display for ErrorEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// Where something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// An attempt to connect failed.
    Connect,
    /// The link broke.
    Transport,
    /// The other end broke the protocol.
    Protocol,
    /// The other end reported it.
    Peer,
    /// A listener or a hook of the application's panicked or failed.
    Application,
}

/// A message that its listener could not read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageError {
    /// The message as it came.
    pub message: Message,
    /// Why it could not be read.
    pub cause: String,
}

impl MessageError {
    /// That message could not be read, for that cause.
    pub fn new(message: Message, cause: impl Into<String>) -> Self {
        Self { message, cause: cause.into() }
    }
}
