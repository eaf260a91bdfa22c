//! An open connection: messages, acknowledgements, signs of life.

use bytes::Bytes;

use super::heartbeat::{Beat, Pulse};
use super::inbound::Inbound;
use super::{Exchange, Failure, Machine, Output, PeerLimits, Received, State, Taken};
use crate::reason::close_code;
use crate::wire::{
    Ack, DecodeError, ErrorPacket, MembersKind, PACKET_OVERHEAD, Packet, is_numbered,
};
use crate::{ErrorEvent, Event, Frame, Message, Origin, Side, Time};

impl Machine {
    /// The link is open, with a session of its own. How many messages of the one before are unconfirmed.
    pub(super) fn open(&mut self, now: Time, peer: PeerLimits) -> u64 {
        let unconfirmed = self.outbound.open(peer.window);
        self.received_before = self.received_before.saturating_add(self.inbound.numbers());
        self.inbound = Inbound::new(self.config.window);
        self.begin_open(now, peer, false);
        unconfirmed
    }

    /// The link is open, and goes on with the session.
    pub(super) fn open_again(&mut self, now: Time, peer: PeerLimits) {
        self.inbound.resume(now);
        self.recoveries += 1;
        self.begin_open(now, peer, true);
    }

    fn begin_open(&mut self, now: Time, peer: PeerLimits, resumed: bool) {
        self.peer_max_frame = peer.max_frame.min(self.link.max_frame);
        self.pulse = Pulse::new(now, &self.config.heartbeat, &mut self.rng);
        if !self.can_ping() {
            self.pulse.switch_off();
        }
        self.stalls_since = None;
        match self.side {
            // The server says it again if it still holds.
            Side::Client => self.throttled.clear(),
            Side::Server => self.control.throttle = !self.throttled.is_empty(),
        }
        self.state = State::Open;
        self.outputs.push_back(Output::Opened(resumed));
    }

    fn can_ping(&self) -> bool {
        self.has_session() || self.link.pings
    }

    pub(super) fn taken(&mut self, now: Time, taken: Taken) {
        match &self.state {
            State::Open | State::Closing(_) if self.has_session() => self.inbound.take(now, taken),
            // It is told on the session's next link.
            _ if self.session.is_some() => self.inbound.take(now, taken),
            // In raw nothing is counted, and without a session there is nobody to tell.
            State::Closed
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::Authenticating { .. }
            | State::Open
            | State::Closing(_)
            | State::Waiting { .. } => {}
        }
    }

    pub(super) fn ping(&mut self, now: Time) {
        match &self.state {
            State::Open if self.can_ping() => {
                if let Some(token) = self.pulse.ping_by_hand(now) {
                    self.control.ping = Some(token);
                }
            }
            State::Open
            | State::Closed
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::Authenticating { .. }
            | State::Closing(_)
            | State::Waiting { .. } => self.outputs.push_back(Output::RoundTrip(None)),
        }
    }

    pub(super) fn activity(&mut self, now: Time) {
        match &self.state {
            State::Open | State::Closing(_) => {
                self.pulse.hear(now);
                if !self.has_session() {
                    self.answer_round_trip(now, None);
                }
            }
            State::Closed
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::Authenticating { .. }
            | State::Waiting { .. } => {}
        }
    }

    fn answer_round_trip(&mut self, now: Time, token: Option<u64>) {
        if let Some(time) = self.pulse.pong(now, token) {
            self.outputs.push_back(Output::RoundTrip(Some(time)));
        }
    }

    pub(super) fn frame(&mut self, now: Time, frame: Frame) {
        match (&self.state, self.side) {
            (State::Greeting { .. }, Side::Server) => self.first_frame(now, frame),
            (State::Greeting { .. }, Side::Client) => match self.decode(frame) {
                Ok(packet) => self.frame_in_greeting(now, packet),
                Err(error) => self.attempt_failed(now, undecodable(&error)),
            },
            (State::Open, _) => self.frame_in_open(now, frame),
            (State::Closing(closing), _) if closing.listens => self.frame_in_open(now, frame),
            // Of a link that was dropped, or that is not read from.
            (
                State::Closed
                | State::Connecting { .. }
                | State::Authenticating { .. }
                | State::Closing(_)
                | State::Waiting { .. },
                _,
            ) => {}
        }
    }

    fn frame_in_open(&mut self, now: Time, frame: Frame) {
        self.pulse.hear(now);
        let limit = self.config.max_frame;
        if frame.len() > limit {
            let message = format!("a frame of {} bytes, limit {limit} (`max_frame`)", frame.len());
            return self.broken(now, close_code::TOO_LARGE, "too_large", message);
        }
        let size = frame.len();
        let decoded = self.decode(frame);
        let numbered = decoded.as_ref().is_ok_and(is_numbered);
        // Taken apart at once: packets are large to move.
        match decoded {
            Err(error) => self.broken(now, close_code::PROTOCOL, "bad_packet", error.to_string()),
            Ok(Packet::Message(message)) => {
                self.receive(now, message, Exchange::None, size, numbered);
            }
            Ok(Packet::Request(request)) => {
                let exchange = Exchange::Request(request.id);
                self.receive(now, request.message, exchange, size, numbered);
            }
            Ok(Packet::Response(response)) => {
                let (message, exchange) = match response.result {
                    Ok(message) => (message, Exchange::Response(response.id)),
                    Err(error) => {
                        (Message::default(), Exchange::Failure(response.id, Box::new(error)))
                    }
                };
                self.receive(now, message, exchange, size, numbered);
            }
            Ok(Packet::Skip(count)) => self.inbound.skip(now, count),
            Ok(Packet::Gap(count)) => self.gap(now, count),
            Ok(Packet::Lagged(count)) => self.event(Event::Missed(count)),
            Ok(Packet::Ack(ack)) => self.acknowledged(now, ack),
            Ok(Packet::Ping(token)) => self.control.pong = Some(token),
            Ok(Packet::Pong(token)) => self.answer_round_trip(now, Some(token)),
            Ok(Packet::Error(error)) => self.event(Event::Error(error_of_peer(error))),
            Ok(Packet::Close(close)) => match self.state {
                // Both ends close at once: each waits for the link's end already.
                State::Closing(_) => {}
                _ => self.closed_by_peer(now, close),
            },
            Ok(Packet::Publish(publish)) if self.side == Side::Server => {
                let exchange = Exchange::Publish(publish.echo);
                self.receive(now, publish.message, exchange, size, numbered);
            }
            Ok(Packet::Throttle(features)) if self.side == Side::Client => self.throttle(features),
            Ok(packet) if is_state(&packet, self.side) => {
                let exchange = Exchange::State(Box::new(packet));
                self.receive(now, Message::default(), exchange, size, numbered);
            }
            Ok(packet) => {
                let message = format!("`{}` comes at the wrong time", packet.name());
                self.broken(now, close_code::PROTOCOL, "bad_packet", message);
            }
        }
    }

    /// What this end holds back.
    pub(super) fn hold_back(&mut self, features: Vec<String>) {
        if self.side == Side::Server {
            self.throttle(features);
        }
    }

    /// Which features are held back has changed.
    fn throttle(&mut self, features: Vec<String>) {
        if features == self.throttled {
            return;
        }
        self.throttled.clone_from(&features);
        match self.side {
            Side::Client => self.event(Event::Throttled(features)),
            Side::Server => self.control.throttle = true,
        }
    }

    fn decode(&self, frame: Frame) -> Result<Packet, DecodeError> {
        let codec =
            self.codec.as_ref().expect("a client has its codec, a server once it has heard hello");
        codec.decode(frame)
    }

    fn receive(
        &mut self,
        now: Time,
        message: Message,
        exchange: Exchange,
        size: usize,
        numbered: bool,
    ) {
        let cost = if self.has_session() {
            match self.inbound.receive(now, size, numbered) {
                Ok(cost) => cost,
                Err(_) => {
                    let window = self.config.window;
                    let text = format!("more than the window of {window} bytes was sent");
                    return self.broken(now, close_code::POLICY, "window_exceeded", text);
                }
            }
        } else {
            size + PACKET_OVERHEAD
        };
        self.arrived += 1;
        self.received.push(Received { message, exchange, cost, numbered });
        match self.outputs.back_mut() {
            Some(Output::Messages(count)) => *count += 1,
            _ => self.outputs.push_back(Output::Messages(1)),
        }
    }

    fn acknowledged(&mut self, now: Time, ack: Ack) {
        match self.outbound.acknowledge(ack) {
            Ok(true) => self.progress(now),
            Ok(false) => {}
            Err(_) => {
                let text = "more was acknowledged than had been sent";
                self.broken(now, close_code::PROTOCOL, "bad_packet", text);
            }
        }
    }

    /// The peer broke the protocol. While closing it is only not listened to any more.
    fn broken(&mut self, now: Time, code: u16, name: &'static str, message: impl Into<String>) {
        match &mut self.state {
            State::Closing(closing) => closing.listens = false,
            _ => self.violation(now, code, name, message),
        }
    }

    pub(super) fn tick_open(&mut self, now: Time) {
        if self.inbound.tick(now) {
            self.control.ack = true;
        }
        match self.pulse.beat(now, &self.config.heartbeat, &mut self.rng) {
            Beat::Alive => {}
            Beat::Ping(token) => self.control.ping = Some(token),
            Beat::Unanswered => self.outputs.push_back(Output::RoundTrip(None)),
            Beat::Gone => self.peer_gone(now),
        }
        if self.stall_deadline() <= now {
            self.peer_stalled(now);
        }
        self.shrink();
    }
}

/// Whether an end may be sent this by its peer, as something that stands beside the messages.
const fn is_state(packet: &Packet, receiver: Side) -> bool {
    match packet {
        Packet::Leave(_) => true,
        Packet::Members(members) => {
            matches!(members.kind, MembersKind::Ask) == matches!(receiver, Side::Server)
        }
        Packet::Join(_) | Packet::Profile(_) | Packet::Query(_) => {
            matches!(receiver, Side::Server)
        }
        Packet::Properties(_) | Packet::Answer(_) => matches!(receiver, Side::Client),
        _ => false,
    }
}

/// A server that speaks another version will speak it at the next attempt too.
fn undecodable(error: &DecodeError) -> Failure {
    match error {
        DecodeError::UnsupportedVersion(_) => {
            Failure::for_good("unsupported_version", error.to_string())
        }
        _ => Failure::retryable("bad_packet", error.to_string()),
    }
}

/// The largest details of a peer's error that are told, in bytes.
const MAX_DETAILS: usize = 4096;

/// What a peer reports, cut to what a person reads: errors are outside the window.
fn error_of_peer(error: ErrorPacket) -> ErrorEvent {
    let (code, message) = (shortened(error.code, 64), shortened(error.message, 1024));
    let mut event = ErrorEvent::new(Origin::Peer, code, message);
    // Copied, or the frame that they lie in would be kept with them.
    let details = error.details.filter(|details| details.len() <= MAX_DETAILS);
    event.details = details.map(|details| Bytes::copy_from_slice(&details));
    event
}

/// At most so many bytes, cut at a character's edge.
fn shortened(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_reports_is_cut_to_what_a_person_reads() {
        let huge = "é".repeat(500_000);
        let details = Some(Bytes::from(huge.clone()));
        let told = error_of_peer(ErrorPacket { code: huge.clone(), message: huge, details });
        assert_eq!((told.code.len(), told.message.len(), told.details), (64, 1024, None));
    }
}
