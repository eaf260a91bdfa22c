//! What the two halves of a server's link share: the stream down, and what waits to be written.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use moorline_http::Socket;

/// Says nothing but that somebody is there.
const COMMENT: &[u8] = b":\n\n";

/// The lock is held for as long as one call to the stream takes, which never blocks.
pub(crate) struct Link<S>(Mutex<Shared<S>>);

pub(crate) struct Shared<S> {
    stream: S,
    outbox: BytesMut,
    /// How long a comment is to follow, and that none does yet.
    padding: usize,
    bare: bool,
    /// Somebody waits to write.
    stuck: bool,
    broken: bool,
    /// Nothing comes after what waits.
    pub(crate) closed: bool,
}

impl<S: Socket> Link<S> {
    /// The first line is a comment: some proxies pass nothing on before an answer's body begins.
    pub(crate) fn new(stream: S, padding: usize) -> Arc<Self> {
        let outbox = BytesMut::from(COMMENT);
        Arc::new(Self(Mutex::new(Shared {
            stream,
            outbox,
            padding,
            bare: true,
            stuck: false,
            broken: false,
            closed: false,
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Socket> Shared<S> {
    /// Writes more into what waits, behind which a padding is due again.
    pub(crate) fn put<T>(&mut self, write: impl FnOnce(&mut BytesMut) -> T) -> T {
        self.bare = true;
        write(&mut self.outbox)
    }

    /// How much waits.
    pub(crate) fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Writes everything, and flushes.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let polled = self.poll_write(context);
        self.stuck = polled.is_pending();
        if matches!(polled, Poll::Ready(Err(_))) {
            self.broken = true;
            self.outbox = BytesMut::new();
        }
        polled
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.padding > 0 && std::mem::take(&mut self.bare) && !self.outbox.is_empty() {
            self.outbox.extend_from_slice(b":");
            self.outbox.resize(self.outbox.len() + self.padding, b' ');
            self.outbox.extend_from_slice(b"\n");
        }
        while !self.outbox.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &self.outbox))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.outbox.advance(written),
            }
        }
        // An idle link holds no memory for what it has sent.
        self.outbox = BytesMut::new();
        self.bare = true;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Writes what waits, or a comment, if that goes at once: somebody who does not read needs no sign of life.
    pub(crate) fn keep_alive(&mut self, context: &mut Context<'_>) {
        if !self.stuck && !self.closed {
            if self.outbox.is_empty() {
                self.outbox.extend_from_slice(COMMENT);
            }
            // What goes wrong comes out of the next read or write.
            let _ = self.poll_flush(context);
            self.stuck = false;
        }
    }

    /// Waits for the client to go.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_read(context, &mut [0; 64]))? {
            0 => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "something came behind the request for an event stream",
            ))),
        }
    }
}
