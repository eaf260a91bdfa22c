use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use moorline_core::{Net, NetListener};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use crate::Tokio;

impl Net for Tokio {
    type Stream = TokioStream;
    type Listener = TokioListener;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        within(&self.handle, async { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
            .await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TokioStream> {
        TokioStream::new(within(&self.handle, TcpStream::connect(address)).await?)
    }

    async fn bind(&self, address: SocketAddr) -> io::Result<TokioListener> {
        let listener = within(&self.handle, TcpListener::bind(address)).await?;
        Ok(TokioListener { handle: self.handle.clone(), listener })
    }
}

/// Polls a future with the runtime entered, which tokio asks for where a socket is made or a name is looked up.
async fn within<F: Future>(handle: &Handle, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _entered = handle.enter();
        future.as_mut().poll(context)
    })
    .await
}

/// A listening socket of tokio's, as [`NetListener`].
#[derive(Debug)]
pub struct TokioListener {
    handle: Handle,
    listener: TcpListener,
}

impl TokioListener {
    /// The socket itself.
    #[must_use]
    pub fn into_inner(self) -> TcpListener {
        self.listener
    }
}

impl NetListener for TokioListener {
    type Stream = TokioStream;

    async fn accept(&mut self) -> io::Result<(TokioStream, SocketAddr)> {
        let (stream, address) = within(&self.handle, self.listener.accept()).await?;
        Ok((TokioStream::new(stream)?, address))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A TCP connection of tokio's, with the stream traits of `futures-io`. `TCP_NODELAY` is set.
///
/// Dropping it closes the socket; closing it (`poll_close`) only ends the sending direction.
#[derive(Debug)]
pub struct TokioStream(TcpStream);

impl TokioStream {
    /// Wraps a connection, and sets its `TCP_NODELAY`.
    ///
    /// # Errors
    ///
    /// When the option cannot be set, as on a socket that is broken already.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// The socket itself, for its options and addresses.
    #[must_use]
    pub fn inner(&self) -> &TcpStream {
        &self.0
    }

    /// The socket itself, for code that is written for tokio. Nothing is buffered here, so nothing is lost.
    #[must_use]
    pub fn into_inner(self) -> TcpStream {
        self.0
    }
}

impl AsyncRead for TokioStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        Pin::new(&mut self.0).poll_read(context, &mut buffer).map_ok(|()| buffer.filled().len())
    }
}

impl AsyncWrite for TokioStream {
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
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
