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

/// The half of a link that receives.
///
/// It gives what POSTs have brought, a batch after another, and ends when the event stream does. One batch waits while another is
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
        keep_alive: Option<(Duration, Arc<dyn Runtime>)>,
    ) -> Self {
        let up = paired.map(|paired| {
            let decoder = EventDecoder::new(event_limit(max_frame));
            Up { paired, decoder, max_frame }
        });
        let keep_alive = keep_alive.map(|(every, runtime)| {
            let mut timer = runtime.timer();
            timer.as_mut().reset(runtime.now() + every);
            KeepAlive { every, runtime, timer }
        });
        Self { link, up, keep_alive, begun: false }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Next>> {
        if !std::mem::replace(&mut self.begun, true) {
            self.link.lock().keep_alive(context);
        }
        if let Some(up) = &self.up {
            if let Poll::Ready(batch) = up.paired.inbox.poll_take(context) {
                return Poll::Ready(Ok(Next::Batch(batch)));
            }
        }
        if let Some(KeepAlive { every, runtime, timer }) = &mut self.keep_alive {
            while timer.as_mut().poll(context).is_ready() {
                self.link.lock().keep_alive(context);
                timer.as_mut().reset(runtime.now() + *every);
            }
        }
        self.link.lock().poll_gone(context).map_ok(|()| Next::Gone)
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
