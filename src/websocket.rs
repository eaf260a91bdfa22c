//! The short way in: WebSocket, on the tokio runtime that this is called in.

use moorline_core::TransportError;
use moorline_tokio::Tokio;
use moorline_websocket::WebSocket;
#[cfg(feature = "http-server")]
use moorline_websocket::WebSocketAcceptor;

use crate::Client;
#[cfg(feature = "http-server")]
use crate::Server;

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
    pub fn websocket(url: impl AsRef<str>) -> Result<Self, TransportError> {
        let transport = WebSocket::new(url, Tokio::current())?;
        Ok(Self::builder().transport(transport).runtime(Tokio::current()).build())
    }
}

#[cfg(feature = "http-server")]
impl Server {
    /// A server of WebSockets at `address` (`"127.0.0.1:8080"`; port 0 is any free one), on any path, on the
    /// current tokio runtime, all else by default. It listens when it is [`run`](Self::run). For more, give
    /// [`Server::builder`] a [`WebSocketAcceptor`].
    ///
    /// # Errors
    ///
    /// When `address` is none.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn websocket(address: impl AsRef<str>) -> Result<Self, TransportError> {
        let acceptor = WebSocketAcceptor::new(address, Tokio::current())?;
        Ok(Self::builder().acceptor(acceptor).runtime(Tokio::current()).build())
    }
}
