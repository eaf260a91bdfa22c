//! How a network is configured.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::time::Duration;

use moorline_core::Runtime;

use crate::network::Network;
use crate::pace::Latency;

/// Configures a [`Network`]; made by [`Network::builder`].
#[must_use = "build() makes the network"]
pub struct NetworkBuilder {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) seed: u64,
    pub(crate) latency: Latency,
    pub(crate) capacity: usize,
}

impl NetworkBuilder {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        let latency = Latency::default();
        Self { runtime, seed: Network::SEED, latency, capacity: Network::CAPACITY }
    }

    /// Where all chance comes from; [`Network::SEED`] by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long a frame travels one way, and how long a connect takes: each has a duration of its
    /// own, drawn evenly from this range to the nanosecond. Frames stay in order all the same: one
    /// that would overtake arrives together with the one before it.
    ///
    /// Zero by default. Without an upper end every duration is the lower one.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn latencies(builder: moorline_memory::NetworkBuilder) {
    /// let ms = Duration::from_millis;
    /// builder.latency(ms(20)..=ms(80));
    /// # }
    /// ```
    pub fn latency(mut self, range: impl RangeBounds<Duration>) -> Self {
        const NEXT: Duration = Duration::from_nanos(1);
        let min = match range.start_bound() {
            Bound::Included(&min) => min,
            Bound::Excluded(&below) => below.saturating_add(NEXT),
            Bound::Unbounded => Duration::ZERO,
        };
        let max = match range.end_bound() {
            Bound::Included(&max) => max,
            Bound::Excluded(&above) => above.saturating_sub(NEXT),
            Bound::Unbounded => min,
        };
        self.latency = Latency { min, max: max.max(min) };
        self
    }

    /// How many bytes each direction of a link holds before a send waits;
    /// [`Network::CAPACITY`] by default. A frame counts as its payload and
    /// [`Network::FRAME_OVERHEAD`]; an empty direction takes one frame of any size.
    ///
    /// With latency it also bounds the throughput, as a TCP window does: so many bytes per latency.
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes;
        self
    }

    /// Makes the network.
    #[must_use]
    pub fn build(self) -> Network {
        Network::from_builder(self)
    }
}

impl fmt::Debug for NetworkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkBuilder")
            .field("runtime", &self.runtime)
            .field("seed", &self.seed)
            .field("latency", &(self.latency.min..=self.latency.max))
            .field("capacity", &self.capacity)
            .finish()
    }
}
