//! How a connection ends.

use std::time::Duration;

use super::backoff::{Asked, Outage};
use super::{Loss, Machine, Output, State};
use crate::reason::close_code;
use crate::wire::{Close, ErrorPacket};
use crate::{CloseFrame, Disconnect, ErrorEvent, Event, Origin, Reason, Side, Time};

/// One end has said that it closes, or is about to.
#[derive(Debug)]
pub(super) struct Closing {
    /// Until when what is queued may still go out.
    drain_until: Time,
    deadline: Time,
    /// What is queued goes out before the close.
    drain: bool,
    /// What the peer says is still heard. Not after its close, nor of one that broke the protocol or
    /// was never let in.
    pub(super) listens: bool,
    /// What this end has still to say; `None` once it is handed to the link, or when the peer said it.
    last_words: Option<LastWords>,
    ending: Ending,
}

/// The close, and the error that it is for.
#[derive(Debug)]
pub(super) struct LastWords {
    pub(super) error: Option<ErrorPacket>,
    pub(super) close: Close,
}

impl Closing {
    pub(super) const fn drains(&self) -> bool {
        self.drain && !self.has_said()
    }

    /// Whether nothing more goes out.
    pub(super) const fn has_said(&self) -> bool {
        self.last_words.is_none()
    }

    pub(super) const fn say(&mut self) -> Option<LastWords> {
        self.last_words.take()
    }

    /// Whether the session goes on after it.
    pub(super) fn keeps_session(&self, machine: &Machine) -> bool {
        let Ending { reason, close, was_open, .. } = &self.ending;
        *was_open && machine.keeps_session(*reason, close.as_ref())
    }

    /// Whether a client connects again after it.
    pub(super) fn comes_back(&self, machine: &Machine) -> bool {
        machine.side == Side::Client && machine.config.reconnect && self.ending.reason.reconnects()
    }

    pub(super) const fn next_deadline(&self) -> Time {
        if self.drains() { self.drain_until } else { self.deadline }
    }
}

/// Why a link ends, and what follows.
#[derive(Debug)]
pub(super) struct Ending {
    reason: Reason,
    close: Option<CloseFrame>,
    asked: Asked,
    /// The connection was open: its application hears of the end.
    was_open: bool,
    /// It comes back when the application does, whatever the back-off says.
    rests: bool,
}

impl Ending {
    pub(super) fn new(reason: Reason, close: Option<CloseFrame>) -> Self {
        Self { reason, close, asked: Asked::default(), was_open: true, rests: false }
    }

    /// The end of a link that is let go in the background.
    pub(super) fn resting(reason: Reason) -> Self {
        Self { rests: true, ..Self::new(reason, None) }
    }
}

impl Machine {
    pub(super) fn disconnect(&mut self, now: Time, close: Close) {
        let reason = match self.side {
            Side::Client => Reason::ClientDisconnect,
            // The client comes back to its session, with fresh credentials.
            Side::Server if close.code == close_code::EXPIRED => Reason::TransportClose,
            Side::Server => Reason::ServerDisconnect,
        };
        match &mut self.state {
            State::Closed => {}
            // The client is away, and comes back with fresh credentials anyway.
            State::Waiting { .. } if self.side == Side::Server && reason.reconnects() => {}
            State::Connecting { .. } | State::Waiting { .. } => self.stop_trying(),
            State::Greeting { .. } | State::Authenticating { .. } => match self.side {
                Side::Client => self.stop_trying(),
                Side::Server => self.keep_out(now, close, None),
            },
            State::Open => {
                let frame = CloseFrame::new(close.code, close.reason.clone());
                let last_words = LastWords { error: None, close };
                self.begin_closing(now, true, Some(last_words), Ending::new(reason, Some(frame)));
            }
            // The peer may have asked to come back; the application does not want to.
            State::Closing(closing)
                if closing.ending.reason.reconnects() && !reason.reconnects() =>
            {
                closing.ending.reason = reason;
            }
            State::Closing(_) => {}
        }
    }

    fn stop_trying(&mut self) {
        self.outputs.push_back(Output::DropLink);
        self.control = Default::default();
        self.state = State::Closed;
        self.end_session();
        self.outputs.push_back(Output::Closed(None));
    }

    /// A server's: closes a link that never was let in.
    pub(super) fn keep_out(&mut self, now: Time, close: Close, error: Option<ErrorPacket>) {
        let last_words = LastWords { error, close };
        let ending = Ending { was_open: false, ..Ending::new(Reason::ServerDisconnect, None) };
        self.begin_closing(now, false, Some(last_words), ending);
    }

    /// The peer broke the protocol: tells both applications, and ends the link.
    pub(super) fn violation(
        &mut self,
        now: Time,
        code: u16,
        name: &'static str,
        message: impl Into<String>,
    ) {
        let message = message.into();
        self.event(Event::Error(ErrorEvent::new(Origin::Protocol, name, message.clone())));
        let close = CloseFrame::new(code, name);
        let error = Some(ErrorPacket { code: name.to_owned(), message, details: None });
        let last_words = LastWords { error, close: Close::new(code, name) };
        let ending = Ending::new(Reason::TransportError, Some(close));
        self.begin_closing(now, false, Some(last_words), ending);
    }

    /// The peer has said that it closes. The link's end comes next.
    pub(super) fn closed_by_peer(&mut self, now: Time, close: Close) {
        let frame = CloseFrame::new(close.code, close.reason);
        let reason = Reason::from_close_code(frame.code, self.side);
        let mut ending = Ending::new(reason, Some(frame));
        ending.asked = Asked { retry_after: close.retry_after, spread: close.spread };
        self.begin_closing(now, false, None, ending);
    }

    /// `orderly`: this end wants it, so that what is queued goes out and what comes is heard.
    fn begin_closing(
        &mut self,
        now: Time,
        orderly: bool,
        last_words: Option<LastWords>,
        ending: Ending,
    ) {
        let limit = self.config.close_timeout;
        self.state = State::Closing(Box::new(Closing {
            drain_until: now + limit / 2,
            deadline: now + limit,
            drain: orderly,
            listens: orderly,
            last_words,
            ending,
        }));
    }

    pub(super) fn tick_closing(&mut self, now: Time) {
        let State::Closing(closing) = &mut self.state else { return };
        if now >= closing.deadline {
            self.finish_closing(now);
        } else {
            closing.drain = false;
        }
    }

    pub(super) fn link_lost(&mut self, now: Time, loss: Loss) {
        match (&self.state, self.side) {
            (State::Closed | State::Waiting { .. }, _) => {}
            (State::Connecting { .. } | State::Greeting { .. }, Side::Client) => {
                let failure = self.failure_of(loss);
                self.attempt_failed(now, failure);
            }
            (
                State::Connecting { .. } | State::Greeting { .. } | State::Authenticating { .. },
                _,
            ) => {
                self.over(None);
                self.outputs.push_back(Output::Closed(None));
            }
            (State::Open, _) => {
                let ending = self.ending_of(loss);
                self.finish(now, ending);
            }
            (State::Closing(_), _) => self.finish_closing(now),
        }
    }

    fn ending_of(&mut self, loss: Loss) -> Ending {
        match loss {
            Loss::Closed(close) => {
                Ending::new(Reason::from_close_code(close.code, self.side), Some(close))
            }
            Loss::Ended => Ending::new(Reason::TransportClose, None),
            Loss::Broken(failure) => {
                let error = ErrorEvent::new(Origin::Transport, failure.code, failure.message);
                self.event(Event::Error(error));
                Ending::new(Reason::TransportError, None)
            }
        }
    }

    /// The peer is silent: the link is dropped at once, since a close would be waited for in vain.
    pub(super) fn peer_gone(&mut self, now: Time) {
        self.finish(now, Ending::new(Reason::PingTimeout, None));
    }

    fn finish_closing(&mut self, now: Time) {
        if let State::Closing(closing) = std::mem::replace(&mut self.state, State::Closed) {
            self.finish(now, closing.ending);
        }
    }

    /// The link is gone, whatever the way: the one place where an open connection ends.
    pub(super) fn finish(&mut self, now: Time, ending: Ending) {
        let Ending { reason, close, asked, was_open, rests } = ending;
        let comes_back = self.side == Side::Client && reason.reconnects() && self.config.reconnect;
        self.outage = Outage::new(true);
        let delay = match self.side {
            Side::Client if rests => Some(Duration::MAX),
            Side::Client => comes_back
                .then(|| self.outage.first_delay(&self.config.backoff, asked, &mut self.rng))
                .flatten(),
            Side::Server => (was_open && self.keeps_session(reason, close.as_ref()))
                .then_some(self.config.retention),
        };
        self.outage.hold_back(now, asked, delay);
        let (unsent, unconfirmed) = self.lose_link(now, delay.is_some());
        self.over(delay.map(|delay| now + delay));
        if was_open {
            let reconnects = delay.is_some();
            let end = Disconnect { reason, close, unsent, unconfirmed, reconnects };
            self.event(Event::Disconnect(end));
        }
        match delay {
            Some(_) => self.event(Event::Connecting),
            None => {
                if comes_back {
                    self.event(Event::ReconnectFailed);
                }
                self.outputs.push_back(Output::Closed(None));
            }
        }
    }

    /// Forgets the link. With a time to try again it waits for that, else it is closed.
    fn over(&mut self, again: Option<Time>) {
        self.outputs.push_back(Output::DropLink);
        self.control = Default::default();
        if self.side == Side::Client {
            self.id = None;
        }
        self.stalls_since = None;
        if self.pulse.is_awaited() {
            self.outputs.push_back(Output::RoundTrip(None));
        }
        self.state = again.map_or(State::Closed, |until| State::Waiting { until });
    }
}

impl Close {
    /// A close that asks for no delay; a longer reason is cut, as [`CloseFrame::new`] does.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        let CloseFrame { code, reason } = CloseFrame::new(code, reason);
        Self { code, reason, retry_after: None, spread: None }
    }
}
