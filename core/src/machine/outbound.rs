//! What is on its way to the peer: queued, handed to the link, and kept until it is acknowledged.
//!
//! A message waits in the queue without a number. It takes one as it is handed to the link; from then on its frame is kept
//! until the peer's application has taken it, and goes out again on the next link of the session if this one is lost.

use std::collections::VecDeque;
use std::time::Duration;

use super::io::Outgoing;
use super::outcome::{Dropped, Outcome, Outcomes};
use crate::wire::{Ack, PACKET_OVERHEAD, cost};
use crate::{Class, Frame, Time};

/// The largest window of a peer's that is used: what is under way is remembered, message by message.
const MAX_WINDOW: u64 = 16 << 20;

/// How many entries of a queue an idle connection keeps room for.
pub(super) const IDLE_CAPACITY: usize = 4;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Outbound {
    queue: VecDeque<Queued>,
    queued: usize,
    /// Messages in the queue.
    waiting: usize,
    /// When something in the queue expires next, at the earliest.
    expiry: Option<Time>,
    /// The peer's window in bytes; `None` where nothing is acknowledged.
    window: Option<u64>,
    in_flight: u64,
    /// What has a number and is not acknowledged, in order.
    retained: VecDeque<Retained>,
    /// What their frames cost, in bytes.
    retained_bytes: usize,
    /// How many of them were handed to this link, or received over an earlier one.
    sent: usize,
    /// How many numbers those have.
    sent_numbers: u64,
    /// Numbers acknowledged since the session began.
    acknowledged: u64,
    /// What has no number and is not acknowledged on this link.
    unnumbered: Unnumbered,
    pub(super) outcomes: Outcomes,
    pub(super) counts: Counts,
}

#[derive(Debug)]
enum Queued {
    Message(Outgoing),
    /// So many that found no room here: they are lost, and will be told at their place.
    Lost(u64),
}

/// Something that has a number, or several.
#[derive(Debug)]
struct Retained {
    packet: Kept,
    numbers: u64,
    /// What it costs of the peer's window, in bytes.
    cost: usize,
    ticket: u64,
    expires: Time,
    /// It is no message, and nobody is told what became of it.
    state: bool,
}

impl Retained {
    const fn lost(numbers: u64) -> Self {
        Self { packet: Kept::Lost, numbers, cost: 0, ticket: 0, expires: Time::MAX, state: false }
    }
}

#[derive(Debug)]
enum Kept {
    Frame(Frame),
    /// The peer has it, and its application has not taken it.
    Received,
    /// It was too old to be sent again.
    Skipped,
    Lost,
}

#[derive(Debug, Default)]
struct Unnumbered {
    acknowledged: u64,
    costs: VecDeque<usize>,
}

/// What goes to the link next.
#[derive(Debug)]
pub(super) enum Next {
    Frame(Frame),
    /// In place of so many that are too old to be sent again.
    Skip(u64),
    /// In place of so many that are lost.
    Gap(u64),
}

/// What was counted since the start, beside the [`Outcomes`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Messages handed to a link, not counting again what was sent again.
    pub(super) sent: u64,
    pub(super) replayed: u64,
    /// In all sessions.
    pub(super) acknowledged: u64,
    pub(super) volatile_dropped: u64,
    /// Messages that the peer was told to be lost, or will be.
    pub(super) lost: u64,
}

/// The peer acknowledged what it was never sent.
#[derive(Debug)]
pub(super) struct BadAck;

impl Outbound {
    /// A link has opened, and with it a session, with the peer's window or without acknowledgements. Messages that are
    /// queued stay. How many of the session before are unconfirmed.
    pub(super) fn open(&mut self, window: Option<u64>) -> u64 {
        self.begin_link(window);
        let unconfirmed = self.forget_retained();
        self.forget_state();
        self.acknowledged = 0;
        unconfirmed
    }

    /// A link has opened that goes on with the session: the peer has received that many numbers.
    pub(super) fn resume(&mut self, window: Option<u64>, received: u64) -> Result<(), BadAck> {
        let mut ahead = received.checked_sub(self.acknowledged).ok_or(BadAck)?;
        let mut arrived = 0;
        while ahead > 0 {
            let kept = self.retained.get_mut(arrived).ok_or(BadAck)?;
            if kept.numbers > ahead {
                // Of several gaps that were kept as one, not all have arrived.
                kept.numbers -= ahead;
                self.retained.insert(arrived, Retained::lost(ahead));
            }
            ahead -= self.retained[arrived].numbers;
            arrived += 1;
        }
        // What the peer once had it cannot have lost.
        let had = |kept: &Retained| matches!(kept.packet, Kept::Received);
        if self.retained.range(arrived..).any(had) {
            return Err(BadAck);
        }
        self.begin_link(window);
        for kept in self.retained.range_mut(..arrived) {
            self.in_flight += kept.cost as u64;
            if let Kept::Frame(_) = kept.packet {
                self.retained_bytes -= kept.cost;
                kept.packet = Kept::Received;
            }
        }
        self.sent = arrived;
        self.sent_numbers = received - self.acknowledged;
        Ok(())
    }

    fn begin_link(&mut self, window: Option<u64>) {
        self.window = window.map(|window| window.min(MAX_WINDOW));
        self.in_flight = 0;
        self.sent = 0;
        self.sent_numbers = 0;
        self.unnumbered = Unnumbered::default();
    }

    /// Takes a message in. Until the connection is open, nothing is dropped for want of window.
    pub(super) fn push(&mut self, outgoing: Outgoing, open: bool) {
        let cost = cost(&outgoing.frame);
        if outgoing.class == Class::Volatile {
            let under_way = self.in_flight + self.queued as u64 + cost as u64;
            if !open || self.window.is_some_and(|room| under_way > room) {
                self.counts.volatile_dropped += 1;
                return self.outcomes.settle(outgoing.ticket, Outcome::Dropped(Dropped::NoRoom));
            }
        }
        self.note_expiry(outgoing.end());
        self.queued += cost;
        self.waiting += 1;
        self.queue.push_back(Queued::Message(outgoing));
    }

    /// Puts what stands beside the messages before them: behind what of that kind still waits, or in its place.
    pub(super) fn restore(&mut self, state: Vec<Outgoing>, resumed: bool) {
        if !resumed {
            self.forget_state();
        }
        let is_state = |queued: &Queued| matches!(queued, Queued::Message(m) if m.state);
        let at = self.queue.iter().rposition(is_state).map_or(0, |last| last + 1);
        for outgoing in state.into_iter().rev() {
            self.queued += cost(&outgoing.frame);
            self.waiting += 1;
            self.queue.insert(at, Queued::Message(outgoing));
        }
    }

    /// Drops what stands beside the messages: it does not outlive its session.
    pub(super) fn forget_state(&mut self) {
        for queued in std::mem::take(&mut self.queue) {
            match queued {
                Queued::Message(message) if message.state => self.forget_queued(&message),
                other => self.queue.push_back(other),
            }
        }
    }

    /// Whether something waits that stands beside the messages.
    pub(super) fn state_waits(&self) -> bool {
        self.queue.iter().any(|queued| matches!(queued, Queued::Message(m) if m.state))
    }

    /// So many numbered messages found no room here and are lost. Whether the peer can be told.
    pub(super) fn lose(&mut self, count: u64) {
        self.counts.lost += count;
        match self.queue.back_mut() {
            Some(Queued::Lost(lost)) => *lost += count,
            _ => self.insert_lost(self.queue.len(), count),
        }
    }

    /// Whether one more message of `cost` bytes finds room among at most so many, of so many bytes. One may always
    /// wait.
    pub(super) fn has_room(&self, cost: usize, count: usize, bytes: usize) -> bool {
        self.waiting == 0 || (self.waiting < count && self.queued + cost <= bytes)
    }

    /// Drops the oldest messages without a number until one of `cost` bytes [has room](Self::has_room). How many.
    pub(super) fn make_room(&mut self, cost: usize, count: usize, bytes: usize) -> u64 {
        let mut dropped = 0;
        let mut at = 0;
        while !self.has_room(cost, count, bytes) && at < self.queue.len() {
            match &self.queue[at] {
                Queued::Message(message) if message.class != Class::AtLeastOnce => {
                    self.remove(at, Outcome::Dropped(Dropped::NoRoom));
                    dropped += 1;
                }
                Queued::Message(_) | Queued::Lost(_) => at += 1,
            }
        }
        dropped
    }

    /// Drops the oldest messages until there are at most so many, of so many bytes.
    pub(super) fn keep_newest(&mut self, count: usize, bytes: usize) {
        while self.waiting > count.max(1) || (self.queued > bytes && self.waiting > 1) {
            let message = |queued: &Queued| matches!(queued, Queued::Message(m) if !m.state);
            let oldest = self.queue.iter().position(message);
            let Some(at) = oldest else { return };
            self.remove(at, Outcome::Dropped(Dropped::NoRoom));
        }
    }

    /// A newer message takes the place of the one of that key.
    pub(super) fn replace(&mut self, key: u64) {
        let same = |queued: &Queued| matches!(queued, Queued::Message(old) if old.key == Some(key));
        let Some(at) = self.queue.iter().rposition(same) else { return };
        self.take_out(at, Outcome::Dropped(Dropped::Replaced));
    }

    /// Takes back a message that has not been handed to the link.
    pub(super) fn cancel(&mut self, ticket: u64) {
        let own = |queued: &Queued| matches!(queued, Queued::Message(m) if m.ticket == ticket);
        if let Some(at) = self.queue.iter().position(own) {
            self.remove(at, Outcome::Dropped(Dropped::Cancelled));
        }
    }

    fn remove(&mut self, at: usize, outcome: Outcome) {
        if let Some(message) = self.take_out(at, outcome) {
            self.lose_at(at, &message);
        }
    }

    /// Drops a message that is too old: as its sender wants it, or because it has waited too long.
    fn expire_at(&mut self, at: usize, now: Time) {
        if let Some(message) = self.take_out(at, Outcome::Expired) {
            if message.expires > now {
                self.lose_at(at, &message);
            }
        }
    }

    fn take_out(&mut self, at: usize, outcome: Outcome) -> Option<Outgoing> {
        let Some(Queued::Message(message)) = self.queue.remove(at) else { return None };
        self.queued -= cost(&message.frame);
        self.waiting -= 1;
        self.outcomes.settle(message.ticket, outcome);
        self.join_lost(at);
        Some(message)
    }

    /// What was lost before and behind a message that is gone becomes one: else there could be any number of those.
    fn join_lost(&mut self, at: usize) {
        let Some(Queued::Lost(behind)) = self.queue.get(at) else { return };
        let behind = *behind;
        let before = at.checked_sub(1).and_then(|at| self.queue.get_mut(at));
        if let Some(Queued::Lost(before)) = before {
            *before += behind;
            self.queue.remove(at);
            self.queued -= PACKET_OVERHEAD;
        }
    }

    /// A message was dropped there. Of a numbered broadcast its reader is told at that place.
    fn lose_at(&mut self, at: usize, message: &Outgoing) {
        if !message.broadcast || message.class != Class::AtLeastOnce {
            return;
        }
        self.counts.lost += 1;
        if let Some(Queued::Lost(lost)) = at.checked_sub(1).and_then(|at| self.queue.get_mut(at)) {
            *lost += 1;
        } else if let Some(Queued::Lost(lost)) = self.queue.get_mut(at) {
            *lost += 1;
        } else {
            self.insert_lost(at, 1);
        }
    }

    /// It takes room as a message does: there may be as many as there are messages.
    fn insert_lost(&mut self, at: usize, count: u64) {
        self.queued += PACKET_OVERHEAD;
        self.queue.insert(at, Queued::Lost(count));
    }

    fn forget_queued(&mut self, message: &Outgoing) {
        self.queued -= cost(&message.frame);
        self.waiting -= 1;
    }

    /// What may go out now. Here it takes its number.
    pub(super) fn pop(&mut self, now: Time) -> Option<Next> {
        if self.sent < self.retained.len() {
            return self.replay(now);
        }
        loop {
            match self.queue.front()? {
                Queued::Lost(count) => {
                    let count = *count;
                    self.queue.pop_front();
                    self.queued -= PACKET_OVERHEAD;
                    // Without numbers there is no place at which to tell it.
                    if self.window.is_some() {
                        self.retain_lost(count);
                        return Some(Next::Gap(count));
                    }
                }
                Queued::Message(message) if message.end() <= now => self.expire_at(0, now),
                Queued::Message(message) => {
                    let cost = cost(&message.frame);
                    self.take_window(cost)?;
                    let Some(Queued::Message(message)) = self.queue.pop_front() else { continue };
                    if self.queue.is_empty() {
                        // The next one comes to the same place, which is in the processor's cache.
                        self.queue.clear();
                    }
                    self.forget_queued(&message);
                    return Some(Next::Frame(self.hand_over(message, cost)));
                }
            }
        }
    }

    fn hand_over(&mut self, message: Outgoing, cost: usize) -> Frame {
        let Outgoing { frame, class, ticket, expires, state, .. } = message;
        self.counts.sent += 1;
        self.outcomes.handed_over(ticket);
        if self.window.is_some() {
            match class {
                Class::AtLeastOnce => self.retain(frame.clone(), cost, ticket, expires, state),
                Class::Volatile | Class::AtMostOnce => self.unnumbered.costs.push_back(cost),
            }
        }
        frame
    }

    fn retain(&mut self, frame: Frame, cost: usize, ticket: u64, expires: Time, state: bool) {
        let packet = Kept::Frame(frame);
        self.retained.push_back(Retained { packet, numbers: 1, cost, ticket, expires, state });
        self.retained_bytes += cost;
        self.sent += 1;
        self.sent_numbers += 1;
    }

    /// Gaps that follow each other are kept as one: they cost nothing of the window, so there could be any number.
    fn retain_lost(&mut self, count: u64) {
        self.sent_numbers += count;
        match self.retained.back_mut() {
            Some(Retained { packet: Kept::Lost, numbers, .. }) => *numbers += count,
            _ => {
                self.retained.push_back(Retained::lost(count));
                self.sent += 1;
            }
        }
    }

    /// What of the last link has to go out again.
    fn replay(&mut self, now: Time) -> Option<Next> {
        let mut skipped = 0;
        while let Some(kept) = self.retained.get_mut(self.sent) {
            match &kept.packet {
                Kept::Frame(_) if kept.expires <= now => {
                    kept.packet = Kept::Skipped;
                    self.retained_bytes -= kept.cost;
                    kept.cost = 0;
                    let ticket = kept.ticket;
                    self.outcomes.settle(ticket, Outcome::Expired);
                }
                Kept::Skipped => {
                    skipped += kept.numbers;
                    self.sent_numbers += kept.numbers;
                    self.sent += 1;
                }
                _ if skipped > 0 => break,
                Kept::Frame(frame) => {
                    let (frame, cost) = (frame.clone(), kept.cost);
                    self.take_window(cost)?;
                    self.counts.replayed += 1;
                    self.sent += 1;
                    self.sent_numbers += 1;
                    return Some(Next::Frame(frame));
                }
                Kept::Lost | Kept::Received => {
                    let numbers = kept.numbers;
                    self.sent += 1;
                    self.sent_numbers += numbers;
                    return Some(Next::Gap(numbers));
                }
            }
        }
        (skipped > 0).then_some(Next::Skip(skipped))
    }

    /// Takes so many bytes of the peer's window, if they are free. One packet may always be under way, or one
    /// larger than the window never could be.
    fn take_window(&mut self, cost: usize) -> Option<()> {
        if let Some(window) = self.window {
            if self.in_flight > 0 && self.in_flight + cost as u64 > window {
                return None;
            }
            self.in_flight += cost as u64;
        }
        Some(())
    }

    /// Whether the peer has acknowledged something new.
    pub(super) fn acknowledge(&mut self, ack: Ack) -> Result<bool, BadAck> {
        let mut fresh = ack.numbered.saturating_sub(self.acknowledged);
        let unnumbered = ack.unnumbered.saturating_sub(self.unnumbered.acknowledged);
        if fresh > self.sent_numbers || unnumbered > self.unnumbered.costs.len() as u64 {
            return Err(BadAck);
        }
        let any = fresh + unnumbered > 0;
        self.acknowledged += fresh;
        self.counts.acknowledged += fresh;
        self.sent_numbers -= fresh;
        while fresh > 0 {
            let Some(kept) = self.retained.front_mut() else { break };
            if kept.numbers > fresh {
                kept.numbers -= fresh;
                break;
            }
            fresh -= kept.numbers;
            self.in_flight -= kept.cost as u64;
            match kept.packet {
                Kept::Frame(_) => {
                    self.retained_bytes -= kept.cost;
                    self.outcomes.acknowledged(kept.ticket);
                }
                Kept::Received => self.outcomes.acknowledged(kept.ticket),
                Kept::Skipped | Kept::Lost => {}
            }
            self.retained.pop_front();
            self.sent -= 1;
        }
        self.unnumbered.acknowledged += unnumbered;
        for _ in 0..unnumbered {
            self.in_flight -= self.unnumbered.costs.pop_front().map_or(0, |cost| cost as u64);
        }
        Ok(any)
    }

    /// The link is lost and the session goes on. What is queued is kept no longer than `age` from now; what
    /// is volatile is dropped. How many messages will not arrive, and how many may or may not.
    pub(super) fn detach(&mut self, now: Time, age: Duration) -> (u64, u64) {
        let limit = now + age;
        let before = self.waiting;
        for mut queued in std::mem::take(&mut self.queue) {
            if let Queued::Message(message) = &mut queued {
                if message.class == Class::Volatile {
                    self.forget_queued(message);
                    self.outcomes.settle(message.ticket, Outcome::Dropped(Dropped::Disconnected));
                    continue;
                }
                if !message.state {
                    message.waits_until = message.waits_until.min(limit);
                }
                self.note_expiry(message.end());
            }
            self.queue.push_back(queued);
        }
        let unconfirmed = self.unnumbered.costs.len() as u64;
        self.begin_link(self.window);
        ((before - self.waiting) as u64, unconfirmed)
    }

    /// The session is over. What was handed to a link may have arrived; how much that is.
    pub(super) fn forget_session(&mut self) -> u64 {
        let unconfirmed = self.unnumbered.costs.len() as u64 + self.forget_retained();
        self.begin_link(self.window);
        self.acknowledged = 0;
        unconfirmed
    }

    /// Drops all that is queued; how much.
    pub(super) fn clear_queue(&mut self) -> u64 {
        let mut dropped = 0;
        for queued in std::mem::take(&mut self.queue) {
            if let Queued::Message(message) = queued {
                self.forget_queued(&message);
                self.outcomes.settle(message.ticket, Outcome::Dropped(Dropped::Disconnected));
                if !message.state {
                    dropped += 1;
                }
            }
        }
        self.queued = 0;
        self.expiry = None;
        dropped
    }

    fn forget_retained(&mut self) -> u64 {
        let mut unconfirmed = 0;
        self.retained_bytes = 0;
        for kept in std::mem::take(&mut self.retained) {
            if let Kept::Frame(_) | Kept::Received = kept.packet {
                self.outcomes.settle(kept.ticket, Outcome::Unconfirmed);
                unconfirmed += u64::from(!kept.state);
            }
        }
        unconfirmed
    }

    fn note_expiry(&mut self, expires: Time) {
        if expires != Time::MAX {
            self.expiry = Some(self.expiry.map_or(expires, |own| own.min(expires)));
        }
    }

    /// When something in the queue expires next, at the earliest.
    pub(super) fn expiry(&self) -> Time {
        self.expiry.unwrap_or(Time::MAX)
    }

    /// Drops what has waited too long in the queue.
    pub(super) fn expire(&mut self, now: Time) {
        if now < self.expiry() {
            return;
        }
        self.expiry = None;
        let mut at = 0;
        while let Some(queued) = self.queue.get(at) {
            match queued {
                // What it leaves in its place, if anything, is passed over next.
                Queued::Message(message) if message.end() <= now => self.expire_at(at, now),
                Queued::Message(message) => {
                    let end = message.end();
                    self.note_expiry(end);
                    at += 1;
                }
                Queued::Lost(_) => at += 1,
            }
        }
    }

    /// What waits to be sent, in bytes.
    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    /// Messages that wait to be sent.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether nothing waits to be sent, at first or again.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.sent == self.retained.len()
    }

    /// What was sent and is not acknowledged, in bytes.
    pub(super) const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// What is kept to be sent again, in bytes.
    pub(super) const fn retained(&self) -> usize {
        self.retained_bytes
    }

    /// Gives memory back after a burst.
    pub(super) fn shrink(&mut self) {
        self.queue.shrink_to(IDLE_CAPACITY);
        self.retained.shrink_to(IDLE_CAPACITY);
        self.unnumbered.costs.shrink_to(IDLE_CAPACITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_without_end_does_not_make_memory_grow_without_end() {
        let mut outbound = Outbound::default();
        outbound.open(Some(u64::MAX));
        let frame = Frame::binary(vec![0; 1 << 20]);
        for _ in 0..64 {
            outbound.push(Outgoing::new(frame.clone(), Class::AtLeastOnce), true);
        }
        while outbound.pop(Time::ZERO).is_some() {}
        assert!(outbound.in_flight() <= MAX_WINDOW, "{} bytes under way", outbound.in_flight());
        assert!(!outbound.is_empty());
    }

    #[test]
    fn gaps_that_follow_each_other_are_kept_as_one_and_arrive_apart() {
        let mut outbound = Outbound::default();
        outbound.open(Some(1000));
        outbound.push(Outgoing::new(Frame::binary(vec![0; 900]), Class::AtLeastOnce), true);
        assert!(matches!(outbound.pop(Time::ZERO), Some(Next::Frame(_))));
        for _ in 0..100 {
            outbound.lose(2);
            assert!(matches!(outbound.pop(Time::ZERO), Some(Next::Gap(2))));
        }
        assert_eq!(outbound.retained.len(), 2);
        // The message and the first 31 of them have arrived.
        outbound.resume(Some(1000), 1 + 62).expect("so many were sent");
        assert!(matches!(outbound.pop(Time::ZERO), Some(Next::Gap(138))));
        assert!(outbound.pop(Time::ZERO).is_none());
        let ack = Ack { numbered: 201, unnumbered: 0 };
        assert!(outbound.acknowledge(ack).expect("all were sent"));
        assert_eq!((outbound.retained.len(), outbound.in_flight()), (0, 0));
    }

    #[test]
    fn what_is_lost_around_a_message_that_goes_is_one() {
        let mut outbound = Outbound::default();
        outbound.open(Some(1000));
        outbound.push(Outgoing::new(Frame::binary(vec![0; 900]), Class::AtLeastOnce), true);
        assert!(outbound.pop(Time::ZERO).is_some());
        for ticket in 1..=100 {
            let mut message = Outgoing::new(Frame::binary(vec![0; 100]), Class::AtMostOnce);
            message.ticket = ticket;
            outbound.lose(1);
            outbound.push(message, true);
            outbound.lose(1);
            outbound.cancel(ticket);
        }
        assert_eq!((outbound.queue.len(), outbound.queued()), (1, PACKET_OVERHEAD));
    }
}
