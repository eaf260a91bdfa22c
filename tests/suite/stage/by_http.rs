//! The transports by HTTP, on real sockets of this host, with the [proxy](crate::proxy) between clients and server.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use moorline::{EventStreams, HttpAcceptor, HttpDoor, Sse, WebSocket, WebSockets};
use moorline_core::{
    Acceptor, BoxTransport, Capabilities, Net, TransportError, TransportErrorKind,
};
use moorline_http::Route;
use moorline_memory::Direction;

use super::erased::AnyAcceptor;
use super::venue::Venue;
use crate::proxy::{Proxy, Reserved};

/// One of the transports.
pub(crate) trait ByHttp: Send + Sync + 'static {
    /// How many connections a link has.
    const CONNECTIONS: usize;
    type Route: Route;
    /// The server's side; times are divided by the scale.
    fn route(scale: u32) -> Self::Route;
    /// The client's side.
    fn transport<R: Net>(address: String, runtime: R) -> BoxTransport;
}

pub(crate) struct ByWebSocket;

impl ByHttp for ByWebSocket {
    const CONNECTIONS: usize = 1;
    type Route = WebSockets;

    fn route(_: u32) -> WebSockets {
        WebSockets::new()
    }

    fn transport<R: Net>(address: String, runtime: R) -> BoxTransport {
        let url = format!("ws://{address}/");
        BoxTransport::new(WebSocket::new(url, runtime).expect("it is an address"))
    }
}

/// Beside WebSockets, as most servers have it.
pub(crate) struct BySse;

impl ByHttp for BySse {
    const CONNECTIONS: usize = 2;
    type Route = (WebSockets, EventStreams);

    fn route(scale: u32) -> (WebSockets, EventStreams) {
        let debounce: Duration = EventStreams::DEBOUNCE / scale;
        (WebSockets::new(), EventStreams::new().debounce(debounce))
    }

    fn transport<R: Net>(address: String, runtime: R) -> BoxTransport {
        let url = format!("http://{address}/");
        BoxTransport::new(Sse::new(url, runtime).expect("it is an address"))
    }
}

/// See the [module](self). Every server of a stage listens at the same port, one after the other.
pub(crate) struct HttpVenue<R, T> {
    runtime: R,
    scale: u32,
    pub(crate) proxy: Arc<Proxy>,
    server: Reserved,
    by: PhantomData<T>,
}

impl<R, T> HttpVenue<R, T> {
    pub(crate) fn new(runtime: R, scale: u32) -> Self {
        let server = Reserved::new().expect("there is a free port");
        let proxy = Arc::new(Proxy::new(server.address));
        Self { runtime, scale, proxy, server, by: PhantomData }
    }
}

impl<R: Net + Clone, T: ByHttp> Venue for HttpVenue<R, T> {
    fn transport(&self) -> BoxTransport {
        T::transport(self.proxy.address().to_string(), self.runtime.clone())
    }

    fn acceptor(&self) -> AnyAcceptor {
        let door = HttpDoor::new(self.server.address.to_string(), self.runtime.clone());
        AnyAcceptor::new(Announced {
            acceptor: HttpAcceptor::of(door.expect("it is an address"), T::route(self.scale)),
            proxy: self.proxy.clone(),
            listening: false,
        })
    }

    fn links(&self) -> usize {
        self.proxy.links().div_ceil(T::CONNECTIONS)
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
            other => panic!("no proxy makes a connect fail as {other:?}"),
        }
    }

    fn heal(&self) {
        self.proxy.heal();
    }
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
