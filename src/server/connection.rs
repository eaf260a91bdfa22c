//! A server's connection.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::task::Waker;

use moorline_core::wire::Close;
use moorline_core::{ConnectionId, close_code};

use super::Visitor;
use super::extras::Extras;
use super::hub::{Attendee, Hub};
use crate::shared::Command;
use crate::sync::{lock, wake};
use crate::{DisconnectError, Handle, PropertyError, Status};

/// How many properties a connection may have: as many as a ready carries.
const MAX_PROPERTIES: usize = 64;

/// How many bytes the names and values of all of them may have.
const MAX_PROPERTY_BYTES: usize = 16 * 1024;

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
    pub(super) attendee: Arc<Attendee>,
    pub(super) hub: Arc<Hub>,
    pub(super) extras: Extras,
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

    /// The value of that type that the application keeps with this connection (R15); `None` if there is none. What changes is
    /// behind a lock or an atomic of its own, or set anew.
    #[must_use]
    pub fn props<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.inner.extras.get()
    }

    /// Keeps a value with this connection, one of each type; the one before.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// #[derive(Default)]
    /// struct Basket { teas: AtomicU32 }
    ///
    /// # fn serve(connection: &moorline::ServerConnection) {
    /// connection.set_props(Basket::default());
    /// if let Some(basket) = connection.props::<Basket>() {
    ///     basket.teas.fetch_add(1, Ordering::Relaxed);
    /// }
    /// # }
    /// ```
    pub fn set_props<T: Any + Send + Sync>(&self, value: T) -> Option<Arc<T>> {
        self.inner.extras.set(value)
    }

    /// The tags of this connection (R15): names and values of the application's own, which the client does not see.
    #[must_use]
    pub fn tags(&self) -> BTreeMap<String, String> {
        self.inner.extras.tags()
    }

    /// One of its tags.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<String> {
        self.inner.extras.tag(name)
    }

    /// Sets a tag; the value before.
    pub fn set_tag(&self, name: impl Into<String>, value: impl Into<String>) -> Option<String> {
        self.inner.extras.set_tag(name.into(), Some(value.into()))
    }

    /// Removes a tag; the value that it had.
    #[allow(clippy::must_use_candidate, reason = "most callers only want it gone")]
    pub fn remove_tag(&self, name: &str) -> Option<String> {
        self.inner.extras.set_tag(name.to_owned(), None)
    }

    /// Sets a property that the client can read (R14), or removes it with `None`. The client is told by a
    /// [`Properties`](crate::Event::Properties) event: of changes at once, or while it is away, by one.
    ///
    /// # Errors
    ///
    /// When there are 64 already, or they would have more than 16 KiB together.
    pub fn set_property(
        &self,
        name: impl Into<String>,
        value: Option<&str>,
    ) -> Result<(), PropertyError> {
        let name = name.into();
        let mut state = lock(&self.shared.state);
        if let Some(value) = value {
            let others = state.properties.iter().filter(|(own, _)| *own != name);
            let sizes = others.map(|(name, value)| name.len() + value.len());
            let (count, size) = sizes
                .fold((1, name.len() + value.len()), |(count, sum), size| (count + 1, sum + size));
            if count > MAX_PROPERTIES {
                return Err(PropertyError::TooMany { limit: MAX_PROPERTIES });
            }
            if size > MAX_PROPERTY_BYTES {
                return Err(PropertyError::TooLarge { size, limit: MAX_PROPERTY_BYTES });
            }
        }
        let at = state.properties.iter().position(|(own, _)| *own == name);
        match (at, value) {
            (Some(at), Some(value)) => value.clone_into(&mut state.properties[at].1),
            (Some(at), None) => drop(state.properties.remove(at)),
            (None, Some(value)) => state.properties.push((name, value.to_owned())),
            (None, None) => return Ok(()),
        }
        state.properties_changed = true;
        let waker = state.command(Command::Standing);
        drop(state);
        wake(waker);
        Ok(())
    }

    /// A handle that does not keep what the application has given this connection: for its own listeners.
    #[must_use]
    pub fn downgrade(&self) -> WeakServerConnection {
        WeakServerConnection { inner: Arc::downgrade(&self.inner) }
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

/// A [`ServerConnection`] that does not keep what the application has given it.
#[derive(Clone)]
pub struct WeakServerConnection {
    inner: Weak<Inner>,
}

impl WeakServerConnection {
    /// The connection, unless it is over and its last handle gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<ServerConnection> {
        self.inner.upgrade().map(|inner| ServerConnection { inner })
    }
}

impl fmt::Debug for WeakServerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakServerConnection")
    }
}
