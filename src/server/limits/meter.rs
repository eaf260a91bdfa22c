//! What has been sent under a limit.

use std::time::Duration;

use moorline_core::Time;

use super::RateLimit;
use super::bucket::Bucket;

/// A bucket of messages, and one of bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    messages: Bucket,
    bytes: Bucket,
}

impl Meter {
    /// How long until a message of that size may come; `None` when it may now.
    pub(super) fn wait(&self, limit: &RateLimit, size: u64, now: Time) -> Option<Duration> {
        let messages = self.messages.wait(&limit.messages, 1, now);
        let bytes = limit.bytes.and_then(|bytes| self.bytes.wait(&bytes, size, now));
        messages.max(bytes)
    }

    pub(super) fn take(&mut self, limit: &RateLimit, size: u64, now: Time) {
        self.messages.take(&limit.messages, 1, now);
        if let Some(bytes) = &limit.bytes {
            self.bytes.take(bytes, size, now);
        }
    }

    /// When it is as if nothing had been sent.
    pub(super) fn full_at(&self) -> Time {
        self.messages.full_at().max(self.bytes.full_at())
    }
}
