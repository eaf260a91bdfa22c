//! The channels that a client is on, and who else is there.

use std::collections::BTreeMap;

use bytes::Bytes;
use bytestring::ByteString;
use moorline_core::wire::{ErrorPacket, Join, Leave, Members, MembersKind, Packet, Profile};
use moorline_core::{ErrorEvent, Event, Member, Origin, Presence, PresenceChange};

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Channels {
    all: BTreeMap<ByteString, Membership>,
    /// Counts joins: channels are joined again in the order in which they were joined first.
    joins: u64,
    profile: Option<Bytes>,
    /// What of it the server has to be told, and whether this end hears of it.
    profile_changed: Option<Option<bool>>,
    /// Who has asked for members, by the number of the question.
    asked: BTreeMap<u64, Asked>,
    questions: u64,
    /// How often the server was asked them.
    asks: u64,
}

/// One channel.
#[derive(Debug)]
pub(crate) struct Membership {
    order: u64,
    pub(crate) echo: bool,
    pub(crate) presence: bool,
    pub(crate) stage: Stage,
    /// The server has to be told of it.
    changed: bool,
    /// What the server has told of its members is lost: it has to be asked who is there.
    missed: bool,
    /// Who is there; `None` while it is not known.
    pub(crate) members: Option<BTreeMap<ByteString, Member>>,
    /// The first part of who is there, as long as the rest has not come.
    coming: BTreeMap<ByteString, Member>,
}

impl Membership {
    fn new(order: u64, echo: bool, presence: bool) -> Self {
        let (stage, coming) = (Stage::Wanted, BTreeMap::new());
        Self { order, echo, presence, stage, changed: true, missed: false, members: None, coming }
    }
}

/// How far a membership has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is wanted, and the server has not answered.
    Wanted,
    Joined,
    /// It is not wanted any more, and the server has to be told, with or without an echo.
    Leaving(Option<bool>),
    /// The server does not want it, for that reason.
    Refused(ErrorPacket),
}

/// A question for members.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    channel: ByteString,
    /// By which number the server was asked it, the last time.
    id: Option<u64>,
    coming: Vec<Member>,
    pub(crate) answer: Option<Option<Vec<Member>>>,
}

impl Channels {
    pub(crate) fn join(&mut self, channel: ByteString, echo: bool, presence: bool) {
        self.joins += 1;
        let order = self.joins;
        let known =
            self.all.entry(channel).or_insert_with(|| Membership::new(order, echo, presence));
        let same = (known.echo, known.presence) == (echo, presence);
        match known.stage {
            Stage::Joined | Stage::Wanted if same => {}
            _ => {
                known.stage = Stage::Wanted;
                known.changed = true;
                (known.echo, known.presence) = (echo, presence);
            }
        }
    }

    /// Whether it was on that channel, or wanted to be. The server is told also of one that is not known here: it may have put
    /// this end there.
    pub(crate) fn leave(&mut self, channel: &ByteString, echo: Option<bool>) -> bool {
        let Some(known) = self.all.get_mut(channel) else {
            let mut leaving = Membership::new(self.joins, true, true);
            leaving.stage = Stage::Leaving(echo);
            self.all.insert(channel.clone(), leaving);
            return false;
        };
        match known.stage {
            Stage::Leaving(_) => false,
            Stage::Refused(_) => {
                self.all.remove(channel);
                false
            }
            Stage::Wanted | Stage::Joined => {
                known.stage = Stage::Leaving(echo);
                known.changed = true;
                known.members = None;
                true
            }
        }
    }

    pub(crate) fn get(&self, channel: &str) -> Option<&Membership> {
        self.all.get(channel)
    }

    /// The channels that are wanted, in the order in which they were joined.
    pub(crate) fn names(&self) -> Vec<ByteString> {
        let wanted = |one: &Membership| matches!(one.stage, Stage::Wanted | Stage::Joined);
        let mut names: Vec<_> = self.all.iter().filter(|(_, one)| wanted(one)).collect();
        names.sort_by_key(|(_, one)| one.order);
        names.into_iter().map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn set_profile(&mut self, profile: Option<Bytes>, echo: Option<bool>) {
        self.profile = profile;
        self.profile_changed = Some(echo);
    }

    pub(crate) fn ask(&mut self, channel: ByteString) -> u64 {
        self.questions += 1;
        self.asked.insert(self.questions, Asked { channel, ..Asked::default() });
        self.questions
    }

    pub(crate) fn asked(&mut self, question: u64) -> Option<&mut Asked> {
        self.asked.get_mut(&question)
    }

    pub(crate) fn forget(&mut self, question: u64) {
        self.asked.remove(&question);
    }

    /// What the server does not know: the profile, then the channels, in their order (R29).
    pub(crate) fn tell(&mut self, all: bool, packets: &mut Vec<Packet>) {
        let echo = self.profile_changed.take();
        if echo.is_some() || (all && self.profile.is_some()) {
            // To those who come back anew their profile is no news of their own.
            let echo = echo.unwrap_or(Some(false));
            packets.push(Packet::Profile(Profile { data: self.profile.clone(), echo }));
        }
        let untold = |one: &Membership| one.changed || one.missed;
        let mut told: Vec<_> = self.all.iter_mut().filter(|(_, one)| untold(one) || all).collect();
        told.sort_by_key(|(_, one)| one.order);
        let mut gone = Vec::new();
        for (channel, one) in told {
            let changed = std::mem::take(&mut one.changed);
            one.missed = false;
            match one.stage {
                Stage::Refused(_) => {}
                // The server knows that this end is on it.
                Stage::Joined if !changed && !all => packets.push(ask(channel, None)),
                Stage::Wanted | Stage::Joined => {
                    // The answer begins anew.
                    one.coming.clear();
                    let (channel, echo, presence) = (channel.clone(), one.echo, one.presence);
                    packets.push(Packet::Join(Join { channel, echo, presence }));
                }
                Stage::Leaving(echo) => {
                    gone.push(channel.clone());
                    let channel = channel.clone();
                    packets.push(Packet::Leave(Box::new(Leave { channel, echo, error: None })));
                }
            }
        }
        gone.iter().for_each(|channel| drop(self.all.remove(channel)));
        for asked in self.asked.values_mut() {
            if all || asked.id.is_none() {
                self.asks += 1;
                asked.id = Some(self.asks);
                asked.coming.clear();
                packets.push(ask(&asked.channel, asked.id));
            }
        }
    }

    /// What the server has told of members is lost, or of a join.
    pub(crate) fn missed(&mut self) {
        for one in self.all.values_mut() {
            one.coming.clear();
            one.changed |= one.stage == Stage::Wanted;
            one.missed |= one.stage == Stage::Joined && one.presence;
        }
        // They get another number: the rest of an answer that was lost in part may still come.
        self.asked.values_mut().for_each(|asked| asked.id = None);
    }

    /// The server has told of members.
    pub(crate) fn members(&mut self, told: Members, events: &mut Vec<Event>) {
        let Members { channel, id, kind, more, members } = told;
        if let Some(id) = id {
            return self.answered(id, kind, more, members);
        }
        let mut tell = |change| {
            let presence = Presence::new(channel.clone(), change);
            events.push(Event::Presence(presence));
        };
        let Some(one) = self.all.get_mut(&channel) else {
            // Its own leave, which it wants to hear of.
            if kind == MembersKind::Left {
                members.into_iter().for_each(|member| tell(PresenceChange::Left(member)));
            }
            return;
        };
        // All that is told of a channel after a refusal is of a later join.
        if matches!(one.stage, Stage::Leaving(_)) {
            return;
        }
        let keyed = |member: Member| (member.id.clone(), member);
        match kind {
            MembersKind::All => {
                one.coming.extend(members.into_iter().map(keyed));
                if !more {
                    one.stage = Stage::Joined;
                    let all = std::mem::take(&mut one.coming);
                    tell(PresenceChange::Members(all.values().cloned().collect()));
                    one.members = Some(all);
                }
            }
            MembersKind::Hidden => {
                one.coming.clear();
                let was_known = one.members.take().is_some();
                let was_joined = std::mem::replace(&mut one.stage, Stage::Joined) == Stage::Joined;
                if one.presence && (was_known || !was_joined) {
                    tell(PresenceChange::Hidden);
                }
            }
            MembersKind::Joined | MembersKind::Left | MembersKind::Updated => {
                for mut member in members {
                    if let Some(known) = &mut one.members {
                        match kind {
                            // Who has gone is told with the profile that it had.
                            MembersKind::Left => {
                                member = known.remove(&member.id).unwrap_or(member);
                            }
                            _ => drop(known.insert(member.id.clone(), member.clone())),
                        }
                    }
                    tell(match kind {
                        MembersKind::Joined => PresenceChange::Joined(member),
                        MembersKind::Left => PresenceChange::Left(member),
                        _ => PresenceChange::Updated(member),
                    });
                }
            }
            _ => {}
        }
    }

    fn answered(&mut self, id: u64, kind: MembersKind, more: bool, members: Vec<Member>) {
        let mut all = self.asked.values_mut();
        let Some(asked) = all.find(|asked| asked.id == Some(id)) else { return };
        asked.coming.extend(members);
        if !more {
            let all = std::mem::take(&mut asked.coming);
            asked.answer = Some((kind == MembersKind::All).then_some(all));
        }
    }

    /// The server has taken this end off a channel, or does not let it on.
    pub(crate) fn left(&mut self, leave: Leave, events: &mut Vec<Event>) {
        let Some(one) = self.all.get_mut(&leave.channel) else { return };
        if matches!(one.stage, Stage::Leaving(_) | Stage::Refused(_)) {
            return;
        }
        let error =
            leave.error.unwrap_or_else(|| ErrorPacket::new("left", "taken off the channel"));
        let text = format!("channel `{}`: {}", leave.channel, error.message);
        let mut told = ErrorEvent::new(Origin::Peer, error.code.clone(), text);
        told.details.clone_from(&error.details);
        events.push(Event::Error(told));
        one.members = None;
        one.stage = Stage::Refused(error);
    }

    /// Forgets the channels that it was on.
    pub(crate) fn forget_joined(&mut self) {
        self.all.retain(|_, one| one.stage != Stage::Joined);
    }

    /// The connection is closed: nobody knows who is there.
    pub(crate) fn closed(&mut self) {
        for one in self.all.values_mut() {
            one.members = None;
            one.coming.clear();
            if one.stage == Stage::Joined {
                one.stage = Stage::Wanted;
            }
        }
    }
}

/// Asks who is on a channel, by that number; or, without one, to be told as at its join.
fn ask(channel: &ByteString, id: Option<u64>) -> Packet {
    let (kind, members) = (MembersKind::Ask, Vec::new());
    Packet::Members(Box::new(Members { channel: channel.clone(), id, kind, more: false, members }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(channels: &mut Channels) -> Vec<Packet> {
        let mut packets = Vec::new();
        channels.tell(false, &mut packets);
        packets
    }

    fn list(channels: &mut Channels) {
        let (kind, members) = (MembersKind::All, Vec::new());
        let all = Members { channel: "tea".into(), id: None, kind, more: false, members };
        channels.members(all, &mut Vec::new());
    }

    #[test]
    fn r29_other_options_are_told_although_a_list_comes_before() {
        let mut channels = Channels::default();
        channels.join("tea".into(), true, true);
        assert!(matches!(&told(&mut channels)[..], [Packet::Join(join)] if join.echo));
        list(&mut channels);
        channels.join("tea".into(), false, true);
        // That list was on its way, and is no answer to it; then something is lost.
        list(&mut channels);
        channels.missed();
        assert!(matches!(&told(&mut channels)[..], [Packet::Join(join)] if !join.echo));
        channels.missed();
        let asks = told(&mut channels);
        assert!(matches!(&asks[..], [Packet::Members(ask)] if ask.kind == MembersKind::Ask));
        assert!(told(&mut channels).is_empty());
    }
}
