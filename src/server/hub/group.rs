//! A group of connections, and what goes to all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::Attendee;
use crate::server::fanout::Fanout;

/// A channel, a room, or the connections of a user.
#[derive(Default)]
pub(crate) struct Group {
    pub(in crate::server) roll: Mutex<Roll>,
}

/// Who is in a group. Whatever is sent to all is sent under its lock, so that all get it in the same order.
#[derive(Default)]
pub(crate) struct Roll {
    all: BTreeMap<u64, (Arc<Attendee>, Membership)>,
    /// Those who want to be told who is there.
    pub(super) watchers: usize,
    /// Nobody is told any more who is there.
    pub(super) hidden: bool,
    /// The last has left, and it is being forgotten: nobody comes to it any more.
    pub(super) gone: bool,
    /// Something has happened that those who watch were not told of.
    pub(super) stale: bool,
}

/// How one is in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(super) echo: bool,
    pub(super) presence: bool,
    /// Away for longer than the grace time: the others have seen it leave.
    pub(super) away: bool,
}

impl Roll {
    pub(in crate::server) fn len(&self) -> usize {
        self.all.len()
    }

    pub(in crate::server) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(in crate::server) fn attendees(&self) -> impl Iterator<Item = &Arc<Attendee>> {
        self.all.values().map(|(attendee, _)| attendee)
    }

    /// Those whom the others see.
    pub(in crate::server) fn present(&self) -> impl Iterator<Item = &Arc<Attendee>> {
        self.all.values().filter(|(_, own)| !own.away).map(|(attendee, _)| attendee)
    }

    pub(super) fn get(&self, attendee: &Attendee) -> Option<Membership> {
        self.all.get(&attendee.number).map(|(_, membership)| *membership)
    }

    /// Whether it is seen now, and was not before.
    pub(super) fn insert(&mut self, attendee: &Arc<Attendee>, membership: Membership) -> bool {
        let old = self.all.insert(attendee.number, (attendee.clone(), membership));
        self.watchers += usize::from(membership.presence);
        self.watchers -= usize::from(old.as_ref().is_some_and(|(_, old)| old.presence));
        !membership.away && old.is_none_or(|(_, old)| old.away)
    }

    pub(super) fn remove(&mut self, attendee: &Attendee) -> Option<Membership> {
        let (_, membership) = self.all.remove(&attendee.number)?;
        self.watchers -= usize::from(membership.presence);
        Some(membership)
    }

    pub(super) fn set_away(&mut self, attendee: &Attendee, away: bool) -> Option<Membership> {
        let (_, membership) = self.all.get_mut(&attendee.number)?;
        let before = *membership;
        membership.away = away;
        (before.away != away).then_some(before)
    }

    /// Sends that to all for whom `wants` holds, but for one.
    pub(in crate::server) fn send(
        &self,
        fanout: &mut Fanout,
        but: Option<u64>,
        wants: impl Fn(&Membership) -> bool,
    ) {
        for (number, (attendee, membership)) in &self.all {
            if but != Some(*number) && wants(membership) {
                fanout.send(&attendee.shared);
            }
        }
    }
}
