//! Who is told who is on a channel (R30).
//!
//! What is told is sent under the channel's lock, so that what each has been told, put together, is who is there. One that was
//! too slow for some of it is told of a gap, asks anew, and gets all of it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

use bytestring::ByteString;
use moorline_core::Member;
use moorline_core::wire::{Members, MembersKind, Packet};

use super::group::{Membership, Roll};
use super::{Attendee, Hub, Key, members};
use crate::server::fanout::Fanout;
use crate::server::telling::{Told, tell_all};
use crate::shared::Command;
use crate::sync::lock;

/// Members in one packet.
const IN_A_PACKET: usize = 500;

/// Bytes of members in one packet, or that of one member.
const BYTES_IN_A_PACKET: usize = 32 * 1024;

/// What a member takes in a packet beside its id and its profile.
const OVERHEAD: usize = 32;

pub(super) fn wake(wakes: Vec<Waker>) {
    wakes.into_iter().for_each(Waker::wake);
}

fn weight(member: &Member) -> usize {
    member.id.len() + member.data.as_ref().map_or(0, |data| data.len()) + OVERHEAD
}

/// Somebody has come, or has asked to be told anew.
pub(super) fn entered(
    hub: &Hub,
    key: &Key,
    roll: &mut Roll,
    attendee: &Arc<Attendee>,
    fresh: bool,
) -> Vec<Waker> {
    let mut wakes = review(hub, key, roll);
    let membership = roll.get(attendee).unwrap_or_default();
    let own = (fresh && membership.echo).then(|| {
        let member = attendee.member();
        Members { members: vec![member], ..members(&key.1, MembersKind::Joined) }
    });
    roll.stale |= membership.presence && is_held(hub);
    wakes.extend(standing(hub, &key.1, roll, attendee, membership.presence, own));
    if fresh {
        let (member, but) = (attendee.member(), Some(attendee.number));
        wakes.extend(delta(hub, key, roll, MembersKind::Joined, member, but));
    }
    wakes
}

/// Tells one who is there as it comes, or is to be told anew, and then its own coming.
fn standing(
    hub: &Hub,
    channel: &ByteString,
    roll: &Roll,
    attendee: &Arc<Attendee>,
    wants: bool,
    own: Option<Members>,
) -> Vec<Waker> {
    if wants && !tells_nobody(hub, roll) {
        return snapshot(channel, roll, attendee, None, own);
    }
    one(attendee, members(channel, MembersKind::Hidden))
}

/// Somebody has gone.
pub(super) fn left(
    hub: &Hub,
    key: &Key,
    roll: &mut Roll,
    attendee: &Arc<Attendee>,
    membership: Membership,
    echo: Option<bool>,
) -> Vec<Waker> {
    let mut wakes = Vec::new();
    if !membership.away {
        let member = Member::new(attendee.id.clone(), None);
        if echo.unwrap_or(membership.echo) && membership.presence && !tells_nobody(hub, roll) {
            let mut told = members(&key.1, MembersKind::Left);
            told.members.push(member.clone());
            wakes.extend(one(attendee, told));
        }
        wakes.extend(delta(hub, key, roll, MembersKind::Left, member, None));
    }
    wakes.extend(review(hub, key, roll));
    wakes
}

/// Somebody has a new profile.
pub(super) fn updated(hub: &Hub, key: &Key, attendee: &Arc<Attendee>, echo: Option<bool>) {
    let Some(group) = hub.get(key) else { return };
    let mut roll = lock(&group.roll);
    let Some(membership) = roll.get(attendee) else { return };
    let mut wakes = review(hub, key, &mut roll);
    if !membership.away {
        let but = (!echo.unwrap_or(membership.echo)).then_some(attendee.number);
        let member = attendee.member();
        wakes.extend(delta(hub, key, &mut roll, MembersKind::Updated, member, but));
    }
    drop(roll);
    wake(wakes);
}

/// Somebody is away for longer than the grace time, or back.
pub(super) fn set_away(hub: &Hub, key: &Key, attendee: &Arc<Attendee>, away: bool) {
    let Some(group) = hub.get(key) else { return };
    let mut roll = lock(&group.roll);
    if roll.set_away(attendee, away).is_none() {
        return;
    }
    let mut wakes = review(hub, key, &mut roll);
    let own = Some(attendee.number);
    let (kind, member) = if away {
        (MembersKind::Left, Member::new(attendee.id.clone(), None))
    } else {
        (MembersKind::Joined, attendee.member())
    };
    wakes.extend(delta(hub, key, &mut roll, kind, member, own));
    drop(roll);
    wake(wakes);
}

/// Nobody is held back any more: who watches and misses something is told anew. One shard after another, so that the server
/// has not all of it to do at once.
pub(super) async fn catch_up(hub: &Hub) {
    for shard in &hub.shards {
        let groups: Vec<_> = {
            let shard = lock(shard);
            let channels = shard.iter().filter(|((kind, _), _)| *kind == super::Kind::Channel);
            channels.map(|(key, group)| (key.clone(), group.clone())).collect()
        };
        for (key, group) in groups {
            let mut roll = lock(&group.roll);
            let wakes = if roll.stale { review(hub, &key, &mut roll) } else { Vec::new() };
            drop(roll);
            wake(wakes);
        }
        yield_now().await;
    }
}

/// Lets other tasks have their turn.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Answers who asks for members: only those who are there may know. Who asks without a number has missed something, and is told
/// as at its join; if it was taken off, it is told that anyway.
pub(super) fn answer(hub: &Hub, attendee: &Arc<Attendee>, ask: &Members) {
    let key = (super::Kind::Channel, ask.channel.clone());
    let group = hub.get(&key);
    let roll = group.as_ref().map(|group| lock(&group.roll));
    let known = roll.as_ref().and_then(|roll| Some((roll, roll.get(attendee)?)));
    let wakes = match known {
        Some((roll, own)) if ask.id.is_none() => {
            standing(hub, &ask.channel, roll, attendee, own.presence, None)
        }
        None if ask.id.is_none() => Vec::new(),
        Some((roll, _)) if !tells_nobody(hub, roll) => {
            snapshot(&ask.channel, roll, attendee, ask.id, None)
        }
        _ => {
            let told = Members { id: ask.id, ..members(&ask.channel, MembersKind::Hidden) };
            one(attendee, told)
        }
    };
    drop(roll);
    wake(wakes);
}

fn tells_nobody(hub: &Hub, roll: &Roll) -> bool {
    roll.hidden || !hub.channels.presence || is_held(hub)
}

/// Whether the server has too much to do for that. Asked under the group's lock: what is not told is noted there before
/// whoever lifts it can look.
fn is_held(hub: &Hub) -> bool {
    hub.presence_held.load(Ordering::SeqCst)
}

/// Whether there are too many to tell of, or few enough again: half of that, so that it does not change with each who comes.
fn review(hub: &Hub, key: &Key, roll: &mut Roll) -> Vec<Waker> {
    // While it is held back, whether there are too many does not matter.
    if !hub.channels.presence || is_held(hub) {
        return Vec::new();
    }
    let stale = std::mem::take(&mut roll.stale);
    if roll.watchers == 0 {
        return Vec::new();
    }
    let (count, bytes) = (roll.len(), hub.channels.presence_bytes);
    let limit = hub.channels.presence_up_to;
    let heavy = |share: usize| {
        let counted: usize = roll.present().map(|one| weight(&one.member())).sum();
        counted > bytes / share
    };
    // Most channels are small: their weight is looked at only where it could matter.
    let could_be_heavy = count * (OVERHEAD + 64 + 4096) > bytes / 2;
    let hidden = if roll.hidden {
        count > limit / 2 || (could_be_heavy && heavy(2))
    } else {
        count > limit || (could_be_heavy && heavy(1))
    };
    let told_already = hidden == roll.hidden && (hidden || !stale);
    if told_already {
        return Vec::new();
    }
    roll.hidden = hidden;
    if hidden {
        let told = Packet::Members(Box::new(members(&key.1, MembersKind::Hidden)));
        let mut fanout = Fanout::of_packet(told);
        roll.send(&mut fanout, None, |membership| membership.presence);
        return fanout.into_wakes();
    }
    let mut wakes = Vec::new();
    for told in all(&key.1, roll, None, BYTES_IN_A_PACKET) {
        let mut fanout = Fanout::of_packet(Packet::Members(Box::new(told)));
        roll.send(&mut fanout, None, |membership| membership.presence);
        wakes.extend(fanout.into_wakes());
    }
    wakes
}

/// Tells those who want to know of one who has come or gone.
fn delta(
    hub: &Hub,
    key: &Key,
    roll: &mut Roll,
    kind: MembersKind,
    member: Member,
    but: Option<u64>,
) -> Vec<Waker> {
    if roll.watchers == 0 || tells_nobody(hub, roll) {
        roll.stale |= is_held(hub);
        return Vec::new();
    }
    let mut told = members(&key.1, kind);
    told.members.push(member);
    let mut fanout = Fanout::of_packet(Packet::Members(Box::new(told)));
    roll.send(&mut fanout, but, |membership| membership.presence);
    fanout.into_wakes()
}

/// Tells one who is there, and then its own coming: all of it, or nothing.
fn snapshot(
    channel: &ByteString,
    roll: &Roll,
    attendee: &Arc<Attendee>,
    id: Option<u64>,
    own: Option<Members>,
) -> Vec<Waker> {
    let Some(codec) = attendee.shared.codec.get() else { return Vec::new() };
    let bytes = BYTES_IN_A_PACKET.min(lock(&attendee.shared.state).max_frame / 2);
    let told = all(channel, roll, id, bytes).into_iter().chain(own);
    let frames = told.map(|told| codec.encode(Packet::Members(Box::new(told)))).collect();
    match tell_all(&attendee.shared, frames) {
        Told::Yes(wakes) => wakes,
        // It was not asked for, or other things came first: who misses it asks anew, and that waits for room.
        Told::NoRoom => {
            lock(&attendee.shared.state).command(Command::Lost(1)).into_iter().collect()
        }
        Told::Unfit(_) => one(attendee, Members { id, ..members(channel, MembersKind::Hidden) }),
    }
}

/// Who is there, in as many packets as it takes, of about so many bytes.
fn all(channel: &ByteString, roll: &Roll, id: Option<u64>, most: usize) -> Vec<Members> {
    let mut packets = Vec::new();
    let mut told = Members { id, ..members(channel, MembersKind::All) };
    let mut bytes = 0;
    for present in roll.present() {
        let member = present.member();
        bytes += weight(&member);
        if told.members.len() == IN_A_PACKET || (bytes > most && bytes > weight(&member)) {
            let full = std::mem::take(&mut told.members);
            packets.push(Members { more: true, members: full, ..told.clone() });
            bytes = weight(&member);
        }
        told.members.push(member);
    }
    packets.push(told);
    packets
}

fn one(attendee: &Arc<Attendee>, told: Members) -> Vec<Waker> {
    let mut fanout = Fanout::of_packet(Packet::Members(Box::new(told)));
    fanout.send(&attendee.shared);
    fanout.into_wakes()
}
