//! What is under way on a link: queued, sent and not acknowledged, received and not taken.

use std::collections::VecDeque;
use std::time::Duration;

use super::io::{Outgoing, Taken};
use crate::wire::{Ack, PACKET_OVERHEAD, cost};
use crate::{Class, Frame, Time};

/// How long an acknowledgement waits for traffic to ride on.
const ACK_DELAY: Duration = Duration::from_millis(50);

/// The share of the window that may be taken before an acknowledgement goes out at once.
const ACK_SHARE: u64 = 4;

/// The largest window of a peer's that is used: what is under way is remembered, message by message.
const MAX_WINDOW: u64 = 16 << 20;

/// Messages on their way to the peer.
#[derive(Debug)]
pub(super) struct Outbound {
    queue: VecDeque<Outgoing>,
    queued: usize,
    /// The peer's window in bytes; `None` where nothing is acknowledged.
    window: Option<u64>,
    in_flight: u64,
    numbered: Counted,
    unnumbered: Counted,
    dropped_volatile: u64,
}

/// Packets of one kind, counted from the start.
#[derive(Debug, Default)]
struct Counted {
    acknowledged: u64,
    costs: VecDeque<usize>,
}

/// The peer acknowledged what it was never sent.
#[derive(Debug)]
pub(super) struct BadAck;

impl Outbound {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            queued: 0,
            window: None,
            in_flight: 0,
            numbered: Counted::default(),
            unnumbered: Counted::default(),
            dropped_volatile: 0,
        }
    }

    /// A link has opened: with the peer's window, or without acknowledgements.
    pub(super) fn open(&mut self, window: Option<u64>) {
        let window = window.map(|window| window.min(MAX_WINDOW));
        *self = Self { window, dropped_volatile: self.dropped_volatile, ..Self::new() };
    }

    pub(super) fn push(&mut self, outgoing: Outgoing) {
        let cost = cost(&outgoing.frame);
        let under_way = self.in_flight + self.queued as u64 + cost as u64;
        if outgoing.class == Class::Volatile && self.window.is_some_and(|room| under_way > room) {
            self.dropped_volatile += 1;
            return;
        }
        self.queued += cost;
        self.queue.push_back(outgoing);
    }

    /// The next frame that may go out now. Here it takes its number.
    pub(super) fn pop(&mut self) -> Option<Frame> {
        let cost = cost(&self.queue.front()?.frame);
        if let Some(window) = self.window {
            // One packet may always be under way, or one larger than the window never could be.
            if self.in_flight > 0 && self.in_flight + cost as u64 > window {
                return None;
            }
            self.in_flight += cost as u64;
        }
        let Outgoing { frame, class } = self.queue.pop_front()?;
        self.queued -= cost;
        if self.window.is_some() {
            match class {
                Class::AtLeastOnce => self.numbered.costs.push_back(cost),
                Class::Volatile | Class::AtMostOnce => self.unnumbered.costs.push_back(cost),
            }
        }
        Some(frame)
    }

    pub(super) fn acknowledge(&mut self, ack: Ack) -> Result<(), BadAck> {
        let freed = self.numbered.acknowledge(ack.numbered)?
            + self.unnumbered.acknowledge(ack.unnumbered)?;
        self.in_flight -= freed;
        Ok(())
    }

    /// Drops everything; how much was not sent, and how much was sent and not acknowledged.
    pub(super) fn clear(&mut self) -> (u64, u64) {
        let unsent = self.queue.len() as u64;
        let unconfirmed = self.numbered.costs.len() + self.unnumbered.costs.len();
        self.open(self.window);
        (unsent, unconfirmed as u64)
    }

    /// What waits to be sent, in bytes.
    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What was sent and is not acknowledged, in bytes.
    pub(super) const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Volatile messages dropped since the start, because there was no room.
    pub(super) const fn dropped_volatile(&self) -> u64 {
        self.dropped_volatile
    }

    /// Gives memory back after a burst.
    pub(super) fn shrink(&mut self) {
        self.queue.shrink_to(IDLE_CAPACITY);
        self.numbered.costs.shrink_to(IDLE_CAPACITY);
        self.unnumbered.costs.shrink_to(IDLE_CAPACITY);
    }
}

/// How many entries of a queue an idle connection keeps room for.
pub(super) const IDLE_CAPACITY: usize = 4;

impl Counted {
    fn acknowledge(&mut self, count: u64) -> Result<u64, BadAck> {
        let mut freed = 0;
        let fresh = count.saturating_sub(self.acknowledged);
        if fresh > self.costs.len() as u64 {
            return Err(BadAck);
        }
        for _ in 0..fresh {
            freed += self.costs.pop_front().map_or(0, |cost| cost as u64);
        }
        self.acknowledged += fresh;
        Ok(freed)
    }
}

/// Messages from the peer that the application has not taken.
#[derive(Debug)]
pub(super) struct Inbound {
    window: u64,
    received: Taken,
    taken: Taken,
    acknowledged: Taken,
    due: Option<Time>,
}

/// The peer sent more than the window lets it.
#[derive(Debug)]
pub(super) struct Overrun;

impl Inbound {
    pub(super) fn new(window: usize) -> Self {
        let none = Taken::default();
        Self { window: window as u64, received: none, taken: none, acknowledged: none, due: None }
    }

    /// A message came; what it costs.
    pub(super) fn receive(
        &mut self,
        now: Time,
        payload: usize,
        numbered: bool,
    ) -> Result<usize, Overrun> {
        let cost = payload + PACKET_OVERHEAD;
        let held = self.received.cost - self.taken.cost;
        if held > 0 && held + cost as u64 > self.window {
            return Err(Overrun);
        }
        self.received.add(numbered, cost);
        self.due.get_or_insert(now + ACK_DELAY);
        Ok(cost)
    }

    /// The application has taken so much since the link began.
    pub(super) fn take(&mut self, now: Time, taken: Taken) {
        debug_assert!(taken.cost <= self.received.cost, "taken what never came");
        self.taken = taken;
        if taken == self.acknowledged {
            return;
        }
        if (taken.cost - self.acknowledged.cost) * ACK_SHARE >= self.window {
            self.due = Some(now);
        } else {
            // It was taken after the delay had passed: no message is coming that would set it anew.
            self.due.get_or_insert(now + ACK_DELAY);
        }
    }

    pub(super) fn deadline(&self) -> Time {
        self.due.unwrap_or(Time::MAX)
    }

    /// The delay has passed; whether an acknowledgement should go out.
    pub(super) fn tick(&mut self, now: Time) -> bool {
        if now < self.deadline() {
            return false;
        }
        self.due = None;
        self.owes()
    }

    /// Messages wait to be taken, and no timer will look at them again.
    pub(super) fn awaits_taking(&self) -> bool {
        self.due.is_none() && self.taken != self.received
    }

    /// Whether something was taken that the peer does not know of.
    pub(super) fn owes(&self) -> bool {
        self.taken != self.acknowledged
    }

    /// The acknowledgement to send now.
    pub(super) fn acknowledge(&mut self) -> Ack {
        self.acknowledged = self.taken;
        self.due = None;
        Ack { numbered: self.taken.numbered, unnumbered: self.taken.unnumbered }
    }
}

impl Taken {
    /// Counts one more message.
    pub fn add(&mut self, numbered: bool, cost: usize) {
        if numbered {
            self.numbered += 1;
        } else {
            self.unnumbered += 1;
        }
        self.cost += cost as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_without_end_does_not_make_memory_grow_without_end() {
        let mut outbound = Outbound::new();
        outbound.open(Some(u64::MAX));
        let frame = Frame::binary(vec![0; 1 << 20]);
        for _ in 0..64 {
            outbound.push(Outgoing { frame: frame.clone(), class: Class::AtLeastOnce });
        }
        while outbound.pop().is_some() {}
        assert!(outbound.in_flight() <= MAX_WINDOW, "{} bytes under way", outbound.in_flight());
        assert!(!outbound.is_empty());
    }
}
