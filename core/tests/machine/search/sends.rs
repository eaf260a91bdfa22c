//! What became of each message that was sent.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use moorline_core::wire::Ack;
use moorline_core::{Class, Status};

/// What became of each message that the machine accepted on this link.
#[derive(Default)]
pub(crate) struct Sends {
    pub(crate) next: u64,
    pub(crate) window: Option<u64>,
    /// Whether it is no message but stands beside them.
    pub(crate) waiting: VecDeque<(u64, Class, bool)>,
    numbered: Flight,
    unnumbered: Flight,
    /// Acknowledged when the machine may not have listened any more.
    pub(crate) late: u64,
}

#[derive(Default)]
struct Flight {
    /// Each one's cost, and whether it is a message.
    costs: VecDeque<(u64, bool)>,
    acknowledged: u64,
}

impl Sends {
    pub(crate) fn begin_link(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }

    /// A message goes out: the next one that waits, and within the peer's window.
    pub(crate) fn go_out(&mut self, text: &str, cost: u64) {
        let sent: u64 = text.split(' ').next().unwrap().parse().unwrap();
        let (next, class, state) = self.waiting.pop_front().expect("it was accepted");
        assert_eq!(sent, next, "out of order");
        let Some(window) = self.window else { return };
        let before = self.bytes_in_flight();
        assert!(before == 0 || before + cost <= window, "over the window");
        self.flight(class).costs.push_back((cost, !state));
    }

    fn flight(&mut self, class: Class) -> &mut Flight {
        match class {
            Class::AtLeastOnce => &mut self.numbered,
            Class::AtMostOnce | Class::Volatile => &mut self.unnumbered,
        }
    }

    /// An acknowledgement that fits.
    pub(crate) fn ack(&self, all: bool) -> Ack {
        let count = |flight: &Flight| {
            let sent = flight.acknowledged + flight.costs.len() as u64;
            if all { sent } else { sent.saturating_sub(1) }
        };
        Ack { numbered: count(&self.numbered), unnumbered: count(&self.unnumbered) }
    }

    pub(crate) fn acknowledge(&mut self, ack: Ack, status: Status) {
        if !status.is_connected() && status != Status::Closing {
            return;
        }
        // All of it counts, or nothing.
        let (mut numbered, mut unnumbered) = (None, None);
        if self.numbered.fits(ack.numbered) && self.unnumbered.fits(ack.unnumbered) {
            numbered = self.numbered.acknowledge(ack.numbered);
            unnumbered = self.unnumbered.acknowledge(ack.unnumbered);
        }
        if status == Status::Closing {
            self.late += numbered.unwrap_or(0) + unnumbered.unwrap_or(0);
        }
    }

    /// Messages under way.
    pub(crate) fn in_flight(&self) -> u64 {
        self.costs().filter(|(_, message)| *message).count() as u64
    }

    pub(crate) fn bytes_in_flight(&self) -> u64 {
        self.costs().map(|(cost, _)| cost).sum()
    }

    fn costs(&self) -> impl Iterator<Item = &(u64, bool)> {
        self.numbered.costs.iter().chain(&self.unnumbered.costs)
    }

    /// Messages that wait.
    pub(crate) fn messages_waiting(&self) -> u64 {
        self.waiting.iter().filter(|(_, _, state)| !state).count() as u64
    }

    /// These stand before the messages now, in place of what stood beside them.
    pub(crate) fn restore(&mut self, numbers: RangeInclusive<u64>) {
        self.waiting.retain(|(_, _, state)| !state);
        for number in numbers.rev() {
            self.waiting.push_front((number, Class::AtLeastOnce, true));
        }
    }
}

impl Flight {
    fn fits(&self, count: u64) -> bool {
        count.saturating_sub(self.acknowledged) <= self.costs.len() as u64
    }

    /// How many more messages are acknowledged; `None` where so much was never sent.
    fn acknowledge(&mut self, count: u64) -> Option<u64> {
        let fresh = count.saturating_sub(self.acknowledged);
        if fresh > self.costs.len() as u64 {
            return None;
        }
        let gone = self.costs.drain(..fresh as usize);
        let messages = gone.filter(|(_, message)| *message).count() as u64;
        self.acknowledged += fresh;
        Some(messages)
    }
}
