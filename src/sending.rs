//! What a message is beside its frame, and what is counted of all.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use moorline_core::machine::{Counts, Outgoing};
use moorline_core::{Class, Frame, Message, Runtime, Time};

/// What has to be known of a message once it is encoded.
pub(crate) struct About {
    class: Class,
    ttl: Option<Duration>,
    key: Option<u64>,
}

impl About {
    pub(crate) fn of(message: &Message) -> Self {
        let hash = |names| BuildHasherDefault::<DefaultHasher>::default().hash_one(names);
        let key = message.latest.then(|| hash((&message.channel, &message.event)));
        Self { class: message.class, ttl: message.time_to_live(), key }
    }

    pub(crate) fn outgoing(&self, frame: Frame, runtime: &dyn Runtime) -> Outgoing {
        let mut outgoing = Outgoing::new(frame, self.class);
        outgoing.expires = self.ttl.map_or(Time::MAX, |ttl| runtime.now() + ttl);
        outgoing.key = self.key;
        outgoing
    }
}

/// What a connection has counted, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// What the session counts: sent, acknowledged, replayed, lost, recoveries, gaps.
    pub counts: Counts,
    /// Bytes that wait to be handed to the link.
    pub queued: usize,
    /// Messages that nobody listened for in time.
    pub unheard: u64,
    /// Answers that came when nobody waited for them any more.
    pub late: u64,
}
