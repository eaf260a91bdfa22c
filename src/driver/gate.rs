//! What comes from the peer, where each message has to be let through before the next one is looked at.
//!
//! Events wait behind the messages before them, so that a disconnect is told after the last message.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use moorline_core::machine::{Exchange, Input, Refusal};
use moorline_core::wire::{Close, ErrorPacket, Response};
use moorline_core::{BoxFuture, Status, Time, close_code};

use super::{Driver, Heard, Role};
use crate::Event;
use crate::delivery::Item;
use crate::requests;
use crate::sync::lock;

/// What is done with a message, as far as its role can say at once.
pub(crate) enum Verdict {
    Pass,
    Refuse(Refusal),
    /// It is dropped, and nobody is told.
    Drop,
    /// It is known when this is over.
    Later(BoxFuture<'static, Result<(), Refusal>>),
}

/// See the [module](self).
pub(super) struct Gate {
    waiting: VecDeque<Waiting>,
    /// What the one in front waits for.
    asked: Option<BoxFuture<'static, Result<(), Refusal>>>,
    /// When the connection is over, until when the messages may be handed out.
    pub(super) until: Time,
}

impl Default for Gate {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), asked: None, until: Time::MAX }
    }
}

enum Waiting {
    Message(Item, Exchange),
    Event(Event),
    Status(Status),
    /// The connection is over.
    Closed,
}

impl Gate {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl<R: Role> Driver<R> {
    /// Takes in messages of which some are no ordinary ones, or have to be looked at.
    pub(super) fn deliver_by_gate(&mut self, count: usize) {
        let mut delivery = lock(&self.shared.delivery);
        let mut answers = Vec::new();
        for received in self.machine.take_messages(count) {
            let (item, exchange) = delivery.receive(received, self.now);
            match exchange {
                // Whoever looks at a message may wait for one of them.
                Exchange::Response(_) | Exchange::Failure(..) => answers.push((item, exchange)),
                exchange => self.gate.waiting.push_back(Waiting::Message(item, exchange)),
            }
        }
        self.held = delivery.held();
        drop(delivery);
        for (item, exchange) in answers {
            self.decide(item, exchange, Ok(()));
        }
        self.pass_gate();
    }

    /// An event, behind the messages that wait.
    pub(super) fn tell_application(&mut self, event: Event) {
        if self.gate.is_empty() {
            self.tell_event(event);
        } else {
            self.gate.waiting.push_back(Waiting::Event(event));
        }
    }

    /// The connection is over, once the messages that wait are handed out.
    pub(super) fn close_role(&mut self) {
        if self.gate.is_empty() {
            self.role.closed();
        } else {
            self.gate.waiting.push_back(Waiting::Closed);
        }
    }

    /// A status, behind the messages that wait.
    pub(super) fn show_status(&mut self, status: Status) {
        if self.gate.is_empty() {
            lock(&self.shared.delivery).set_status(status, &mut self.wakes);
        } else {
            self.gate.waiting.push_back(Waiting::Status(status));
        }
    }

    /// Gives up the messages that wait: only events go through any more.
    pub(super) fn cut_gate(&mut self) {
        self.gate.asked = None;
        self.gate.waiting.retain(|waiting| !matches!(waiting, Waiting::Message(..)));
        self.pass_gate();
    }

    /// The connection is over: what waits may be handed out for as long as closing may take. Whether that begins now.
    pub(super) fn bound_gate(&mut self) -> bool {
        let begins = self.gate.until == Time::MAX;
        if begins {
            self.gate.until = self.now + self.shared.config.close_timeout;
        }
        begins
    }

    /// Looks whether the one in front is let through.
    pub(super) fn poll_gate(&mut self, context: &mut Context<'_>) {
        while let Some(asked) = &mut self.gate.asked {
            let Poll::Ready(answer) = asked.as_mut().poll(context) else { return };
            self.gate.asked = None;
            if let Some(Waiting::Message(item, exchange)) = self.gate.waiting.pop_front() {
                self.decide(item, exchange, answer);
            }
            self.pass_gate();
        }
    }

    /// Lets through what need not wait any more.
    fn pass_gate(&mut self) {
        while self.gate.asked.is_none() {
            match self.gate.waiting.pop_front() {
                None => return self.gate.waiting.shrink_to(4),
                Some(Waiting::Event(event)) => self.tell_event(event),
                Some(Waiting::Closed) => self.role.closed(),
                Some(Waiting::Status(status)) => {
                    lock(&self.shared.delivery).set_status(status, &mut self.wakes);
                }
                Some(Waiting::Message(item, exchange)) => {
                    match self.role.guard(&self.shared, &item, &exchange, self.now) {
                        Verdict::Pass => self.decide(item, exchange, Ok(())),
                        Verdict::Drop => self.took(&item),
                        Verdict::Refuse(refusal) => self.decide(item, exchange, Err(refusal)),
                        Verdict::Later(asked) => {
                            self.gate.asked = Some(asked);
                            self.gate.waiting.push_front(Waiting::Message(item, exchange));
                            self.again = true;
                        }
                    }
                }
            }
        }
    }

    fn decide(&mut self, item: Item, exchange: Exchange, answer: Result<(), Refusal>) {
        match (answer, exchange) {
            (Err(refusal), exchange) => {
                self.refuse(&exchange, refusal);
                self.took(&item);
            }
            (Ok(()), Exchange::State(packet)) => {
                match self.role.state(&self.shared, *packet, item) {
                    Heard::Taken(item) => self.took(&item),
                    Heard::Kept => {}
                    Heard::Refused(item, refusal) => {
                        self.refuse(&Exchange::None, refusal);
                        self.took(&item);
                    }
                }
            }
            (Ok(()), Exchange::Publish(echo)) => {
                if let Err(refusal) = self.role.publish(&self.shared, item.message.clone(), echo) {
                    self.refuse(&Exchange::None, refusal);
                }
                self.took(&item);
            }
            (Ok(()), exchange) => {
                let mut dropped = Vec::new();
                let mut delivery = lock(&self.shared.delivery);
                delivery.hand_out(item, exchange, &mut self.wakes, &mut dropped);
                // What is dropped is user code, and comes after the lock.
                drop(delivery);
            }
        }
    }

    fn took(&mut self, item: &Item) {
        let mut delivery = lock(&self.shared.delivery);
        delivery.count_taken(item);
        self.held = delivery.held();
    }

    /// Tells the sender that its message was refused: who asks is answered, who wants to join is told so, everybody else is
    /// sent an error.
    fn refuse(&mut self, exchange: &Exchange, refusal: Refusal) {
        let for_now = refusal.retry_after.is_some();
        let error = ErrorPacket::from(refusal);
        match exchange {
            Exchange::Request(_) if self.machine.queued() > self.shared.config.queue => {
                // Who asks on and on, and reads no answer, would have all of them kept.
                let close = Close::new(close_code::POLICY, "slow_consumer");
                self.tell(Input::Disconnect(close));
            }
            Exchange::Request(id) => {
                let response = Response { id: *id, result: Err(error) };
                if let Some(outgoing) = requests::response(&self.shared, response) {
                    self.tell(Input::Send(outgoing));
                }
            }
            Exchange::State(packet) => {
                if let Some(error) = self.role.refused(packet, error, for_now) {
                    self.tell(Input::Report(error));
                }
            }
            _ => self.tell(Input::Report(error)),
        }
    }
}
