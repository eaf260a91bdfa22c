//! One packet to many, encoded once for each codec in use.

use std::sync::Arc;
use std::task::Waker;

use moorline_core::machine::Outgoing;
use moorline_core::wire::{Codec, EncodeError, Packet};
use moorline_core::{Class, Frame, Message, Runtime};

use super::Emitted;
use crate::SendError;
use crate::sending::About;
use crate::shared::Shared;
use crate::sync::lock;

/// See the [module](self).
pub(super) struct Fanout {
    packet: Packet,
    /// What a message is beside its frame; `None` for what stands beside messages.
    about: Option<About>,
    encoded: Vec<(Arc<dyn Codec>, Result<Frame, EncodeError>)>,
    pub(super) emitted: Emitted,
    /// To be woken once no lock is held.
    wakes: Vec<Waker>,
}

impl Fanout {
    pub(super) fn of_message(message: Message, runtime: &dyn Runtime) -> Self {
        let about = Some(About::of(&message, runtime));
        Self { about, ..Self::of_packet(Packet::Message(message)) }
    }

    pub(super) fn of_packet(packet: Packet) -> Self {
        let (encoded, wakes) = (Vec::new(), Vec::new());
        Self { packet, about: None, encoded, emitted: Emitted::default(), wakes }
    }

    /// As that one would be sent it; `None` where it has not said what it speaks.
    pub(super) fn frame(&mut self, shared: &Shared) -> Option<Result<Frame, EncodeError>> {
        let codec = shared.codec.get()?;
        // A server's connections share its codecs.
        if let Some((_, frame)) = self.encoded.iter().find(|(own, _)| Arc::ptr_eq(own, codec)) {
            return Some(frame.clone());
        }
        let frame = codec.encode(self.packet.clone());
        self.encoded.push((codec.clone(), frame.clone()));
        Some(frame)
    }

    /// Sends it to one more, without waiting. One without room is told what it misses.
    pub(super) fn send(&mut self, shared: &Arc<Shared>) {
        let Some(frame) = self.frame(shared) else { return };
        let sent = frame.is_ok_and(|frame| {
            let outgoing = match &self.about {
                Some(about) => about.outgoing(frame),
                None => Outgoing::new(frame, Class::AtLeastOnce),
            };
            let (sent, waker) = lock(&shared.state).broadcast(outgoing);
            self.wakes.extend(waker);
            sent
        });
        self.emitted.sent += usize::from(sent);
        self.emitted.skipped += usize::from(!sent);
    }

    /// Wakes all who have something to send. No lock may be held.
    pub(super) fn finish(self) -> Result<Emitted, SendError> {
        self.wakes.into_iter().for_each(Waker::wake);
        match self.encoded.into_iter().find_map(|(_, frame)| frame.err()) {
            Some(error) if self.emitted.sent == 0 => Err(error.into()),
            _ => Ok(self.emitted),
        }
    }

    /// What has to be woken, for a caller that holds a lock.
    pub(super) fn into_wakes(self) -> Vec<Waker> {
        self.wakes
    }
}
