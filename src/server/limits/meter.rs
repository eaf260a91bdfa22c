//! What has been sent under a limit.

use std::time::Duration;

use moorline_core::Time;

use super::RateLimit;
use super::bucket::Bucket;

/// As how much something counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

/// A bucket of messages, and one of bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    messages: Bucket,
    bytes: Bucket,
}

impl Meter {
    /// How long until that may come; `None` when it may now.
    pub(super) fn wait(&self, limit: &RateLimit, weight: Weight, now: Time) -> Option<Duration> {
        let messages = self.messages.wait(&limit.messages, weight.messages, now);
        let bytes = limit.bytes.and_then(|bytes| self.bytes.wait(&bytes, weight.bytes, now));
        messages.max(bytes)
    }

    pub(super) fn take(&mut self, limit: &RateLimit, weight: Weight, now: Time) {
        self.messages.take(&limit.messages, weight.messages, now);
        if let Some(bytes) = &limit.bytes {
            self.bytes.take(bytes, weight.bytes, now);
        }
    }

    /// When it is as if nothing had been sent.
    pub(super) fn full_at(&self) -> Time {
        self.messages.full_at().max(self.bytes.full_at())
    }
}
