//! The transport WebSocket, on real sockets of this host, with the [proxy](crate::proxy) between clients and server.

use std::net::SocketAddr;
use std::sync::Arc;

use moorline::{HttpDoor, WebSocket, WebSocketAcceptor};
use moorline_core::{
    Acceptor, BoxTransport, Capabilities, Net, TransportError, TransportErrorKind,
};
use moorline_memory::Direction;

use super::erased::AnyAcceptor;
use super::venue::Venue;
use crate::proxy::{Proxy, Reserved};

/// See the [module](self). Every server of a stage listens at the same port, one after the other.
pub(crate) struct WebSockets<R> {
    runtime: R,
    pub(crate) proxy: Arc<Proxy>,
    server: Reserved,
}

impl<R> WebSockets<R> {
    pub(crate) fn new(runtime: R) -> Self {
        let server = Reserved::new().expect("there is a free port");
        Self { runtime, proxy: Arc::new(Proxy::new(server.address)), server }
    }
}

impl<R: Net + Clone> Venue for WebSockets<R> {
    fn transport(&self) -> BoxTransport {
        let url = format!("ws://{}/", self.proxy.address());
        BoxTransport::new(WebSocket::new(url, self.runtime.clone()).expect("it is an address"))
    }

    fn acceptor(&self) -> AnyAcceptor {
        AnyAcceptor::new(Announced {
            acceptor: at(self.server.address, self.runtime.clone()),
            proxy: self.proxy.clone(),
            listening: false,
        })
    }

    fn links(&self) -> usize {
        self.proxy.links()
    }

    fn cut(&self) {
        self.proxy.cut();
    }

    fn reset(&self) {
        self.proxy.reset();
    }

    fn partition(&self) {
        self.proxy.stall();
    }

    fn half_open(&self, lost: Direction) {
        self.proxy.half_open(lost);
    }

    fn refuse(&self, kind: TransportErrorKind) {
        match kind {
            TransportErrorKind::Unreachable => self.proxy.refuse(),
            TransportErrorKind::Unavailable => self.proxy.answer(503),
            TransportErrorKind::Refused => self.proxy.answer(403),
            other => panic!("no proxy makes a WebSocket fail as {other:?}"),
        }
    }

    fn heal(&self) {
        self.proxy.heal();
    }
}

fn at<R: Net + Clone>(address: SocketAddr, runtime: R) -> WebSocketAcceptor<R> {
    let door = HttpDoor::new(address.to_string(), runtime).expect("it is an address");
    WebSocketAcceptor::at(door)
}

/// An acceptor that tells the proxy whether it listens, so that connects are refused as by the host itself when it does
/// not.
struct Announced<A: Acceptor> {
    acceptor: A,
    proxy: Arc<Proxy>,
    listening: bool,
}

impl<A: Acceptor> Announced<A> {
    fn announce(&mut self, listening: bool) {
        match (self.listening, listening) {
            (false, true) => self.proxy.open(),
            (true, false) => self.proxy.close(),
            _ => {}
        }
        self.listening = listening;
    }
}

impl<A: Acceptor> Acceptor for Announced<A> {
    type Pending = A::Pending;

    async fn listen(&mut self) -> Result<(), TransportError> {
        self.acceptor.listen().await?;
        self.announce(true);
        Ok(())
    }

    async fn accept(&mut self) -> Result<A::Pending, TransportError> {
        self.acceptor.accept().await
    }

    fn close(&mut self) {
        self.announce(false);
        self.acceptor.close();
    }

    fn local_address(&self) -> Option<String> {
        self.acceptor.local_address()
    }

    fn capabilities(&self) -> Capabilities {
        self.acceptor.capabilities()
    }
}

impl<A: Acceptor> Drop for Announced<A> {
    fn drop(&mut self) {
        self.announce(false);
    }
}
