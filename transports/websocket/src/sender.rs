//! The half that sends.

use std::fmt;
use std::future::poll_fn;
use std::iter;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use moorline_core::{CloseFrame, Frame, Sender, TransportError};

use crate::link::{Link, Shared, Side};
use crate::outbox::Outbox;

/// The half of a WebSocket that sends.
///
/// Frames are held back until a [`flush`](Sender::flush), up to 128 KiB; beyond it they are written at once, and a send
/// waits while the socket takes no more. Each is one message in one frame. A server's payload from 4 KiB on is not copied, a
/// client's from 64 KiB on is masked piece by piece, so that what waits is bounded by these 128 KiB and one payload. Text is
/// not checked here: a peer closes with 1007 on what is not UTF-8.
///
/// A [`close`](Sender::close) whose code may not be sent (1005, 1006, 1015 and unassigned ones: RFC 6455, section 7.4) is
/// sent without a code. The socket is closed when both halves are dropped.
///
/// # Cancel safety
///
/// A [`send`](Sender::send) or `ping` that is dropped before its end has sent nothing. A `flush` that is dropped may be
/// called again; a `close` that is dropped has been taken, and a `flush` sends it.
pub struct WebSocketSender<S> {
    link: Arc<Link<S>>,
}

impl<S> WebSocketSender<S> {
    pub(crate) fn new(link: Arc<Link<S>>) -> Self {
        Self { link }
    }
}

/// Waits until something can be taken, and has `push` put it in.
fn poll_push<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &mut Shared<S>,
    context: &mut Context<'_>,
    push: impl FnOnce(&mut Outbox),
) -> Poll<Result<(), TransportError>> {
    shared.check()?;
    if shared.outbox.is_closed() {
        return Poll::Ready(Err(TransportError::closed()));
    }
    if !shared.outbox.has_room() {
        ready!(shared.poll_write(Side::Sender, context))?;
    }
    push(&mut shared.outbox);
    if !shared.outbox.has_room() {
        // Not all may be taken now: the next send, or the flush, goes on.
        if let Poll::Ready(Err(error)) = shared.poll_write(Side::Sender, context) {
            return Poll::Ready(Err(error.into()));
        }
    }
    Poll::Ready(Ok(()))
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Sender for WebSocketSender<S> {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        self.send_all(&mut iter::once(frame)).await
    }

    async fn send_all(
        &mut self,
        frames: &mut (impl Iterator<Item = Frame> + Send),
    ) -> Result<(), TransportError> {
        let mut next = frames.next();
        poll_fn(|context| {
            // One lock for all that find room.
            let mut shared = self.link.lock();
            while next.is_some() {
                ready!(poll_push(&mut shared, context, |outbox| match next.take() {
                    Some(Frame::Text(payload)) => outbox.push(true, payload),
                    Some(Frame::Binary(payload)) => outbox.push(false, payload),
                    None => {}
                }))?;
                next = frames.next();
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        Ok(self.link.flush(Side::Sender).await?)
    }

    async fn ping(&mut self) -> Result<(), TransportError> {
        poll_fn(|context| poll_push(&mut self.link.lock(), context, Outbox::ping)).await
    }

    async fn close(&mut self, close: CloseFrame) -> Result<(), TransportError> {
        let begun = {
            let mut shared = self.link.lock();
            let begun = shared.check().is_ok() && !shared.outbox.is_closed();
            if begun {
                shared.outbox.close(close);
            }
            begun
        };
        if begun { self.flush().await } else { Err(TransportError::closed()) }
    }
}

impl<S> fmt::Debug for WebSocketSender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketSender").finish_non_exhaustive()
    }
}
