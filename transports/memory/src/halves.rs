//! The two halves of a link, on either side.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use moorline_core::{
    CloseFrame, Frame, Incoming, Receiver, Runtime, Sender, Time, Timer, TransportError,
};

use crate::fault::Direction;
use crate::link::Link;
use crate::pipe::{Aftermath, NEVER, Taken};

/// Why a link broke at an exact frame.
const CUT_AT_FRAME: &str = "the network cut the link at this frame";

/// The half of a memory link that sends.
///
/// Nothing is held back, so [`flush`](Sender::flush) has nothing to do. Dropping it ends this
/// direction: the peer receives what has been sent, and then `None`.
///
/// # Cancel safety
///
/// A [`send`](Sender::send) that is dropped before its end has sent nothing, and the half goes on
/// working.
pub struct MemorySender {
    link: Arc<Link>,
    direction: Direction,
}

impl MemorySender {
    pub(crate) fn new(link: Arc<Link>, direction: Direction) -> Self {
        Self { link, direction }
    }
}

impl Sender for MemorySender {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        let pipe = self.link.pipe(self.direction);
        let mut frame = Some(frame);
        poll_fn(|context| pipe.poll_send(context, self.link.now(), &mut frame)).await
    }

    async fn ping(&mut self) -> Result<(), TransportError> {
        let now = self.link.now();
        if let Some(arrival) = self.link.pipe(self.direction).ping(now)? {
            self.link.pipe(self.direction.reverse()).pong(now.is_some(), arrival);
        }
        Ok(())
    }

    async fn close(&mut self, close: CloseFrame) -> Result<(), TransportError> {
        self.link.pipe(self.direction).close(self.link.now(), close)
    }
}

impl Drop for MemorySender {
    fn drop(&mut self) {
        self.link.pipe(self.direction).drop_sender(self.link.now());
    }
}

impl fmt::Debug for MemorySender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("MemorySender");
        debug.field("endpoint", &self.link.name).field("direction", &self.direction);
        debug.finish_non_exhaustive()
    }
}

/// The half of a memory link that receives.
///
/// Dropping it makes the peer's sends fail with
/// [`Closed`](moorline_core::TransportErrorKind::Closed).
///
/// # Cancel safety
///
/// A [`receive`](Receiver::receive) that is dropped before its end has taken nothing, and the half
/// goes on working.
pub struct MemoryReceiver {
    link: Arc<Link>,
    direction: Direction,
    /// Made when something has to be waited for that is on its way.
    alarm: Option<Alarm>,
}

/// A timer and what it is set to.
struct Alarm {
    timer: Pin<Box<dyn Timer>>,
    deadline: Time,
}

impl MemoryReceiver {
    pub(crate) fn new(link: Arc<Link>, direction: Direction) -> Self {
        Self { link, direction, alarm: None }
    }

    /// The link and its direction, for the handshake.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Incoming>, TransportError>> {
        loop {
            let taken = self.link.pipe(self.direction).take(context, self.link.now());
            return Poll::Ready(match taken {
                Taken::Incoming(incoming) => Ok(Some(incoming)),
                Taken::End => Ok(None),
                Taken::Failed(error) => Err(error),
                Taken::Last(frame) => {
                    self.break_here();
                    Ok(Some(Incoming::Frame(frame)))
                }
                Taken::BreakHere => {
                    self.break_here();
                    continue;
                }
                Taken::Wait(until) => {
                    if until != NEVER && self.poll_alarm(until, context).is_ready() {
                        continue;
                    }
                    return Poll::Pending;
                }
            });
        }
    }

    fn poll_alarm(&mut self, until: Time, context: &mut Context<'_>) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| Alarm {
            timer: self.link.network.runtime.timer(),
            deadline: NEVER,
        });
        if alarm.deadline != until {
            alarm.deadline = until;
            alarm.timer.as_mut().reset(until);
        }
        alarm.timer.as_mut().poll(context)
    }

    fn break_here(&self) {
        let mut after = Aftermath::default();
        self.link.break_off(CUT_AT_FRAME, &mut after);
        after.settle();
    }
}

impl Receiver for MemoryReceiver {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        poll_fn(|context| self.poll_receive(context)).await
    }
}

impl Drop for MemoryReceiver {
    fn drop(&mut self) {
        self.link.pipe(self.direction).drop_receiver();
    }
}

impl fmt::Debug for MemoryReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("MemoryReceiver");
        debug.field("endpoint", &self.link.name).field("direction", &self.direction);
        debug.finish_non_exhaustive()
    }
}
