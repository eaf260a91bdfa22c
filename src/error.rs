//! What can go wrong, one small type for each operation.

use std::borrow::Cow;
use std::time::Duration;

use moorline_core::machine::Failure;
use moorline_core::wire::EncodeError;

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no connection, or it is lost and its [`Buffer`](crate::Buffer) is off. The message is not kept:
    /// send it again after the next [`Connect`](crate::Event::Connect).
    #[error(
        "not connected: wait for `Event::Connect`, or call `connect` where it is closed, then send again"
    )]
    NotConnected,
    /// The queue is full: of [`try_send`](crate::Handle::try_send), where `send` waits instead; or the
    /// [`Buffer`](crate::Buffer) of a lost connection is, which rejects what it has no room for.
    #[error(
        "{queued} bytes wait to be sent, limit {limit} (`queue`, or `buffer` while the connection is lost)"
    )]
    Full {
        /// Bytes that wait.
        queued: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The message is larger than the peer takes.
    #[error("the message has {size} bytes with its envelope, limit {limit} (`max_frame`)")]
    TooLarge {
        /// Its size on the wire, in bytes.
        size: usize,
        /// The largest frame in bytes.
        limit: usize,
    },
    /// The codec cannot write it.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The value cannot be written as JSON.
    #[error("the value cannot be written as JSON: {0}")]
    Json(String),
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// No answer came in time. One that comes later is dropped, and counted.
    #[error("no answer within {0:?}: has the other end a handler, by `on_request`?")]
    TimedOut(Duration),
    /// The connection has closed for good.
    #[error("the connection closed before the answer came")]
    Closed,
    /// The other end could not answer, did not want to, or nobody there does.
    #[error("{message} ({code})")]
    Failed {
        /// For programs: `"no_handler"`, `"failed"`, `"rate_limit_exceeded"`.
        code: String,
        /// For people.
        message: String,
        /// How long the other end asks to wait before it is tried again.
        retry_after: Option<Duration>,
    },
    /// The answer is not of the type that was asked for.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
}

/// Why a channel was not joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// No channel can have this name.
    #[error("the channel's name: {0}")]
    Name(String),
    /// The codec has no channels.
    #[error("the codec has no channels: choose `Json` or `Binary`")]
    Unsupported,
    /// The server does not let this end on it, or has taken it off.
    #[error("{message} ({code})")]
    Refused {
        /// For programs: the server's own, or `"rate_limit_exceeded"`.
        code: String,
        /// For people.
        message: String,
        /// How long the server asks to wait before it is tried again.
        retry_after: Option<Duration>,
    },
    /// This end has left it meanwhile.
    #[error("the channel was left meanwhile")]
    Left,
    /// The connection is closed. The channel is joined when it is opened again.
    #[error("the connection is closed: the channel is joined when it is opened again")]
    Closed,
}

/// Why it is not known who is on a channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembersError {
    /// The server does not tell: this end is not on the channel, or too many are.
    #[error("the server does not tell who is there: join the channel first, or too many are on it")]
    Hidden,
    /// No answer came in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
}

/// Why a profile was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The value cannot be written as JSON.
    #[error("the profile cannot be written as JSON: {0}")]
    Json(String),
    /// It is too large.
    #[error("the profile has {size} bytes as JSON, limit {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

/// Why a connection cannot have a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PropertyError {
    /// It has as many as it may have.
    #[error("the connection has {limit} properties already, and may have no more")]
    TooMany {
        /// How many it may have.
        limit: usize,
    },
    /// They are too large.
    #[error("the properties would have {size} bytes together, limit {limit}")]
    TooLarge {
        /// The bytes of all names and values.
        size: usize,
        /// How many they may have.
        limit: usize,
    },
}

/// Why a connection did not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// It is connecting already (R4).
    #[error("already connecting: wait with `opened`")]
    AlreadyConnecting,
    /// It is open already (R4).
    #[error("already connected")]
    AlreadyConnected,
    /// It is closing: connect again after [`Disconnect`](crate::Event::Disconnect).
    #[error("still closing: connect again after `Event::Disconnect`")]
    Closing,
    /// The attempts have failed, and no further one will be made.
    #[error("{message} ({code})")]
    Failed {
        /// For programs: a code of `docs/protocol.md`, or the server's own.
        code: Cow<'static, str>,
        /// For people.
        message: String,
        /// Whether connecting again by hand can help: false when the server refused for good.
        retryable: bool,
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
    /// The connection was disconnected by hand, or its runtime ended, before it was open.
    #[error("disconnected before it was open")]
    Disconnected,
}

impl ConnectError {
    /// Whether connecting again later can help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::AlreadyConnecting | Self::AlreadyConnected | Self::Closing => false,
            Self::Failed { retryable, .. } => *retryable,
            Self::Disconnected => true,
        }
    }
}

impl From<Failure> for ConnectError {
    fn from(failure: Failure) -> Self {
        let Failure { code, message, retryable, retry_after, .. } = failure;
        Self::Failed { code, message, retryable, retry_after }
    }
}

/// Why there is no round-trip time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PingError {
    /// There is no open connection, or it was lost before the answer came.
    #[error("no answer: not connected, or the connection was lost")]
    NoAnswer,
}

/// Why a server's connection was not disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DisconnectError {
    /// It is dead already (R7).
    #[error("the connection is not alive")]
    NotAlive,
    /// The code is not one of the application's.
    #[error("close code {0} is not an application's: use 4000 to 4999")]
    Code(u16),
}

/// Why a feature cannot be held back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThrottleError {
    /// The server's [`Throttle`](crate::server::Throttle) has no optional feature of that name.
    #[error("`{0}` is no optional feature: name it with `Throttle::optional`")]
    Unknown(String),
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It runs already (R33).
    #[error("the server runs already")]
    AlreadyRunning,
    /// It is being started (R33).
    #[error("the server is starting already")]
    AlreadyStarting,
    /// It is being stopped: run it again after [`stop`](crate::Server::stop) has resolved.
    #[error("the server is stopping: run it again after `stop` has resolved")]
    Stopping,
    /// It cannot listen, or not any more.
    #[error("cannot listen: {0}")]
    Listen(#[source] moorline_core::TransportError),
}

/// Why a server was not stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// It does not run (R33).
    #[error("the server does not run")]
    NotRunning,
}

/// A listener object or event that could not be registered is told by this.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}
