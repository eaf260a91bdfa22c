//! Listener objects, added and removed by an id (R20).

use std::sync::Arc;
use std::task::Waker;

use moorline_core::{Connected, Disconnect};

use super::Callback;
use crate::sync::lock;
use crate::{ErrorEvent, Event, Handle};

/// Hears what becomes of a connection, in one object: see
/// [`add_connection_listener`](Handle::add_connection_listener) (R20).
///
/// Each method does nothing unless it is written. They run as all listeners do: one after another, in the order of the
/// events, without a lock; one that panics becomes an [`Error`](Event::Error) event. They are not async, and what
/// takes long holds up the listeners after it: spawn that.
///
/// An `Arc` of a listener is one too, for who wants to keep it.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use moorline::{ConnectionListener, Connected, Disconnect};
///
/// #[derive(Default)]
/// struct Lamp { green: AtomicBool }
///
/// impl ConnectionListener for Lamp {
///     fn on_connected(&self, _: &Connected) {
///         self.green.store(true, Ordering::Relaxed);
///     }
///     fn on_disconnected(&self, _: &Disconnect) {
///         self.green.store(false, Ordering::Relaxed);
///     }
/// }
/// ```
pub trait ConnectionListener: Send + Sync + 'static {
    /// It began to connect, by hand or after a loss: [`Event::Connecting`].
    fn on_connecting(&self) {}

    /// It is open, at first or again: [`Event::Connect`].
    fn on_connected(&self, connected: &Connected) {
        let _ = connected;
    }

    /// It is no longer open: [`Event::Disconnect`]. Whether it comes back by itself says
    /// [`reconnects`](Disconnect::reconnects).
    fn on_disconnected(&self, end: &Disconnect) {
        let _ = end;
    }

    /// The server holds these features back now; none: it holds back nothing any more ([`Event::Throttled`]).
    fn on_feature_throttled(&self, features: &[String]) {
        let _ = features;
    }

    /// Something went wrong: [`Event::Error`]. A panic of a listener's too, this one's included.
    fn on_connection_error(&self, error: &ErrorEvent) {
        let _ = error;
    }
}

impl<L: ConnectionListener + ?Sized> ConnectionListener for Arc<L> {
    fn on_connecting(&self) {
        (**self).on_connecting();
    }

    fn on_connected(&self, connected: &Connected) {
        (**self).on_connected(connected);
    }

    fn on_disconnected(&self, end: &Disconnect) {
        (**self).on_disconnected(end);
    }

    fn on_feature_throttled(&self, features: &[String]) {
        (**self).on_feature_throttled(features);
    }

    fn on_connection_error(&self, error: &ErrorEvent) {
        (**self).on_connection_error(error);
    }
}

/// Why a listener object was not added: there is one of that id (R20).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a connection listener {id:?} is there already: choose another id, or call \
     `remove_connection_listener({id:?})` first"
)]
#[non_exhaustive]
pub struct DuplicateListener {
    /// The id.
    pub id: String,
}

/// Listener objects.
impl Handle {
    /// Adds a listener object under an id of its own (R20). It is kept over losses, `close` and `connect`, until it is
    /// removed, or [`off_all`](Self::off_all) removes everything. There may be several: they are called in the order
    /// in which they were added, among the other listeners.
    ///
    /// ```
    /// # use moorline::{ConnectionListener, ErrorEvent, Handle};
    /// struct Log;
    ///
    /// impl ConnectionListener for Log {
    ///     fn on_connection_error(&self, error: &ErrorEvent) {
    ///         eprintln!("{error}");
    ///     }
    /// }
    ///
    /// # fn listen(connection: &Handle) -> Result<(), moorline::DuplicateListener> {
    /// connection.add_connection_listener("log", Log)?;
    /// assert!(connection.add_connection_listener("log", Log).is_err());
    /// assert!(connection.remove_connection_listener("log"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`DuplicateListener`] when there is one of that id: that one stays.
    pub fn add_connection_listener(
        &self,
        id: impl Into<String>,
        listener: impl ConnectionListener,
    ) -> Result<(), DuplicateListener> {
        let callback = Callback::of_object(id.into(), listener);
        let mut wakes: Vec<Waker> = Vec::new();
        let mut delivery = lock(&self.shared.delivery);
        match callback.id.as_deref().filter(|id| delivery.registry().named(id).is_some()) {
            Some(id) => {
                let id = id.to_owned();
                // The listener is user code, and dropped without the lock.
                drop(delivery);
                Err(DuplicateListener { id })
            }
            None => {
                let (_, start) = delivery.add_listener(callback, false, &mut wakes);
                drop(delivery);
                self.listens(start, wakes);
                Ok(())
            }
        }
    }

    /// Removes the listener object of that id; whether it was there. One that is being called just now still runs, and
    /// so does one that is next to hear that same event.
    pub fn remove_connection_listener(&self, id: &str) -> bool {
        let token = lock(&self.shared.delivery).registry().named(id);
        token.is_some_and(|token| self.off(token))
    }
}

/// Calls the method for an event.
pub(super) fn tell(listener: &impl ConnectionListener, event: &Event) {
    match event {
        Event::Connecting => listener.on_connecting(),
        Event::Connect(connected) => listener.on_connected(connected),
        Event::Disconnect(end) => listener.on_disconnected(end),
        Event::Throttled(features) => listener.on_feature_throttled(features),
        Event::Error(error) => listener.on_connection_error(error),
        _ => {}
    }
}

/// Whether there is a method for an event.
pub(super) const fn hears(event: &Event) -> bool {
    matches!(
        event,
        Event::Connecting
            | Event::Connect(_)
            | Event::Disconnect(_)
            | Event::Throttled(_)
            | Event::Error(_)
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use moorline_core::Origin;

    use super::*;

    #[derive(Default)]
    struct Pen(Mutex<Vec<String>>);

    impl ConnectionListener for Pen {
        fn on_connecting(&self) {
            self.0.lock().unwrap().push("connecting".to_owned());
        }
        fn on_connected(&self, connected: &Connected) {
            self.0.lock().unwrap().push(format!("connected {:?}", connected.id));
        }
        fn on_disconnected(&self, end: &Disconnect) {
            self.0.lock().unwrap().push(format!("disconnected {}", end.reason));
        }
        fn on_feature_throttled(&self, features: &[String]) {
            self.0.lock().unwrap().push(format!("throttled {features:?}"));
        }
        fn on_connection_error(&self, error: &ErrorEvent) {
            self.0.lock().unwrap().push(format!("error {error}"));
        }
    }

    struct Deaf;
    impl ConnectionListener for Deaf {}

    #[test]
    fn r20_each_event_has_its_method_and_none_must_be_written() {
        let events = [
            Event::Connecting,
            Event::Connect(Connected::new(None, Vec::new())),
            Event::Throttled(vec!["presence".to_owned()]),
            Event::Throttled(Vec::new()),
            Event::Error(ErrorEvent::new(Origin::Peer, "busy", "too much")),
        ];
        let pen = Arc::new(Pen::default());
        for event in &events {
            assert!(hears(event));
            tell(&pen, event);
            tell(&Deaf, event);
        }
        let said = [
            "connecting",
            "connected None",
            "throttled [\"presence\"]",
            "throttled []",
            "error too much (busy)",
        ];
        assert_eq!(*pen.0.lock().unwrap(), said);
        assert!(!hears(&Event::ReconnectFailed));
    }

    #[test]
    fn r20_a_refusal_names_the_id_and_what_to_do() {
        let error = DuplicateListener { id: "lamp".to_owned() }.to_string();
        let text = "a connection listener \"lamp\" is there already: choose another id, or call \
                    `remove_connection_listener(\"lamp\")` first";
        assert_eq!(error, text);
    }
}
