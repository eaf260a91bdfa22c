//! Reads what comes from the link.

use std::task::{Context, Poll};

use moorline_core::machine::{Failure, Input, Loss};
use moorline_core::wire::cost;
use moorline_core::{Incoming, TransportErrorKind};

use super::{Driver, LONG, Role};
use crate::sync::lock;

/// Frames read in one turn, so that a peer that never pauses leaves the machine room to answer.
const FRAMES_A_TURN: usize = 64;

/// Frames after which the machine's answers are carried out, so that only a few wait in it.
const FRAMES_A_DRAIN: usize = 32;

impl<R: Role> Driver<R> {
    /// Reads what has come, up to a bound.
    pub(super) fn poll_link(&mut self) {
        if !self.may_read {
            return self.give_up_writing();
        }
        let mut room = self.room_to_read();
        for frames in 1..=FRAMES_A_TURN {
            // A change of status is told before what comes next can bring another one: a link may be lost with the very
            // bytes that opened it.
            if self.machine.status() != self.status {
                self.drain();
                room = self.room_to_read();
            }
            if room == 0 || self.read_out || !self.machine.reads() {
                return;
            }
            if self.bytes_left == 0 {
                break;
            }
            let Some(link) = &mut self.link else { return };
            let mut context = Context::from_waker(&self.parts.read);
            let Poll::Ready(incoming) = link.incoming.as_mut().poll_read(&mut context) else {
                self.may_read = false;
                return self.give_up_writing();
            };
            let input = match incoming {
                Ok(Some(Incoming::Frame(frame))) => {
                    room = room.saturating_sub(cost(&frame));
                    self.bytes_left = self.bytes_left.saturating_sub(frame.len());
                    Input::Frame(frame)
                }
                Ok(Some(Incoming::Activity)) => Input::Activity,
                Ok(Some(Incoming::Close(close))) => Input::LinkLost(Loss::Closed(close)),
                Err(error) if error.kind() != TransportErrorKind::Closed => {
                    Input::LinkLost(Loss::Broken(Failure::from(&error)))
                }
                Ok(None) | Err(_) => Input::LinkLost(Loss::Ended),
            };
            self.read_out = matches!(input, Input::LinkLost(_));
            self.tell(input);
            if frames % FRAMES_A_DRAIN == 0 || room == 0 {
                self.drain();
                room = self.room_to_read();
                if self.shared.runtime.now().since(self.now) > LONG {
                    break;
                }
            }
        }
        self.again = true;
    }

    /// How many bytes may be read. A session has its window for that. Raw has none: its driver stops when
    /// too much waits to be taken, and the peer's silence then says nothing.
    fn room_to_read(&mut self) -> usize {
        let session = self.machine.codec().is_none_or(|codec| codec.has_session());
        if session || self.link.is_none() {
            return usize::MAX;
        }
        let window = self.shared.config.window;
        // Others only ever make it less: without need it is not looked at anew.
        if self.held > window / 2 {
            self.held = lock(&self.shared.delivery).held();
        }
        let room = window.saturating_sub(self.held);
        if (room == 0) != self.suspended {
            self.suspended = room == 0;
            self.tell(Input::Suspended(self.suspended));
        }
        room
    }

    /// A failed write ends the link once all that the peer had sent is read: its close may be there.
    fn give_up_writing(&mut self) {
        if let Some(failure) = self.write_error.take() {
            self.read_out = true;
            self.tell(Input::LinkLost(Loss::Broken(failure)));
        }
    }
}
