//! What became of messages (R46).
//!
//! Messages leave in the order of their tickets, so two marks say what became of most of them, and only the others are
//! listed: a send whose outcome nobody asks for costs nothing.

use std::mem;

/// What became of a message that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Handed to the link. There is nothing more to know of a class that is not acknowledged.
    Sent,
    /// The other end's application has taken it.
    Acknowledged,
    /// Its time to live was over before it could go out, or go out again.
    Expired,
    /// It never left.
    Dropped(Dropped),
    /// It was handed to a link, and the session ended before it was acknowledged: it may have arrived.
    Unconfirmed,
}

/// Why a message never left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dropped {
    /// There was no room for it, and its class lets it be dropped.
    NoRoom,
    /// A newer message of the same key took its place.
    Replaced,
    /// Its sender has taken it back.
    Cancelled,
    /// The connection was lost or closed first.
    Disconnected,
}

/// What became of the messages since it was last asked. Nobody asks for those without a ticket, whose ticket is 0: they
/// leave the marks where they are.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// The last ticket that was handed to a link: none at or below it waits any more.
    pub handed_over: u64,
    /// The last ticket that was acknowledged: all numbered ones up to it are, but the settled.
    pub acknowledged: u64,
    /// Those that went neither way.
    pub settled: Vec<(u64, Outcome)>,
    changed: bool,
}

impl Outcomes {
    pub(super) const fn handed_over(&mut self, ticket: u64) {
        if ticket > 0 {
            self.handed_over = ticket;
            self.changed = true;
        }
    }

    pub(super) const fn acknowledged(&mut self, ticket: u64) {
        if ticket > 0 {
            self.acknowledged = ticket;
            self.changed = true;
        }
    }

    pub(super) fn settle(&mut self, ticket: u64, outcome: Outcome) {
        if ticket > 0 {
            self.settled.push((ticket, outcome));
            self.changed = true;
        }
    }

    /// What is new; the marks stay.
    pub(super) fn take(&mut self) -> Option<Self> {
        mem::take(&mut self.changed).then(|| Self {
            settled: mem::take(&mut self.settled),
            changed: false,
            ..*self
        })
    }
}
