//! What goes to the link, in batches.

use std::collections::VecDeque;

use super::closing::LastWords;
use super::outbound::Next;
use super::{Machine, Output, State, Transmit};
use crate::wire::{Ack, ErrorPacket, Packet};
use crate::{CloseFrame, Frame, Time};

/// The largest batch in bytes: enough to pay for a flush, little enough to keep a pong from waiting.
const BATCH_BYTES: usize = 128 * 1024;

/// The largest batch in frames, so that other connections get their turn.
const BATCH_FRAMES: usize = 64;

/// What this end has to say beside messages. Each part is one at most, so that it is bounded
/// whatever the peer does: of many pings only the last one is answered.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// The link has written the last batch.
    pub(super) writable: bool,
    /// Hello or ready.
    pub(super) greeting: Option<Frame>,
    pub(super) pong: Option<u64>,
    pub(super) ping: Option<u64>,
    /// So many messages without a number were dropped for want of room, and the peer does not know.
    pub(super) lagged: u64,
    /// What the peer is told to have gone wrong, the oldest first.
    pub(super) errors: VecDeque<ErrorPacket>,
    /// The client does not know yet what is held back.
    pub(super) throttle: bool,
    /// The last batch had messages in it.
    pub(super) messages: bool,
    /// An acknowledgement goes out even if no message does.
    pub(super) ack: bool,
}

/// How many errors wait to be told: a peer that does more wrong at once learns enough by these.
const MAX_ERRORS: usize = 16;

impl Control {
    pub(super) fn report(&mut self, error: ErrorPacket) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push_back(error);
        }
    }
}

impl Machine {
    pub(super) fn written(&mut self, now: Time) {
        self.control.writable = true;
        if std::mem::take(&mut self.control.messages) {
            self.progress(now);
        }
    }

    /// Makes the next batch, if the link takes one and there is something to send.
    #[inline]
    pub(super) fn transmit(&mut self, now: Time) {
        if self.control.writable && !self.has_closed() {
            self.make_batch(now);
        }
    }

    fn make_batch(&mut self, now: Time) {
        if let Some(greeting) = self.control.greeting.take() {
            self.push_frame(greeting);
        }
        if let Some(token) = self.control.pong.take() {
            self.push_packet(Packet::Pong(token));
        }
        if let Some(token) = self.control.ping.take() {
            self.push_ping(token);
        }
        if self.control.lagged > 0 && self.sends() {
            let count = std::mem::take(&mut self.control.lagged);
            self.push_packet(Packet::Lagged(count));
        }
        if self.control.throttle && self.sends() {
            self.control.throttle = false;
            self.push_packet(Packet::Throttle(self.throttled.clone()));
        }
        while self.sends() {
            let Some(error) = self.control.errors.pop_front() else { break };
            self.push_packet(Packet::Error(error));
        }
        let messages = self.push_messages(now);
        self.control.messages = messages;
        let closes = self.may_say_close();
        if self.inbound.owes() && (messages || closes || self.control.ack) {
            let Ack { numbered, unnumbered } = self.inbound.acknowledge();
            self.control.ack = false;
            self.push_packet(Packet::Ack(Ack { numbered, unnumbered }));
        }
        if closes {
            self.push_close();
        }
        if !self.batch.is_empty() {
            self.outputs.push_back(Output::Write);
            self.control.writable = false;
        }
    }

    /// Whether messages may go out.
    fn sends(&self) -> bool {
        match &self.state {
            State::Open => true,
            State::Closing(closing) => closing.drains(),
            State::Closed
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::Authenticating { .. }
            | State::Waiting { .. } => false,
        }
    }

    /// Whether a message went into the batch.
    fn push_messages(&mut self, now: Time) -> bool {
        if !self.sends() {
            return false;
        }
        let (mut bytes, mut frames) = (0, 0);
        while bytes < BATCH_BYTES && frames < BATCH_FRAMES {
            let Some(next) = self.outbound.pop(now) else { break };
            frames += 1;
            match next {
                Next::Frame(frame) => {
                    bytes += frame.len();
                    self.push_frame(frame);
                }
                Next::Skip(count) => self.push_packet(Packet::Skip(count)),
                Next::Gap(count) => self.push_packet(Packet::Gap(count)),
            }
        }
        if self.outbound.is_empty() {
            self.stalls_since = None;
        }
        frames > 0
    }

    /// Whether one of the two ends has said its last packet.
    fn has_closed(&self) -> bool {
        matches!(&self.state, State::Closing(closing) if closing.has_said())
    }

    fn may_say_close(&self) -> bool {
        match &self.state {
            State::Closing(closing) if closing.drains() => self.outbound.is_empty(),
            State::Closing(closing) => !closing.has_said(),
            State::Closed
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::Authenticating { .. }
            | State::Open
            | State::Waiting { .. } => false,
        }
    }

    fn push_close(&mut self) {
        let State::Closing(closing) = &mut self.state else { return };
        let Some(LastWords { error, close }) = closing.say() else { return };
        if let Some(error) = error {
            self.push_packet(Packet::Error(error));
        }
        let frame = CloseFrame::new(close.code, close.reason.clone());
        self.push_packet(Packet::Close(close));
        self.batch.push(Transmit::Close(frame));
    }

    fn push_ping(&mut self, token: u64) {
        if self.has_session() {
            self.push_packet(Packet::Ping(token));
        } else {
            self.batch.push(Transmit::Ping);
        }
    }

    fn push_frame(&mut self, frame: Frame) {
        self.batch.push(Transmit::Frame(frame));
    }

    /// Raw has no packets but messages: what it cannot say is left out.
    fn push_packet(&mut self, packet: Packet) {
        let frame = self.codec.as_ref().and_then(|codec| codec.encode(packet).ok());
        if let Some(frame) = frame {
            self.push_frame(frame);
        }
    }
}
