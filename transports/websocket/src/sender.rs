//! The half that sends.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use moorline_core::{CloseFrame, Frame, Sender, TransportError};

use crate::link::{Link, Shared, Side};

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

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketSender<S> {
    /// Waits until a frame can be taken, and has `push` put it in.
    fn poll_push(
        &self,
        context: &mut Context<'_>,
        push: impl FnOnce(&mut Shared<S>),
    ) -> Poll<Result<(), TransportError>> {
        let mut shared = self.link.lock();
        shared.check()?;
        if shared.outbox.is_closed() {
            return Poll::Ready(Err(TransportError::closed()));
        }
        if !shared.outbox.has_room() {
            ready!(shared.poll_write(Side::Sender, context))?;
        }
        push(&mut shared);
        if !shared.outbox.has_room() {
            // Not all may be taken now: the next send, or the flush, goes on.
            if let Poll::Ready(Err(error)) = shared.poll_write(Side::Sender, context) {
                return Poll::Ready(Err(error.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Sender for WebSocketSender<S> {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        let mut frame = Some(frame);
        poll_fn(|context| {
            self.poll_push(context, |shared| match frame.take() {
                Some(Frame::Text(payload)) => shared.outbox.push(true, payload),
                Some(Frame::Binary(payload)) => shared.outbox.push(false, payload),
                None => {}
            })
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        Ok(self.link.flush(Side::Sender).await?)
    }

    async fn ping(&mut self) -> Result<(), TransportError> {
        poll_fn(|context| self.poll_push(context, |shared| shared.outbox.ping())).await
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
