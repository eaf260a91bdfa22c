//! The server's side.

use std::sync::Arc;

use http::request::Parts;
use moorline_core::{Capabilities, TransportError};
use moorline_http::{Answer, Arrived, Halves, Host, HttpAcceptor, HttpPending, Route, Socket};

use crate::decoder::{Decoder, Role};
use crate::transport::{capabilities, halves};
use crate::upgrade::{self, asks};
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
pub type WebSocketAcceptor<N> = HttpAcceptor<N, WebSockets>;

/// A connection that has come in and has not shaken hands. Dropping it closes its socket.
pub type WebSocketPending<N> = HttpPending<N, WebSockets>;

/// What an [`HttpAcceptor`] takes in as WebSockets.
///
/// What is not the opening handshake of RFC 6455 is answered by a status of HTTP: 405 for another method than `GET`, 426 where
/// no upgrade to WebSocket or not version 13 is asked for, 400 for a wrong key, and those of the
/// [door](moorline_http). Of the subprotocols offered, the first one that is known is chosen: `moorline.v1.json`,
/// `moorline.v1.bin`, and [those added](Self::subprotocol); none if none is.
///
/// The [`Peer`](moorline_core::Peer) has the transport `"websocket"`, the address of its socket, the path with its query, and
/// all headers. A message larger than [`max_frame`](HttpAcceptor::max_frame) is answered with 1009.
#[derive(Clone, Debug)]
pub struct WebSockets {
    protocols: Arc<[String]>,
}

impl WebSockets {
    /// All by default.
    #[must_use]
    pub fn new() -> Self {
        Self { protocols: PROTOCOLS.map(String::from).into() }
    }

    /// Knows one more subprotocol.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.protocols = self.protocols.iter().cloned().chain([name.into()]).collect();
        self
    }
}

impl Default for WebSockets {
    fn default() -> Self {
        Self::new()
    }
}

impl Route for WebSockets {
    type Accepted = ();
    type Sender<S: Socket> = WebSocketSender<S>;
    type Receiver<S: Socket> = WebSocketReceiver<S>;

    fn is_for(&self, request: &Parts) -> bool {
        asks(request)
    }

    fn answer(&self, request: &Parts, _host: &Host) -> Answer<()> {
        match upgrade::accept(request, &self.protocols) {
            Ok(response) => Answer::Upgrade { response, accepted: () },
            Err(response) => Answer::Refuse(*response),
        }
    }

    fn link<S: Socket>(
        &self,
        arrived: Arrived<S, ()>,
        host: &Host,
    ) -> Result<Halves<Self, S>, TransportError> {
        trace::debug!("open");
        let peer = arrived.peer("websocket");
        let decoder = Decoder::new(Role::Server, host.max_first_frame, host.max_frame);
        let (sender, receiver) = halves(arrived.stream, Role::Server, decoder, &arrived.read);
        Ok((sender, receiver, peer))
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }
}
