//! What comes from one address, over all its connections.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moorline_core::Time;

use super::address::Key;
use super::meter::{Meter, Weight};
use super::{RateLimit, bucket::Bucket};
use crate::sync::lock;

/// How many addresses are remembered: about 20 MB. Beyond that those that are new share what is left.
const MAX_SOURCES: usize = 100_000;

/// Over how many locks they are spread: more than there are processors.
const SHARDS: usize = 64;

/// When a shard is looked through first for addresses that can be forgotten.
const FIRST_SWEEP: usize = 16;

/// How often a full one is, however many come: a look at 1,500 addresses for each of them would be a way to attack.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// All addresses. Looked up once for each link; messages are counted at the [`Source`], which has a lock of its own.
pub(super) struct Sources {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    /// How many one shard holds.
    most: usize,
}

#[derive(Default)]
struct Shard {
    all: HashMap<Key, Arc<Source>>,
    /// It is looked through when it has so many.
    sweep_at: usize,
    swept: Time,
    /// Of those for whom there was no room.
    rest: Option<Arc<Source>>,
}

/// One address: what its connections may still send.
#[derive(Debug, Default)]
pub(crate) struct Source {
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    meter: Meter,
    connections: Bucket,
}

impl Sources {
    pub(super) fn new() -> Self {
        Self::of(MAX_SOURCES)
    }

    fn of(most: usize) -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { shards, hasher: RandomState::new(), most: most.div_ceil(SHARDS) }
    }

    pub(super) fn get(&self, key: Key, now: Time) -> Arc<Source> {
        let at = self.hasher.hash_one(&key) % SHARDS as u64;
        let mut shard = lock(&self.shards[at as usize]);
        if let Some(known) = shard.all.get(&key) {
            return known.clone();
        }
        let full = shard.all.len() >= self.most;
        let due = if full { now >= shard.swept + SWEEP_EVERY } else { true };
        if due && shard.all.len() >= shard.sweep_at.clamp(FIRST_SWEEP, self.most) {
            shard.sweep(now);
        }
        if shard.all.len() >= self.most {
            return shard.rest.get_or_insert_default().clone();
        }
        shard.all.entry(key).or_default().clone()
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).all.len()).sum()
    }
}

impl Shard {
    /// Forgets those that nobody comes from and that are as good as new. As often as they double, so that each costs the same.
    fn sweep(&mut self, now: Time) {
        self.all.retain(|_, source| Arc::strong_count(source) > 1 || !source.is_idle(now));
        self.swept = now;
        self.sweep_at = self.all.len() * 2;
        if self.all.capacity() > self.all.len() * 4 {
            self.all.shrink_to(self.all.len() * 2);
        }
    }
}

impl Source {
    /// One more link; how long it has to wait, if it has to.
    pub(super) fn connect(&self, limit: &RateLimit, now: Time) -> Option<Duration> {
        let mut buckets = lock(&self.buckets);
        let wait = buckets.connections.wait(&limit.messages, 1, now);
        if wait.is_none() {
            buckets.connections.take(&limit.messages, 1, now);
        }
        wait
    }

    /// One more message; how long it has to wait, if it has to.
    pub(super) fn take(&self, limit: &RateLimit, weight: Weight, now: Time) -> Option<Duration> {
        let mut buckets = lock(&self.buckets);
        let wait = buckets.meter.wait(limit, weight, now);
        if wait.is_none() {
            buckets.meter.take(limit, weight, now);
        }
        wait
    }

    fn is_idle(&self, now: Time) -> bool {
        let buckets = lock(&self.buckets);
        buckets.meter.full_at().max(buckets.connections.full_at()) <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn however_many_addresses_come_few_are_remembered() {
        let sources = Sources::of(6_400);
        let limit = RateLimit::per_second(1);
        for address in 0..100_000 {
            let source = sources.get(Key::V4(address), at(0));
            let _ = source.connect(&limit, at(0));
        }
        assert!(sources.count() <= 6_400, "{}", sources.count());
        // Those without a place are limited together.
        let wait = sources.get(Key::V4(1_000_000), at(0)).connect(&limit, at(0));
        assert!(wait.is_some());
        // A known one still has its own.
        let wait = sources.get(Key::V4(0), at(1)).connect(&limit, at(1));
        assert_eq!(wait, None);
    }

    #[test]
    fn idle_addresses_are_forgotten_and_busy_ones_are_not() {
        let sources = Sources::of(1_000_000);
        let limit = RateLimit::per_second(1);
        let here = sources.get(Key::V6(1), at(0));
        let _ = sources
            .get(Key::V6(2), at(0))
            .connect(&RateLimit::per_minute(1).burst(1_000_000), at(0));
        let slow = RateLimit::every(1, Duration::from_secs(1_000_000));
        let _ = sources.get(Key::V6(3), at(0)).connect(&slow, at(0));
        // One address each second: all but the newest are idle.
        for address in 0..200_000 {
            let now = at(u64::from(address) * 2);
            let _ = sources.get(Key::V4(address), now).connect(&limit, now);
        }
        assert!(sources.count() < 5_000, "{}", sources.count());
        let asks = sources.get(Key::V6(4), at(0));
        let one = Weight { messages: 1, bytes: 1 };
        assert_eq!(asks.take(&slow, one, at(0)), None);
        drop(asks);
        for address in 200_000..210_000 {
            sources.get(Key::V4(address), at(0));
        }
        let now = at(400_000);
        assert!(sources.get(Key::V6(4), now).take(&slow, one, now).is_some());
        assert!(Arc::ptr_eq(&sources.get(Key::V6(1), now), &here));
        assert!(sources.get(Key::V6(3), now).connect(&slow, now).is_some());
    }

    /// Addresses that share a shard.
    fn neighbours(sources: &Sources) -> impl Iterator<Item = Key> + use<> {
        let hasher = sources.hasher.clone();
        let of = move |key: &Key| hasher.hash_one(key) % SHARDS as u64;
        (0..u32::MAX).map(Key::V4).filter(move |key| of(key) == 0)
    }

    #[test]
    fn few_are_not_looked_through_and_then_as_often_as_they_double() {
        let sources = Sources::of(1_000_000);
        let mut keys = neighbours(&sources);
        let busy: Vec<_> = keys.by_ref().take(15).map(|key| sources.get(key, at(0))).collect();
        assert_eq!(sources.count(), busy.len());
        for count in 16..=20 {
            sources.get(keys.next().unwrap(), at(5));
            // Looked through with the seventeenth, which found one idle.
            assert_eq!(sources.count(), if count == 16 { 16 } else { count - 1 });
        }
        for count in 20..=30 {
            sources.get(keys.next().unwrap(), at(9));
            assert_eq!(sources.count(), count);
        }
        sources.get(keys.next().unwrap(), at(9));
        assert_eq!(sources.count(), 16);
    }

    #[test]
    fn a_full_shard_is_looked_through_once_a_second() {
        let sources = Sources::of(16 * SHARDS);
        let limit = RateLimit::per_second(10).burst(1);
        let mut keys = neighbours(&sources);
        let mut come = |seconds: f64| {
            let now = Time::from_origin(Duration::from_secs_f64(seconds));
            let source = sources.get(keys.next().unwrap(), now);
            source.connect(&limit, now).is_none()
        };
        assert!((0..16).all(|_| come(1.0)));
        // The first look finds all of them busy.
        assert!(come(1.0));
        assert!(!come(1.0), "those without a place share one");
        assert!(come(1.9) && !come(1.9), "it is not time yet");
        assert!(come(2.0) && come(2.0), "all were idle");
    }

    #[test]
    fn what_is_forgotten_gives_its_memory_back() {
        let sources = Sources::of(1_000_000);
        let capacity = || sources.shards.iter().map(|shard| lock(shard).all.capacity()).sum();
        let mut keys = neighbours(&sources);
        let held: Vec<_> = keys.by_ref().take(1_000).map(|key| sources.get(key, at(0))).collect();
        let most: usize = capacity();
        assert!(most >= held.len());
        drop(held);
        // The 1,024th has them looked through.
        for key in keys.take(25) {
            sources.get(key, at(1));
        }
        let left: usize = capacity();
        assert!(left < most / 8, "{left} of {most}");
    }
}
