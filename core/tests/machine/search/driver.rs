//! A driver that checks every promise of the machine as it goes.

mod checks;

use std::sync::Arc;

use moorline_core::machine::{Failure, Grant, Input, Outgoing, Refusal, Taken};
use moorline_core::wire::{Close, Codec, ErrorPacket, Packet, Profile};
use moorline_core::{
    AppState, Capabilities, Class, CloseFrame, Config, Frame, Machine, Message, Side, Status, Time,
};

use super::sends::Sends;
use super::step::{Loss, Setup, Step, What};
use crate::support::{hello_with_window, id, ready_with_window};

/// The window of a good peer: a few messages.
const PEER_WINDOW: usize = 1000;

/// What the driver may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Law {
    /// It keeps the contract: links come when they were asked for, a tick when it is due. The peer may
    /// do what it wants. Every promise of the machine holds.
    Kept,
    /// It does anything at any time, save taking what never came. The machine must stay sane.
    Any,
}

/// The driver's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    None,
    /// An attempt is under way since then.
    Attempt(Time),
    Up,
    /// It is lost, and the machine has not said that it knows.
    Lost,
}

pub(crate) struct Driver {
    machine: Machine,
    side: Side,
    law: Law,
    config: Arc<Config>,
    codec: Arc<dyn Codec>,
    heartbeat: bool,
    now: Time,
    wakes: Time,
    /// Inputs since the last look at the outputs.
    inputs: usize,
    ticks_in_a_row: usize,
    link: Link,
    link_pings: bool,
    suspended: bool,
    /// The application is in the background: the connection may wait for the foreground.
    background: bool,
    asked: bool,
    batch: usize,
    unwritten: bool,
    close_said: bool,
    /// Whether the application was told that it is open.
    open: bool,
    closing_since: Option<Time>,
    heard: Time,
    retries: u32,
    after_connect: bool,
    comes_back: bool,
    pings: usize,
    round_trips: usize,
    pings_waiting: bool,
    sends_refused: usize,
    sends: Sends,
    /// What this server holds back, and what its client was told of it; what this client was told.
    held_back: Vec<String>,
    told: Vec<String>,
    /// Errors that this end was to report.
    reports: usize,
    received: Taken,
    taken: Taken,
    pub(crate) trace: Option<Vec<String>>,
}

impl Driver {
    pub(crate) fn new(side: Side, law: Law, setup: &Setup) -> Self {
        let now = Time::ZERO;
        let config = Arc::new(match side {
            Side::Client => setup.client(),
            Side::Server => setup.server(),
        });
        let machine = match side {
            Side::Client => Machine::client(config.clone(), setup.seed),
            Side::Server => Machine::server(config.clone(), now, setup.seed),
        };
        let mut driver = Self {
            machine,
            side,
            law,
            codec: config.codecs[0].clone(),
            config,
            heartbeat: setup.heartbeat,
            now,
            wakes: Time::MAX,
            inputs: 0,
            ticks_in_a_row: 0,
            link: if side == Side::Server { Link::Up } else { Link::None },
            link_pings: false,
            suspended: false,
            background: false,
            asked: false,
            batch: 0,
            unwritten: false,
            close_said: false,
            open: false,
            closing_since: None,
            heard: now,
            retries: 0,
            after_connect: false,
            comes_back: false,
            pings: 0,
            round_trips: 0,
            pings_waiting: false,
            sends_refused: 0,
            sends: Sends::default(),
            held_back: Vec::new(),
            told: Vec::new(),
            reports: 0,
            received: Taken::default(),
            taken: Taken::default(),
            trace: None,
        };
        if side == Side::Server && law == Law::Kept {
            driver.hand_in(Input::LinkUp(Capabilities::default(), None));
        }
        driver.poll();
        if setup.open {
            for _ in 0..6 {
                driver.take(&Step { what: What::GoOn, polled: true });
            }
        }
        driver
    }

    /// Whether the peer has granted a session, which the model knows nothing of.
    #[allow(dead_code, reason = "only bytes that a fuzzer has found grant one")]
    pub(crate) fn has_session(&self) -> bool {
        self.machine.session().is_some()
    }

    pub(crate) fn take(&mut self, step: &Step) {
        let Some(input) = self.input(&step.what) else { return };
        self.hand_in(input);
        if step.polled {
            self.poll();
        }
    }

    /// Ends the connection however the peer goes on, and begins another.
    pub(crate) fn end(mut self) {
        self.poll();
        let begun = self.now;
        let was_closed = self.machine.status() == Status::Closed;
        self.hand_in(Input::Disconnect(Close::new(1000, "")));
        self.poll();
        for _ in 0..4 {
            if self.machine.status() == Status::Closed {
                break;
            }
            self.take(&Step { what: What::Packet(Packet::Ping(1)), polled: true });
            self.take(&Step { what: What::Deadline, polled: true });
        }
        assert_eq!(self.machine.status(), Status::Closed, "it never closes");
        if self.law == Law::Any {
            return;
        }
        assert!(self.now.since(begun) <= self.config.close_timeout, "it closes too late");
        assert!(!self.pings_waiting, "a ping without an answer");
        assert!(was_closed || self.link == Link::None, "a link is left over");
        if self.side == Side::Client {
            self.hand_in(Input::Connect);
            self.poll();
            assert!(matches!(self.link, Link::Attempt(_)), "it does not connect again");
        }
    }

    /// What the driver would hand in, or nothing where that cannot happen.
    fn input(&mut self, what: &What) -> Option<Input> {
        let lawless = self.law == Law::Any;
        let up = lawless || (self.link == Link::Up && self.machine.reads());
        Some(match what {
            What::GoOn => {
                let next = self.next_on_the_way()?;
                return self.input(&next);
            }
            What::Connect => Input::Connect,
            What::Disconnect(code) => Input::Disconnect(Close::new(*code, "")),
            What::Send(class, size) => {
                // A server's application sends once it has heard of the connection.
                if !lawless && self.side == Side::Server && !self.open {
                    return None;
                }
                Input::Send(self.outgoing(*class, *size))
            }
            What::State(size) => {
                if !self.codec.has_session() || (!lawless && !self.open) {
                    return None;
                }
                Input::Send(self.state(*size))
            }
            What::Throttle(features) => {
                Input::Throttle((0..*features).map(|n| n.to_string()).collect())
            }
            What::Report => {
                let report = ErrorPacket::new("reported", "");
                Input::Report(report)
            }
            What::Take { all } => {
                self.poll();
                self.take_some(*all);
                Input::Taken(self.taken)
            }
            What::Ping => Input::Ping,
            What::App(app) => Input::AppState(*app),
            What::Network(hint) => Input::Network(*hint),
            What::LinkUp { pings } => {
                self.poll();
                if !lawless && !matches!(self.link, Link::Attempt(_)) {
                    return None;
                }
                let mut capabilities = Capabilities::default();
                capabilities.ping = *pings;
                Input::LinkUp(capabilities, None)
            }
            What::LinkFailed { retryable, retry_after } => {
                self.poll();
                if !lawless && !matches!(self.link, Link::Attempt(_)) {
                    return None;
                }
                let mut failure = Failure::retryable("unreachable", "");
                (failure.retryable, failure.retry_after) = (*retryable, *retry_after);
                Input::LinkFailed(failure)
            }
            What::LinkLost(loss) => {
                if !lawless && self.link != Link::Up {
                    return None;
                }
                Input::LinkLost(loss_of(*loss))
            }
            What::Packet(packet) if up => Input::Frame(self.codec.encode(packet.clone()).ok()?),
            What::Ack { all } if up => {
                let ack = self.sends.ack(*all);
                Input::Frame(self.codec.encode(Packet::Ack(ack)).ok()?)
            }
            What::Bytes { text, bytes } if up => {
                let bytes = bytes.clone().into();
                Input::Frame(if *text { Frame::Text(bytes) } else { Frame::Binary(bytes) })
            }
            What::Activity if up => Input::Activity,
            What::Packet(_) | What::Ack { .. } | What::Bytes { .. } | What::Activity => {
                return None;
            }
            What::Suspended(suspended) => {
                if !lawless && self.link != Link::Up {
                    return None;
                }
                Input::Suspended(*suspended)
            }
            What::Written => {
                let writing = self.unwritten && self.link == Link::Up;
                if !lawless && !writing {
                    return None;
                }
                Input::Written
            }
            What::Accept { properties } => {
                if !lawless && !self.asked {
                    return None;
                }
                let properties = vec![(String::new(), String::new()); *properties];
                Input::Accept(Grant { id: id("c1"), properties, session: None })
            }
            What::Refuse { retry_after } => {
                if !lawless && !self.asked {
                    return None;
                }
                let mut refusal = Refusal::for_good("busy", "");
                refusal.retry_after = *retry_after;
                Input::Refuse(refusal)
            }
            What::Deadline => {
                self.poll();
                if self.wakes == Time::MAX {
                    return None;
                }
                self.now = self.now.max(self.wakes);
                Input::Tick
            }
            What::Sleep(time) => {
                self.poll();
                let until = self.now + *time;
                // A lawful driver does not sleep through a deadline.
                self.now = if lawless { until } else { until.min(self.wakes).max(self.now) };
                Input::Tick
            }
        })
    }

    /// What a good world does next.
    fn next_on_the_way(&self) -> Option<What> {
        Some(match (self.machine.status(), self.side) {
            _ if self.unwritten => What::Written,
            (Status::Closed, Side::Client) => What::Connect,
            (Status::Connecting, Side::Client) => match self.link {
                Link::Attempt(_) => What::LinkUp { pings: self.retries % 2 == 0 },
                Link::Up => What::Packet(ready_with_window(PEER_WINDOW)),
                Link::None | Link::Lost => What::Deadline,
            },
            (Status::Connecting, Side::Server) if self.asked => What::Accept { properties: 0 },
            (Status::Connecting, Side::Server) => What::Packet(hello_with_window(PEER_WINDOW)),
            (Status::Open | Status::Throttled, _) => What::Ack { all: true },
            _ => return None,
        })
    }

    fn outgoing(&mut self, class: Class, size: usize) -> Outgoing {
        self.sends.next += 1;
        let text = format!("{} {}", self.sends.next, "x".repeat(size));
        let packet = Packet::Message(Message::from(text).class(class));
        Outgoing::new(self.codec.encode(packet.clone()).unwrap(), class)
    }

    /// Something that stands beside the messages.
    fn state(&mut self, size: usize) -> Outgoing {
        self.sends.next += 1;
        let data = format!("\"{} {}\"", self.sends.next, "x".repeat(size));
        let packet = Packet::Profile(Profile { data: Some(data.into()), echo: None });
        let mut outgoing = Outgoing::new(self.codec.encode(packet).unwrap(), Class::AtLeastOnce);
        outgoing.state = true;
        outgoing
    }

    /// The link has opened: the machine is told what stands for this client.
    fn restore(&mut self) {
        // A client hears itself that nothing is held back any more.
        if self.side == Side::Server {
            self.told.clear();
        }
        if self.side == Side::Server || !self.codec.has_session() {
            return;
        }
        let state = [self.state(1), self.state(2)];
        // Else it is lost again already.
        if connected(self.machine.status()) {
            self.sends.restore(self.sends.next - 1..=self.sends.next);
        }
        self.hand_in(Input::Restore(state.into(), false));
    }

    fn take_some(&mut self, all: bool) {
        if all {
            self.taken = self.received;
            return;
        }
        let half = |taken: u64, received: u64| taken + (received - taken) / 2;
        self.taken = Taken {
            numbered: half(self.taken.numbered, self.received.numbered),
            unnumbered: half(self.taken.unnumbered, self.received.unnumbered),
            numbered_cost: half(self.taken.numbered_cost, self.received.numbered_cost),
            unnumbered_cost: half(self.taken.unnumbered_cost, self.received.unnumbered_cost),
        };
    }

    /// Notes what an input means to the model, and hands it in.
    fn hand_in(&mut self, input: Input) {
        self.inputs += 1;
        let before = self.machine.status();
        let dropped = self.machine.dropped_volatile();
        match &input {
            Input::LinkUp(capabilities, _) => {
                self.link = Link::Up;
                self.link_pings = capabilities.ping;
                self.suspended = false;
                self.sends.begin_link();
            }
            Input::LinkFailed(_) | Input::LinkLost(_) => self.link = Link::Lost,
            Input::Suspended(suspended) => {
                self.suspended = *suspended;
                self.heard = self.now;
            }
            Input::Frame(_) | Input::Activity => self.heard = self.now,
            Input::Written => self.unwritten = false,
            Input::Accept(_) | Input::Refuse(_) => self.asked = false,
            Input::Throttle(features) if self.side == Side::Server => {
                self.held_back.clone_from(features);
            }
            Input::Report(_) => self.reports += 1,
            Input::Ping => {
                self.pings += 1;
                self.pings_waiting = true;
            }
            Input::AppState(app) => self.background = *app == AppState::Background,
            _ => {}
        }
        self.ticks_in_a_row =
            if matches!(input, Input::Tick) { self.ticks_in_a_row + 1 } else { 0 };
        let packet = match &input {
            Input::Frame(frame) => self.codec.decode(frame.clone()).ok(),
            _ => None,
        };
        let sent = match &input {
            Input::Send(outgoing) => Some((outgoing.class, outgoing.state)),
            _ => None,
        };

        let moved = self.now;
        self.machine.handle(moved, input);

        if let Some((class, state)) = sent {
            if !connected(before) {
                // Of state nobody hears that it was not sent: it will be told anew.
                self.sends_refused += usize::from(!state);
            } else if self.machine.dropped_volatile() == dropped {
                self.sends.waiting.push_back((self.sends.next, class, state));
            }
        }
        match packet {
            Some(Packet::Ready(ready))
                if before == Status::Connecting && self.machine.status().is_connected() =>
            {
                self.sends.window = Some(ready.window);
            }
            Some(Packet::Ack(ack)) => self.sends.acknowledge(ack, before),
            _ => {}
        }
    }
}

/// Whether what is sent is accepted.
pub(super) fn connected(status: Status) -> bool {
    status.is_connected() || status == Status::Closing
}

fn loss_of(loss: Loss) -> moorline_core::machine::Loss {
    use moorline_core::machine::Loss as Told;
    match loss {
        Loss::Closed(code) => Told::Closed(CloseFrame::new(code, "")),
        Loss::Ended => Told::Ended,
        Loss::Broken => Told::Broken(Failure::retryable("broken", "")),
    }
}
