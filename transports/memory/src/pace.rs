//! When what is sent in one direction of a link arrives.

use std::time::Duration;

use fastrand::Rng;
use moorline_core::Time;

/// The shortest and the longest time that a frame travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Latency {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

impl Latency {
    pub(crate) fn is_zero(self) -> bool {
        self.max.is_zero()
    }

    /// A duration between the two, to the nanosecond.
    pub(crate) fn sample(self, random: &mut Rng) -> Duration {
        if self.min >= self.max {
            return self.min;
        }
        Duration::from_nanos(random.u64(nanos(self.min)..=nanos(self.max)))
    }
}

/// Nanoseconds; what does not fit (584 years) is cut.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Gives each frame of one direction its time of arrival.
pub(crate) struct Pace {
    latency: Latency,
    random: Rng,
    /// Bytes per second; `None` without a limit.
    bandwidth: Option<u64>,
    /// When the line has sent off everything that was given to it.
    free: Time,
    /// When the last frame arrives: no later one may overtake it.
    last: Time,
}

impl Pace {
    /// `seed` is the direction's own, so that what one link does shifts nothing on another one.
    pub(crate) fn new(latency: Latency, bandwidth: Option<u64>, seed: u64) -> Self {
        let random = Rng::with_seed(seed);
        Self { latency, random, bandwidth, free: Time::ZERO, last: Time::ZERO }
    }

    /// When so many bytes arrive that are sent `now`. `None` is a link without a clock, on which all
    /// arrives at once.
    pub(crate) fn arrival(&mut self, now: Option<Time>, bytes: usize) -> Time {
        let Some(now) = now else { return Time::ZERO };
        let mut sent = now;
        if let Some(bandwidth) = self.bandwidth {
            let spent = bytes as u128 * 1_000_000_000 / u128::from(bandwidth.max(1));
            let spent = Duration::from_nanos(u64::try_from(spent).unwrap_or(u64::MAX));
            self.free = self.free.max(now) + spent;
            sent = self.free;
        }
        self.last = self.last.max(sent + self.latency.sample(&mut self.random));
        self.last
    }

    /// One sample of the latency on top of `at`, for what stands in no queue.
    pub(crate) fn travel(&mut self, at: Time) -> Time {
        at + self.latency.sample(&mut self.random)
    }

    pub(crate) fn limit(&mut self, bandwidth: u64) {
        self.bandwidth = Some(bandwidth);
    }

    /// Lifts the limit. Gives the latest time at which anything sent before `now` may still arrive.
    pub(crate) fn unlimit(&mut self, now: Time) -> Option<Time> {
        self.bandwidth.take()?;
        self.free = now;
        let latest = now + self.latency.max;
        self.last = self.last.min(latest);
        Some(latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_later_frame_never_arrives_before_an_earlier_one() {
        let mut pace = Pace::new(Latency { min: Duration::ZERO, max: 50 * MS }, None, 7);
        let mut now = Time::ZERO;
        let mut last = Time::ZERO;
        for _ in 0..1_000 {
            let arrival = pace.arrival(Some(now), 1);
            assert!(arrival >= last && arrival >= now);
            last = arrival;
            now += MS;
        }
    }

    #[test]
    fn a_slow_line_sends_one_frame_after_the_other() {
        let mut pace = Pace::new(Latency::default(), Some(1_000), 7);
        assert_eq!(pace.arrival(Some(Time::ZERO), 100), Time::ZERO + 100 * MS);
        assert_eq!(pace.arrival(Some(Time::ZERO), 100), Time::ZERO + 200 * MS);
        assert_eq!(pace.unlimit(Time::ZERO + MS), Some(Time::ZERO + MS));
        assert_eq!(pace.arrival(Some(Time::ZERO + MS), 100), Time::ZERO + MS);
    }

    #[test]
    fn extreme_numbers_give_the_end_of_time_and_no_panic() {
        let latency = Latency { min: Duration::ZERO, max: Duration::MAX };
        let mut pace = Pace::new(latency, Some(0), 7);
        for _ in 0..10 {
            pace.arrival(Some(Time::MAX), usize::MAX);
        }
    }
}
