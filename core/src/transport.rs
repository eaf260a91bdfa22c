//! The first plug: what carries frames between two ends.
//!
//! A transport is three small traits. [`Transport::connect`] makes a link and gives its two halves;
//! [`Sender`] and [`Receiver`] are the halves. They are apart because reads go on while a write is
//! stuck. All methods are plain `async fn`: no pinning, no polling, no boxing. The server's side is
//! an [`Acceptor`](crate::Acceptor).
//!
//! # Why this shape
//!
//! A session over a link counts what the other end has taken and replays the rest after a reconnect.
//! That is sound only if the link delivers an **unmodified prefix** of what was sent: it may end at
//! any point, and nothing in front of that point is missing, doubled, merged or out of order.
//! Everything else (heartbeats, back-off, acknowledgement, limits) is done above, once.
//!
//! # A whole transport
//!
//! Two queues make a link. This one reaches a single server end, handed out when it is made.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use futures_channel::mpsc;
//! use futures_util::{SinkExt, StreamExt};
//! use moorline_core::{
//!     CloseFrame, ConnectRequest, Frame, Incoming, Receiver, Sender, Transport, TransportError,
//! };
//!
//! struct Pipe(Mutex<Option<(PipeSender, PipeReceiver)>>);
//! struct PipeSender(mpsc::Sender<Incoming>);
//! struct PipeReceiver(mpsc::Receiver<Incoming>);
//!
//! impl Pipe {
//!     fn new() -> (Self, (PipeSender, PipeReceiver)) {
//!         let (up, up_end) = mpsc::channel(16);
//!         let (down, down_end) = mpsc::channel(16);
//!         let ours = (PipeSender(up), PipeReceiver(down_end));
//!         (Self(Mutex::new(Some(ours))), (PipeSender(down), PipeReceiver(up_end)))
//!     }
//! }
//!
//! impl Transport for Pipe {
//!     type Sender = PipeSender;
//!     type Receiver = PipeReceiver;
//!     async fn connect(
//!         &self,
//!         _request: &ConnectRequest,
//!     ) -> Result<(PipeSender, PipeReceiver), TransportError> {
//!         let link = self.0.lock().unwrap().take();
//!         link.ok_or_else(|| TransportError::unreachable("the pipe is in use"))
//!     }
//! }
//!
//! impl Sender for PipeSender {
//!     async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
//!         self.0.send(Incoming::Frame(frame)).await.map_err(|_| TransportError::closed())
//!     }
//!     async fn close(&mut self, close: CloseFrame) -> Result<(), TransportError> {
//!         self.0.send(Incoming::Close(close)).await.map_err(|_| TransportError::closed())
//!     }
//! }
//!
//! impl Receiver for PipeReceiver {
//!     async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
//!         Ok(self.0.next().await)
//!     }
//! }
//! # futures_util::FutureExt::now_or_never(async {
//! # let (pipe, mut server) = Pipe::new();
//! # let (mut sender, _receiver) = pipe.connect(&ConnectRequest::default()).await.unwrap();
//! # sender.send(Frame::text("hello")).await.unwrap();
//! # assert!(matches!(server.1.receive().await, Ok(Some(Incoming::Frame(_)))));
//! # }).unwrap();
//! ```
//!
//! # The wrong way
//!
//! A frame that is lost when a queue is full looks harmless and breaks the session's count: the two
//! ends then disagree about which message is the hundredth, and a replay loses or doubles one.
//!
//! ```text
//! async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
//!     let _ = self.0.try_send(Incoming::Frame(frame)); // WRONG: a frame missing from the middle
//!     Ok(())
//! }
//! ```
//!
//! Wait for room, as above, or end the link.

use std::future::Future;

use crate::{CloseFrame, Frame, TransportError};

/// Makes links to one place. The client's side of a transport.
///
/// # Behaviour
///
/// - Each call of [`connect`](Self::connect) MUST make a new link, independent of every other one;
///   calls MAY overlap.
/// - It MUST NOT retry by itself: retries, their delays and their limit are the session's. It MUST
///   look its address up anew each time.
/// - It need not have a time limit. The driver drops the future when the attempt's time is over, and
///   dropping it MUST release everything that it holds.
/// - An error MUST say by its kind whether another attempt can help
///   ([`TransportError::is_retryable`]).
/// - A link MUST end, for both halves, when both halves have been dropped.
pub trait Transport: Send + Sync + 'static {
    /// The half that sends.
    type Sender: Sender;
    /// The half that receives.
    type Receiver: Receiver;

    /// Makes a link and gives its two halves.
    ///
    /// # Errors
    ///
    /// When no link could be made; see [`TransportErrorKind`](crate::TransportErrorKind).
    fn connect(
        &self,
        request: &ConnectRequest,
    ) -> impl Future<Output = Result<(Self::Sender, Self::Receiver), TransportError>> + Send;

    /// What this transport can do; the default is what most can.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

/// The half of a link that sends.
///
/// # Behaviour
///
/// - What arrives at the other end MUST be an unmodified prefix of the frames sent: none missing from
///   the middle, none doubled, merged, split or reordered. Empty frames are frames.
/// - A future that was begun is polled until it ends, or the half is dropped with it: it need not
///   resume after a drop. Dropping it MUST release everything, at once and without blocking.
/// - After an error the half is not used again.
/// - A peer that does not read MUST make [`send`](Self::send) or [`flush`](Self::flush) wait, and
///   MUST NOT make memory grow.
pub trait Sender: Send + 'static {
    /// Takes one frame. It MAY be held back until [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// When the link has ended, or the frame is larger than the transport can carry.
    fn send(&mut self, frame: Frame) -> impl Future<Output = Result<(), TransportError>> + Send;

    /// Takes frames as [`send`](Self::send) does, one after another until there are none: the driver hands over
    /// each batch so. A transport that can take many at once for less than one by one has its own.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    fn send_all(
        &mut self,
        frames: &mut (impl Iterator<Item = Frame> + Send),
    ) -> impl Future<Output = Result<(), TransportError>> + Send {
        async {
            for frame in frames {
                self.send(frame).await?;
            }
            Ok(())
        }
    }

    /// Sends on what [`send`](Self::send) has held back. The driver calls it once after each batch.
    ///
    /// # Errors
    ///
    /// When the link has ended.
    fn flush(&mut self) -> impl Future<Output = Result<(), TransportError>> + Send {
        async { Ok(()) }
    }

    /// Sends the transport's own ping, which the peer's transport answers by itself: its answer MUST
    /// come out of the [`Receiver`] as [`Incoming::Activity`]. Only asked of a transport that
    /// declares [`Capabilities::ping`]. Flushed as a frame is.
    ///
    /// # Errors
    ///
    /// When the link has ended.
    fn ping(&mut self) -> impl Future<Output = Result<(), TransportError>> + Send {
        async { Ok(()) }
    }

    /// Says that nothing more will be sent, and why. It MUST come after all frames sent, and MUST
    /// flush. The peer's receiver gives [`Incoming::Close`], or only its end where the transport
    /// cannot carry a code ([`Capabilities::close_codes`]).
    ///
    /// # Errors
    ///
    /// When the link has ended already.
    fn close(
        &mut self,
        close: CloseFrame,
    ) -> impl Future<Output = Result<(), TransportError>> + Send;
}

/// The half of a link that receives.
///
/// # Behaviour
///
/// - [`receive`](Self::receive) MUST wait without work when there is nothing, and MUST NOT hold what
///   has arrived back.
/// - It MUST bound the memory that one frame can take by [`ConnectRequest::max_frame`] and fail with
///   [`TooLarge`](crate::TransportErrorKind::TooLarge) beyond it.
/// - Nothing that a peer sends may make it panic.
/// - After an error, a close or an end the half is not used again.
/// - A future that was begun is polled until it ends or the half is dropped with it.
pub trait Receiver: Send + 'static {
    /// Waits for what comes next. `None` is an end without a close.
    ///
    /// # Errors
    ///
    /// When the link has broken, or the peer has broken the transport's protocol.
    fn receive(&mut self) -> impl Future<Output = Result<Option<Incoming>, TransportError>> + Send;
}

/// What comes out of a [`Receiver`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A frame.
    Frame(Frame),
    /// A pong, a comment: proof of life, and nothing to deliver.
    Activity,
    /// The peer has closed; nothing comes after it.
    Close(CloseFrame),
}

/// What a connection asks of the transport for one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// Which attempt since the last open this is, from 1.
    pub attempt: u32,
    /// The largest frame in bytes that will be taken.
    pub max_frame: usize,
    /// The name of the protocol on top, for transports that negotiate one (a WebSocket's
    /// subprotocol); `None` in raw.
    pub protocol: Option<&'static str>,
}

impl ConnectRequest {
    /// The largest frame by default: 1 MiB of message, and room for its envelope.
    pub const MAX_FRAME: usize = (1 << 20) + 4096;
}

impl Default for ConnectRequest {
    fn default() -> Self {
        Self { attempt: 1, max_frame: Self::MAX_FRAME, protocol: None }
    }
}

/// What a transport can do. The session does without what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Binary frames travel as binary. Without it the session must use a codec of text.
    pub binary: bool,
    /// [`Sender::ping`] asks the peer's transport for a sign of life. Heartbeats in raw need it; a
    /// session has its own.
    pub ping: bool,
    /// A close arrives with its code and reason.
    pub close_codes: bool,
    /// The largest frame in bytes that the transport can carry; `None` without such a limit.
    pub max_frame: Option<usize>,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { binary: true, ping: false, close_codes: true, max_frame: None }
    }
}
