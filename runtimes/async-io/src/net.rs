use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite};
use moorline_core::NetListener;

/// The addresses of a host, asked for anew on a thread that may block; for [`Net::resolve`](moorline_core::Net::resolve).
///
/// # Errors
///
/// When the name is unknown, or the resolver fails.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let host = host.to_owned();
    blocking::unblock(move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await
}

/// A listening socket of async-io's, as [`NetListener`].
#[derive(Debug)]
pub struct AsyncIoListener(Async<TcpListener>);

impl AsyncIoListener {
    /// Listens; port 0 is any free port. It does not block.
    ///
    /// # Errors
    ///
    /// When the address is taken or not ours.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self(Async::<TcpListener>::bind(address)?))
    }

    /// The socket itself.
    #[must_use]
    pub fn into_inner(self) -> Async<TcpListener> {
        self.0
    }
}

impl NetListener for AsyncIoListener {
    type Stream = AsyncIoStream;

    async fn accept(&mut self) -> io::Result<(AsyncIoStream, SocketAddr)> {
        let (stream, address) = self.0.accept().await?;
        Ok((AsyncIoStream::new(stream)?, address))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }
}

/// A TCP connection of async-io's. `TCP_NODELAY` is set.
///
/// Dropping it closes the socket; closing it (`poll_close`) only ends the sending direction.
#[derive(Debug)]
pub struct AsyncIoStream(Async<TcpStream>);

impl AsyncIoStream {
    /// Opens a connection. No time limit.
    ///
    /// # Errors
    ///
    /// When nobody listens there, or it cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the socket.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::new(Async::<TcpStream>::connect(address).await?)
    }

    /// Wraps a connection, and sets its `TCP_NODELAY`.
    ///
    /// # Errors
    ///
    /// When the option cannot be set, as on a socket that is broken already.
    pub fn new(stream: Async<TcpStream>) -> io::Result<Self> {
        stream.get_ref().set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// The socket itself, for its options and addresses.
    #[must_use]
    pub fn inner(&self) -> &TcpStream {
        self.0.get_ref()
    }

    /// The socket itself, for code that is written for async-io. Nothing is buffered here, so nothing is lost.
    #[must_use]
    pub fn into_inner(self) -> Async<TcpStream> {
        self.0
    }
}

impl AsyncRead for AsyncIoStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for AsyncIoStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        Poll::Ready(self.inner().shutdown(Shutdown::Write))
    }
}
