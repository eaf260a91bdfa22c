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
use moorline_http::{Host, Socket};

use super::hub::Paired;
use super::link::Link;
use crate::decoder::{EventDecoder, Item};
use crate::frames::{apart, event_limit, incoming};

/// How long after its stream's end a link still takes a batch: a page that is closed says so by a POST, while its stream is cut.
const LAST_BATCH: Duration = Duration::from_millis(100);

/// The half of a link that receives.
///
/// It gives what POSTs have brought, a batch after another, and ends 100 ms after the event stream does: what a page says last may
/// come after that. While 64 KiB wait to be taken, a POST is not answered.
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
    /// Since the stream has ended.
    last: Option<Last>,
    runtime: Arc<dyn Runtime>,
    paired: Paired,
    decoder: EventDecoder,
    /// How large the batch is that is taken apart.
    batch: usize,
    /// The largest next frame, and the largest after that.
    max_frame: usize,
    max_later_frame: usize,
}

/// How long a last batch may yet come, and why the stream has ended.
struct Last {
    timer: Pin<Box<dyn Timer>>,
    error: Option<io::Error>,
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
        host: &Host,
        keep_alive: Duration,
    ) -> Self {
        let runtime = &host.runtime;
        let up = paired.map(|paired| {
            let max_frame = host.max_frame.min(host.max_first_frame);
            let decoder = EventDecoder::new(event_limit(max_frame));
            let (runtime, max_later_frame) = (runtime.clone(), host.max_frame);
            Up { last: None, runtime, paired, decoder, batch: 0, max_frame, max_later_frame }
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
            if let Some(Last { timer, error }) = &mut up.last {
                let over = |()| error.take().map_or(Ok(Next::Gone), Err);
                return timer.as_mut().poll(context).map(over);
            }
        }
        if let Some(KeepAlive { every, runtime, timer }) = &mut self.keep_alive {
            while timer.as_mut().poll(context).is_ready() {
                self.link.lock().keep_alive(context);
                timer.as_mut().reset(runtime.now() + *every);
            }
        }
        let gone = self.link.lock().poll_gone(context).map_ok(|()| Next::Gone);
        match (gone, &mut self.up) {
            (Poll::Ready(gone), Some(up)) => {
                let mut timer = up.runtime.timer();
                timer.as_mut().reset(up.runtime.now() + LAST_BATCH);
                up.last = Some(Last { timer, error: gone.err() });
                self.poll_next(context)
            }
            (gone, _) => gone,
        }
    }
}

impl<S: Socket> Receiver for EventStreamReceiver<S> {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        loop {
            if let Some(up) = &mut self.up {
                while let Some(item) = up.decoder.next()? {
                    let Item::Event(event) = item else { continue };
                    if let Some(incoming) = incoming(event, up.max_frame)? {
                        up.max_frame = up.max_later_frame;
                        return Ok(Some(apart(incoming, up.batch)));
                    }
                }
            }
            match (poll_fn(|context| self.poll_next(context)).await?, &mut self.up) {
                (Next::Batch(batch), Some(up)) => {
                    // An event does not go on in the next batch.
                    up.decoder = EventDecoder::new(event_limit(up.max_frame));
                    up.batch = batch.len();
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
