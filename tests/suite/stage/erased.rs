//! What the product takes by type, with the type erased, so that a plan can hold it.

use std::sync::Arc;

use super::plan::Dress;
use moorline::Codec;
use moorline::server::{Admission, Authenticator, Refusal, Visitor};
use moorline_core::wire::{DecodeError, EncodeError, Packet};
use moorline_core::{
    Acceptor, BoxFuture, BoxReceiver, BoxSender, Capabilities, Frame, Peer, Pending, TransportError,
};

/// Any acceptor.
pub(crate) struct AnyAcceptor(Box<dyn DynAcceptor>);

/// Any link that has come in.
pub(crate) struct AnyPending(BoxFuture<'static, Result<Arrived, TransportError>>);

type Arrived = (BoxSender, BoxReceiver, Peer);

impl AnyAcceptor {
    pub(crate) fn new(acceptor: impl Acceptor) -> Self {
        Self(Box::new(acceptor))
    }
}

trait DynAcceptor: Send {
    fn listen(&mut self) -> BoxFuture<'_, Result<(), TransportError>>;
    fn accept(&mut self) -> BoxFuture<'_, Result<AnyPending, TransportError>>;
    fn close(&mut self);
    fn local_address(&self) -> Option<String>;
    fn capabilities(&self) -> Capabilities;
}

impl<A: Acceptor> DynAcceptor for A {
    fn listen(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(Acceptor::listen(self))
    }

    fn accept(&mut self) -> BoxFuture<'_, Result<AnyPending, TransportError>> {
        Box::pin(async {
            let pending = Acceptor::accept(self).await?;
            Ok(AnyPending(Box::pin(async {
                let (sender, receiver, peer) = pending.handshake().await?;
                Ok((BoxSender::new(sender), BoxReceiver::new(receiver), peer))
            })))
        })
    }

    fn close(&mut self) {
        Acceptor::close(self);
    }

    fn local_address(&self) -> Option<String> {
        Acceptor::local_address(self)
    }

    fn capabilities(&self) -> Capabilities {
        Acceptor::capabilities(self)
    }
}

impl Acceptor for AnyAcceptor {
    type Pending = AnyPending;

    async fn listen(&mut self) -> Result<(), TransportError> {
        self.0.listen().await
    }

    async fn accept(&mut self) -> Result<AnyPending, TransportError> {
        self.0.accept().await
    }

    fn close(&mut self) {
        self.0.close();
    }

    fn local_address(&self) -> Option<String> {
        self.0.local_address()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
}

impl Pending for AnyPending {
    type Sender = BoxSender;
    type Receiver = BoxReceiver;

    async fn handshake(self) -> Result<Arrived, TransportError> {
        self.0.await
    }
}

/// An acceptor whose peers are seen otherwise.
pub(crate) struct Dressed(pub(crate) AnyAcceptor, pub(crate) Dress);

impl Acceptor for Dressed {
    type Pending = AnyPending;

    async fn listen(&mut self) -> Result<(), TransportError> {
        Acceptor::listen(&mut self.0).await
    }

    async fn accept(&mut self) -> Result<AnyPending, TransportError> {
        let (pending, dress) = (Acceptor::accept(&mut self.0).await?, self.1.clone());
        Ok(AnyPending(Box::pin(async move {
            let (sender, receiver, mut peer) = pending.handshake().await?;
            dress(&mut peer);
            Ok((sender, receiver, peer))
        })))
    }

    fn close(&mut self) {
        Acceptor::close(&mut self.0);
    }

    fn local_address(&self) -> Option<String> {
        Acceptor::local_address(&self.0)
    }

    fn capabilities(&self) -> Capabilities {
        Acceptor::capabilities(&self.0)
    }
}

/// Any codec.
#[derive(Clone, Debug)]
pub(crate) struct AnyCodec(pub(crate) Arc<dyn Codec>);

impl Codec for AnyCodec {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn protocol(&self) -> Option<&'static str> {
        self.0.protocol()
    }

    fn claims(&self, first: &Frame) -> bool {
        self.0.claims(first)
    }

    fn has_session(&self) -> bool {
        self.0.has_session()
    }

    fn encode(&self, packet: Packet) -> Result<Frame, EncodeError> {
        self.0.encode(packet.clone())
    }

    fn decode(&self, frame: Frame) -> Result<Packet, DecodeError> {
        self.0.decode(frame)
    }
}

/// Any authenticator.
pub(crate) struct AnyAuthenticator(pub(crate) Arc<dyn Authenticator>);

#[async_trait::async_trait]
impl Authenticator for AnyAuthenticator {
    async fn authenticate(&self, visitor: Arc<Visitor>) -> Result<Admission, Refusal> {
        self.0.authenticate(visitor).await
    }
}
