//! The server's side.

use std::fmt;
use std::sync::Arc;

use moorline_core::{Acceptor, Capabilities, ConnectRequest, Net, Peer, Pending, TransportError};
use moorline_http::{HttpDoor, HttpPending};
use moorline_socket::Stream;

use crate::decoder::{Decoder, Role};
use crate::transport::{capabilities, halves};
use crate::upgrade::Upgrade;
use crate::{WebSocketReceiver, WebSocketSender, trace};

/// The subprotocols of moorline's own codecs (`docs/protocol.md`).
const PROTOCOLS: [&str; 2] = ["moorline.v1.json", "moorline.v1.bin"];

/// Takes WebSockets in at one address.
///
/// ```
/// # fn configured<N: moorline_core::Net>(net: N) -> Result<(), moorline_core::TransportError> {
/// use moorline_websocket::{HttpDoor, WebSocketAcceptor};
///
/// let door = HttpDoor::new("127.0.0.1:8080", net)?
///     .path("/realtime")
///     .allow_origin("https://app.example");
/// let acceptor = WebSocketAcceptor::at(door).max_frame(64 * 1024);
/// # Ok(())
/// # }
/// ```
///
/// What is not the opening handshake of RFC 6455 is answered by a status of HTTP: 405 for another method than `GET`, 426 where
/// no upgrade to WebSocket or not version 13 is asked for, 400 for a wrong key, and those of the [door](HttpDoor). Of the
/// subprotocols offered, the first one that is known is chosen: `moorline.v1.json`, `moorline.v1.bin`, and
/// [those added](Self::subprotocol); none if none is.
///
/// # Errors
///
/// See [`HttpDoor::listen`] and [`HttpDoor::accept`]; the handshake's are those of [`HttpPending::handshake`].
pub struct WebSocketAcceptor<N: Net> {
    door: HttpDoor<N>,
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
struct Settings {
    max_frame: usize,
    max_first_frame: usize,
    protocols: Vec<String>,
}

impl<N: Net> WebSocketAcceptor<N> {
    /// Takes WebSockets in at `address` (a host and a port: `127.0.0.1:8080`), on any path, with the defaults of
    /// [`HttpDoor`].
    ///
    /// # Errors
    ///
    /// See [`HttpDoor::new`].
    pub fn new(address: impl AsRef<str>, net: N) -> Result<Self, TransportError> {
        Ok(Self::at(HttpDoor::new(address, net)?))
    }

    /// Takes WebSockets in at this door.
    #[must_use]
    pub fn at(door: HttpDoor<N>) -> Self {
        let settings = Settings {
            max_frame: ConnectRequest::MAX_FRAME,
            max_first_frame: usize::MAX,
            protocols: PROTOCOLS.map(String::from).to_vec(),
        };
        Self { door, settings: Arc::new(settings) }
    }

    /// The largest message in bytes that its receivers take; beyond it 1009. [`ConnectRequest::MAX_FRAME`] by default.
    #[must_use]
    pub fn max_frame(self, bytes: usize) -> Self {
        self.set(|settings| settings.max_frame = bytes)
    }

    /// The largest first message in bytes, so that strangers cost little memory: a hello has at most 16 KiB. As
    /// [`max_frame`](Self::max_frame) by default, since in raw the first message is like every other one.
    #[must_use]
    pub fn max_first_frame(self, bytes: usize) -> Self {
        self.set(|settings| settings.max_first_frame = bytes)
    }

    /// Knows one more subprotocol.
    #[must_use]
    pub fn subprotocol(self, name: impl Into<String>) -> Self {
        self.set(|settings| settings.protocols.push(name.into()))
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<N: Net> Acceptor for WebSocketAcceptor<N> {
    type Pending = WebSocketPending<N>;

    async fn listen(&mut self) -> Result<(), TransportError> {
        self.door.listen().await
    }

    async fn accept(&mut self) -> Result<WebSocketPending<N>, TransportError> {
        let http = self.door.accept().await?;
        Ok(WebSocketPending { http, settings: self.settings.clone() })
    }

    fn close(&mut self) {
        self.door.close();
    }

    fn local_address(&self) -> Option<String> {
        self.door.local_address().map(|address| address.to_string())
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }
}

impl<N: Net> fmt::Debug for WebSocketAcceptor<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketAcceptor")
            .field("door", &self.door)
            .field("settings", &self.settings)
            .finish()
    }
}

/// A connection that has come in and has not shaken hands. Dropping it closes its socket.
///
/// The [`Peer`] has the transport `"websocket"`, the address of its socket, the path with its query, and all headers.
pub struct WebSocketPending<N: Net> {
    http: HttpPending<N>,
    settings: Arc<Settings>,
}

type Socket<N> = Stream<<N as Net>::Stream>;
type Shaken<N> = (WebSocketSender<Socket<N>>, WebSocketReceiver<Socket<N>>, Peer);

impl<N: Net> WebSocketPending<N> {
    async fn shake_hands(self) -> Result<Shaken<N>, TransportError> {
        let Self { http, settings } = self;
        let arrived = http.handshake(Upgrade { protocols: &settings.protocols }).await?;
        trace::debug!("open");
        let peer = arrived.peer("websocket");
        let decoder = Decoder::new(Role::Server, settings.max_first_frame, settings.max_frame);
        let (sender, receiver) = halves(arrived.stream, Role::Server, decoder, &arrived.read);
        Ok((sender, receiver, peer))
    }
}

impl<N: Net> Pending for WebSocketPending<N> {
    type Sender = WebSocketSender<Socket<N>>;
    type Receiver = WebSocketReceiver<Socket<N>>;

    async fn handshake(self) -> Result<Shaken<N>, TransportError> {
        let address = self.http.address();
        trace::within!(trace::span!("websocket handshake", %address), self.shake_hands())
    }
}

impl<N: Net> fmt::Debug for WebSocketPending<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketPending")
            .field("address", &self.http.address())
            .finish_non_exhaustive()
    }
}
