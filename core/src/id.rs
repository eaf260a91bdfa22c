//! The id of a connection.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The id of a connection: given by the server, equal on both ends, new after each reconnect (R11).
///
/// It is public and proves nothing. At most [`MAX_LEN`](Self::MAX_LEN) bytes. Cloning counts a reference.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(Arc<str>);

impl ConnectionId {
    /// The longest id in bytes: room for a UUID or a number, and a bound for what a peer may send.
    pub const MAX_LEN: usize = 64;

    /// An id; `None` when it is empty or longer than [`MAX_LEN`](Self::MAX_LEN).
    pub fn new(id: impl Into<Arc<str>>) -> Option<Self> {
        let id = id.into();
        (1..=Self::MAX_LEN).contains(&id.len()).then_some(Self(id))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({})", self.0)
    }
}

impl Borrow<str> for ConnectionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for ConnectionId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for ConnectionId {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}
