//! Who is where: the channels, rooms and users of a server, and who is on each.
//!
//! No lock is held for all: names are spread over shards, and each group has a lock of its own. A shard's lock is taken alone, a
//! connection's under its group's, and nobody is woken under one.

mod attendee;
mod group;
mod presence;
mod rooms;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use bytestring::ByteString;
use moorline_core::machine::Refusal;
use moorline_core::wire::{ErrorPacket, Join, Leave, Members, MembersKind, Packet, Profile};
use moorline_core::{Message, Runtime};

pub(super) use self::attendee::Attendee;
pub(super) use self::group::Group;
use self::group::Membership;
pub use self::rooms::RoomEvent;
pub(super) use self::rooms::RoomEvents;
use super::channels::{Channels, Publishing};
use super::fanout::Fanout;
use super::hooks::Hooks;
use crate::sending;
use crate::server::telling;
use crate::shared::Command;
use crate::sync::lock;

/// Over how many locks the names are spread: more than there are processors.
const SHARDS: usize = 64;

/// What a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// What clients join and leave (R29).
    Channel,
    /// What a connection enters as it opens, and leaves as it ends (R31).
    Room,
    /// All connections of an identity (R32).
    User,
}

/// A group's kind and name.
pub(super) type Key = (Kind, ByteString);

/// See the [module](self).
pub(super) struct Hub {
    pub(super) channels: Channels,
    pub(super) rooms: RoomEvents,
    runtime: Arc<dyn Runtime>,
    shards: Vec<Shard>,
    /// Nobody is told who is there, since the server has too much to do. Looked at under a group's lock.
    presence_held: AtomicBool,
}

type Shard = Mutex<BTreeMap<Key, Arc<Group>>>;

impl Hub {
    pub(super) fn new(channels: Channels, runtime: Arc<dyn Runtime>, hooks: Arc<Hooks>) -> Self {
        let shards = std::iter::repeat_with(Shard::default).take(SHARDS).collect();
        let presence_held = AtomicBool::new(false);
        Self { channels, rooms: RoomEvents::new(hooks), runtime, shards, presence_held }
    }

    fn shard(&self, key: &Key) -> &Shard {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        &self.shards[(hash % SHARDS as u64) as usize]
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Group>> {
        lock(self.shard(key)).get(key).cloned()
    }

    /// The names of all groups of a kind, in order.
    pub(super) fn names(&self, kind: Kind) -> Vec<ByteString> {
        let mut names = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            names
                .extend(shard.keys().filter(|(own, _)| *own == kind).map(|(_, name)| name.clone()));
        }
        names.sort();
        names
    }

    /// Puts a connection into a group; what it was told of it before is told anew. Whether it may be in it.
    fn enter(&self, key: &Key, attendee: &Arc<Attendee>, membership: Membership) -> bool {
        let entered = loop {
            let group = lock(self.shard(key)).entry(key.clone()).or_default().clone();
            let entered = self.enter_group(key, &group, attendee, membership);
            if lock(&group.roll).gone {
                self.forget(key, &group);
            }
            if let Some(entered) = entered {
                break entered;
            }
        };
        self.rooms.deliver(&self.runtime);
        entered
    }

    /// The same; `None` if that group is gone meanwhile.
    fn enter_group(
        &self,
        key: &Key,
        group: &Group,
        attendee: &Arc<Attendee>,
        membership: Membership,
    ) -> Option<bool> {
        let mut roll = lock(&group.roll);
        if roll.gone {
            return None;
        }
        if !attendee.note(key, self.channels.per_connection) {
            roll.gone = roll.is_empty();
            return Some(false);
        }
        // Looked at under the group's lock: who goes away from now on is told of by that.
        let membership = Membership { away: attendee.is_away(), ..membership };
        let entered = roll.insert(attendee, membership);
        if entered && key.0 == Kind::Room {
            if roll.len() == 1 {
                self.rooms.tell(RoomEvent::Created(key.1.clone()));
            }
            if let Some(connection) = attendee.connection() {
                self.rooms.tell(RoomEvent::Entered(key.1.clone(), connection));
            }
        }
        let wakes = match key.0 {
            Kind::Channel => presence::entered(self, key, &mut roll, attendee, entered),
            Kind::Room | Kind::User => Vec::new(),
        };
        drop(roll);
        presence::wake(wakes);
        Some(true)
    }

    /// Takes a connection out of a group; whether it was in it. Its client is told why, where it has not asked for it.
    fn depart(
        &self,
        key: &Key,
        attendee: &Arc<Attendee>,
        echo: Option<bool>,
        why: Option<ErrorPacket>,
    ) -> bool {
        let Some(group) = self.get(key) else { return false };
        let mut roll = lock(&group.roll);
        let Some(membership) = roll.remove(attendee) else { return false };
        attendee.forget(key);
        if key.0 == Kind::Room {
            if let Some(connection) = attendee.connection() {
                self.rooms.tell(RoomEvent::Left(key.1.clone(), connection));
            }
            if roll.is_empty() {
                self.rooms.tell(RoomEvent::Destroyed(key.1.clone()));
            }
        }
        let mut wakes = match key.0 {
            Kind::Channel => presence::left(self, key, &mut roll, attendee, membership, echo),
            Kind::Room | Kind::User => Vec::new(),
        };
        wakes.extend(why.and_then(|why| take_off(attendee, &key.1, why)));
        roll.gone = roll.is_empty();
        let gone = roll.gone;
        drop(roll);
        presence::wake(wakes);
        if gone {
            self.forget(key, &group);
        }
        self.rooms.deliver(&self.runtime);
        true
    }

    /// Forgets a group that is gone: whoever comes makes another one.
    fn forget(&self, key: &Key, gone: &Arc<Group>) {
        let mut shard = lock(self.shard(key));
        if shard.get(key).is_some_and(|group| Arc::ptr_eq(group, gone)) {
            shard.remove(key);
        }
    }

    /// A connection has opened: it enters its room, and is one of its user's.
    pub(super) fn opened(&self, attendee: &Arc<Attendee>, room: Option<&str>, user: Option<&str>) {
        for (kind, name) in [(Kind::Room, room), (Kind::User, user)] {
            if let Some(name) = name {
                self.enter(&(kind, ByteString::from(name)), attendee, Membership::default());
            }
        }
    }

    /// A connection is over: it leaves all that it is in.
    pub(super) fn over(&self, attendee: &Arc<Attendee>) {
        for key in attendee.end() {
            self.depart(&key, attendee, Some(false), None);
        }
    }

    /// A client is away, and was longer than the grace time: the others see it leave. It still misses nothing.
    pub(super) fn away(&self, attendee: &Arc<Attendee>) {
        attendee.set_away(true);
        for key in attendee.keys(Kind::Channel) {
            presence::set_away(self, &key, attendee, true);
        }
    }

    /// It is back.
    pub(super) fn back(&self, attendee: &Arc<Attendee>) {
        attendee.set_away(false);
        for key in attendee.keys(Kind::Channel) {
            presence::set_away(self, &key, attendee, false);
        }
    }

    /// Has nobody told who is there, or everybody again; whether it is lifted by that. Then they have to
    /// [catch up](Self::catch_up).
    pub(super) fn hold_presence(&self, held: bool) -> bool {
        self.presence_held.swap(held, Ordering::SeqCst) && !held
    }

    /// Tells those who miss something who is there, in a task of its own.
    pub(super) fn catch_up(self: &Arc<Self>) {
        let hub = self.clone();
        self.runtime.spawn("presence", Box::pin(async move { presence::catch_up(&hub).await }));
    }

    /// What a client says beside its messages.
    pub(super) fn hear(&self, attendee: &Arc<Attendee>, packet: Packet) -> Result<(), Refusal> {
        match packet {
            Packet::Join(join) => {
                self.join(attendee, join);
                Ok(())
            }
            Packet::Leave(leave) => {
                self.leave(attendee, &leave.channel, leave.echo, None);
                Ok(())
            }
            Packet::Profile(profile) => {
                self.profile(attendee, profile);
                Ok(())
            }
            Packet::Members(ask) if ask.kind == MembersKind::Ask => {
                presence::answer(self, attendee, &ask);
                Ok(())
            }
            other => {
                let message = format!("`{}` from a client", other.name());
                Err(Refusal::for_good("bad_packet", message))
            }
        }
    }

    /// A client, or the server for it, wants to be on a channel.
    pub(super) fn join(&self, attendee: &Arc<Attendee>, join: Join) {
        let Join { channel, echo, presence } = join;
        let key = (Kind::Channel, channel);
        let membership = Membership { echo, presence, ..Membership::default() };
        // It may have ended meanwhile, when the server has it join.
        if self.enter(&key, attendee, membership) || attendee.is_over() {
            return;
        }
        let limit = self.channels.per_connection;
        let message = format!("this connection is on {limit} channels, and may be on no more");
        let error = ErrorPacket::new("too_many_channels", message);
        self.tell(attendee, kept_off(&key.1, error));
    }

    /// Takes it off a channel; whether it was on it. Its client is told why, where it has not asked for it.
    pub(super) fn leave(
        &self,
        attendee: &Arc<Attendee>,
        channel: &str,
        echo: Option<bool>,
        why: Option<ErrorPacket>,
    ) -> bool {
        self.depart(&(Kind::Channel, ByteString::from(channel)), attendee, echo, why)
    }

    /// A join was refused. One who is on the channel already stays there where it was refused for now: it is only not told
    /// anew who is there, and hears of the error that is given back.
    pub(super) fn refused(
        &self,
        attendee: &Arc<Attendee>,
        channel: &ByteString,
        error: ErrorPacket,
        for_now: bool,
    ) -> Option<ErrorPacket> {
        let key = (Kind::Channel, channel.clone());
        let group = self.get(&key);
        let is_on = group.is_some_and(|group| lock(&group.roll).get(attendee).is_some());
        if is_on && for_now {
            self.tell(attendee, Packet::Members(Box::new(members(channel, MembersKind::Hidden))));
            return Some(error);
        }
        if !self.leave(attendee, channel, Some(false), Some(error.clone())) {
            self.tell(attendee, kept_off(channel, error));
        }
        None
    }

    fn profile(&self, attendee: &Arc<Attendee>, profile: Profile) {
        attendee.set_profile(profile.data);
        for key in attendee.keys(Kind::Channel) {
            presence::updated(self, &key, attendee, profile.echo);
        }
    }

    /// A client publishes on a channel, or to everybody in `everybody`.
    pub(super) fn publish(
        &self,
        attendee: &Arc<Attendee>,
        message: Message,
        echo: Option<bool>,
    ) -> Result<(), Refusal> {
        let Some(channel) = message.channel.clone() else {
            return Err(Refusal::for_good("not_published", "there is no channel"));
        };
        let key = (Kind::Channel, channel);
        let group = self.get(&key);
        let roll = group.as_ref().map(|group| lock(&group.roll));
        let own = roll.as_ref().and_then(|roll| roll.get(attendee));
        match self.channels.publishing {
            Publishing::Nobody => {
                return Err(Refusal::for_good("not_published", "clients do not publish here"));
            }
            Publishing::Members if own.is_none() => {
                let message = format!("not on the channel `{}`: join it first", key.1);
                return Err(Refusal::for_good("not_joined", message));
            }
            Publishing::Members | Publishing::Anybody => {}
        }
        let echo = echo.or(own.map(|own| own.echo)).unwrap_or(true);
        let mut fanout = Fanout::of_message(message, &*self.runtime);
        if let Some(roll) = &roll {
            roll.send(&mut fanout, (!echo).then_some(attendee.number), |_| true);
        }
        // Who publishes without being there hears it as well, unless it does not want to.
        if own.is_none() && echo {
            fanout.send(&attendee.shared);
        }
        drop(roll);
        let _told_to_those_who_miss_it = fanout.finish();
        Ok(())
    }

    /// Sends one connection what stands beside its messages.
    pub(super) fn tell(&self, attendee: &Arc<Attendee>, packet: Packet) {
        telling::tell(&attendee.shared, packet);
    }
}

/// Tells a client that it is not on a channel (any more), and why.
fn kept_off(channel: &ByteString, error: ErrorPacket) -> Packet {
    Packet::Leave(Box::new(Leave { channel: channel.clone(), echo: None, error: Some(error) }))
}

/// Tells a client that it was taken off a channel, whatever waits for it: who misses that says anew what it is on, and would be
/// back. One waits for each channel.
fn take_off(attendee: &Attendee, channel: &ByteString, why: ErrorPacket) -> Option<Waker> {
    let frame = attendee.shared.codec.get()?.encode(kept_off(channel, why)).ok()?;
    let mut state = lock(&attendee.shared.state);
    if frame.len() > state.max_frame {
        return state.command(Command::Lost(1));
    }
    let mut outgoing = sending::state(frame);
    outgoing.key = Some(sending::key(("taken off", channel)));
    state.overfill(outgoing)
}

fn members(channel: &ByteString, kind: MembersKind) -> Members {
    Members { channel: channel.clone(), id: None, kind, more: false, members: Vec::new() }
}
