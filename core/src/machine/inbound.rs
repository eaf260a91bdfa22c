//! What came from the peer and what the application has taken of it.

use std::collections::VecDeque;
use std::time::Duration;

use super::io::Taken;
use crate::Time;
use crate::wire::{Ack, PACKET_OVERHEAD};

/// How long an acknowledgement waits for traffic to ride on.
const ACK_DELAY: Duration = Duration::from_millis(50);

/// How long it waits at most: in a stream that goes one way each waits twice as long as the one before. To a server that sends to
/// thousands their acknowledgements are dearer than its messages.
const MAX_ACK_DELAY: Duration = Duration::from_millis(400);

/// The share of the window that may be taken before an acknowledgement goes out at once.
const ACK_SHARE: u64 = 4;

/// How many costs an idle connection keeps room for.
const IDLE_COSTS: usize = 16;

/// Messages from the peer that the application has not taken.
#[derive(Debug)]
pub(super) struct Inbound {
    window: u64,
    /// Messages that were received.
    received: Taken,
    /// Those of them that the application has taken.
    taken: Taken,
    /// Numbers without a message, and after how many numbered messages they came.
    skips: VecDeque<Skip>,
    /// Numbers without a message that count as taken, since all before them is.
    skips_taken: u64,
    /// Numbers without a message that were received.
    skips_received: u64,
    acknowledged: Ack,
    acknowledged_cost: u64,
    /// What the messages that are not acknowledged cost, the oldest first: without a number, and with one. An acknowledgement is a
    /// count, which the peer takes for the oldest, whichever were taken.
    unacknowledged: [VecDeque<u32>; 2],
    /// The sum of those: what the peer holds to be used of the window.
    used: u64,
    /// Messages with a number that were acknowledged.
    popped: u64,
    due: Option<Time>,
    /// How long the next acknowledgement waits.
    delay: Duration,
    /// Until when a further one belongs to the same stream.
    streams_until: Time,
}

#[derive(Clone, Copy, Debug)]
struct Skip {
    after: u64,
    count: u64,
}

/// The peer sent more than the window lets it.
#[derive(Debug)]
pub(super) struct Overrun;

impl Inbound {
    pub(super) fn new(window: usize) -> Self {
        Self {
            window: window as u64,
            received: Taken::default(),
            taken: Taken::default(),
            skips: VecDeque::new(),
            skips_taken: 0,
            skips_received: 0,
            acknowledged: Ack::default(),
            acknowledged_cost: 0,
            unacknowledged: Default::default(),
            used: 0,
            popped: 0,
            due: None,
            delay: ACK_DELAY,
            streams_until: Time::ZERO,
        }
    }

    /// A link has opened that goes on with the session: what has no number begins anew, and the peer is told
    /// again how much was taken.
    pub(super) fn resume(&mut self, now: Time) {
        for counted in [&mut self.received, &mut self.taken] {
            counted.unnumbered = 0;
            counted.unnumbered_cost = 0;
        }
        let [unnumbered, _] = &mut self.unacknowledged;
        self.used -= unnumbered.drain(..).map(u64::from).sum::<u64>();
        self.acknowledged = Ack::default();
        self.acknowledged_cost = 0;
        self.due = Some(now + ACK_DELAY);
    }

    /// Numbers received in this session.
    pub(super) const fn numbers(&self) -> u64 {
        self.received.numbered.saturating_add(self.skips_received)
    }

    /// A message came; what it costs.
    pub(super) fn receive(
        &mut self,
        now: Time,
        payload: usize,
        numbered: bool,
    ) -> Result<usize, Overrun> {
        let cost = payload + PACKET_OVERHEAD;
        // What was taken makes room at once; what the peer thinks to be free is free, too.
        let over = |used: u64| used > 0 && used + cost as u64 > self.window;
        if over(self.used) && over(self.held()) {
            return Err(Overrun);
        }
        self.used += cost as u64;
        self.unacknowledged[usize::from(numbered)].push_back(cost as u32);
        self.received.add(numbered, cost);
        self.wait(now);
        Ok(cost)
    }

    /// So many numbers came without a message.
    pub(super) fn skip(&mut self, now: Time, count: u64) {
        self.skips_received = self.skips_received.saturating_add(count);
        let after = self.received.numbered;
        match self.skips.back_mut() {
            Some(last) if last.after == after => last.count = last.count.saturating_add(count),
            _ => self.skips.push_back(Skip { after, count }),
        }
        self.pass_skips();
        self.wait(now);
    }

    fn pass_skips(&mut self) {
        while let Some(skip) = self.skips.front().filter(|skip| skip.after <= self.taken.numbered) {
            self.skips_taken = self.skips_taken.saturating_add(skip.count);
            self.skips.pop_front();
        }
    }

    /// The application has taken so much since the session, or for what has no number the link, began.
    pub(super) fn take(&mut self, now: Time, taken: Taken) {
        debug_assert!(taken.cost() <= self.received.cost(), "taken what never came");
        self.taken = taken;
        self.pass_skips();
        if !self.owes() {
            return;
        }
        if taken.cost().saturating_sub(self.acknowledged_cost) * ACK_SHARE >= self.window {
            self.due = Some(now);
        } else {
            // It was taken after the delay had passed: no message is coming that would set it anew.
            self.wait(now);
        }
    }

    /// The next acknowledgement waits from now on, if it does not already.
    fn wait(&mut self, now: Time) {
        if self.due.is_none() {
            if now > self.streams_until {
                self.delay = ACK_DELAY;
            }
            self.due = Some(now + self.delay);
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
        // Nothing has come that it could ride on.
        self.delay = (self.delay * 2).min(MAX_ACK_DELAY);
        self.streams_until = now + self.delay;
        self.owes()
    }

    /// Messages wait to be taken, and no timer will look at them again.
    pub(super) fn awaits_taking(&self) -> bool {
        self.due.is_none() && self.taken != self.received
    }

    /// Bytes of messages received and not taken.
    pub(super) const fn held(&self) -> u64 {
        self.received.cost() - self.taken.cost()
    }

    fn ack(&self) -> Ack {
        Ack {
            numbered: self.taken.numbered.saturating_add(self.skips_taken),
            unnumbered: self.taken.unnumbered,
        }
    }

    /// Whether something was taken that the peer does not know of.
    pub(super) fn owes(&self) -> bool {
        // Else what is not taken, behind what is, could be any amount.
        self.held() <= self.window && self.ack() != self.acknowledged
    }

    /// The acknowledgement to send now.
    pub(super) fn acknowledge(&mut self) -> Ack {
        let before = self.acknowledged;
        self.acknowledged = self.ack();
        self.acknowledged_cost = self.taken.cost();
        let [unnumbered, numbered] = &mut self.unacknowledged;
        let fresh = self.acknowledged.unnumbered - before.unnumbered;
        self.used -= pop(unnumbered, fresh) + pop(numbered, self.taken.numbered - self.popped);
        self.popped = self.taken.numbered;
        self.due = None;
        self.acknowledged
    }
}

/// What the oldest of them cost.
fn pop(costs: &mut VecDeque<u32>, count: u64) -> u64 {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(costs.len());
    let sum = costs.drain(..count).map(u64::from).sum();
    if costs.is_empty() {
        costs.shrink_to(IDLE_COSTS);
    }
    sum
}

impl Taken {
    /// Counts one more message.
    pub const fn add(&mut self, numbered: bool, cost: usize) {
        if numbered {
            self.numbered += 1;
            self.numbered_cost += cost as u64;
        } else {
            self.unnumbered += 1;
            self.unnumbered_cost += cost as u64;
        }
    }

    /// The costs of all, in bytes.
    #[must_use]
    pub const fn cost(&self) -> u64 {
        self.numbered_cost + self.unnumbered_cost
    }
}
