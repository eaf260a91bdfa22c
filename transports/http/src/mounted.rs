//! What a link is made of inside somebody else's HTTP server: an upgraded connection, or a response's body.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use futures_io::{AsyncRead, AsyncWrite};
use hyper::body::{Body, Frame};
use hyper::rt::{Read, ReadBuf, Write};
use hyper::upgrade::Upgraded;

/// How much may wait in a body: as much as a socket takes at most times.
const ROOM: usize = 64 * 1024;

/// A stream inside somebody else's HTTP server.
pub struct Mounted(Kind);

enum Kind {
    Upgraded(Box<Upgraded>),
    Body(Pipe),
}

impl Mounted {
    pub(crate) fn upgraded(upgraded: Upgraded) -> Self {
        Self(Kind::Upgraded(Box::new(upgraded)))
    }
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted").finish_non_exhaustive()
    }
}

/// A stream of which all that is written becomes a response's body. Nothing is read of it but its end.
pub(crate) fn pipe() -> (Mounted, MountedBody) {
    let state = Arc::new(Mutex::new(State::default()));
    (Mounted(Kind::Body(Pipe(state.clone()))), MountedBody(Content::Pipe(PipeEnd(state))))
}

#[derive(Default)]
struct State {
    waiting: BytesMut,
    /// Nothing more is written.
    ended: bool,
    /// Nobody takes any more.
    gone: bool,
    /// Who waits to take, for room, and for the end.
    takers: Wakers,
}

impl State {
    /// Waits until something is taken, or never is.
    fn poll_taken(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if self.gone {
            return Poll::Ready(io::ErrorKind::BrokenPipe.into());
        }
        self.takers.writer = Some(context.waker().clone());
        Poll::Pending
    }
}

#[derive(Default)]
struct Wakers {
    body: Option<Waker>,
    writer: Option<Waker>,
    reader: Option<Waker>,
}

struct Pipe(Arc<Mutex<State>>);

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Pipe {
    /// Waits until everything is taken.
    fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        // Whoever has taken it all may be gone.
        if state.waiting.is_empty() {
            return Poll::Ready(Ok(()));
        }
        state.poll_taken(context).map(Err)
    }

    fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0);
        let room = ROOM.saturating_sub(state.waiting.len()).min(bytes.len());
        if state.gone || room == 0 {
            return state.poll_taken(context).map(Err);
        }
        state.waiting.extend_from_slice(&bytes[..room]);
        let body = state.takers.body.take();
        drop(state);
        wake(body);
        Poll::Ready(Ok(room))
    }

    fn end(&self) {
        let mut state = lock(&self.0);
        state.ended = true;
        let body = state.takers.body.take();
        drop(state);
        wake(body);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.end();
    }
}

impl AsyncRead for Mounted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Upgraded(upgraded) => {
                let mut buffer = ReadBuf::new(buffer);
                let read = Pin::new(upgraded).poll_read(context, buffer.unfilled());
                read.map_ok(|()| buffer.filled().len())
            }
            Kind::Body(pipe) => {
                let mut state = lock(&pipe.0);
                if state.gone {
                    return Poll::Ready(Ok(0));
                }
                state.takers.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Mounted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Upgraded(upgraded) => Pin::new(upgraded).poll_write(context, bytes),
            Kind::Body(pipe) => pipe.poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Upgraded(upgraded) => Pin::new(upgraded).poll_flush(context),
            Kind::Body(pipe) => pipe.poll_flush(context),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Upgraded(upgraded) => Pin::new(upgraded).poll_shutdown(context),
            Kind::Body(pipe) => {
                pipe.end();
                Poll::Ready(Ok(()))
            }
        }
    }
}

/// A response's body.
pub struct MountedBody(Content);

enum Content {
    Text(Bytes),
    Pipe(PipeEnd),
}

struct PipeEnd(Arc<Mutex<State>>);

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.gone = true;
        let Wakers { writer, reader, .. } = std::mem::take(&mut state.takers);
        drop(state);
        wake(writer);
        wake(reader);
    }
}

impl MountedBody {
    pub(crate) const fn empty() -> Self {
        Self(Content::Text(Bytes::new()))
    }

    pub(crate) fn text(text: String) -> Self {
        Self(Content::Text(text.into()))
    }
}

impl Body for MountedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match &mut self.0 {
            Content::Text(text) => std::mem::take(text),
            Content::Pipe(end) => {
                let mut state = lock(&end.0);
                if state.waiting.is_empty() && !state.ended {
                    state.takers.body = Some(context.waker().clone());
                    return Poll::Pending;
                }
                // Memory that a burst has made large is not kept.
                let data = std::mem::take(&mut state.waiting).freeze();
                let writer = state.takers.writer.take();
                drop(state);
                wake(writer);
                data
            }
        };
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Content::Text(text) if text.is_empty())
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match &self.0 {
            Content::Text(text) => hyper::body::SizeHint::with_exact(text.len() as u64),
            Content::Pipe(_) => hyper::body::SizeHint::default(),
        }
    }
}

impl fmt::Debug for MountedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MountedBody").finish_non_exhaustive()
    }
}
