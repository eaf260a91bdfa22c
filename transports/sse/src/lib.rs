//! moorline over server-sent events (WHATWG HTML, section 9.2), with POST upstream: client and server, on any runtime that has
//! sockets ([`Net`](moorline_core::Net)). For where WebSockets are blocked, and for endpoints that speak nothing else.
//!
//! | | |
//! | --- | --- |
//! | [`Sse`] | the client's side, a [`Transport`](moorline_core::Transport): of moorline's servers, or ([`Sse::raw`]) a reader of any endpoint |
//! | [`EventStreams`] | the server's side, at one address by itself ([`SseAcceptor`]) or with WebSockets |
//! | `ReqwestEvents` (feature `reqwest-eventsource`) | event sources of that crate as a transport |
//! | [`EventDecoder`] | an event stream taken apart, without I/O |
//!
//! What is spoken is in `docs/protocol.md`: frames as events, batches of them as POSTs.
//!
//! ```
//! use moorline_core::{Acceptor, ConnectRequest, Frame, Incoming, Pending, Receiver, Sender, Transport};
//! use moorline_sse::{Sse, SseAcceptor};
//! use moorline_tokio::Tokio;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), moorline_core::TransportError> {
//! let mut acceptor = SseAcceptor::new("127.0.0.1:0", Tokio::current())?;
//! acceptor.listen().await?;
//! let address = acceptor.local_address().expect("it listens");
//!
//! let server = async {
//!     // Not every connection is a link: some only carry POSTs.
//!     let (_sender, mut receiver, _peer) = loop {
//!         if let Ok(link) = acceptor.accept().await?.handshake().await {
//!             break link;
//!         }
//!     };
//!     receiver.receive().await
//! };
//! let client = async {
//!     let shop = Sse::new(format!("http://{address}/shop"), Tokio::current())?;
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

#[cfg(feature = "reqwest-eventsource")]
mod adapter;
mod client;
mod decoder;
mod frames;
mod names;
mod server;
mod whole;

#[cfg(feature = "reqwest-eventsource")]
pub use adapter::{ReadOnly, ReqwestEvents, ReqwestReceiver};
pub use client::{Sse, SseReceiver, SseSender};
pub use decoder::{Event, EventDecoder, Item};
pub use moorline_http::{HttpAcceptor, HttpDoor};
pub use moorline_socket::Proxy;
#[cfg(feature = "rustls")]
pub use moorline_socket::{TlsClient, TlsServer};
pub use server::{EventStreamReceiver, EventStreamSender, EventStreams, Granted, SseAcceptor};

/// What links can do, on either side. No ping: an answer to one would be a request of its own.
fn capabilities() -> moorline_core::Capabilities {
    moorline_core::Capabilities::default()
}
