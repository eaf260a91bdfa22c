//! What has to hold of each output, and after each look at all of them.

use std::time::Duration;

use moorline_core::machine::{Output, Transmit};
use moorline_core::wire::{Packet, cost};
use moorline_core::{Disconnect, Event, Side, Status, Time};

use super::{Driver, Law, Link};
use crate::support::{Mouth, Said};

/// No output list is longer than a batch and a few words for each input.
const BATCH: usize = 64 + 8;
const WORDS_AN_INPUT: usize = 6;

/// No silence lasts longer: a client's longest interval, a server's, and the time-out.
const LONGEST_SILENCE: Duration = Duration::from_secs(30 + 20);

impl Driver {
    /// Looks at all outputs, and then at the machine.
    pub(super) fn poll(&mut self) {
        let (mut count, mut mouth) = (0, Mouth::default());
        loop {
            let output = mouth.poll(&mut self.machine);
            if let Some(trace) = &mut self.trace {
                trace.push(format!("{:?} {output:?} {:?}", self.now, bytes(&output)));
            }
            if let Said::Other(Output::Wait(deadline)) = output {
                self.wakes = deadline;
                break;
            }
            count += 1;
            let most = BATCH + WORDS_AN_INPUT * self.inputs;
            assert!(count <= most, "more than {most} outputs for {} inputs", self.inputs);
            self.check_batch(&output);
            match self.law {
                Law::Kept => self.check(output),
                Law::Any => self.count_received(&output),
            }
        }
        self.inputs = 0;
        assert_eq!(self.batch, 0, "a batch without a flush");
        self.check_deadline();
        if self.law == Law::Kept {
            self.check_limits();
        }
    }

    fn check_batch(&mut self, output: &Said) {
        match output {
            Said::Transmit(_) => {
                assert!(!self.unwritten, "a batch before the last one was written");
                self.batch += 1;
            }
            Said::Flush => {
                assert_ne!(self.batch, 0, "a flush of nothing");
                (self.unwritten, self.batch) = (true, 0);
            }
            Said::Other(Output::DropLink) => self.unwritten = false,
            Said::Other(Output::Event(Event::Connect(_))) => {
                (self.received, self.taken) = Default::default();
            }
            _ => {}
        }
        if self.law == Law::Any {
            // It may take a link for written, or up, that is neither.
            self.unwritten = false;
        }
    }

    fn count_received(&mut self, output: &Said) {
        if let Said::Message(message) = output {
            self.received.add(message.numbered, message.cost);
        }
    }

    fn check(&mut self, said: Said) {
        let after_connect = std::mem::take(&mut self.after_connect);
        self.count_received(&said);
        let output = match said {
            Said::Transmit(transmit) => return self.check_transmit(transmit),
            Said::Message(_) => return assert!(self.open, "a message while not open"),
            Said::Flush => return,
            Said::Other(output) => output,
        };
        match output {
            Output::Connect { deadline, .. } => {
                assert_eq!(self.link, Link::None, "two links alive");
                assert_eq!(deadline, self.now + self.config.attempt_timeout);
                self.link = Link::Attempt(self.now);
            }
            Output::DropLink => {
                self.link = Link::None;
                self.asked = false;
                self.close_said = false;
            }
            Output::Authenticate(hello) => {
                assert!(!self.asked && !self.open, "asked twice");
                self.asked = true;
                self.sends.window = self.codec.has_session().then_some(hello.window);
            }
            Output::Event(event) => self.check_event(event, after_connect),
            Output::RoundTrip(_) => {
                self.round_trips += 1;
                assert!(self.round_trips <= self.pings, "an answer to no ping");
                self.pings_waiting = false;
            }
            Output::Closed(_) => assert!(!self.open, "closed while open"),
            _ => {}
        }
    }

    fn check_transmit(&mut self, transmit: Transmit) {
        assert!(matches!(self.link, Link::Up | Link::Lost), "sent on no link");
        assert!(!self.close_said, "sent after the close");
        match transmit {
            Transmit::Frame(frame) => {
                if let Ok(Packet::Message(message)) = self.codec.decode(frame.clone()) {
                    self.sends.go_out(message.text().unwrap(), cost(&frame) as u64);
                }
            }
            Transmit::Close(_) => self.close_said = true,
            Transmit::Ping => assert!(self.link_pings, "a ping that the link does not have"),
        }
    }

    fn check_event(&mut self, event: Event, after_connect: bool) {
        match event {
            Event::Connecting => {
                assert!(!self.open, "connecting while open");
                self.retries = 0;
                self.comes_back = false;
            }
            Event::Connect(_) => {
                assert!(!self.open, "open twice");
                self.open = true;
                self.after_connect = true;
                self.heard = self.now;
            }
            Event::Reconnect(retries) => {
                assert!(after_connect && retries > 0 && retries == self.retries);
            }
            Event::ReconnectAttempt(retries) => {
                self.retries += 1;
                assert_eq!(retries, self.retries);
            }
            Event::Disconnect(end) => self.check_disconnect(&end),
            Event::Error(error) if error.code == "not_connected" => {
                self.sends_refused = self.sends_refused.checked_sub(1).expect("it was sent");
            }
            _ => {}
        }
    }

    fn check_disconnect(&mut self, end: &Disconnect) {
        assert!(self.open, "the end of what was not open");
        self.open = false;
        self.comes_back = end.reconnects;
        assert_eq!(end.unsent, self.sends.waiting.len() as u64, "unsent");
        let unconfirmed = self.sends.in_flight();
        assert!(
            (unconfirmed..=unconfirmed + self.sends.late).contains(&end.unconfirmed),
            "{} unconfirmed, not {unconfirmed}",
            end.unconfirmed
        );
    }

    /// It always knows when to be woken, unless only an input can change anything.
    fn check_deadline(&mut self) {
        let status = self.machine.status();
        if status == Status::Closed {
            assert_eq!(self.wakes, Time::MAX, "closed, and waits for something");
        } else if self.wakes == Time::MAX {
            let rests = self.background && self.side == Side::Client;
            if rests && status == Status::Connecting {
                let let_go = self.law == Law::Any || self.link == Link::None;
                return assert!(let_go, "a link in the background");
            }
            assert_eq!(status, Status::Open, "it waits for ever");
            let no_heartbeat = !self.codec.has_session() && !self.link_pings;
            assert!(
                self.law == Law::Any || self.suspended || !self.heartbeat || no_heartbeat,
                "no heartbeat"
            );
        }
        assert!(self.ticks_in_a_row < 12 || self.wakes > self.now, "time stands still");
    }

    /// What must be over by now is over.
    fn check_limits(&mut self) {
        let status = self.machine.status();
        let due = self.wakes <= self.now;
        assert!(!self.comes_back, "it said that it comes back, and does not connect");
        assert_eq!(self.sends_refused, 0, "a message that was neither accepted nor refused");
        if let Link::Attempt(since) = self.link {
            let limit = self.config.attempt_timeout;
            assert!(due || self.now.since(since) < limit, "an attempt without end");
        }
        self.closing_since = match (status, self.closing_since) {
            (Status::Closing, None) => Some(self.now),
            (Status::Closing, since) => since,
            _ => None,
        };
        if let Some(since) = self.closing_since {
            let limit = self.config.close_timeout;
            assert!(due || self.now.since(since) < limit, "closing without end");
        }
        if self.side == Side::Server && status == Status::Connecting {
            let limit = self.config.handshake_timeout;
            assert!(due || self.now.since(Time::ZERO) < limit, "greeting without end");
        }
        let beats = self.codec.has_session() || self.link_pings;
        if status == Status::Open && self.heartbeat && !self.suspended && beats {
            let silence = self.now.since(self.heard);
            assert!(due || silence < LONGEST_SILENCE, "silent for {silence:?}, and open");
        }
        if status == Status::Closed {
            assert!(!self.open && self.link != Link::Up, "closed, and nobody was told");
            assert!(!self.pings_waiting, "a ping without an answer");
        }
        if status == Status::Open {
            assert!(self.open, "open, and nobody was told");
            assert_eq!(self.machine.in_flight(), self.sends.bytes_in_flight());
        }
    }
}

fn bytes(said: &Said) -> &[u8] {
    match said {
        Said::Transmit(Transmit::Frame(frame)) => frame.payload(),
        _ => &[],
    }
}
