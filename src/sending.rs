//! What a message is beside its frame.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use moorline_core::machine::Outgoing;
use moorline_core::{Class, Frame, Message, Runtime, Time};

/// What tells where this end stands, beside its messages.
pub(crate) fn state(frame: Frame) -> Outgoing {
    let mut outgoing = Outgoing::new(frame, Class::AtLeastOnce);
    outgoing.state = true;
    outgoing
}

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
