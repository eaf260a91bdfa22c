//! Sockets, for transports that are written once over any runtime.
//!
//! [`Runtime`] gives tasks and time; `Net` gives TCP. It is generic where `Runtime` is
//! object-safe, because its streams stand on the path of every byte and must not be boxed. Streams are
//! those of `futures-io`, which every runtime has or adapts in a few lines, so that N transports and
//! M runtimes cost N + M and not N × M.
//!
//! # A whole `Net`
//!
//! Its runtime's part is left out here (see [`runtime`](crate::runtime)); a stream of the standard
//! library, blocking, stands in for an asynchronous one.
//!
//! ```
//! use std::io;
//! use std::net::SocketAddr;
//! use futures_util::io::AllowStdIo;
//! use moorline_core::{Net, NetListener};
//! # use std::pin::Pin;
//! # use moorline_core::{BoxFuture, Runtime, Time, Timer};
//! # #[derive(Debug)]
//! # struct Blocking;
//! # impl Runtime for Blocking {
//! #     fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {}
//! #     fn spawn_blocking(&self, _: Box<dyn FnOnce() + Send>) {}
//! #     fn timer(&self) -> Pin<Box<dyn Timer>> { unimplemented!() }
//! #     fn now(&self) -> Time { Time::ZERO }
//! # }
//!
//! impl Net for Blocking {
//!     type Stream = AllowStdIo<std::net::TcpStream>;
//!     type Listener = Listener;
//!     async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
//!         Ok(std::net::ToSocketAddrs::to_socket_addrs(&(host, port))?.collect())
//!     }
//!     async fn connect(&self, address: SocketAddr) -> io::Result<Self::Stream> {
//!         let stream = std::net::TcpStream::connect(address)?;
//!         stream.set_nodelay(true)?;
//!         Ok(AllowStdIo::new(stream))
//!     }
//!     async fn bind(&self, address: SocketAddr) -> io::Result<Listener> {
//!         Ok(Listener(std::net::TcpListener::bind(address)?))
//!     }
//! }
//!
//! struct Listener(std::net::TcpListener);
//!
//! impl NetListener for Listener {
//!     type Stream = AllowStdIo<std::net::TcpStream>;
//!     async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
//!         let (stream, address) = self.0.accept()?;
//!         stream.set_nodelay(true)?;
//!         Ok((AllowStdIo::new(stream), address))
//!     }
//!     fn local_address(&self) -> io::Result<SocketAddr> {
//!         self.0.local_addr()
//!     }
//! }
//! ```

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use futures_io::{AsyncRead, AsyncWrite};

use crate::Runtime;

/// A runtime that has sockets.
///
/// # Behaviour
///
/// - Streams MUST have `TCP_NODELAY` set: moorline batches by itself.
/// - Dropping a future or a stream MUST close its socket at once, without waiting for the peer.
/// - [`resolve`](Self::resolve) MUST ask anew each time, and MUST NOT hold up other tasks.
pub trait Net: Runtime {
    /// A TCP connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// A listening socket.
    type Listener: NetListener<Stream = Self::Stream>;

    /// The addresses of a host, in the order in which they should be tried.
    ///
    /// # Errors
    ///
    /// When the name is unknown, or the resolver fails.
    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Opens a connection. No time limit: the caller drops the future.
    ///
    /// # Errors
    ///
    /// When nobody listens there, or it cannot be reached.
    fn connect(&self, address: SocketAddr)
    -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Listens; port 0 is any free port.
    ///
    /// # Errors
    ///
    /// When the address is taken or not ours.
    fn bind(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;
}

/// A listening socket.
///
/// # Behaviour
///
/// - A future of [`accept`](Self::accept) may be dropped and called again; no connection may get lost.
/// - Dropping the listener MUST free its port.
pub trait NetListener: Send + 'static {
    /// A TCP connection.
    type Stream;

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// When the process is out of descriptors, say; the caller pauses and tries again.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    fn local_address(&self) -> io::Result<SocketAddr>;
}
