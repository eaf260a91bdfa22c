//! What can go wrong at an endpoint, and the network's methods that make it so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moorline_core::{Runtime, TransportError, TransportErrorKind};

use crate::network::Network;

/// A direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// What the client sends.
    ToServer,
    /// What the server sends.
    ToClient,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

/// What is wrong at an endpoint.
#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) cut: bool,
    pub(crate) refusal: Option<TransportErrorKind>,
    pub(crate) partitioned: bool,
    pub(crate) bandwidth: Option<u64>,
    pub(crate) trip_to_server: Option<Arc<Trip>>,
    pub(crate) trip_to_client: Option<Arc<Trip>>,
    /// The next link breaks as it is made.
    pub(crate) stillborn: bool,
    pub(crate) hang_handshakes: bool,
    pub(crate) duplicate_connects: bool,
}

impl Faults {
    /// Whether a connect may go on; `None` is for it to wait.
    pub(crate) fn gate(&self, name: &str) -> Option<Result<(), TransportError>> {
        if self.cut {
            return Some(Err(TransportError::unreachable(format!("{name} is cut off"))));
        }
        if let Some(kind) = self.refusal {
            return Some(Err(TransportError::new(kind, format!("{name} refuses all links"))));
        }
        (!self.partitioned).then_some(Ok(()))
    }

    /// The trip in that direction, unless it is used up.
    pub(crate) fn trip(&self, direction: Direction) -> Option<Arc<Trip>> {
        let trip = match direction {
            Direction::ToServer => &self.trip_to_server,
            Direction::ToClient => &self.trip_to_client,
        };
        trip.as_ref().filter(|trip| trip.left.load(Ordering::Relaxed) > 0).cloned()
    }

    fn set_trip(&mut self, direction: Direction, trip: Arc<Trip>) {
        match direction {
            Direction::ToServer => self.trip_to_server = Some(trip),
            Direction::ToClient => self.trip_to_client = Some(trip),
        }
    }
}

/// Counts the frames of all links to an endpoint in one direction, down to the one that breaks its
/// link.
pub(crate) struct Trip {
    /// Frames to come, the fatal one included; 0 is used up.
    left: AtomicU64,
    /// Whether the fatal frame is still received.
    delivers: bool,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    BreakAfter,
    BreakInstead,
}

impl Trip {
    /// Counts one frame that is about to be received.
    pub(crate) fn count(&self) -> Verdict {
        let one_less = |left: u64| left.checked_sub(1);
        let before = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        match (before, self.delivers) {
            (Ok(1), true) => Verdict::BreakAfter,
            (Ok(1), false) => Verdict::BreakInstead,
            _ => Verdict::Pass,
        }
    }
}

/// Faults. Each takes effect at once and concerns every link to the endpoint of that name; none
/// waits, fails or panics. Faults add up; [`heal`](Self::heal) lifts them all.
impl Network {
    /// Cuts the endpoint off. Every link to it breaks now: both ends get
    /// [`Broken`](TransportErrorKind::Broken), and what had not been received is lost. Connects fail
    /// as [`Unreachable`](TransportErrorKind::Unreachable) until [`heal`](Self::heal).
    pub fn cut(&self, name: &str) {
        self.inner.change(name, |faults, links, after| {
            faults.cut = true;
            links.iter().for_each(|link| link.break_off("the network cut the link", after));
        });
    }

    /// Breaks every link to it now, as [`cut`](Self::cut) does; connects go on working.
    pub fn reset(&self, name: &str) {
        self.inner.change(name, |_, links, after| {
            links.iter().for_each(|link| link.break_off("the network reset the link", after));
        });
    }

    /// Breaks a link right after the `frames`-th further frame in that direction has been received.
    ///
    /// Frames are counted when the receiving half gives them out, over all links to the endpoint,
    /// those that exist and those still to come; the link that carries the last one breaks, in both
    /// directions, and the cut is used up. With one link at a time that is a cut at an exact frame,
    /// handshakes of sessions and reconnects included. 0 breaks the links that exist now, or the
    /// next one as it is made when there is none. A later call for the same direction, of this or of
    /// [`cut_before`](Self::cut_before), takes the place of an earlier one.
    ///
    /// ```
    /// # use moorline_memory::{Direction, Network};
    /// # fn cut(network: &Network) {
    /// // The server receives exactly 3 more frames; then the link is gone.
    /// network.cut_after("shop", Direction::ToServer, 3);
    /// # }
    /// ```
    pub fn cut_after(&self, name: &str, direction: Direction, frames: u64) {
        if frames > 0 {
            return self.arm(name, direction, frames, true);
        }
        self.inner.change(name, |faults, links, after| {
            let whole: Vec<_> = links.iter().filter(|link| link.is_whole()).collect();
            faults.stillborn = whole.is_empty();
            whole.iter().for_each(|link| link.break_off("the network cut the link", after));
        });
    }

    /// Breaks a link in place of the `frame`-th further frame in that direction (from 1; 0 is as 1):
    /// one less is received, and that one is lost although it had been sent. Counted and used up as
    /// in [`cut_after`](Self::cut_after).
    ///
    /// The two differ in what the ends know: after `cut_after(…, 3)` nothing need be missing; after
    /// `cut_before(…, 4)` the sender has sent a frame that never came.
    pub fn cut_before(&self, name: &str, direction: Direction, frame: u64) {
        self.arm(name, direction, frame.max(1), false);
    }

    /// Lets nothing through in either direction, and tells nobody. Frames, pings and ends that are
    /// sent or on their way wait (in the bounds of the link's capacity; then sends wait), and
    /// connects hang. After [`heal`](Self::heal) all of it arrives, in order, as with TCP.
    pub fn partition(&self, name: &str) {
        self.inner.change(name, |faults, links, _| {
            faults.partitioned = true;
            links.iter().for_each(|link| link.hold());
        });
    }

    /// Makes the links that exist lose one direction for good, and tells nobody: what had been sent
    /// still arrives, everything sent from now on is taken and vanishes, the end of a dropped half
    /// included. The other direction works, but its sender does not hear that a receiver has gone.
    /// New links are whole. [`heal`](Self::heal) does not bring the direction back.
    pub fn half_open(&self, name: &str, lost: Direction) {
        self.inner.change(name, |_, links, after| {
            links.iter().for_each(|link| link.lose(lost, after));
        });
    }

    /// Makes connects fail with that kind until [`heal`](Self::heal). Links that exist live on.
    pub fn refuse(&self, name: &str, kind: TransportErrorKind) {
        self.inner.change(name, |faults, _, _| faults.refusal = Some(kind));
    }

    /// Limits each direction of each link, now and to come, to so many bytes of payload per second
    /// (0 is as 1). A frame arrives when its last byte would have; the latency comes on top.
    /// [`heal`](Self::heal) lifts the limit, also for what is on its way.
    pub fn slow(&self, name: &str, bytes_per_second: u64) {
        self.inner.change(name, |faults, links, _| {
            faults.bandwidth = Some(bytes_per_second);
            links.iter().for_each(|link| link.limit(bytes_per_second));
        });
    }

    /// Makes the handshake of each link that is made from now on hang at the server, as with a peer
    /// that connects and says nothing: it ends only when the link ends. The client's connect
    /// succeeds. [`heal`](Self::heal) ends it for new links.
    pub fn hang_handshakes(&self, name: &str) {
        self.inner.change(name, |faults, _, _| faults.hang_handshakes = true);
    }

    /// Makes each connect come in twice, as when a packet or a proxy's attempt is repeated: first a
    /// link that nobody holds (silent, and what is sent into it vanishes, until the server drops
    /// it), then the real one. [`heal`](Self::heal) ends it for new links.
    pub fn duplicate_connects(&self, name: &str) {
        self.inner.change(name, |faults, _, _| faults.duplicate_connects = true);
    }

    /// Lifts every fault, cuts that are not used up included. What a partition has held arrives, and
    /// connects that hung go on. What has broken stays broken, and a lost direction stays lost.
    pub fn heal(&self, name: &str) {
        let now = self.inner.runtime.now();
        self.inner.change(name, |faults, links, after| {
            *faults = Faults::default();
            links.iter().for_each(|link| link.heal(now, after));
        });
    }

    fn arm(&self, name: &str, direction: Direction, frames: u64, delivers: bool) {
        let trip = Arc::new(Trip { left: AtomicU64::new(frames), delivers });
        self.inner.change(name, |faults, links, _| {
            links.iter().for_each(|link| link.pipe(direction).arm(Arc::clone(&trip)));
            faults.set_trip(direction, trip);
        });
    }
}
