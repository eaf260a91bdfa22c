//! Numbers that one can watch: of a connection, and of a server.

use moorline_core::machine::{Counts, Dropped, Outcome};

/// What a connection has counted, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// What the session counts: sent, acknowledged, replayed, lost, recoveries, gaps, the round-trip time.
    pub counts: Counts,
    /// Bytes that wait to be handed to the link.
    pub queued: usize,
    /// Messages that were accepted and did not get through.
    pub dropped: Drops,
    /// Messages that nobody listened for in time.
    pub unheard: u64,
    /// Answers that came when nobody waited for them any more.
    pub late: u64,
}

/// Messages that were accepted and did not get through, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drops {
    /// There was no room.
    pub no_room: u64,
    /// A newer message took its place.
    pub replaced: u64,
    /// Its sender took it back.
    pub cancelled: u64,
    /// The connection was lost or closed first.
    pub disconnected: u64,
    /// Its time to live was over, or it had waited too long.
    pub expired: u64,
    /// It was handed to a link, and the session ended before it was acknowledged: it may have arrived.
    pub unconfirmed: u64,
}

/// What a server has counted since it was made, over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections now, those whose clients are away for the moment included.
    pub connections: usize,
    /// Links now that have passed their transport's handshake, whether or not their clients were let in.
    pub links: usize,
    /// Connections that were let in since the start.
    pub accepted: u64,
    /// Messages that clients published and that were dropped, since that was held back (R37).
    pub held_back: u64,
    /// The sum over all connections: what was counted also of those that are over, what is held of those that are
    /// there. It has no round-trip time.
    pub sum: Stats,
}

impl Drops {
    pub(crate) fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Dropped(Dropped::NoRoom) => &mut self.no_room,
            Outcome::Dropped(Dropped::Replaced) => &mut self.replaced,
            Outcome::Dropped(Dropped::Cancelled) => &mut self.cancelled,
            Outcome::Dropped(_) => &mut self.disconnected,
            Outcome::Expired => &mut self.expired,
            Outcome::Unconfirmed => &mut self.unconfirmed,
            _ => return,
        };
        *counter += 1;
    }

    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        let Self { no_room, replaced, cancelled, disconnected, expired, unconfirmed } = *self;
        no_room + replaced + cancelled + disconnected + expired + unconfirmed
    }
}

impl Stats {
    /// Adds those of another connection.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { counts, queued, dropped, unheard, late } = self;
        add_counts(counts, &other.counts);
        *queued += other.queued;
        dropped.no_room += other.dropped.no_room;
        dropped.replaced += other.dropped.replaced;
        dropped.cancelled += other.dropped.cancelled;
        dropped.disconnected += other.dropped.disconnected;
        dropped.expired += other.dropped.expired;
        dropped.unconfirmed += other.dropped.unconfirmed;
        *unheard += other.unheard;
        *late += other.late;
    }

    /// What stays of them when their connection is over: it holds nothing any more.
    pub(crate) const fn after_the_end(mut self) -> Self {
        self.queued = 0;
        self.counts.queued = 0;
        self.counts.waiting = 0;
        self.counts.retained = 0;
        self.counts.in_flight = 0;
        self.counts.held = 0;
        self
    }
}

fn add_counts(counts: &mut Counts, other: &Counts) {
    counts.queued += other.queued;
    counts.waiting += other.waiting;
    counts.retained += other.retained;
    counts.in_flight += other.in_flight;
    counts.held += other.held;
    counts.sent += other.sent;
    counts.replayed += other.replayed;
    counts.acknowledged += other.acknowledged;
    // A peer may claim any number of gaps.
    counts.received = counts.received.saturating_add(other.received);
    counts.arrived = counts.arrived.saturating_add(other.arrived);
    counts.lost += other.lost;
    counts.recoveries += other.recoveries;
    counts.gaps += other.gaps;
}
