//! The half that receives.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_io::{AsyncRead, AsyncWrite};
use moorline_core::{CloseFrame, Incoming, Receiver, TransportError};

use crate::decoder::{Decoder, Item, Step, Violation, frame};
use crate::link::{Link, Side};
use crate::{scratch, trace};

/// How much is read and thrown away after a violation, so that the close that tells of it is not overtaken by a reset.
const LINGER: usize = 1 << 20;

/// Up to how many bytes that came in one read the messages among them share, instead of a memory for each.
const SHARED: usize = 4 * 1024;

/// The half of a WebSocket that receives.
///
/// It answers pings by itself while it is being polled, and a close as soon as that has come: the answer is written before
/// [`Incoming::Close`] comes out, whose code is 1005 where the peer gave none (RFC 6455, section 7.1.5). Pings and pongs come
/// out as [`Incoming::Activity`]. An end without a close is `None`.
///
/// # Errors
///
/// A peer that breaks the protocol is told with a close, and then `receive` fails:
///
/// | what | close code | kind |
/// | --- | --- | --- |
/// | frames that RFC 6455 forbids | 1002 | [`Protocol`](moorline_core::TransportErrorKind::Protocol) |
/// | text that is not UTF-8 | 1007 | [`Protocol`](moorline_core::TransportErrorKind::Protocol) |
/// | a message above the limit | 1009 | [`TooLarge`](moorline_core::TransportErrorKind::TooLarge) |
///
/// A socket that breaks gives [`Broken`](moorline_core::TransportErrorKind::Broken).
///
/// # Memory
///
/// Nothing is held while nothing comes: reads go to a buffer of 64 KiB that all connections of a thread share. What was read
/// and not taken yet is kept, up to as much, and one message that has not come in full, up to the limit. A payload that
/// comes out holds at most four times its size; small ones that came at once may share up to 4 KiB.
///
/// # Cancel safety
///
/// A `receive` that is dropped before its end has taken nothing; it may be called again.
pub struct WebSocketReceiver<S> {
    link: Arc<Link<S>>,
    decoder: Decoder,
    /// What has been read and not been decoded.
    rest: BytesMut,
    /// How large the memory of `rest` was at first.
    rest_size: usize,
    /// An answer to a ping may wait to be written.
    answering: bool,
    ending: Option<Result<CloseFrame, TransportError>>,
    over: bool,
}

impl<S> WebSocketReceiver<S> {
    /// `read` is what came behind the handshake.
    pub(crate) fn new(link: Arc<Link<S>>, decoder: Decoder, read: &[u8]) -> Self {
        Self {
            link,
            decoder,
            rest: BytesMut::from(read),
            rest_size: read.len(),
            answering: false,
            ending: None,
            over: false,
        }
    }
}

type Received = Result<Option<Incoming>, TransportError>;

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketReceiver<S> {
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Received> {
        loop {
            if self.ending.is_some() {
                return self.poll_end(context);
            }
            if self.over {
                return Poll::Ready(Ok(None));
            }
            if self.answering {
                self.answer(context);
            }
            let step = if self.rest.is_empty() { Ok(Step::Wait) } else { self.decode_rest() };
            let step = match step {
                Ok(Step::Wait) => ready!(self.poll_read(context))?,
                step => Some(step),
            };
            match step {
                None => {
                    self.over = true;
                    return Poll::Ready(Ok(None));
                }
                Some(Ok(Step::Wait | Step::Whole(..))) => {}
                Some(Ok(Step::Item(Item::Message(frame)))) => {
                    return Poll::Ready(Ok(Some(Incoming::Frame(frame))));
                }
                Some(Ok(Step::Item(Item::Pong))) => {
                    return Poll::Ready(Ok(Some(Incoming::Activity)));
                }
                Some(Ok(Step::Item(Item::Ping(payload)))) => {
                    self.link.lock().outbox.pong(payload);
                    self.answer(context);
                    return Poll::Ready(Ok(Some(Incoming::Activity)));
                }
                Some(Ok(Step::Item(Item::Close(close)))) => {
                    self.link.lock().outbox.close(close.clone());
                    self.ending = Some(Ok(close));
                }
                Some(Err(violation)) => self.refuse(violation),
            }
        }
    }

    /// Decodes what has been read before.
    fn decode_rest(&mut self) -> Result<Step, Violation> {
        let (consumed, step) = self.decoder.step(&mut self.rest)?;
        let step = match step {
            Step::Whole(text, range)
                if self.rest_size <= SHARED || range.len() >= self.rest_size / 4 =>
            {
                let mut whole = self.rest.split_to(consumed);
                whole.advance(range.start);
                Step::Item(Item::Message(frame(text, whole.freeze())))
            }
            step => {
                let step = copied(step, &self.rest);
                self.rest.advance(consumed);
                step
            }
        };
        if self.rest.is_empty() {
            let memory = std::mem::take(&mut self.rest);
            if self.rest_size > SHARED {
                scratch::give_back(memory);
            }
        }
        Ok(step)
    }

    /// Reads once, and decodes from where it was read to. `None` at the end.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Result<Step, Violation>>>> {
        scratch::with(|scratch| {
            let stream = &mut self.link.lock().stream;
            let read = ready!(Pin::new(stream).poll_read(context, scratch))?;
            if read == 0 {
                return Poll::Ready(Ok(None));
            }
            let input = &mut scratch[..read];
            if !self.rest.is_empty() {
                self.rest.extend_from_slice(input);
                self.rest_size = self.rest.capacity();
                return Poll::Ready(Ok(Some(Ok(Step::Wait))));
            }
            Poll::Ready(Ok(Some(self.decoder.step(input).map(|(consumed, step)| {
                let step = copied(step, input);
                if consumed < read {
                    let left = &input[consumed..];
                    self.rest = if left.len() > SHARED {
                        scratch::keep(left)
                    } else {
                        BytesMut::from(left)
                    };
                    // The spare memory may be larger than what it holds: a message that shares it would keep all of it.
                    self.rest_size = self.rest.capacity();
                }
                step
            }))))
        })
    }

    /// Writes what answers pings, as far as the socket takes it.
    fn answer(&mut self, context: &mut Context<'_>) {
        let written = self.link.lock().poll_flush(Side::Receiver, context);
        // An error is the sender's to report; what the peer has sent is still read.
        self.answering = written.is_pending();
    }

    fn refuse(&mut self, violation: Violation) {
        let Violation { code, kind, what } = violation;
        trace::debug!(code, what, "the peer broke the protocol");
        self.link.lock().outbox.close(CloseFrame::new(code, what));
        self.rest = BytesMut::new();
        self.ending = Some(Err(TransportError::new(kind, what)));
    }

    /// Writes the close, and then gives out why.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Received> {
        // A peer that has gone needs no answer.
        let _ = ready!(self.link.lock().poll_flush(Side::Receiver, context));
        self.over = true;
        Poll::Ready(match self.ending.take() {
            Some(Ok(close)) => Ok(Some(Incoming::Close(close))),
            Some(Err(error)) => {
                self.linger(context);
                Err(error)
            }
            None => Ok(None),
        })
    }

    /// Throws away what has come already.
    fn linger(&mut self, context: &mut Context<'_>) {
        scratch::with(|scratch| {
            let mut left = LINGER;
            while left > 0 {
                let stream = &mut self.link.lock().stream;
                match Pin::new(stream).poll_read(context, scratch) {
                    Poll::Ready(Ok(read)) if read > 0 => left = left.saturating_sub(read),
                    _ => return,
                }
            }
        });
    }
}

/// A whole message, taken out of memory that is not its own.
fn copied(step: Step, input: &[u8]) -> Step {
    match step {
        Step::Whole(text, range) => {
            Step::Item(Item::Message(frame(text, Bytes::copy_from_slice(&input[range]))))
        }
        step => step,
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Receiver for WebSocketReceiver<S> {
    async fn receive(&mut self) -> Received {
        poll_fn(|context| self.poll_receive(context)).await
    }
}

impl<S> fmt::Debug for WebSocketReceiver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketReceiver").finish_non_exhaustive()
    }
}
