//! The packets of what a session keeps beside messages: memberships, profile, properties, what is held back, queries.
//!
//! They are rare, so both codecs write their members as one JSON object; only the rows of a result stand outside it.

mod read;
mod write;

use bytes::Bytes;
use bytestring::ByteString;

pub(super) use self::read::{Rows, read};
pub(super) use self::write::{room, rows_room, write, write_rows};
use super::limits::{self, Wrong};
use super::{ErrorPacket, Packet};
use crate::{Member, Message};

/// Client: I want to be on that channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The channel.
    pub channel: ByteString,
    /// Whether this end hears what it publishes there itself (R27).
    pub echo: bool,
    /// Whether it wants to be told who is there.
    pub presence: bool,
}

/// Client: I leave that channel. Server: you are not on it (any more).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// The channel.
    pub channel: ByteString,
    /// Whether the client hears of it itself; `None` is as the membership says.
    pub echo: Option<bool>,
    /// Why, where it was not the client that left.
    pub error: Option<ErrorPacket>,
}

/// Client: who is on that channel? Server: who is, who has come or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// The channel.
    pub channel: ByteString,
    /// By which an answer is known; `None` where nobody has asked.
    pub id: Option<u64>,
    /// What is said of them.
    pub kind: MembersKind,
    /// Whether the rest of them comes in further packets.
    pub more: bool,
    /// The members.
    pub members: Vec<Member>,
}

/// What is said of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MembersKind {
    /// A client asks who is there.
    Ask,
    /// These are all.
    All,
    /// They have come.
    Joined,
    /// They have gone.
    Left,
    /// They have changed their profile.
    Updated,
    /// Nobody is told any more who is there.
    Hidden,
}

impl MembersKind {
    const NAMES: [(Self, &'static str); 6] = [
        (Self::Ask, "ask"),
        (Self::All, "all"),
        (Self::Joined, "joined"),
        (Self::Left, "left"),
        (Self::Updated, "updated"),
        (Self::Hidden, "hidden"),
    ];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, own)| *own == name).map(|(kind, _)| *kind)
    }
}

/// Client: this is my profile, on all channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// A JSON value; `None` for none.
    pub data: Option<Bytes>,
    /// Whether this end hears of the update itself; `None` is as the membership says.
    pub echo: Option<bool>,
}

/// Client: I publish this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The message: to those on its channel, or to everybody.
    pub message: Message,
    /// Whether this end hears it itself; `None` is as the membership says.
    pub echo: Option<bool>,
}

/// Client: I want to know this, and not that any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// What is asked.
    pub ask: Vec<Ask>,
    /// What is not wanted any more.
    pub end: Vec<Asked>,
}

/// One query that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The query.
    pub asked: Asked,
    /// Whether its rows are wanted.
    pub retrieve: bool,
    /// Whether its changes are wanted from now on.
    pub subscribe: bool,
}

/// A query, as one connection knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asked {
    /// Its text.
    pub query: String,
    /// Whether its rows come packed by gzip (RFC 1952).
    pub compress: bool,
}

/// Server: what a query gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// By which the server knows the query, for all who ask it; `None` where it has not got so far.
    pub id: Option<u64>,
    /// The query, where its id is told.
    pub asked: Option<Asked>,
    /// What is told of it.
    pub body: AnswerBody,
}

impl Answer {
    /// Its rows, if it has any.
    pub(super) const fn rows(&self) -> Option<&Bytes> {
        match &self.body {
            AnswerBody::Rows { rows, .. } => Some(rows),
            AnswerBody::Named | AnswerBody::Failed(_) => None,
        }
    }
}

/// What is told of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerBody {
    /// Only its id.
    Named,
    /// Rows, or changes of rows.
    Rows {
        /// Whether they are all there are.
        retrieve: bool,
        /// How many.
        count: u64,
        /// A JSON array of them, packed or not.
        rows: Bytes,
        /// Whether it is packed by gzip.
        packed: bool,
    },
    /// It failed, and is over.
    Failed(ErrorPacket),
}
/// What is wrong with such a packet whatever the codec, and in both directions.
pub(super) fn check(packet: &Packet) -> Result<(), Wrong> {
    match packet {
        Packet::Join(join) => limits::full_name("join.channel", &join.channel),
        Packet::Leave(leave) => limits::full_name("leave.channel", &leave.channel),
        Packet::Members(members) => check_members(members),
        Packet::Profile(profile) => {
            limits::profile("profile.data", profile.data.as_ref().map_or(0, Bytes::len))
        }
        Packet::Properties(properties) => limits::pairs("properties.properties", properties.len()),
        Packet::Throttle(features) => {
            limits::pairs("throttle.features", features.len())?;
            features.iter().try_for_each(|name| limits::full_name("throttle.features", name))
        }
        Packet::Query(query) => check_query(query),
        Packet::Answer(answer) => check_answer(answer),
        _ => Ok(()),
    }
}

fn check_members(members: &Members) -> Result<(), Wrong> {
    limits::full_name("members.channel", &members.channel)?;
    limits::members(members.members.len())?;
    members.members.iter().try_for_each(|member| {
        limits::full_name("members.id", &member.id)?;
        limits::profile("members.data", member.data.as_ref().map_or(0, Bytes::len))
    })
}

fn check_query(query: &Query) -> Result<(), Wrong> {
    limits::queries("query.ask", query.ask.len())?;
    limits::queries("query.end", query.end.len())?;
    query.ask.iter().try_for_each(|ask| limits::query("query.ask", ask.asked.query.len()))?;
    query.end.iter().try_for_each(|asked| limits::query("query.end", asked.query.len()))
}

fn check_answer(Answer { id, asked, body }: &Answer) -> Result<(), Wrong> {
    limits::query("result.query", asked.as_ref().map_or(0, |asked| asked.query.len()))?;
    let expected = match body {
        AnswerBody::Named if id.is_none() || asked.is_none() => "an object with id and query",
        AnswerBody::Rows { .. } if id.is_none() && asked.is_none() => "an object with id or query",
        AnswerBody::Rows { rows, .. } if rows.is_empty() => "an object with rows",
        _ => return Ok(()),
    };
    Err(Wrong::Invalid { field: "result", expected })
}
