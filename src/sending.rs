//! What a message is beside its frame.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};

use moorline_core::machine::Outgoing;
use moorline_core::{Class, Frame, Message, Runtime, Time};

/// What tells where this end stands, beside its messages.
pub(crate) fn state(frame: Frame) -> Outgoing {
    let mut outgoing = Outgoing::new(frame, Class::AtLeastOnce);
    outgoing.state = true;
    outgoing
}

/// By which newer ones of that name take the place of older ones.
pub(crate) fn key(name: impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(name)
}

/// What has to be known of a message once it is encoded.
pub(crate) struct About {
    class: Class,
    expires: Time,
    key: Option<u64>,
}

impl About {
    pub(crate) fn of(message: &Message, runtime: &dyn Runtime) -> Self {
        let key = message.latest.then(|| key((&message.channel, &message.event)));
        let expires = message.time_to_live().map_or(Time::MAX, |ttl| runtime.now() + ttl);
        Self { class: message.class, expires, key }
    }

    pub(crate) fn outgoing(&self, frame: Frame) -> Outgoing {
        let mut outgoing = Outgoing::new(frame, self.class);
        outgoing.expires = self.expires;
        outgoing.key = self.key;
        outgoing
    }
}
