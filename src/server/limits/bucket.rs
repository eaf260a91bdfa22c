//! Token buckets in whole numbers: one point in time each, and no timer.
//!
//! A bucket is told by when it will be full again. Taking something out moves that time on by what the thing costs; there is
//! enough in it as long as that time lies no further ahead than a whole bucket takes to fill.

use std::time::Duration;

use moorline_core::Time;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    count: u64,
    period: Duration,
    pub(super) burst: u64,
}

impl Rate {
    /// So many in that time, and as many at once. Less than one in a nanosecond's time is taken for one.
    pub(super) const fn new(count: u64, period: Duration) -> Self {
        let count = if count == 0 { 1 } else { count };
        let period = if period.is_zero() { Duration::from_nanos(1) } else { period };
        Self { count, period, burst: count }
    }

    pub(super) const fn burst(self, burst: u64) -> Self {
        Self { burst: if burst == 0 { 1 } else { burst }, ..self }
    }

    /// How long it takes until so much is there again. What is less than a nanosecond is given away.
    pub(super) fn time(&self, amount: u64) -> Duration {
        let nanos = self.period.as_nanos().saturating_mul(amount.into()) / u128::from(self.count);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// How much is left of a [`Rate`]. A new one is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    full_at: Time,
}

impl Bucket {
    /// How long until so much can be taken; `None` when it can be now. What is more than a whole bucket is let through by a
    /// full one: else it never would be.
    pub(super) fn wait(&self, rate: &Rate, amount: u64, now: Time) -> Option<Duration> {
        let wanted = self.full_at.since(now).saturating_add(rate.time(amount.min(rate.burst)));
        let wait = wanted.saturating_sub(rate.time(rate.burst));
        (!wait.is_zero()).then_some(wait)
    }

    /// Takes it out, whether or not it is there.
    pub(super) fn take(&mut self, rate: &Rate, amount: u64, now: Time) {
        self.full_at = self.full_at.max(now) + rate.time(amount);
    }

    /// When it is full, if nothing is taken.
    pub(super) const fn full_at(&self) -> Time {
        self.full_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Time {
        Time::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_what_comes_in() {
        let rate = Rate::new(10, SECOND).burst(3);
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            assert_eq!(bucket.wait(&rate, 1, at(0)), None);
            bucket.take(&rate, 1, at(0));
        }
        assert_eq!(bucket.wait(&rate, 1, at(0)), Some(Duration::from_millis(100)));
        assert_eq!(bucket.wait(&rate, 1, at(60)), Some(Duration::from_millis(40)));
        assert_eq!(bucket.wait(&rate, 1, at(100)), None);
        bucket.take(&rate, 1, at(100));
        assert!(bucket.wait(&rate, 1, at(100)).is_some());
        // It is never fuller than full.
        for _ in 0..3 {
            assert_eq!(bucket.wait(&rate, 1, at(60_000)), None);
            bucket.take(&rate, 1, at(60_000));
        }
        assert!(bucket.wait(&rate, 1, at(60_000)).is_some());
    }

    #[test]
    fn what_it_says_to_wait_is_enough_and_no_more() {
        for (count, burst, amount) in
            [(1, 1, 1), (3, 7, 1), (3, 7, 5), (7, 3, 2), (1_000_003, 5, 4)]
        {
            let rate = Rate::new(count, SECOND).burst(burst);
            let mut bucket = Bucket::default();
            let mut now = at(0);
            for _ in 0..100 {
                if let Some(wait) = bucket.wait(&rate, amount, now) {
                    let before = now + wait.saturating_sub(Duration::from_nanos(1));
                    assert!(bucket.wait(&rate, amount, before).is_some());
                    now += wait;
                }
                assert_eq!(bucket.wait(&rate, amount, now), None);
                bucket.take(&rate, amount, now);
            }
        }
    }

    #[test]
    fn in_the_long_run_no_more_goes_through_than_the_rate() {
        let rate = Rate::new(1000, SECOND).burst(50);
        let mut bucket = Bucket::default();
        let mut passed = 0;
        for millis in 0..10_000 {
            for _ in 0..7 {
                if bucket.wait(&rate, 1, at(millis)).is_none() {
                    bucket.take(&rate, 1, at(millis));
                    passed += 1;
                }
            }
        }
        assert_eq!(passed, 50 + 9_999);
    }

    #[test]
    fn what_is_larger_than_the_bucket_passes_when_it_is_full_and_is_paid_for() {
        let rate = Rate::new(100, SECOND);
        let mut bucket = Bucket::default();
        assert_eq!(bucket.wait(&rate, 1_000, at(0)), None);
        bucket.take(&rate, 1_000, at(0));
        assert_eq!(bucket.wait(&rate, 1, at(0)), Some(Duration::from_millis(9_010)));
        assert_eq!(bucket.wait(&rate, 1_000, at(9_999)), Some(Duration::from_millis(1)));
        assert_eq!(bucket.wait(&rate, 1_000, at(10_000)), None);
    }

    #[test]
    fn no_number_overflows() {
        let rates = [
            Rate::new(0, Duration::ZERO).burst(0),
            Rate::new(u64::MAX, Duration::from_nanos(1)).burst(u64::MAX),
            Rate::new(1, Duration::MAX).burst(u64::MAX),
        ];
        for rate in rates {
            for now in [Time::ZERO, at(1), Time::MAX] {
                let mut bucket = Bucket::default();
                for amount in [0, 1, u64::MAX, u64::MAX] {
                    let _ = bucket.wait(&rate, amount, now);
                    bucket.take(&rate, amount, now);
                }
            }
        }
    }
}
