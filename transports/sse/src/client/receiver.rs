//! The half of a client's that receives: an event stream.

use std::fmt;
use std::future::poll_fn;

use hyper::body::Incoming as ResponseBody;
use moorline_core::{Incoming, Net, Receiver, TransportError};

use super::exchange::Exchange;
use super::raw::Raw;
use super::site::Bare;
use crate::decoder::{EventDecoder, Item};
use crate::frames::{apart, incoming};

/// The half of a link that receives.
///
/// Whatever comes is a proof of life: what holds no event, a comment say, is [`Incoming::Activity`]. Frames are parts of what was
/// read, not copies, where an event lies in one piece and is no Base64.
///
/// # Cancel safety
///
/// A [`receive`](Receiver::receive) that is dropped has lost nothing.
pub struct SseReceiver<N: Net> {
    connection: Exchange<Bare<N>>,
    body: ResponseBody,
    decoder: EventDecoder,
    max_frame: usize,
    /// How much was read at once.
    read: usize,
    /// Something was read that may have been no event.
    alive: bool,
    raw: Option<Raw>,
}

impl<N: Net> SseReceiver<N> {
    pub(crate) fn new(
        connection: Exchange<Bare<N>>,
        body: ResponseBody,
        decoder: EventDecoder,
        max_frame: usize,
        raw: Option<Raw>,
    ) -> Self {
        Self { connection, body, decoder, max_frame, read: 0, alive: false, raw }
    }
}

impl<N: Net> Receiver for SseReceiver<N> {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        loop {
            while let Some(item) = self.decoder.next()? {
                let came = match (item, &mut self.raw) {
                    (Item::Event(event), None) => incoming(event, self.max_frame)?,
                    (Item::Event(event), Some(raw)) => {
                        let frame = raw.frame(event, self.decoder.last_event_id());
                        if frame.len() > self.max_frame {
                            return Err(TransportError::too_large(frame.len(), self.max_frame));
                        }
                        Some(Incoming::Frame(frame))
                    }
                    (Item::Retry(time), Some(raw)) => {
                        raw.retry(time);
                        None
                    }
                    (Item::Comment | Item::Retry(_), _) => None,
                };
                if let Some(came) = came {
                    self.alive = false;
                    return Ok(Some(apart(came, self.read)));
                }
            }
            if let Some(raw) = &mut self.raw {
                raw.keep(self.decoder.last_event_id());
            }
            if std::mem::take(&mut self.alive) {
                return Ok(Some(Incoming::Activity));
            }
            let Self { connection, body, .. } = self;
            match poll_fn(|context| connection.poll_data(body, context)).await {
                Some(Ok(data)) => {
                    self.read = data.len();
                    self.decoder.push(data);
                }
                // An event that is not whole is none.
                None => return self.raw.as_ref().map_or(Ok(None), Raw::end),
                Some(Err(error)) => {
                    return Err(match &self.raw {
                        Some(raw) => raw.broken(error),
                        None => error,
                    });
                }
            }
            self.alive = true;
        }
    }
}

impl<N: Net> fmt::Debug for SseReceiver<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseReceiver").finish_non_exhaustive()
    }
}
