//! The client's side.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use moorline_core::{
    Capabilities, ConnectRequest, Net, Transport, TransportError, TransportErrorKind,
};
use moorline_socket::{Address, Dialer, Proxy, Stream, own_header};

use crate::client_handshake::{Offer, shake_hands};
use crate::decoder::{Decoder, Role};
use crate::link::Link;
use crate::{WebSocketReceiver, WebSocketSender, trace};

/// Connects to one WebSocket address. Cheap to clone.
///
/// Each connect looks the host up anew, tries its addresses as RFC 8305 says (both families by turns, 250 ms apart), and
/// shakes hands. It has no time limit of its own: the driver's is the attempt's. The largest message that its receivers take
/// is [`ConnectRequest::max_frame`]; the subprotocols offered are [`ConnectRequest::protocol`]'s and its own.
///
/// ```
/// # fn configured<N: moorline_core::Net>(net: N) -> Result<(), moorline_core::TransportError> {
/// use moorline_websocket::WebSocket;
///
/// let shop = WebSocket::new("ws://127.0.0.1:8080/realtime", net)?
///     .header("authorization", "Bearer 0123")?
///     .subprotocol("shop.v1")?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// A connect fails as
///
/// - [`Unreachable`](TransportErrorKind::Unreachable) or [`TimedOut`](TransportErrorKind::TimedOut): no address of the host
///   answered;
/// - [`Unavailable`](TransportErrorKind::Unavailable): the server answered with 408, 425, 429 or 5xx, with the delay of its
///   `Retry-After` if that is in seconds;
/// - [`Refused`](TransportErrorKind::Refused): it answered with any other status than 101. Redirects are not followed;
/// - [`Protocol`](TransportErrorKind::Protocol) or [`TooLarge`](TransportErrorKind::TooLarge): its answer was not a
///   WebSocket's, or its head was above 16 KiB;
/// - [`Untrusted`](TransportErrorKind::Untrusted): TLS does not know who answers;
/// - [`Broken`](TransportErrorKind::Broken): the connection broke in the handshake.
///
/// # Cancel safety
///
/// Dropping a connect closes its sockets.
pub struct WebSocket<N: Net> {
    net: Arc<N>,
    address: Address,
    dialer: Dialer,
    headers: Vec<(HeaderName, HeaderValue)>,
    protocols: Vec<String>,
}

impl<N: Net> WebSocket<N> {
    /// A client of `url`, `ws://host:port/path?query`, or `wss://` for TLS (with the feature `rustls`); the port is 80 or 443
    /// by default. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`Configuration`](TransportErrorKind::Configuration) when it is not such an address, or is `wss://` without that
    /// feature. It may not have a fragment or credentials.
    pub fn new(url: impl AsRef<str>, net: N) -> Result<Self, TransportError> {
        let address = Address::parse(url.as_ref(), "ws")?;
        let net = Arc::new(net);
        let dialer = Dialer::default();
        Ok(Self { net, address, dialer, headers: Vec::new(), protocols: Vec::new() })
    }

    /// Goes through a proxy, which also looks the host up.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.dialer = self.dialer.proxy(proxy);
        self
    }

    /// For `wss://`: whom to trust, and who to be. By default the roots that browsers ship are trusted
    /// ([`TlsClient::web_roots`](crate::TlsClient::web_roots)).
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(mut self, tls: crate::TlsClient) -> Self {
        self.dialer = self.dialer.tls(tls);
        self
    }

    /// Sends a header with the handshake; one name may be given more than once.
    ///
    /// # Errors
    ///
    /// [`Configuration`](TransportErrorKind::Configuration) when the name or the value is not a header's, or the header is
    /// the handshake's own (`Host`, `Connection`, `Upgrade`, `Sec-WebSocket-…`) or speaks of a body.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, TransportError> {
        let own = |name: &str| name == "upgrade" || name.starts_with("sec-websocket-");
        self.headers.push(own_header(name, value, own)?);
        Ok(self)
    }

    /// Offers a subprotocol; the first one offered is the one preferred. Whichever the server chooses, and whether it
    /// chooses any, the link is the same.
    ///
    /// # Errors
    ///
    /// [`Configuration`](TransportErrorKind::Configuration) when it is not a token (RFC 6455, section 4.1).
    pub fn subprotocol(mut self, name: impl Into<String>) -> Result<Self, TransportError> {
        let name = name.into();
        // A header's name is a token, too.
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            let message = format!("{name:?} is not a subprotocol's name");
            return Err(TransportError::new(TransportErrorKind::Configuration, message));
        }
        self.protocols.push(name);
        Ok(self)
    }

    async fn open(&self, request: &ConnectRequest) -> Result<Halves<N>, TransportError> {
        let Address { host, port, secure, .. } = &self.address;
        let mut stream = self.dialer.dial(&*self.net, host, *port, *secure).await?;
        trace::debug!("connected");
        let mut protocols: Vec<_> = request.protocol.into_iter().collect();
        protocols.extend(self.protocols.iter().map(String::as_str));
        protocols.dedup();
        let offer = Offer { address: &self.address, headers: &self.headers, protocols };
        let rest = shake_hands(&mut stream, &offer).await?;
        trace::debug!("open");
        let decoder = Decoder::new(Role::Client, request.max_frame, request.max_frame);
        Ok(halves(stream, Role::Client, decoder, &rest))
    }
}

type Socket<N> = Stream<<N as Net>::Stream>;
type Halves<N> = (WebSocketSender<Socket<N>>, WebSocketReceiver<Socket<N>>);

/// The halves of a socket that has shaken hands; `read` is what came behind that.
pub(crate) fn halves<S>(
    stream: S,
    role: Role,
    decoder: Decoder,
    read: &[u8],
) -> (WebSocketSender<S>, WebSocketReceiver<S>) {
    let link = Link::new(stream, role);
    (WebSocketSender::new(link.clone()), WebSocketReceiver::new(link, decoder, read))
}

impl<N: Net> Transport for WebSocket<N> {
    type Sender = WebSocketSender<Socket<N>>;
    type Receiver = WebSocketReceiver<Socket<N>>;

    async fn connect(&self, request: &ConnectRequest) -> Result<Halves<N>, TransportError> {
        let Address { host, port, .. } = &self.address;
        let attempt = request.attempt;
        trace::within!(trace::span!("websocket connect", %host, port, attempt), self.open(request))
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }
}

impl<N: Net> Clone for WebSocket<N> {
    fn clone(&self) -> Self {
        Self {
            net: self.net.clone(),
            address: self.address.clone(),
            dialer: self.dialer.clone(),
            headers: self.headers.clone(),
            protocols: self.protocols.clone(),
        }
    }
}

impl<N: Net> fmt::Debug for WebSocket<N> {
    /// Leaves the query and the headers' values out: they may carry credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("WebSocket")
            .field("host", &self.address.host)
            .field("port", &self.address.port)
            .field("secure", &self.address.secure)
            .field("headers", &names)
            .field("protocols", &self.protocols)
            .finish_non_exhaustive()
    }
}

/// What WebSockets can do, on either side: all of it.
pub(crate) fn capabilities() -> Capabilities {
    let mut capabilities = Capabilities::default();
    capabilities.ping = true;
    capabilities
}
