//! A stream of `futures-io` as hyper wants it, and an error of hyper's as moorline wants it.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};
use moorline_core::{TransportError, TransportErrorKind};

/// How much is read at once: a request's head is rarely larger.
const CHUNK: usize = 4096;

/// A stream of `futures-io` as hyper wants it.
#[derive(Debug)]
pub struct Io<S>(pub S);

/// What went wrong with HTTP on a connection. What went wrong beneath it, with TLS say, is said in its place.
#[must_use]
pub fn failure(error: hyper::Error) -> TransportError {
    let kind = if error.is_parse_too_large() {
        TransportErrorKind::TooLarge
    } else if error.is_parse() {
        TransportErrorKind::Protocol
    } else {
        TransportErrorKind::Broken
    };
    let beneath = error.source().map(ToString::to_string);
    TransportError::new(kind, beneath.unwrap_or_else(|| error.to_string())).with_source(error)
}

impl<S: AsyncRead + Unpin> Read for Io<S> {
    /// Reads by way of the stack: hyper's memory may be uninitialized, and without unsafe code that is not written to
    /// directly.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut chunk = [0; CHUNK];
        let room = cursor.remaining().min(CHUNK);
        let read = ready!(Pin::new(&mut self.0).poll_read(context, &mut chunk[..room]))?;
        cursor.put_slice(&chunk[..read]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Write for Io<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}
