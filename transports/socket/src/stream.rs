use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

/// A connection: a socket, or TLS over one. A socket costs nothing more than itself.
pub struct Stream<S>(Kind<S>);

enum Kind<S> {
    Plain(S),
    #[cfg(feature = "rustls")]
    Tls(Box<futures_rustls::TlsStream<S>>),
}

impl<S> Stream<S> {
    /// A socket as it is.
    pub const fn plain(stream: S) -> Self {
        Self(Kind::Plain(stream))
    }

    #[cfg(feature = "rustls")]
    pub(crate) fn tls(stream: impl Into<futures_rustls::TlsStream<S>>) -> Self {
        Self(Kind::Tls(Box::new(stream.into())))
    }

    /// The socket beneath, for its options and addresses.
    #[must_use]
    pub fn socket(&self) -> &S {
        match &self.0 {
            Kind::Plain(stream) => stream,
            #[cfg(feature = "rustls")]
            Kind::Tls(stream) => stream.get_ref().0,
        }
    }

    /// The socket itself, of a plain one; `None` where there is TLS over it.
    #[must_use]
    pub fn into_socket(self) -> Option<S> {
        match self.0 {
            Kind::Plain(stream) => Some(stream),
            #[cfg(feature = "rustls")]
            Kind::Tls(_) => None,
        }
    }

    /// Whether it is TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        !matches!(self.0, Kind::Plain(_))
    }
}

/// Calls a method of whichever stream it is.
macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.0 {
            Kind::Plain($stream) => $call,
            #[cfg(feature = "rustls")]
            Kind::Tls($stream) => $call,
        }
    };
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_close(context))
    }
}

impl<S> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("secure", &self.is_secure()).finish_non_exhaustive()
    }
}
