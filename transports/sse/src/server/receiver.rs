//! The half of a server's that receives: what has come up by POST.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use moorline_core::{Incoming, Receiver, Runtime, Timer, TransportError};
use moorline_http::Socket;

use super::hub::Paired;
use super::link::Link;
use crate::decoder::{EventDecoder, Item};
use crate::frames::{event_limit, incoming};

/// How long after its stream's end a link still takes a batch: a page that is closed says so by a POST, while its stream is cut.
const LAST_BATCH: Duration = Duration::from_millis(100);

/// The half of a link that receives.
///
/// It gives what POSTs have brought, a batch after another, and ends 100 ms after the event stream does: what a page says last may
/// come after that. One batch waits while another is
/// taken apart; the next one's POST is not answered until there is room.
///
/// # Cancel safety
///
/// A [`receive`](Receiver::receive) that is dropped has lost nothing.
pub struct EventStreamReceiver<S> {
    link: Arc<Link<S>>,
    /// `None` of a link that is only read.
    up: Option<Up>,
    keep_alive: Option<KeepAlive>,
    begun: bool,
}

struct Up {
    /// Since the stream has ended: how long a last batch may yet come.
    last: Option<Pin<Box<dyn Timer>>>,
    runtime: Arc<dyn Runtime>,
    paired: Paired,
    decoder: EventDecoder,
    max_frame: usize,
}

struct KeepAlive {
    every: Duration,
    runtime: Arc<dyn Runtime>,
    timer: Pin<Box<dyn Timer>>,
}

enum Next {
    Batch(Bytes),
    /// The client has gone.
    Gone,
}

impl<S: Socket> EventStreamReceiver<S> {
    pub(crate) fn new(
        link: Arc<Link<S>>,
        paired: Option<Paired>,
        max_frame: usize,
        runtime: &Arc<dyn Runtime>,
        keep_alive: Duration,
    ) -> Self {
        let up = paired.map(|paired| {
            let decoder = EventDecoder::new(event_limit(max_frame));
            Up { last: None, runtime: runtime.clone(), paired, decoder, max_frame }
        });
        let keep_alive = (up.is_none() && !keep_alive.is_zero()).then(|| {
            let mut timer = runtime.timer();
            timer.as_mut().reset(runtime.now() + keep_alive);
            KeepAlive { every: keep_alive, runtime: runtime.clone(), timer }
        });
        Self { link, up, keep_alive, begun: false }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Next>> {
        if !std::mem::replace(&mut self.begun, true) {
            self.link.lock().keep_alive(context);
        }
        if let Some(up) = &mut self.up {
            if let Poll::Ready(batch) = up.paired.inbox.poll_take(context) {
                return Poll::Ready(Ok(Next::Batch(batch)));
            }
            if let Some(last) = &mut up.last {
                return last.as_mut().poll(context).map(|()| Ok(Next::Gone));
            }
        }
        if let Some(KeepAlive { every, runtime, timer }) = &mut self.keep_alive {
            while timer.as_mut().poll(context).is_ready() {
                self.link.lock().keep_alive(context);
                timer.as_mut().reset(runtime.now() + *every);
            }
        }
        let gone = self.link.lock().poll_gone(context).map_ok(|()| Next::Gone);
        match (&gone, &mut self.up) {
            (Poll::Ready(Ok(_)), Some(up)) => {
                let mut last = up.runtime.timer();
                last.as_mut().reset(up.runtime.now() + LAST_BATCH);
                let polled = last.as_mut().poll(context).map(|()| Ok(Next::Gone));
                up.last = Some(last);
                polled
            }
            _ => gone,
        }
    }
}

impl<S: Socket> Receiver for EventStreamReceiver<S> {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        loop {
            if let Some(Up { decoder, max_frame, .. }) = &mut self.up {
                while let Some(item) = decoder.next()? {
                    let Item::Event(event) = item else { continue };
                    if let Some(incoming) = incoming(event, *max_frame)? {
                        return Ok(Some(incoming));
                    }
                }
            }
            match (poll_fn(|context| self.poll_next(context)).await?, &mut self.up) {
                (Next::Batch(batch), Some(up)) => {
                    // An event does not go on in the next batch.
                    up.decoder = EventDecoder::new(event_limit(up.max_frame));
                    up.decoder.push(batch);
                }
                (Next::Batch(_), None) | (Next::Gone, _) => return Ok(None),
            }
        }
    }
}

impl<S> fmt::Debug for EventStreamReceiver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStreamReceiver").finish_non_exhaustive()
    }
}
