//! What a client remembers of an endpoint that it only reads, from one link to the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use moorline_core::{Frame, Incoming, TransportError};

use crate::decoder::Event;
use crate::whole;

#[derive(Clone, Debug, Default)]
pub(crate) struct Raw {
    /// Events come whole.
    pub(crate) whole: bool,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    last_event_id: Bytes,
    retry: Option<Duration>,
}

impl Raw {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn last_event_id(&self) -> Bytes {
        self.memory().last_event_id.clone()
    }

    pub(crate) fn keep(&self, id: &Bytes) {
        let mut memory = self.memory();
        if memory.last_event_id != *id {
            memory.last_event_id.clone_from(id);
        }
    }

    pub(crate) fn retry(&self, time: Duration) {
        self.memory().retry = Some(time);
    }

    pub(crate) fn frame(&self, event: Event, id: &Bytes) -> Frame {
        // Before it is given out: whoever has it has its id.
        self.keep(id);
        whole::frame(event, id, self.whole)
    }

    /// A stream that broke.
    pub(crate) fn broken(&self, error: TransportError) -> TransportError {
        match self.memory().retry {
            Some(time) => error.with_retry_after(time),
            None => error,
        }
    }

    /// The stream's end. The endpoint may have said when to come back.
    pub(crate) fn end(&self) -> Result<Option<Incoming>, TransportError> {
        match self.memory().retry {
            Some(time) => Err(TransportError::closed().with_retry_after(time)),
            None => Ok(None),
        }
    }
}
