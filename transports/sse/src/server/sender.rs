//! The half of a server's that sends: events.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use moorline_core::{CloseFrame, Frame, Runtime, Sender, Time, Timer, TransportError};
use moorline_http::Socket;

use super::link::Link;
use crate::frames::{put_close, put_frame};
use crate::whole;

/// How much is held back until a flush, at most.
const BATCH: usize = 64 * 1024;

/// What waits to go together: beyond it there is a packet's worth, and no reason to wait.
const PACKET: usize = 1400;

/// The half of a link that sends.
///
/// Frames are held back until a [`flush`](Sender::flush), up to 64 KiB; beyond it they are written at once, and a send waits while
/// the socket takes no more. A flush writes at once too, unless there are less than 1,400 bytes and the last one was less than the
/// [debounce](crate::EventStreams::debounce) ago: then what comes meanwhile goes with it.
///
/// # Cancel safety
///
/// A `send` that is dropped before its end has sent nothing. A `flush` that is dropped may be called again; a `close` that is dropped
/// has been taken, and a `flush` sends it.
pub struct EventStreamSender<S> {
    link: Arc<Link<S>>,
    runtime: Arc<dyn Runtime>,
    debounce: Duration,
    /// When it was written last.
    written: Time,
    /// Made on the first wait.
    timer: Option<Pin<Box<dyn Timer>>>,
    form: Form,
}

/// How frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As moorline's client reads them.
    Paired,
    /// As an application's own events, or (`whole`) as what they say about themselves.
    Raw { whole: bool },
}

impl<S: Socket> EventStreamSender<S> {
    pub(crate) fn new(
        link: Arc<Link<S>>,
        runtime: Arc<dyn Runtime>,
        debounce: Duration,
        form: Form,
    ) -> Self {
        Self { link, runtime, debounce, written: Time::ZERO, timer: None, form }
    }

    async fn write(&mut self) -> Result<(), TransportError> {
        let waiting = self.link.lock().waiting();
        poll_fn(|context| self.link.lock().poll_flush(context)).await?;
        if waiting > 0 && !self.debounce.is_zero() {
            self.written = self.runtime.now();
        }
        Ok(())
    }

    /// Waits until the last write is long enough ago.
    async fn wait(&mut self) {
        let until = self.written + self.debounce;
        if self.debounce.is_zero() || self.written == Time::ZERO || self.runtime.now() >= until {
            return;
        }
        let timer = self.timer.get_or_insert_with(|| self.runtime.timer());
        timer.as_mut().reset(until);
        timer.as_mut().await;
    }
}

impl<S: Socket> Sender for EventStreamSender<S> {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        if self.link.lock().waiting() >= BATCH {
            self.write().await?;
        }
        let mut link = self.link.lock();
        if link.closed {
            return Err(TransportError::closed());
        }
        match self.form {
            Form::Paired => {
                link.put(|outbox| put_frame(&frame, outbox));
                Ok(())
            }
            Form::Raw { whole } => link.put(|outbox| whole::put(&frame, whole, outbox)),
        }
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        let waiting = self.link.lock().waiting();
        if (1..PACKET).contains(&waiting) {
            self.wait().await;
        }
        self.write().await
    }

    async fn close(&mut self, close: CloseFrame) -> Result<(), TransportError> {
        {
            let mut link = self.link.lock();
            if link.closed {
                return Err(TransportError::closed());
            }
            link.closed = true;
            // An event of that name says nothing to a stranger: the stream ends.
            if self.form == Form::Paired {
                link.put(|outbox| put_close(&close, outbox));
            }
        }
        self.write().await
    }
}

impl<S> fmt::Debug for EventStreamSender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStreamSender").finish_non_exhaustive()
    }
}
