//! A client's way to an open connection: attempts, the greeting, and giving up.

use bytes::Bytes;

use super::backoff::{Asked, Outage};
use super::transmit::Control;
use super::{Failure, Link, Loss, Machine, Output, PeerLimits, State};
use crate::wire::{self, Close, Hello, MAX_HELLO, Packet, Ready, Resume, VERSION};
use crate::{
    Capabilities, Connected, ErrorEvent, Event, Frame, Origin, Reason, Recovery, Side, Time,
};

impl Machine {
    pub(super) fn connect(&mut self, now: Time) {
        match (&self.state, self.side) {
            (State::Closed, Side::Client) => {
                self.outage = Outage::new(false);
                self.wake_up(now);
                self.event(Event::Connecting);
                self.attempt(now);
            }
            // A connection that is on its way, there, or on its way out: the driver has said so.
            (
                State::Connecting { .. }
                | State::Greeting { .. }
                | State::Authenticating { .. }
                | State::Open
                | State::Closing(_)
                | State::Waiting { .. },
                Side::Client,
            )
            | (_, Side::Server) => {}
        }
    }

    /// Begins an attempt: the first, or the next one after a wait.
    pub(super) fn attempt(&mut self, now: Time) {
        if let State::Waiting { .. } = self.state {
            self.outage.retry();
            self.event(Event::ReconnectAttempt(self.outage.retries()));
        }
        self.attempts_ever += 1;
        self.refusal = None;
        let deadline = now + self.config.attempt_timeout;
        self.state = State::Connecting { deadline };
        self.outputs.push_back(Output::Connect { attempt: self.outage.attempts(), deadline });
    }

    pub(super) fn link_up(&mut self, now: Time, can: Capabilities, auth: Option<Bytes>) {
        match (&self.state, self.side) {
            (&State::Connecting { deadline }, Side::Client) => {
                self.use_link(can);
                if self.has_session() {
                    self.greet(now, deadline, can, auth);
                } else {
                    let peer = PeerLimits { window: None, max_frame: self.config.max_frame };
                    self.open_client(now, peer, None);
                }
            }
            (State::Greeting { .. }, Side::Server) => {
                self.use_link(can);
                self.begin_without_hello();
            }
            // A link that nobody waits for any more.
            (State::Closed | State::Waiting { .. }, Side::Client) => {
                self.outputs.push_back(Output::DropLink);
            }
            (
                State::Greeting { .. }
                | State::Authenticating { .. }
                | State::Open
                | State::Closing(_),
                Side::Client,
            )
            | (_, Side::Server) => {}
        }
    }

    pub(super) fn use_link(&mut self, can: Capabilities) {
        self.link = Link { pings: can.ping, max_frame: can.max_frame.unwrap_or(usize::MAX) };
        self.control = Control { writable: true, ..Control::default() };
    }

    fn greet(&mut self, now: Time, deadline: Time, can: Capabilities, auth: Option<Bytes>) {
        let hello = Packet::Hello(Box::new(Hello {
            version: VERSION,
            attempt: self.attempts_ever,
            window: self.config.window as u64,
            max_frame: self.config.max_frame as u64,
            room: self.config.room.clone(),
            auth,
            query: self.config.query.clone(),
            resume: self.session.as_ref().map(|session| Resume {
                session: session.id.clone(),
                secret: session.secret,
                received: self.inbound.numbers(),
            }),
        }));
        let codec = self.codec.as_ref().expect("a client has its codec from the start");
        let problem = match codec.encode(hello) {
            Ok(Frame::Binary(_)) if !can.binary => {
                "the transport carries text only: choose the codec `Json`".to_owned()
            }
            Ok(frame) if frame.len() > MAX_HELLO => format!(
                "hello has {} bytes with its credentials, room and query, limit {MAX_HELLO}",
                frame.len()
            ),
            Ok(frame) => {
                self.control.greeting = Some(frame);
                self.state = State::Greeting { deadline };
                return;
            }
            Err(error) => error.to_string(),
        };
        self.attempt_failed(now, Failure::for_good("configuration", problem));
    }

    /// A frame from the server before it has let this client in.
    pub(super) fn frame_in_greeting(&mut self, now: Time, packet: Packet) {
        match packet {
            Packet::Ready(ready) if ready.version == VERSION => self.ready(now, *ready),
            Packet::Ready(ready) => {
                let message = format!("the server answered in protocol version {}", ready.version);
                self.attempt_failed(now, Failure::for_good("unsupported_version", message));
            }
            Packet::Error(error) => {
                let failure = Failure::retryable(error.code, error.message);
                self.refusal = Some(Box::new(failure));
            }
            Packet::Close(close) => {
                let failure = self.refused_with(&close);
                self.attempt_failed(now, failure);
            }
            Packet::Hello(_)
            | Packet::Message(_)
            | Packet::Request(_)
            | Packet::Response(_)
            | Packet::Ack(_)
            | Packet::Skip(_)
            | Packet::Gap(_)
            | Packet::Lagged(_)
            | Packet::Ping(_)
            | Packet::Pong(_)
            | Packet::Join(_)
            | Packet::Leave(_)
            | Packet::Members(_)
            | Packet::Profile(_)
            | Packet::Properties(_)
            | Packet::Throttle(_)
            | Packet::Query(_)
            | Packet::Answer(_)
            | Packet::Publish(_) => {
                let message = format!("the server sent `{}` before `ready`", packet.name());
                self.attempt_failed(now, Failure::retryable("bad_packet", message));
            }
        }
    }

    fn ready(&mut self, now: Time, ready: Ready) {
        let max_frame = usize::try_from(ready.max_frame).unwrap_or(usize::MAX);
        let peer = PeerLimits { window: Some(ready.window), max_frame };
        self.id = Some(ready.id.clone());
        self.open_client(now, peer, Some(ready));
    }

    fn open_client(&mut self, now: Time, peer: PeerLimits, mut ready: Option<Ready>) {
        let recovery = match ready.as_ref().map(|ready| ready.recovery) {
            Some(wire::Recovery::Recovered { received }) => {
                let known =
                    self.session.is_some() && self.outbound.resume(peer.window, received).is_ok();
                if !known {
                    self.session = None;
                    let message = "the server goes on with a session that is another one";
                    return self.attempt_failed(now, Failure::retryable("bad_packet", message));
                }
                self.open_again(now, peer);
                Recovery::Recovered
            }
            Some(wire::Recovery::Fresh) | None => {
                self.session = ready.as_mut().and_then(|ready| ready.session.take());
                Recovery::Fresh { unconfirmed: self.open(now, peer) }
            }
        };
        let (id, properties) =
            ready.map_or((None, Vec::new()), |ready| (Some(ready.id), ready.properties));
        self.event(Event::Connect(Connected { id, properties }));
        if self.outage.retries() > 0 {
            self.event(Event::Reconnect(self.outage.retries()));
        }
        if self.outage.after_loss {
            self.event(Event::Recovery(recovery));
        }
    }

    pub(super) fn link_failed(&mut self, now: Time, failure: Failure) {
        match (&self.state, self.side) {
            (State::Connecting { .. }, Side::Client) => self.attempt_failed(now, failure),
            // An attempt that was given up already.
            (
                State::Closed
                | State::Greeting { .. }
                | State::Authenticating { .. }
                | State::Open
                | State::Closing(_)
                | State::Waiting { .. },
                Side::Client,
            )
            | (_, Side::Server) => {}
        }
    }

    /// What the end of a link means to a client that was not let in yet.
    pub(super) fn failure_of(&mut self, loss: Loss) -> Failure {
        match loss {
            Loss::Closed(close) => self.refused_with(&Close::new(close.code, close.reason)),
            Loss::Ended => self
                .take_refusal("closed", || "the server closed the link before `ready`".to_owned()),
            Loss::Broken(failure) => failure,
        }
    }

    fn refused_with(&mut self, close: &Close) -> Failure {
        let told = self.take_refusal("refused", || {
            format!("the server closed with {}: {}", close.code, close.reason)
        });
        Failure {
            retryable: Reason::from_close_code(close.code, Side::Client).reconnects(),
            retry_after: close.retry_after,
            spread: close.spread,
            ..told
        }
    }

    /// What the server has told, or else what is known without that.
    fn take_refusal(&mut self, code: &'static str, message: impl Fn() -> String) -> Failure {
        match self.refusal.take() {
            Some(told) => *told,
            None => Failure::retryable(code, message()),
        }
    }

    /// Drops what there is of a link, and waits for the next attempt or gives up.
    pub(super) fn attempt_failed(&mut self, now: Time, failure: Failure) {
        let error = ErrorEvent::new(Origin::Connect, failure.code.clone(), failure.message.clone());
        self.event(Event::Error(error));
        self.outputs.push_back(Output::DropLink);
        self.control = Control::default();
        let wanted =
            if self.outage.after_loss { self.config.reconnect } else { self.config.retry_first };
        if failure.code.starts_with("session_") {
            self.session = None;
        }
        let asked = Asked { retry_after: failure.retry_after, spread: failure.spread };
        let delay = (wanted && failure.retryable)
            .then(|| self.outage.next_delay(&self.config.backoff, asked, &mut self.rng))
            .flatten();
        self.outage.hold_back(now, asked, delay);
        if let Some(delay) = delay {
            self.state = State::Waiting { until: now + delay };
            return;
        }
        self.state = State::Closed;
        self.end_session();
        if self.outage.retries() > 0 {
            self.event(Event::ReconnectFailed);
        }
        self.outputs.push_back(Output::Closed(Some(failure)));
    }
}
