//! The server's side of a transport: takes links in.
//!
//! Taking a link in has two steps, because a peer that dawdles over its handshake must not hold up
//! the next one: [`Acceptor::accept`] gives a [`Pending`] link at once, and the server runs each
//! [`Pending::handshake`] in a task of its own, under one limit and one time-out for all.
//!
//! # A whole acceptor
//!
//! Links come through a queue, as pairs of halves. (The halves are those of
//! [`transport`](crate::transport).)
//!
//! ```
//! use futures_channel::mpsc;
//! use futures_util::StreamExt;
//! use moorline_core::{Acceptor, Peer, Pending, TransportError};
//! # use moorline_core::{CloseFrame, Frame, Incoming, Receiver, Sender};
//! # struct PipeSender; struct PipeReceiver;
//! # impl Sender for PipeSender {
//! #     async fn send(&mut self, _: Frame) -> Result<(), TransportError> { Ok(()) }
//! #     async fn close(&mut self, _: CloseFrame) -> Result<(), TransportError> { Ok(()) }
//! # }
//! # impl Receiver for PipeReceiver {
//! #     async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> { Ok(None) }
//! # }
//!
//! struct PipeAcceptor(mpsc::Receiver<PendingPipe>);
//! struct PendingPipe(PipeSender, PipeReceiver);
//!
//! impl Acceptor for PipeAcceptor {
//!     type Pending = PendingPipe;
//!     async fn accept(&mut self) -> Result<PendingPipe, TransportError> {
//!         self.0.next().await.ok_or_else(TransportError::closed)
//!     }
//! }
//!
//! impl Pending for PendingPipe {
//!     type Sender = PipeSender;
//!     type Receiver = PipeReceiver;
//!     async fn handshake(self) -> Result<(PipeSender, PipeReceiver, Peer), TransportError> {
//!         Ok((self.0, self.1, Peer::new("pipe")))
//!     }
//! }
//! ```
//!
//! The wrong way is to do the handshake inside `accept`: the first peer that opens a socket and says
//! nothing then locks everybody else out.

use std::fmt;
use std::future::Future;

use crate::{Capabilities, Receiver, Sender, TransportError};

/// Takes links in at one place.
///
/// # Behaviour
///
/// - [`accept`](Self::accept) MUST NOT wait for anything that a peer does after its link has come in.
/// - A future of `accept` may be dropped and called again: no link may get lost by that.
/// - An error that is [retryable](TransportError::is_retryable) (out of descriptors, say) is reported
///   and `accept` is called again after a pause; any other one ends the server's run.
/// - After [`close`](Self::close) new links MUST be refused, until [`listen`](Self::listen).
pub trait Acceptor: Send + 'static {
    /// A link that has come in and has not been shaken hands with.
    type Pending: Pending;

    /// Begins to listen. The server calls it once at the start of each run, before
    /// [`accept`](Self::accept).
    ///
    /// # Errors
    ///
    /// When the place is taken, or may not be used.
    fn listen(&mut self) -> impl Future<Output = Result<(), TransportError>> + Send {
        async { Ok(()) }
    }

    /// Waits for the next link.
    ///
    /// # Errors
    ///
    /// When no link can be taken in, now or ever again.
    fn accept(&mut self) -> impl Future<Output = Result<Self::Pending, TransportError>> + Send;

    /// Stops listening: new links are refused. Links that have come in live on.
    fn close(&mut self) {}

    /// Where it listens, as a peer would name it; `None` before [`listen`](Self::listen), or where
    /// there is no such name.
    fn local_address(&self) -> Option<String> {
        None
    }

    /// What its links can do.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

/// A link that has come in and has not been shaken hands with.
///
/// # Behaviour
///
/// - Dropping it, or the future of [`handshake`](Self::handshake), MUST end the link and release
///   everything: that is how the time-out is enforced.
/// - What it reads before the handshake is over MUST be bounded.
pub trait Pending: Send + 'static {
    /// The half that sends.
    type Sender: Sender;
    /// The half that receives.
    type Receiver: Receiver;

    /// Shakes hands, and gives the two halves with what is known of the peer.
    ///
    /// # Errors
    ///
    /// When the peer has gone, or broke the transport's protocol. The server counts it and goes on.
    fn handshake(
        self,
    ) -> impl Future<Output = Result<(Self::Sender, Self::Receiver, Peer), TransportError>> + Send;
}

/// What a transport knows of the other end. Nothing in it has been proven.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The transport's name, for logs: `"memory"`, `"websocket"`.
    pub transport: &'static str,
    /// The peer's address as the transport writes it.
    pub address: Option<String>,
    /// The path it asked for, where the transport has paths.
    pub path: Option<String>,
    /// The headers it sent, names in lower case, where the transport has headers.
    pub headers: Vec<(String, String)>,
}

impl Peer {
    /// A peer of which nothing is known but how it came.
    #[must_use]
    pub fn new(transport: &'static str) -> Self {
        Self { transport, ..Self::default() }
    }

    /// The first header of that name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Peer {
    /// Leaves the headers' values out: they may carry credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Peer")
            .field("transport", &self.transport)
            .field("address", &self.address)
            .field("path", &self.path)
            .field("headers", &names)
            .finish()
    }
}
