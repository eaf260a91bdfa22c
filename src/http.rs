//! The short ways in: by HTTP, on the tokio runtime that this is called in.

#[cfg(any(feature = "sse", feature = "websocket"))]
use moorline_core::TransportError;
#[cfg(feature = "http-server")]
use moorline_http::HttpAcceptor;
#[cfg(feature = "sse")]
use moorline_sse::Sse;
use moorline_tokio::Tokio;
#[cfg(feature = "websocket")]
use moorline_websocket::WebSocket;

use crate::Client;
#[cfg(feature = "http-server")]
use crate::Server;

/// All that a server takes in at one address: what the features are switched on for.
#[cfg(all(feature = "http-server", feature = "sse", feature = "websocket"))]
type Everything = (moorline_websocket::WebSockets, moorline_sse::EventStreams);
#[cfg(all(feature = "http-server", feature = "sse", not(feature = "websocket")))]
type Everything = moorline_sse::EventStreams;
#[cfg(all(feature = "http-server", feature = "websocket", not(feature = "sse")))]
type Everything = moorline_websocket::WebSockets;

impl Client {
    /// A client of a WebSocket address, on the current tokio runtime, all else by default. For more, give
    /// [`Client::builder`] a [`WebSocket`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), moorline::TransportError> {
    /// let client = moorline::Client::websocket("ws://127.0.0.1:8080/realtime")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When `url` is not the address of a WebSocket.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[cfg(feature = "websocket")]
    pub fn websocket(url: impl AsRef<str>) -> Result<Self, TransportError> {
        let transport = WebSocket::new(url, Tokio::current())?;
        Ok(Self::builder().transport(transport).runtime(Tokio::current()).build())
    }

    /// A client by server-sent events and POST, for where WebSockets are blocked, on the current tokio runtime, all else by
    /// default. For more, give [`Client::builder`] an [`Sse`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), moorline::TransportError> {
    /// let client = moorline::Client::sse("http://127.0.0.1:8080/realtime")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When `url` is not the address of an HTTP server.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[cfg(feature = "sse")]
    pub fn sse(url: impl AsRef<str>) -> Result<Self, TransportError> {
        let transport = Sse::new(url, Tokio::current())?;
        Ok(Self::builder().transport(transport).runtime(Tokio::current()).build())
    }
}

#[cfg(all(feature = "http-server", any(feature = "sse", feature = "websocket")))]
impl Server {
    /// A server at `address` (`"127.0.0.1:8080"`; port 0 is any free one), on any path, of WebSockets and of server-sent events (as
    /// far as these features are switched on), on the current tokio runtime, all else by default. It listens when it is
    /// [`run`](Self::run). For more, give [`Server::builder`] an [`HttpAcceptor`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), moorline::TransportError> {
    /// let server = moorline::Server::bind("127.0.0.1:8080")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When `address` is none.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn bind(address: impl AsRef<str>) -> Result<Self, TransportError> {
        let acceptor = HttpAcceptor::<_, Everything>::new(address, Tokio::current())?;
        Ok(Self::builder().acceptor(acceptor).runtime(Tokio::current()).build())
    }
}
