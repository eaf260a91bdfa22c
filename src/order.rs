//! What was taken, in the order in which it came.
//!
//! An acknowledgement is a count: the peer takes it for the oldest messages. So a message that was taken before an older one counts
//! only with that: else the two ends would disagree on how much of the window is free.

use std::collections::BTreeMap;

/// Messages that are counted together: those with a number, or those without.
#[derive(Default)]
pub(crate) struct Order {
    received: u64,
    /// All before this one were taken.
    next: u64,
    /// Those behind it that were taken, and their costs. They are bounded by the window, which they fill.
    early: BTreeMap<u64, usize>,
}

impl Order {
    /// One more has come; its place.
    pub(crate) const fn receive(&mut self) -> u64 {
        self.received += 1;
        self.received - 1
    }

    /// The one at that place was taken. `count` hears of each that counts now.
    #[inline]
    pub(crate) fn take(&mut self, place: u64, cost: usize, mut count: impl FnMut(usize)) {
        if place != self.next {
            self.early.insert(place, cost);
            return;
        }
        count(cost);
        self.next += 1;
        while let Some(cost) = self.early.remove(&self.next) {
            count(cost);
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_early_counts_with_what_came_before_it() {
        let mut order = Order::default();
        let places: Vec<_> = (0..5).map(|_| order.receive()).collect();
        let mut counted = Vec::new();
        for (place, so_far) in [(1, 0), (3, 0), (0, 2), (2, 4), (4, 5)] {
            order.take(places[place], place, |cost| counted.push(cost));
            assert_eq!(counted.len(), so_far);
        }
        assert_eq!(counted, [0, 1, 2, 3, 4]);
        assert!(order.early.is_empty());
    }
}
