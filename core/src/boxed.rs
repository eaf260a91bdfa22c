//! The boxed twins of the transport's traits: for a transport that is chosen at run time.
//!
//! This is the one place that boxes on the path of messages (an allocation for each frame sent and
//! received). Everything else is generic over the transport.

use crate::{
    BoxFuture, Capabilities, CloseFrame, ConnectRequest, Frame, Incoming, Receiver, Sender,
    Transport, TransportError,
};

/// Any transport, chosen at run time.
///
/// ```
/// use moorline_core::{BoxTransport, Transport};
///
/// fn pick<A: Transport, B: Transport>(first: bool, a: A, b: B) -> BoxTransport {
///     if first { BoxTransport::new(a) } else { BoxTransport::new(b) }
/// }
/// ```
pub struct BoxTransport(Box<dyn DynTransport>);

/// Any sending half.
pub struct BoxSender(Box<dyn DynSender>);

/// Any receiving half.
pub struct BoxReceiver(Box<dyn DynReceiver>);

impl BoxTransport {
    /// Boxes a transport.
    pub fn new(transport: impl Transport) -> Self {
        Self(Box::new(transport))
    }
}

impl BoxSender {
    /// Boxes a sending half.
    pub fn new(sender: impl Sender) -> Self {
        Self(Box::new(sender))
    }
}

impl BoxReceiver {
    /// Boxes a receiving half.
    pub fn new(receiver: impl Receiver) -> Self {
        Self(Box::new(receiver))
    }
}

impl Transport for BoxTransport {
    type Sender = BoxSender;
    type Receiver = BoxReceiver;

    async fn connect(
        &self,
        request: &ConnectRequest,
    ) -> Result<(BoxSender, BoxReceiver), TransportError> {
        self.0.connect(request).await
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
}

impl Sender for BoxSender {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        self.0.send(frame).await
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        self.0.flush().await
    }

    async fn ping(&mut self) -> Result<(), TransportError> {
        self.0.ping().await
    }

    async fn close(&mut self, close: CloseFrame) -> Result<(), TransportError> {
        self.0.close(close).await
    }
}

impl Receiver for BoxReceiver {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        self.0.receive().await
    }
}

type Link = (BoxSender, BoxReceiver);

trait DynTransport: Send + Sync {
    fn connect<'a>(
        &'a self,
        request: &'a ConnectRequest,
    ) -> BoxFuture<'a, Result<Link, TransportError>>;
    fn capabilities(&self) -> Capabilities;
}

impl<T: Transport> DynTransport for T {
    fn connect<'a>(
        &'a self,
        request: &'a ConnectRequest,
    ) -> BoxFuture<'a, Result<Link, TransportError>> {
        Box::pin(async move {
            let (sender, receiver) = Transport::connect(self, request).await?;
            Ok((BoxSender::new(sender), BoxReceiver::new(receiver)))
        })
    }

    fn capabilities(&self) -> Capabilities {
        Transport::capabilities(self)
    }
}

trait DynSender: Send {
    fn send(&mut self, frame: Frame) -> BoxFuture<'_, Result<(), TransportError>>;
    fn flush(&mut self) -> BoxFuture<'_, Result<(), TransportError>>;
    fn ping(&mut self) -> BoxFuture<'_, Result<(), TransportError>>;
    fn close(&mut self, close: CloseFrame) -> BoxFuture<'_, Result<(), TransportError>>;
}

impl<S: Sender> DynSender for S {
    fn send(&mut self, frame: Frame) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(Sender::send(self, frame))
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(Sender::flush(self))
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(Sender::ping(self))
    }

    fn close(&mut self, close: CloseFrame) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(Sender::close(self, close))
    }
}

trait DynReceiver: Send {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Incoming>, TransportError>>;
}

impl<R: Receiver> DynReceiver for R {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Incoming>, TransportError>> {
        Box::pin(Receiver::receive(self))
    }
}
