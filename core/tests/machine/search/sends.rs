//! What became of each message that was sent.

use std::collections::VecDeque;

use moorline_core::wire::Ack;
use moorline_core::{Class, Status};

/// What became of each message that the machine accepted on this link.
#[derive(Default)]
pub(crate) struct Sends {
    pub(crate) next: u64,
    pub(crate) window: Option<u64>,
    pub(crate) waiting: VecDeque<(u64, Class)>,
    numbered: Flight,
    unnumbered: Flight,
    /// Acknowledged when the machine may not have listened any more.
    pub(crate) late: u64,
}

#[derive(Default)]
struct Flight {
    costs: VecDeque<u64>,
    acknowledged: u64,
}

impl Sends {
    pub(crate) fn begin_link(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }

    /// A message goes out: the next one that waits, and within the peer's window.
    pub(crate) fn go_out(&mut self, text: &str, cost: u64) {
        let sent: u64 = text.split(' ').next().unwrap().parse().unwrap();
        let (next, class) = self.waiting.pop_front().expect("it was accepted");
        assert_eq!(sent, next, "out of order");
        let Some(window) = self.window else { return };
        let before = self.bytes_in_flight();
        assert!(before == 0 || before + cost <= window, "over the window");
        self.flight(class).costs.push_back(cost);
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
        if !matches!(status, Status::Open | Status::Closing) {
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

    pub(crate) fn in_flight(&self) -> u64 {
        (self.numbered.costs.len() + self.unnumbered.costs.len()) as u64
    }

    pub(crate) fn bytes_in_flight(&self) -> u64 {
        self.numbered.costs.iter().chain(&self.unnumbered.costs).sum()
    }
}

impl Flight {
    fn fits(&self, count: u64) -> bool {
        count.saturating_sub(self.acknowledged) <= self.costs.len() as u64
    }

    /// How many more are acknowledged; `None` where so many were never sent.
    fn acknowledge(&mut self, count: u64) -> Option<u64> {
        let fresh = count.saturating_sub(self.acknowledged);
        if fresh > self.costs.len() as u64 {
            return None;
        }
        self.costs.drain(..fresh as usize);
        self.acknowledged += fresh;
        Some(fresh)
    }
}
