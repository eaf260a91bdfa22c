//! A server's way to an open connection: hello, the question who it is, ready.

use std::time::Duration;

use super::{Grant, Machine, Output, PeerLimits, Refusal, State};
use crate::reason::close_code;
use crate::wire::{
    Close, DecodeError, ErrorPacket, Hello, MAX_HELLO, Packet, Ready, Recovery, VERSION,
};
use crate::{Connected, Event, Frame, Time};

/// When a client that was refused for want of an answer may come back.
const RETRY_AFTER_SILENCE: Duration = Duration::from_secs(1);

impl Machine {
    /// Raw has no hello: the application is asked as soon as the link is up.
    pub(super) fn begin_without_hello(&mut self) {
        let Some(codec) = self.config.codecs.first().filter(|codec| !codec.has_session()) else {
            return;
        };
        self.codec = Some(codec.clone());
        let max_frame = self.config.max_frame;
        self.authenticate(Box::default(), PeerLimits { window: None, max_frame });
    }

    /// The first frame of a client.
    pub(super) fn first_frame(&mut self, now: Time, frame: Frame) {
        if frame.len() > MAX_HELLO {
            let message = format!("the first frame has {} bytes, limit {MAX_HELLO}", frame.len());
            return self.turn_away(now, close_code::TOO_LARGE, "too_large", message);
        }
        let codec = self.config.codecs.iter().find(|codec| codec.claims(&frame));
        let Some(codec) = codec.cloned() else {
            let message = "the first frame is the hello of no codec that this server speaks";
            return self.turn_away(now, close_code::PROTOCOL, "hello_expected", message);
        };
        let decoded = codec.decode(frame);
        self.codec = Some(codec);
        match decoded {
            Ok(Packet::Hello(hello)) if hello.version == VERSION => {
                let max_frame = usize::try_from(hello.max_frame).unwrap_or(usize::MAX);
                let peer = PeerLimits { window: Some(hello.window), max_frame };
                self.authenticate(hello, peer);
            }
            Ok(Packet::Hello(hello)) => {
                let error = DecodeError::UnsupportedVersion(hello.version.into());
                self.turn_away(now, close_code::POLICY, "unsupported_version", error.to_string());
            }
            Err(error @ DecodeError::UnsupportedVersion(_)) => {
                self.turn_away(now, close_code::POLICY, "unsupported_version", error.to_string());
            }
            Ok(other) => {
                let message = format!("the first packet is `{}`", other.name());
                self.turn_away(now, close_code::PROTOCOL, "hello_expected", message);
            }
            Err(error) => {
                self.turn_away(now, close_code::PROTOCOL, "bad_packet", error.to_string());
            }
        }
    }

    fn authenticate(&mut self, hello: Box<Hello>, peer: PeerLimits) {
        let State::Greeting { deadline } = self.state else { return };
        self.state = State::Authenticating { deadline, peer };
        self.outputs.push_back(Output::Authenticate(hello));
    }

    pub(super) fn accept(&mut self, now: Time, grant: Grant) {
        let peer = match &self.state {
            State::Authenticating { peer, .. } => *peer,
            // The link was lost, or the time was over, while the application decided.
            State::Closed
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::Open
            | State::Closing(_)
            | State::Waiting { .. } => return,
        };
        let connected = Connected { id: Some(grant.id.clone()), properties: grant.properties };
        if self.has_session() {
            let ready = Packet::Ready(Box::new(Ready {
                version: VERSION,
                id: grant.id.clone(),
                window: self.config.window as u64,
                max_frame: self.config.max_frame as u64,
                properties: connected.properties.clone(),
                session: grant.session.clone(),
                recovery: Recovery::Fresh,
            }));
            let encoded = self.codec.as_ref().map(|codec| codec.encode(ready));
            match encoded {
                Some(Ok(frame)) => self.control.greeting = Some(frame),
                Some(Err(error)) => {
                    return self.turn_away(
                        now,
                        close_code::INTERNAL,
                        "internal",
                        error.to_string(),
                    );
                }
                None => return,
            }
        }
        self.id = Some(grant.id);
        self.session = grant.session.filter(|_| self.has_session());
        self.open(now, peer);
        // The application hears of it once ready is on its way (R35), and of nothing before.
        self.transmit(now);
        self.event(Event::Connect(connected));
    }

    pub(super) fn refuse_client(&mut self, now: Time, refusal: Refusal) {
        match &self.state {
            State::Authenticating { .. } => {
                let code = match refusal.retry_after {
                    Some(_) => close_code::TRY_LATER,
                    None => close_code::POLICY,
                };
                let mut close = Close::new(code, refusal.code.clone());
                close.retry_after = refusal.retry_after;
                let error = ErrorPacket {
                    code: refusal.code.into_owned(),
                    message: refusal.message,
                    details: None,
                };
                self.keep_out(now, close, Some(error));
            }
            State::Closed
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::Open
            | State::Closing(_)
            | State::Waiting { .. } => {}
        }
    }

    pub(super) fn hello_missing(&mut self, now: Time) {
        let limit = self.config.handshake_timeout;
        let message = format!("no hello within {limit:?}");
        self.turn_away(now, close_code::PROTOCOL, "hello_timeout", message);
    }

    pub(super) fn authenticator_too_slow(&mut self, now: Time) {
        let limit = self.config.handshake_timeout;
        let message = format!("no answer from the authenticator within {limit:?}");
        self.refuse_client(now, Refusal::for_now("unavailable", message, RETRY_AFTER_SILENCE));
    }

    fn turn_away(&mut self, now: Time, code: u16, name: &'static str, message: impl Into<String>) {
        let error = ErrorPacket { code: name.to_owned(), message: message.into(), details: None };
        self.keep_out(now, Close::new(code, name), Some(error));
    }
}
