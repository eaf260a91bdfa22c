//! A session: what goes on when a link does not (R45), and what waits meanwhile (R28).

use std::time::Duration;

use super::closing::Ending;
use super::outcome::{Dropped, Outcome};
use super::{Machine, Outgoing, Output, Overflow, PeerLimits, Return, State};
use crate::Class;
use crate::reason::close_code;
use crate::wire::{Close, ErrorPacket, Packet, Ready, VERSION, cost};
use crate::{CloseFrame, Connected, ErrorEvent, Event, Origin, Reason, Recovery, Side, Time, wire};

/// What a machine has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Bytes that wait to be handed to the link.
    pub queued: usize,
    /// Messages that wait to be handed to the link.
    pub waiting: usize,
    /// Bytes kept to be sent again until they are acknowledged.
    pub retained: usize,
    /// Bytes that the peer has not acknowledged.
    pub in_flight: u64,
    /// Bytes received and not taken.
    pub held: u64,
    /// Messages handed to a link; what was sent again is not counted again.
    pub sent: u64,
    /// Messages sent again.
    pub replayed: u64,
    /// Numbered packets that the peer has acknowledged.
    pub acknowledged: u64,
    /// Numbered packets that were received, those included that the peer told to be skipped or lost.
    pub received: u64,
    /// Messages that were received, numbered or not, with what is asked, published and said beside them.
    pub arrived: u64,
    /// Numbered messages for which a broadcast found no room, and which the peer is told to be lost.
    pub lost: u64,
    /// How often the session went on over another link.
    pub recoveries: u64,
    /// Gaps that the peer has told of.
    pub gaps: u64,
    /// The round-trip time that was measured last on this link: by a ping by hand, or by a heartbeat's.
    pub round_trip: Option<Duration>,
}

impl Counts {
    /// Bytes that this session holds, both ways.
    #[must_use]
    pub const fn kept(&self) -> usize {
        self.queued + self.retained + self.held as usize
    }
}

impl Machine {
    /// What was counted since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let counts = &self.outbound.counts;
        Counts {
            queued: self.outbound.queued(),
            waiting: self.outbound.waiting(),
            retained: self.outbound.retained(),
            in_flight: self.outbound.in_flight(),
            held: self.inbound.held(),
            sent: counts.sent,
            replayed: counts.replayed,
            acknowledged: counts.acknowledged,
            received: self.received_before.saturating_add(self.inbound.numbers()),
            arrived: self.arrived,
            lost: counts.lost,
            recoveries: self.recoveries,
            gaps: self.gaps,
            round_trip: self.pulse.round_trip(),
        }
    }

    /// Whether messages that are sent while the connection is lost wait for it.
    #[must_use]
    pub fn keeps_messages(&self) -> bool {
        self.session.is_some() || self.buffers()
    }

    /// The session's id, while it goes on.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session.as_ref().map(|session| session.id.as_str())
    }

    /// What became of messages since the last call.
    pub fn take_outcomes(&mut self) -> Option<super::Outcomes> {
        self.outbound.outcomes.take()
    }

    /// Whether a client's connection closes now, and is made again after it.
    #[must_use]
    pub fn closes_to_come_back(&self) -> bool {
        matches!(&self.state, State::Closing(closing) if closing.comes_back(self))
    }

    /// Whether a client may come back to this session of a server's.
    #[must_use]
    pub fn can_resume(&self) -> bool {
        self.session.is_some()
            && match &self.state {
                State::Open | State::Waiting { .. } => true,
                // A client that was told to come back may be faster than the end of its old link.
                State::Closing(closing) => closing.keeps_session(self),
                State::Closed
                | State::Connecting { .. }
                | State::Greeting { .. }
                | State::Authenticating { .. } => false,
            }
    }

    pub(super) fn send(&mut self, now: Time, outgoing: Outgoing) {
        if let Some(key) = outgoing.key {
            self.outbound.replace(key);
        }
        match &self.state {
            // Its server closes to be back soon: it waits as after the loss.
            State::Closing(closing)
                if !outgoing.state && self.buffers() && closing.comes_back(self) =>
            {
                self.buffer(now, outgoing);
            }
            State::Open | State::Closing(_) => {
                if outgoing.pushes_out
                    && !self.makes_room(now, &outgoing, usize::MAX, self.config.queue)
                {
                    return;
                }
                let dropped = self.outbound.counts.volatile_dropped;
                self.outbound.push(outgoing, true);
                self.control.lagged += self.outbound.counts.volatile_dropped - dropped;
            }
            // It may have been accepted before the loss was known. Without a session all of it is told anew.
            _ if outgoing.state => {
                if self.session.is_some() {
                    self.outbound.push(outgoing, false);
                }
            }
            State::Connecting { .. }
            | State::Greeting { .. }
            | State::Authenticating { .. }
            | State::Waiting { .. }
                if self.buffers() || self.session.is_some() =>
            {
                self.buffer(now, outgoing);
            }
            State::Closed
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::Authenticating { .. }
            | State::Waiting { .. } => {
                let dropped = Outcome::Dropped(Dropped::Disconnected);
                self.outbound.outcomes.settle(outgoing.ticket, dropped);
                let message = "a message was sent while not connected, and is dropped";
                self.event(Event::Error(ErrorEvent::new(
                    Origin::Application,
                    "not_connected",
                    message,
                )));
            }
        }
    }

    /// What stands beside the messages goes before them.
    pub(super) fn restore(&mut self, state: Vec<Outgoing>, resumed: bool) {
        let open = matches!(self.state, State::Open | State::Closing(_));
        // Its link may be lost already. Without a session all of it is told anew.
        if open || self.session.is_some() {
            self.outbound.restore(state, resumed);
        }
    }

    /// Makes room for a broadcast that found none. Where older messages cannot make way for it, it is dropped, and its
    /// reader will be told.
    fn makes_room(&mut self, now: Time, outgoing: &Outgoing, count: usize, bytes: usize) -> bool {
        let cost = cost(&outgoing.frame);
        self.control.lagged += self.outbound.make_room(cost, count, bytes);
        let fits = self.outbound.has_room(cost, count, bytes);
        if !fits {
            self.outbound.outcomes.settle(outgoing.ticket, Outcome::Dropped(Dropped::NoRoom));
            if outgoing.class == Class::AtLeastOnce {
                self.lose(now, 1);
            } else {
                self.control.lagged += 1;
            }
        }
        fits
    }

    fn buffers(&self) -> bool {
        self.config.buffer.count > 0
    }

    /// Keeps a message until the connection is open again.
    fn buffer(&mut self, now: Time, mut outgoing: Outgoing) {
        outgoing.waits_until = now + self.config.buffer.age;
        let config = self.config.clone();
        let buffer = &config.buffer;
        if outgoing.pushes_out && !self.makes_room(now, &outgoing, buffer.count, buffer.bytes) {
            return;
        }
        let full = self.outbound.waiting() >= buffer.count
            || self.outbound.queued() + cost(&outgoing.frame) > buffer.bytes;
        if full && buffer.overflow == Overflow::DropNewest && self.outbound.waiting() > 0 {
            let dropped = Outcome::Dropped(Dropped::NoRoom);
            self.outbound.outcomes.settle(outgoing.ticket, dropped);
            if outgoing.broadcast && outgoing.class == Class::AtLeastOnce {
                self.outbound.lose(1);
            }
            return;
        }
        self.outbound.push(outgoing, false);
        if full && buffer.overflow == Overflow::DropOldest {
            self.outbound.keep_newest(buffer.count, buffer.bytes);
        }
    }

    /// A broadcast found no room here.
    pub(super) fn lose(&mut self, now: Time, count: u64) {
        match &self.state {
            State::Closed => {}
            State::Connecting { .. }
            | State::Greeting { .. }
            | State::Authenticating { .. }
            | State::Waiting { .. } => self.outbound.lose(count),
            State::Open | State::Closing(_) => {
                self.outbound.lose(count);
                self.stalls_since.get_or_insert(now);
            }
        }
    }

    /// The peer has lost numbered messages: it could not queue them for this end.
    pub(super) fn gap(&mut self, now: Time, count: u64) {
        let from = self.inbound.numbers();
        self.inbound.skip(now, count);
        self.gaps += 1;
        self.event(Event::Recovery(Recovery::Gap { from, to: self.inbound.numbers() }));
    }

    /// The peer has taken something.
    pub(super) fn progress(&mut self, now: Time) {
        self.stalls_since = self.stalls_since.map(|_| now);
    }

    pub(super) fn stall_deadline(&self) -> Time {
        let limit = self.config.stalled_after;
        match self.stalls_since {
            Some(since) if !limit.is_zero() => since + limit,
            _ => Time::MAX,
        }
    }

    /// The peer has lost messages for want of room, and takes none of those that wait. What it would do with a
    /// close is what it does with them.
    pub(super) fn peer_stalled(&mut self, now: Time) {
        let limit = self.config.stalled_after;
        let message = format!("the other end has taken nothing for {limit:?}, and messages wait");
        self.event(Event::Error(ErrorEvent::new(Origin::Peer, "slow_consumer", message)));
        self.finish(now, Ending::new(Reason::TransportClose, None));
    }

    /// Whether a server keeps the session of a link that ended so.
    pub(super) fn keeps_session(&self, reason: Reason, close: Option<&CloseFrame>) -> bool {
        let loss = match reason {
            Reason::PingTimeout | Reason::TransportClose => true,
            // With a close it was an end that broke the protocol.
            Reason::TransportError => close.is_none(),
            Reason::ClientDisconnect | Reason::ServerDisconnect => false,
        };
        loss && self.session.is_some() && !self.config.retention.is_zero()
    }

    /// The link of an open connection is gone. How many messages will not arrive, and how many may or may
    /// not; what the session or the buffer keeps is none of them.
    pub(super) fn lose_link(&mut self, now: Time, may_come_back: bool) -> (u64, u64) {
        let age = self.config.buffer.age;
        if may_come_back && self.session.is_some() {
            return self.outbound.detach(now, age);
        }
        self.session = None;
        let unconfirmed = self.outbound.forget_session();
        self.outbound.forget_state();
        let unsent = if may_come_back && self.buffers() {
            self.outbound.detach(now, age).0
        } else {
            self.outbound.clear_queue()
        };
        (unsent, unconfirmed)
    }

    /// Nothing of the session is needed any more.
    pub(super) fn end_session(&mut self) {
        self.session = None;
        self.outbound.forget_session();
        self.outbound.clear_queue();
    }

    /// The client has not come back in time.
    pub(super) fn session_expired(&mut self) {
        self.state = State::Closed;
        self.end_session();
        self.event(Event::ReconnectFailed);
        self.outputs.push_back(Output::Closed(None));
    }

    /// The client has come back over a new link. An old one that still seems open is lost.
    pub(super) fn resume(&mut self, now: Time, back: Return) {
        if self.side == Side::Client || !matches!(self.state, State::Waiting { .. }) {
            return;
        }
        let Return { capabilities, window, max_frame, received, id, properties } = back;
        self.use_link(capabilities);
        let max_frame = usize::try_from(max_frame).unwrap_or(usize::MAX);
        let peer = PeerLimits { window: Some(window), max_frame };
        if self.outbound.resume(peer.window, received).is_err() {
            let message = "hello counts packets as received that were never sent".to_owned();
            let error = ErrorPacket { code: "bad_packet".into(), message, details: None };
            self.end_session();
            return self.keep_out(now, Close::new(close_code::PROTOCOL, "bad_packet"), Some(error));
        }
        let ready = Packet::Ready(Box::new(Ready {
            version: VERSION,
            id: id.clone(),
            window: self.config.window as u64,
            max_frame: self.config.max_frame as u64,
            properties: properties.clone(),
            session: None,
            recovery: wire::Recovery::Recovered { received: self.inbound.numbers() },
        }));
        self.control.greeting = self.codec.as_ref().and_then(|codec| codec.encode(ready).ok());
        self.id = Some(id.clone());
        self.open_again(now, peer);
        self.transmit(now);
        self.event(Event::Connect(Connected { id: Some(id), properties }));
        self.event(Event::Recovery(Recovery::Recovered));
    }
}
