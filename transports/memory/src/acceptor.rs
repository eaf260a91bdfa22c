//! The server's side.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use moorline_core::{
    Acceptor, Capabilities, ConnectRequest, Peer, Pending, TransportError, TransportErrorKind,
};

use crate::fault::Direction;
use crate::halves::{MemoryReceiver, MemorySender};
use crate::link::Link;
use crate::network::Inner;
use crate::pipe::Aftermath;
use crate::transport::capabilities;

/// Takes links in at one endpoint of a [`Network`](crate::Network).
///
/// [`close`](Acceptor::close), or a drop, gives the name back; links that nobody has accepted break.
/// It may then listen again.
///
/// # Errors
///
/// [`listen`](Acceptor::listen) fails as [`Configuration`](TransportErrorKind::Configuration) when
/// somebody else listens at the name; [`accept`](Acceptor::accept) fails as the same when it does
/// not listen itself.
///
/// # Cancel safety
///
/// An `accept` that is dropped before its end has taken no link.
pub struct MemoryAcceptor {
    network: Arc<Inner>,
    name: Arc<str>,
    max_frame: usize,
    /// The listener's id.
    listening: Option<u64>,
}

impl MemoryAcceptor {
    pub(crate) fn new(network: Arc<Inner>, name: Arc<str>) -> Self {
        Self { network, name, max_frame: ConnectRequest::MAX_FRAME, listening: None }
    }

    /// The largest frame in bytes that the server's receivers take, from the next
    /// [`listen`](Acceptor::listen) on; beyond it they fail as
    /// [`TooLarge`](TransportErrorKind::TooLarge). [`ConnectRequest::MAX_FRAME`] by default.
    #[must_use]
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }
}

impl Acceptor for MemoryAcceptor {
    type Pending = MemoryPending;

    async fn listen(&mut self) -> Result<(), TransportError> {
        if self.listening.is_none() {
            self.listening = Some(self.network.listen(&self.name, self.max_frame)?);
        }
        Ok(())
    }

    async fn accept(&mut self) -> Result<MemoryPending, TransportError> {
        let accepted = match self.listening {
            Some(id) => poll_fn(|context| self.network.poll_accept(&self.name, id, context)).await,
            None => None,
        };
        accepted.ok_or_else(|| {
            let message = format!("accept without listen at {}", self.name);
            TransportError::new(TransportErrorKind::Configuration, message)
        })
    }

    fn close(&mut self) {
        if let Some(id) = self.listening.take() {
            self.network.unlisten(&self.name, id);
        }
    }

    fn local_address(&self) -> Option<String> {
        self.listening.map(|_| self.name.to_string())
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }
}

impl Drop for MemoryAcceptor {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for MemoryAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryAcceptor")
            .field("endpoint", &self.name)
            .field("listening", &self.listening.is_some())
            .finish_non_exhaustive()
    }
}

/// A link that has come in. Dropping it ends the link.
///
/// Its handshake ends at once, unless [`hang_handshakes`](crate::Network::hang_handshakes) was on
/// when the link was made; it fails when the link has broken. The [`Peer`] has the transport
/// `"memory"`, an address of the network's own such as `"memory:17"`, different for each link, and
/// the endpoint's name as its path.
#[derive(Debug)]
pub struct MemoryPending {
    sender: MemorySender,
    receiver: MemoryReceiver,
    id: u64,
    hangs: bool,
}

impl MemoryPending {
    pub(crate) fn new(link: Arc<Link>, id: u64, hangs: bool) -> Self {
        let sender = MemorySender::new(Arc::clone(&link), Direction::ToClient);
        Self { sender, receiver: MemoryReceiver::new(link, Direction::ToServer), id, hangs }
    }

    /// Breaks the link, since nobody will accept it.
    pub(crate) fn refuse(&self, after: &mut Aftermath) {
        self.receiver.link().break_off("the endpoint closed before it accepted the link", after);
    }
}

impl Pending for MemoryPending {
    type Sender = MemorySender;
    type Receiver = MemoryReceiver;

    async fn handshake(self) -> Result<(MemorySender, MemoryReceiver, Peer), TransportError> {
        let link = self.receiver.link();
        link.to_server.check()?;
        if self.hangs {
            return Err(poll_fn(|context| link.to_server.poll_over(context)).await);
        }
        let mut peer = Peer::new("memory");
        peer.address = Some(format!("memory:{}", self.id));
        peer.path = Some(link.name.to_string());
        Ok((self.sender, self.receiver, peer))
    }
}
