//! Why a link could not be made, or broke.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a link could not be made, or broke. The kind says whether another attempt can help.
pub struct TransportError(Box<Parts>);

/// Apart, since every result of a transport's is moved with room for an error.
struct Parts {
    kind: TransportErrorKind,
    message: String,
    retry_after: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What went wrong with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// Nobody is there: the name is unknown, the connection is refused, the network is down.
    Unreachable,
    /// The other end took too long.
    TimedOut,
    /// The other end is there and says no for good (a wrong path, a missing permission).
    Refused,
    /// The other end is there and says no for now (too many, restarting).
    Unavailable,
    /// The link had been closed.
    Closed,
    /// The link broke.
    Broken,
    /// A frame or a header was larger than the limit.
    TooLarge,
    /// The other end broke the transport's protocol.
    Protocol,
    /// TLS does not know who the other end is: its certificate is another host's, too old, or signed by nobody who is
    /// trusted. It may pass: a network that wants a log-in first answers in every host's place.
    Untrusted,
    /// The transport is configured wrongly (an address that is none, a missing certificate).
    Configuration,
}

impl TransportErrorKind {
    /// Whether another attempt can help without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Unreachable
            | Self::TimedOut
            | Self::Unavailable
            | Self::Closed
            | Self::Broken
            | Self::TooLarge
            | Self::Protocol
            | Self::Untrusted => true,
            Self::Refused | Self::Configuration => false,
        }
    }

    /// The code that stands for it in events.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::TooLarge => "too_large",
            Self::Protocol => "protocol",
            Self::Untrusted => "untrusted",
            Self::Configuration => "configuration",
        }
    }

    const fn describe(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed out",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable for now",
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::TooLarge => "too large",
            Self::Protocol => "protocol broken",
            Self::Untrusted => "not trusted",
            Self::Configuration => "wrong configuration",
        }
    }
}

impl TransportError {
    /// An error of that kind; the message is one level, for people.
    pub fn new(kind: TransportErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Parts { kind, message: message.into(), retry_after: None, source: None }))
    }

    /// The link had been closed.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(TransportErrorKind::Closed, "")
    }

    /// Nobody is there.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(TransportErrorKind::Unreachable, message)
    }

    /// The other end says no for good.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(TransportErrorKind::Refused, message)
    }

    /// A frame of `size` bytes was larger than `limit`.
    #[must_use]
    pub fn too_large(size: usize, limit: usize) -> Self {
        Self::new(TransportErrorKind::TooLarge, format!("a frame of {size} bytes, limit {limit}"))
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error with the delay that the other end asked for.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> TransportErrorKind {
        self.0.kind
    }

    /// Whether another attempt can help; see [`TransportErrorKind::is_retryable`].
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// The delay that the other end asked for before another attempt.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Debug for TransportError {
    /// What `main` prints of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { kind, message, retry_after, source } = &*self.0;
        let mut debug = f.debug_struct("TransportError");
        debug.field("kind", kind).field("message", message);
        if let Some(delay) = retry_after {
            debug.field("retry_after", delay);
        }
        if let Some(source) = source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.0.kind.describe())?;
        if self.0.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.0.message) }
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<std::io::Error> for TransportError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let kind = match error.kind() {
            ErrorKind::NotFound
            | ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable => TransportErrorKind::Unreachable,
            ErrorKind::TimedOut => TransportErrorKind::TimedOut,
            ErrorKind::PermissionDenied
            | ErrorKind::AddrInUse
            | ErrorKind::InvalidInput
            | ErrorKind::Unsupported => TransportErrorKind::Configuration,
            ErrorKind::InvalidData => TransportErrorKind::Protocol,
            _ => TransportErrorKind::Broken,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}
