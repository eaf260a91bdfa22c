//! moorline over WebSocket (RFC 6455): client and server, on any runtime that has sockets ([`Net`](moorline_core::Net)).
//!
//! ```
//! use moorline_core::{
//!     Acceptor, ConnectRequest, Frame, Incoming, Pending, Receiver, Sender, Transport,
//! };
//! use moorline_tokio::Tokio;
//! use moorline_websocket::{WebSocket, WebSocketAcceptor};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), moorline_core::TransportError> {
//! let mut acceptor = WebSocketAcceptor::new("127.0.0.1:0", Tokio::current())?;
//! acceptor.listen().await?;
//! let address = acceptor.local_address().expect("it listens");
//!
//! let server = async {
//!     let (_sender, mut receiver, peer) = acceptor.accept().await?.handshake().await?;
//!     assert_eq!(peer.path.as_deref(), Some("/shop?lang=en"));
//!     receiver.receive().await
//! };
//! let client = async {
//!     let shop = WebSocket::new(format!("ws://{address}/shop?lang=en"), Tokio::current())?;
//!     let (mut sender, receiver) = shop.connect(&ConnectRequest::default()).await?;
//!     sender.send(Frame::text("tea, please")).await?;
//!     sender.flush().await?;
//!     Ok::<_, moorline_core::TransportError>((sender, receiver))
//! };
//! let (received, _client) = tokio::try_join!(server, client)?;
//! assert_eq!(received, Some(Incoming::Frame(Frame::text("tea, please"))));
//! # Ok(())
//! # }
//! ```
//!
//! # Parts
//!
//! | | |
//! | --- | --- |
//! | [`WebSocket`] | the client's side, a [`Transport`](moorline_core::Transport) |
//! | [`WebSocketAcceptor`] | the server's side, an [`Acceptor`](moorline_core::Acceptor) of [`WebSockets`]; like the next one with the feature `server`, which is on by default |
//! | [`HttpDoor`] | its listening socket, and what it lets in: path, origins, limits |
//! | [`WebSocketSender`], [`WebSocketReceiver`] | the halves of a link, the same on both sides |
//! | `adopt` (feature `adopt`) | halves over a socket that tokio-tungstenite or async-tungstenite has opened |
//!
//! # What is spoken
//!
//! RFC 6455 without extensions. A frame of moorline's is one message; incoming messages may be fragmented, outgoing ones are
//! not. Framing, limits and closes are on the [receiver](WebSocketReceiver), batching is on the [sender](WebSocketSender).
//! Frame headers, close keys and nonces are tungstenite's; buffers are this crate's own, because an idle connection must cost
//! nothing and a busy one no copies (`docs/decisions.md`).

#[cfg(feature = "server")]
mod acceptor;
#[cfg(feature = "adopt")]
pub mod adopt;
mod client_handshake;
mod close;
mod decoder;
mod link;
mod mask;
mod outbox;
mod receiver;
mod scratch;
mod sender;
mod trace;
mod transport;
#[cfg(feature = "server")]
mod upgrade;

#[cfg(feature = "server")]
pub use acceptor::{WebSocketAcceptor, WebSocketPending, WebSockets};
#[cfg(feature = "server")]
pub use moorline_http::{HttpAcceptor, HttpDoor};
pub use moorline_socket::Proxy;
#[cfg(feature = "rustls")]
pub use moorline_socket::{TlsClient, TlsServer};
pub use receiver::WebSocketReceiver;
pub use sender::WebSocketSender;
pub use transport::WebSocket;
