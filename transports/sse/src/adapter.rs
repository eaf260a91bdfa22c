//! Event sources of `reqwest_eventsource`, for whoever has them already.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::poll_fn;
use moorline_core::{
    Capabilities, CloseFrame, ConnectRequest, Frame, Incoming, Receiver, Sender, Transport,
    TransportError, TransportErrorKind,
};
use moorline_socket::answered;
use reqwest_eventsource::retry::Never;
use reqwest_eventsource::{Error, EventSource};

use crate::decoder::Event;
use crate::whole::{self, only_read};

/// Reads by event sources of `reqwest_eventsource`, for the codec `Raw`: one for each connect, on a tokio runtime. Their own retries
/// are switched off, since the connection has its own; a panic of theirs is an error of the link's.
///
/// [`Sse::raw`](crate::Sse::raw) follows the standard more closely, sends `Last-Event-ID` by itself, and runs on every runtime.
///
/// ```no_run
/// use moorline_sse::ReqwestEvents;
/// use reqwest_eventsource::EventSource;
///
/// let news = ReqwestEvents::new(|| EventSource::get("http://127.0.0.1:8080/news"));
/// ```
///
/// # Errors
///
/// A connect fails as [`Sse`](crate::Sse)'s does; what reqwest says goes wrong on the way there is
/// [`Unreachable`](TransportErrorKind::Unreachable).
pub struct ReqwestEvents<F> {
    make: F,
    whole: bool,
}

impl<F: Fn() -> EventSource + Send + Sync + 'static> ReqwestEvents<F> {
    /// A reader of what `make` makes.
    pub fn new(make: F) -> Self {
        Self { make, whole: false }
    }

    /// Gives each event whole, as [`Sse::whole_events`](crate::Sse::whole_events) does.
    #[must_use]
    pub fn whole_events(mut self) -> Self {
        self.whole = true;
        self
    }
}

impl<F: Fn() -> EventSource + Send + Sync + 'static> Transport for ReqwestEvents<F> {
    type Sender = ReadOnly;
    type Receiver = ReqwestReceiver;

    async fn connect(
        &self,
        request: &ConnectRequest,
    ) -> Result<(ReadOnly, ReqwestReceiver), TransportError> {
        let mut source =
            catch_unwind(AssertUnwindSafe(|| (self.make)())).map_err(|_| panicked())?;
        source.set_retry_policy(Box::new(Never));
        let mut receiver =
            ReqwestReceiver { source, max_frame: request.max_frame, whole: self.whole };
        match poll_fn(|context| receiver.poll_source(context)).await? {
            Some(Ok(_open)) => Ok((ReadOnly(()), receiver)),
            Some(Err(error)) => Err(refused(error)),
            None => Err(TransportError::closed()),
        }
    }

    fn capabilities(&self) -> Capabilities {
        crate::capabilities()
    }
}

impl<F> fmt::Debug for ReqwestEvents<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestEvents").field("whole", &self.whole).finish_non_exhaustive()
    }
}

/// The half that sends: nothing.
#[derive(Debug)]
pub struct ReadOnly(());

impl Sender for ReadOnly {
    async fn send(&mut self, _: Frame) -> Result<(), TransportError> {
        Err(only_read())
    }

    async fn close(&mut self, _: CloseFrame) -> Result<(), TransportError> {
        Ok(())
    }
}

/// The half that receives.
///
/// An event larger than [`ConnectRequest::max_frame`] is refused once it is there: what it takes before is not bounded here, but by
/// the event source.
pub struct ReqwestReceiver {
    source: EventSource,
    max_frame: usize,
    whole: bool,
}

type Next = Option<Result<reqwest_eventsource::Event, Error>>;

impl ReqwestReceiver {
    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Result<Next, TransportError>> {
        // The source is not used again after a panic: an error ends the link.
        match catch_unwind(AssertUnwindSafe(|| self.source.poll_next_unpin(context))) {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(panicked())),
        }
    }
}

impl Receiver for ReqwestReceiver {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        use reqwest_eventsource::Event::{Message, Open};
        match poll_fn(|context| self.poll_source(context)).await? {
            Some(Ok(Open)) => Ok(Some(Incoming::Activity)),
            Some(Ok(Message(message))) => {
                if message.data.len() > self.max_frame {
                    return Err(TransportError::too_large(message.data.len(), self.max_frame));
                }
                let event = Event { name: message.event.into(), data: message.data.into() };
                let id = Bytes::from(message.id);
                Ok(Some(Incoming::Frame(whole::frame(event, &id, self.whole))))
            }
            Some(Err(Error::StreamEnded)) | None => Ok(None),
            Some(Err(error)) => Err(refused(error)),
        }
    }
}

impl fmt::Debug for ReqwestReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestReceiver").finish_non_exhaustive()
    }
}

fn panicked() -> TransportError {
    TransportError::new(TransportErrorKind::Broken, "the event source has panicked")
}

fn refused(error: Error) -> TransportError {
    let kind = match &error {
        Error::InvalidStatusCode(status, response) => {
            let retry_after = response.headers().get(http::header::RETRY_AFTER);
            return answered(status.as_u16(), retry_after.map(|value| value.as_bytes()));
        }
        Error::InvalidContentType(..) => {
            return TransportError::refused("the answer is no event stream");
        }
        Error::Transport(error) if error.is_connect() => TransportErrorKind::Unreachable,
        Error::Transport(error) if error.is_timeout() => TransportErrorKind::TimedOut,
        Error::Transport(_) | Error::StreamEnded => TransportErrorKind::Broken,
        Error::Utf8(_) | Error::Parser(_) | Error::InvalidLastEventId(_) => {
            TransportErrorKind::Protocol
        }
    };
    TransportError::new(kind, error.to_string())
}
