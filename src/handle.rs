//! What both ends of a connection can do.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker, ready};
use std::time::Duration;

use bytestring::ByteString;
use futures_util::stream;
use moorline_core::machine::Outgoing;
use moorline_core::wire::{Codec, Packet};
use moorline_core::{Class, Config, ConnectionId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::delivery::Delivery;
use crate::event::{self, EventKind, Kind};
use crate::listeners::{self, Callback, Outcome, Token};
use crate::sending::About;
use crate::shared::{Command, Shared, State};
use crate::streams::{Events, Messages, Statuses};
use crate::sync::{Place, lock, wait_until, wake};
use crate::{Event, Message, PingError, Receipt, SendError, Stats, Status};

/// What both ends of a connection can do: send, listen, look.
///
/// A client's [`Connection`](crate::Connection) and a server's
/// [`ServerConnection`](crate::ServerConnection) both dereference to it.
///
/// # Listeners
///
/// A listener is a closure, sync or async, that may do anything: send, disconnect, add and remove listeners.
/// All listeners of a connection run in one task of its own, in order, an async one awaited before the next
/// event; nothing else waits for them. A listener that panics becomes an
/// [`Error`](Event::Error) event, and the others still run.
///
/// An async listener that uses something captured clones it for each call:
///
/// ```
/// # use std::sync::{Arc, Mutex};
/// # fn listen(connection: &moorline::Handle) {
/// let log = Arc::new(Mutex::new(Vec::new()));
/// connection.on_message(move |message| {
///     let log = log.clone();
///     async move { log.lock().unwrap().push(message.to_string()) }
/// });
/// # }
/// ```
///
/// A listener that holds a [`Connection`](crate::Connection) keeps it open for ever, since it is kept by
/// what it keeps; hold a [`WeakConnection`](crate::WeakConnection) instead.
///
/// # Taking messages
///
/// A message is **taken** when the listeners that hear it have run, or when
/// [`next_message`](Self::next_message) has given it out; then it is acknowledged. What is not taken fills the
/// window (256 KiB by default), and the peer's `send` waits. A message that nobody listens for within 30 s
/// counts as [`Unheard`](Event::Unheard) and is dropped, so that an application that only sends does not stall
/// its peer.
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sends a message; waits while the queue is full.
    ///
    /// `Ok` means accepted: it goes out in order with the others, and the [`Receipt`] tells what becomes of it. While
    /// the connection is lost and may come back, messages wait in the [`Buffer`](crate::Buffer). The first one opens a lazy
    /// connection (R2), and waits for that where there is no buffer.
    ///
    /// ```
    /// # use moorline::{Class, Handle, Message, SendError};
    /// # async fn send(connection: &Handle) -> Result<(), SendError> {
    /// connection.send("text").await?;
    /// connection.send(vec![1, 2, 3]).await?;
    /// connection.send(Message::from("on a channel").on("news").class(Class::Volatile)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the connection is closed (or lost, without a buffer), or the message is too large or cannot be
    /// written.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was sent.
    pub fn send(
        &self,
        message: impl Into<Message>,
    ) -> impl Future<Output = Result<Receipt<'_>, SendError>> + Send {
        // Encoded here and not in the future, which then need not carry the message.
        self.enqueue(self.encode(message.into()))
    }

    /// Sends a value as JSON on a channel; see [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As `send`, and when the value cannot be written as JSON.
    pub async fn send_json<T: Serialize + ?Sized>(
        &self,
        channel: impl Into<ByteString>,
        value: &T,
    ) -> Result<Receipt<'_>, SendError> {
        let message = Message::from_json(value).map_err(|error| SendError::Json(error.to_string()));
        let outgoing = message.and_then(|message| self.encode(message.on(channel)));
        self.send_encoded(outgoing?).await
    }

    /// Sends a message if there is room for it now. For listeners that are not async.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::Full`] where that would wait for room. The first use of a lazy connection
    /// without a buffer opens it and gives [`SendError::NotConnected`].
    pub fn try_send(&self, message: impl Into<Message>) -> Result<Receipt<'_>, SendError> {
        let outgoing = self.encode(message.into())?;
        let numbered = self.is_numbered(&outgoing);
        self.open_if_lazy();
        let mut state = lock(&self.shared.state);
        // Those who wait for room came first.
        let sent = if state.room.is_empty() { state.send(&mut Ok(outgoing)) } else { None };
        let full = if state.opens_lazily() && self.config().buffer.count == 0 {
            SendError::NotConnected
        } else {
            SendError::Full { queued: state.queued(), limit: self.config().queue }
        };
        drop(state);
        let (ticket, waker) = sent.ok_or(full)??;
        wake(waker);
        Ok(Receipt::new(&self.shared, ticket, numbered))
    }

    pub(crate) async fn send_encoded(&self, outgoing: Outgoing) -> Result<Receipt<'_>, SendError> {
        self.enqueue(Ok(outgoing)).await
    }

    /// By hand and not an `async fn`: a message is moved once less with each layer that there is not.
    pub(crate) fn enqueue(
        &self,
        outgoing: Result<Outgoing, SendError>,
    ) -> impl Future<Output = Result<Receipt<'_>, SendError>> + Send {
        let mut outgoing = outgoing;
        let mut place = Place::in_line(&self.shared.state, |state: &mut State| &mut state.room);
        poll_fn(move |context| {
            let numbered = match &outgoing {
                Ok(message) => self.is_numbered(message),
                Err(error) => return Poll::Ready(Err(error.clone())),
            };
            self.open_if_lazy();
            let accepted = ready!(place.poll(context, |state| state.send(&mut outgoing)));
            let (ticket, waker) = accepted?;
            wake(waker);
            Poll::Ready(Ok(Receipt::new(&self.shared, ticket, numbered)))
        })
    }

    fn is_numbered(&self, outgoing: &Outgoing) -> bool {
        outgoing.class == Class::AtLeastOnce
            && self.codec().is_some_and(|codec| codec.has_session())
    }

    fn encode(&self, message: Message) -> Result<Outgoing, SendError> {
        let about = About::of(&message, &*self.shared.runtime);
        self.encode_packet(Packet::Message(message), &about)
    }

    pub(crate) fn encode_packet(
        &self,
        packet: Packet,
        about: &About,
    ) -> Result<Outgoing, SendError> {
        let codec = self.codec().ok_or(SendError::NotConnected)?;
        let frame = codec.encode(packet)?;
        Ok(about.outgoing(frame))
    }

    /// Waits for the next message that no listener hears. `None` when the connection is closed and will
    /// not come back by itself; after a connect by hand there are messages again.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, no message is lost.
    pub fn next_message(&self) -> impl Future<Output = Option<Message>> + Send {
        let mut place =
            Place::in_line(&self.shared.delivery, |delivery: &mut Delivery| &mut delivery.readers);
        poll_fn(move |context| {
            let mut wake_driver = false;
            let next = place.poll(context, |delivery| delivery.next_message(&mut wake_driver));
            if wake_driver {
                self.shared.wake_driver();
            }
            next
        })
    }

    /// All of [`next_message`](Self::next_message) as a stream. It takes a message only when it gives it out,
    /// so it never lags: a slow reader slows the peer.
    pub fn messages(&self) -> Messages {
        let handle = Self::new(self.shared.clone());
        Messages(Box::pin(stream::unfold(handle, |handle| async {
            handle.next_message().await.map(|message| (message, handle))
        })))
    }

    /// All events from now on as a bounded stream; see [`Events`].
    pub fn events(&self) -> Events {
        Events(lock(&self.shared.delivery).add_stream())
    }

    /// The status now, and each newest one; see [`Statuses`].
    pub fn statuses(&self) -> Statuses {
        Statuses(lock(&self.shared.delivery).add_status_stream())
    }

    /// The status now (R9). Never waits.
    #[must_use]
    pub fn status(&self) -> Status {
        lock(&self.shared.state).status
    }

    /// Whether messages can be sent: true only when open or throttled (R10).
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.status().is_connected()
    }

    /// The connection's id, equal on both ends (R11). A client's is `None` while it is disconnected, and new
    /// after each reconnect; a server's stays.
    #[must_use]
    pub fn id(&self) -> Option<ConnectionId> {
        lock(&self.shared.state).id.clone()
    }

    /// A property that the server has set (R14).
    #[must_use]
    pub fn property(&self, name: &str) -> Option<String> {
        let state = lock(&self.shared.state);
        state.properties.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
    }

    /// All properties that the server has set (R14).
    #[must_use]
    pub fn properties(&self) -> Vec<(String, String)> {
        lock(&self.shared.state).properties.clone()
    }

    /// The session's id: the same after a reconnect that has recovered (R12). `None` before the first open, after
    /// the end, and where the server keeps no sessions.
    #[must_use]
    pub fn session(&self) -> Option<String> {
        lock(&self.shared.state).session.clone()
    }

    /// What was counted so far (R46). Never waits.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// The configuration in force (R13).
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Bytes of messages that wait to be handed to the link; at most [`queue`](Config::queue) and one message.
    /// Broadcasts that push older messages out may make it twice that for a moment.
    #[must_use]
    pub fn queued(&self) -> usize {
        lock(&self.shared.state).queued()
    }

    /// Asks the peer for a sign of life, and measures the round trip (R44). Calls that overlap share one
    /// ping.
    ///
    /// # Errors
    ///
    /// When the connection is not open, is lost first, or (raw) its transport has no pings.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn ping(&self) -> Result<Duration, PingError> {
        let state = &self.shared.state;
        let (before, waker) = {
            let mut state = lock(state);
            if !state.status.is_connected() {
                return Err(PingError::NoAnswer);
            }
            (state.round_trips, state.command(Command::Ping))
        };
        wake(waker);
        let answer = wait_until(
            state,
            |state| &mut state.pingers,
            |state| (state.round_trips != before).then_some(state.round_trip),
        );
        answer.await.ok_or(PingError::NoAnswer)
    }

    /// Listens for an event: `connection.on(event::Disconnect, |end| …)`.
    pub fn on<E, F, R, M>(&self, event: E, listener: F) -> Token
    where
        E: EventKind,
        F: Fn(E::Payload) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        self.add(Callback::of_kind(event, listener), false)
    }

    /// Listens for an event once: the listener is removed before it runs.
    pub fn once<E, F, R, M>(&self, event: E, listener: F) -> Token
    where
        E: EventKind,
        F: Fn(E::Payload) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        self.add(Callback::of_kind(event, listener), true)
    }

    /// Listens for everything, messages included.
    pub fn on_any<F, R, M>(&self, listener: F) -> Token
    where
        F: Fn(Event) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        self.add(Callback::of_any(listener), false)
    }

    /// Listens for messages, on any channel and on none.
    pub fn on_message<F, R, M>(&self, listener: F) -> Token
    where
        F: Fn(Message) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        self.on(event::Message, listener)
    }

    /// Listens for the messages of exactly that channel, read as JSON into the listener's own type (R24).
    /// One that cannot be read becomes a [`MessageError`](Event::MessageError) event (R25).
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Price { item: String, cents: u64 }
    ///
    /// # fn listen(connection: &moorline::Handle) {
    /// connection.on_channel("prices", |price: Price| println!("{}: {}", price.item, price.cents));
    /// # }
    /// ```
    pub fn on_channel<T, F, R, M>(&self, channel: impl Into<ByteString>, listener: F) -> Token
    where
        T: DeserializeOwned,
        F: Fn(T) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        self.add(Callback::of_channel(channel.into(), listener), false)
    }

    /// Listens for changes of the status.
    pub fn on_status<F, R, M>(&self, listener: F) -> Token
    where
        F: Fn(Status) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        self.on(event::StatusChange, listener)
    }

    /// Listens for the end of an open connection.
    pub fn on_disconnect<F, R, M>(&self, listener: F) -> Token
    where
        F: Fn(crate::Disconnect) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        self.on(event::Disconnect, listener)
    }

    /// Removes a listener; whether it was there. One that is being called just now still runs.
    pub fn off(&self, token: Token) -> bool {
        self.remove(|other, _| other == token) > 0
    }

    /// Removes all listeners of an event; how many there were.
    pub fn off_event<E: EventKind>(&self, _event: E) -> usize {
        self.remove(|_, kind| kind == E::KIND)
    }

    /// Removes all listeners for everything ([`on_any`](Self::on_any)); how many there were.
    pub fn off_any(&self) -> usize {
        self.remove(|_, kind| kind == Kind::Any)
    }

    /// Removes all listeners of all kinds, [listener objects](crate::ConnectionListener) too; how many there were.
    pub fn off_all(&self) -> usize {
        self.remove(|_, _| true)
    }

    /// How many listeners an event has.
    #[must_use]
    pub fn listeners<E: EventKind>(&self, _event: E) -> usize {
        lock(&self.shared.delivery).registry().count(E::KIND)
    }

    pub(crate) fn add(&self, callback: Callback, once: bool) -> Token {
        let mut wakes = Vec::new();
        let (token, start) = lock(&self.shared.delivery).add_listener(callback, once, &mut wakes);
        self.listens(start, wakes);
        token
    }

    /// A listener was added: starts the task that runs them, if that has to be.
    pub(crate) fn listens(&self, start: bool, wakes: Vec<Waker>) {
        wakes.into_iter().for_each(Waker::wake);
        if start {
            let task = listeners::run(self.shared.clone());
            self.shared.runtime.spawn("listeners", Box::pin(task));
        }
    }

    fn remove(&self, which: impl Fn(Token, Kind) -> bool) -> usize {
        let mut wakes = Vec::new();
        // Bound to a name, so that the listeners are dropped after the lock: what they hold is user code.
        let removed = lock(&self.shared.delivery).remove_listeners(which, &mut wakes);
        wakes.into_iter().for_each(Waker::wake);
        // What went back to the inbox may be too old there.
        self.shared.wake_driver();
        removed.len()
    }

    /// Whether both ends shake hands, number and acknowledge: not in raw.
    pub(crate) fn has_session(&self) -> bool {
        self.codec().is_none_or(|codec| codec.has_session())
    }

    pub(crate) fn codec(&self) -> Option<&Arc<dyn Codec>> {
        self.shared.codec.get()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.shared.state);
        f.debug_struct("Handle").field("status", &state.status).field("id", &state.id).finish()
    }
}
