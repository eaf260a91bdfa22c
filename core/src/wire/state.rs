//! The packets of what a session keeps beside messages: memberships, profile, properties, what is held back, queries.
//!
//! They are rare, so both codecs write their members as one JSON object; only the rows of a result stand outside it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use bytestring::ByteString;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::limits::{self, Wrong};
use super::members::{
    Entry, ErrorBody, List, Object, PairsBody, Text, base64_len, object, present,
};
use super::{DecodeError, EncodeError, ErrorPacket, Packet, json};
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

/// Writes the members of such a packet, but for an answer's rows; `false` for any other packet.
pub(super) fn write(object: &mut Object, packet: &Packet) -> Result<bool, EncodeError> {
    match packet {
        Packet::Join(join) => {
            object.string("channel", &join.channel);
            object.boolean("echo", join.echo);
            object.boolean("presence", join.presence);
        }
        Packet::Leave(leave) => {
            object.string("channel", &leave.channel);
            if let Some(echo) = leave.echo {
                object.boolean("echo", echo);
            }
            if let Some(error) = &leave.error {
                write_error(object, error)?;
            }
        }
        Packet::Members(members) => write_members(object, members)?,
        Packet::Profile(profile) => {
            if let Some(data) = &profile.data {
                object.raw("data", json::json("profile.data", data)?);
            }
            if let Some(echo) = profile.echo {
                object.boolean("echo", echo);
            }
        }
        Packet::Properties(properties) => object.pairs("properties", properties),
        Packet::Throttle(features) => {
            if !features.is_empty() {
                object.strings("features", features);
            }
        }
        Packet::Query(query) => write_query(object, query),
        Packet::Answer(answer) => write_answer(object, answer)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn write_error(object: &mut Object, error: &ErrorPacket) -> Result<(), EncodeError> {
    object.open("error");
    json::write_error(object, error)?;
    object.close();
    Ok(())
}

fn write_members(object: &mut Object, members: &Members) -> Result<(), EncodeError> {
    object.string("channel", &members.channel);
    object.string("kind", members.kind.name());
    if let Some(id) = members.id {
        object.number("id", id, "members.id")?;
    }
    object.flag("more", members.more);
    if members.members.is_empty() {
        return Ok(());
    }
    object.open_list("members");
    for member in &members.members {
        object.open_item();
        object.string("id", &member.id);
        if let Some(data) = &member.data {
            object.raw("data", json::json("members.data", data)?);
        }
        object.close();
    }
    object.close_list();
    Ok(())
}

fn write_query(object: &mut Object, Query { ask, end }: &Query) {
    if !ask.is_empty() {
        object.open_list("ask");
        for Ask { asked, retrieve, subscribe } in ask {
            object.open_item();
            write_asked(object, asked);
            object.flag("retrieve", *retrieve);
            object.flag("subscribe", *subscribe);
            object.close();
        }
        object.close_list();
    }
    if !end.is_empty() {
        object.open_list("end");
        for asked in end {
            object.open_item();
            write_asked(object, asked);
            object.close();
        }
        object.close_list();
    }
}

fn write_asked(object: &mut Object, Asked { query, compress }: &Asked) {
    object.string("query", query);
    object.flag("compress", *compress);
}

fn write_answer(object: &mut Object, answer: &Answer) -> Result<(), EncodeError> {
    if let Some(id) = answer.id {
        object.number("id", id, "result.id")?;
    }
    if let Some(asked) = &answer.asked {
        write_asked(object, asked);
    }
    match &answer.body {
        AnswerBody::Named => {}
        AnswerBody::Failed(error) => write_error(object, error)?,
        AnswerBody::Rows { retrieve, count, packed, .. } => {
            object.boolean("retrieve", *retrieve);
            object.number("count", *count, "result.count")?;
            object.flag("packed", *packed);
        }
    }
    Ok(())
}

/// The rows of an answer, as they stand in JSON.
pub(super) fn write_rows(object: &mut Object, packet: &Packet) -> Result<(), EncodeError> {
    if let Packet::Answer(answer) = packet {
        match &answer.body {
            AnswerBody::Rows { rows, packed: false, .. } => {
                object.raw("json", json::json("result.json", rows)?);
            }
            AnswerBody::Rows { rows, packed: true, .. } => object.base64("binary", rows),
            AnswerBody::Named | AnswerBody::Failed(_) => {}
        }
    }
    Ok(())
}

/// About how many bytes the members take, so that a buffer seldom grows.
pub(super) fn room(packet: &Packet) -> usize {
    let member = |one: &Member| 24 + one.id.len() + one.data.as_ref().map_or(0, Bytes::len);
    128 + match packet {
        Packet::Members(members) => members.members.iter().map(member).sum(),
        Packet::Profile(profile) => profile.data.as_ref().map_or(0, Bytes::len),
        Packet::Query(query) => {
            let all = query.ask.iter().map(|ask| &ask.asked).chain(&query.end);
            all.map(|asked| 64 + asked.query.len()).sum()
        }
        Packet::Answer(answer) => answer.asked.as_ref().map_or(0, |asked| asked.query.len()),
        _ => 0,
    }
}

/// How many bytes the rows take in JSON.
pub(super) fn rows_room(packet: &Packet) -> usize {
    match packet {
        Packet::Answer(answer) => match &answer.body {
            AnswerBody::Rows { rows, packed: false, .. } => rows.len(),
            AnswerBody::Rows { rows, packed: true, .. } => base64_len(rows),
            AnswerBody::Named | AnswerBody::Failed(_) => 0,
        },
        _ => 0,
    }
}

/// Where the rows of an answer stand.
pub(super) enum Rows {
    /// Among the members.
    Within,
    /// Behind them: these, or none.
    Behind(Bytes),
}

/// Reads the packet of that type, whose members are `text`, which lies in `frame`.
pub(super) fn read(
    kind: &str,
    frame: &Bytes,
    text: &str,
    rows: Rows,
) -> Result<Option<Packet>, DecodeError> {
    let packet = match kind {
        "join" => {
            let JoinBody { channel, echo, presence } = json::parse(text)?;
            let (echo, presence) = (echo.unwrap_or(true), presence.unwrap_or(true));
            Packet::Join(Join { channel: channel.into(), echo, presence })
        }
        "leave" => {
            let LeaveBody { channel, echo, error } = json::parse(text)?;
            let error = error.map(|error| json::read_error(frame, error).owned());
            Packet::Leave(Box::new(Leave { channel: channel.into(), echo, error }))
        }
        "members" => Packet::Members(Box::new(read_members(json::parse(text)?)?)),
        "profile" => {
            let ProfileBody { data, echo } = json::parse(text)?;
            Packet::Profile(Profile { data: data.map(copied), echo })
        }
        "properties" => {
            let PropertiesBody { properties } = json::parse(text)?;
            Packet::Properties(json::pairs("properties.properties", properties)?)
        }
        "throttle" => {
            let ThrottleBody { features } = json::parse(text)?;
            let features = features.unwrap_or_default();
            limits::pairs("throttle.features", features.count)?;
            Packet::Throttle(features.items)
        }
        "query" => Packet::Query(Box::new(read_query(json::parse(text)?)?)),
        "result" => Packet::Answer(Box::new(read_answer(frame, json::parse(text)?, rows)?)),
        _ => return Ok(None),
    };
    check(&packet)?;
    Ok(Some(packet))
}

fn read_members(body: MembersBody<'_>) -> Result<Members, DecodeError> {
    let expected = "ask, all, joined, left, updated or hidden";
    let kind = MembersKind::of(&body.kind.0);
    let kind = kind.ok_or(DecodeError::Invalid { field: "members.kind", expected })?;
    let members = body.members.unwrap_or_default();
    limits::members(members.count)?;
    let member = |Entry(MemberBody { id, data }): Entry<MemberBody<'_>>| Member {
        id: id.into(),
        data: data.map(copied),
    };
    Ok(Members {
        channel: body.channel.into(),
        id: json::optional("members.id", body.id)?,
        kind,
        more: body.more.unwrap_or(false),
        members: members.items.into_iter().map(member).collect(),
    })
}

fn read_query(body: QueryBody) -> Result<Query, DecodeError> {
    let (ask, end) = (body.ask.unwrap_or_default(), body.end.unwrap_or_default());
    limits::queries("query.ask", ask.count)?;
    limits::queries("query.end", end.count)?;
    let asked =
        |query, compress: Option<bool>| Asked { query, compress: compress.unwrap_or(false) };
    let ask =
        ask.items.into_iter().map(|Entry(AskBody { query, compress, retrieve, subscribe })| {
            let (retrieve, subscribe) = (retrieve.unwrap_or(false), subscribe.unwrap_or(false));
            Ask { asked: asked(query, compress), retrieve, subscribe }
        });
    let end = end.items.into_iter().map(|Entry(body)| asked(body.query, body.compress));
    Ok(Query { ask: ask.collect(), end: end.collect() })
}

fn read_answer(frame: &Bytes, body: AnswerMembers<'_>, rows: Rows) -> Result<Answer, DecodeError> {
    let packed = body.packed.unwrap_or(false);
    let rows = match (rows, body.json, body.binary) {
        (Rows::Behind(rows), None, None) => (!rows.is_empty()).then_some(rows),
        (Rows::Within, None, None) => None,
        (Rows::Within, Some(json), None) if !packed => Some(json::slice(frame, json)),
        (Rows::Within, None, Some(Text(base64))) if packed => {
            let expected = "base64 with padding";
            let wrong = DecodeError::Invalid { field: "result.binary", expected };
            Some(STANDARD.decode(&*base64).map_err(|_| wrong)?.into())
        }
        _ => {
            let expected = "an object whose rows stand once: packed ones in binary, others in json";
            return Err(DecodeError::Invalid { field: "result", expected });
        }
    };
    let count = json::optional("result.count", body.count)?;
    let told = match (body.error, body.retrieve, count, rows) {
        (Some(error), None, None, None) => {
            AnswerBody::Failed(json::read_error(frame, error).owned())
        }
        (None, Some(retrieve), Some(count), Some(rows)) => {
            AnswerBody::Rows { retrieve, count, rows, packed }
        }
        (None, None, None, None) => AnswerBody::Named,
        _ => {
            let expected = "an object with rows, their count and retrieve, or an error, or none";
            return Err(DecodeError::Invalid { field: "result", expected });
        }
    };
    let compress = body.compress.unwrap_or(false);
    let asked = body.query.map(|query| Asked { query, compress });
    Ok(Answer { id: json::optional("result.id", body.id)?, asked, body: told })
}

/// A value that is kept: copied, or it would keep the frame that it lies in.
fn copied(data: &RawValue) -> Bytes {
    Bytes::copy_from_slice(data.get().as_bytes())
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
        _ if id.is_none() && asked.is_none() => "an object with id or query",
        AnswerBody::Rows { rows, .. } if rows.is_empty() => "an object with rows",
        _ => return Ok(()),
    };
    Err(Wrong::Invalid { field: "result", expected })
}

#[derive(Deserialize)]
struct JoinBody {
    channel: String,
    echo: Option<bool>,
    presence: Option<bool>,
}

#[derive(Deserialize)]
struct LeaveBody<'a> {
    channel: String,
    echo: Option<bool>,
    #[serde(borrow, default, deserialize_with = "object")]
    error: Option<ErrorBody<'a>>,
}

#[derive(Deserialize)]
struct MembersBody<'a> {
    channel: String,
    #[serde(borrow)]
    kind: Text<'a>,
    id: Option<u64>,
    more: Option<bool>,
    #[serde(borrow)]
    members: Option<List<Entry<MemberBody<'a>>, { limits::MAX_MEMBERS }>>,
}

#[derive(Deserialize)]
struct MemberBody<'a> {
    id: String,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ProfileBody<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    echo: Option<bool>,
}

#[derive(Deserialize)]
struct PropertiesBody {
    properties: Option<PairsBody>,
}

#[derive(Deserialize)]
struct ThrottleBody {
    features: Option<List<String, { limits::MAX_PAIRS }>>,
}

#[derive(Deserialize)]
struct QueryBody {
    ask: Option<List<Entry<AskBody>, { limits::MAX_QUERIES }>>,
    end: Option<List<Entry<AskedBody>, { limits::MAX_QUERIES }>>,
}

#[derive(Deserialize)]
struct AskBody {
    query: String,
    compress: Option<bool>,
    retrieve: Option<bool>,
    subscribe: Option<bool>,
}

#[derive(Deserialize)]
struct AskedBody {
    query: String,
    compress: Option<bool>,
}

#[derive(Deserialize)]
struct AnswerMembers<'a> {
    id: Option<u64>,
    query: Option<String>,
    compress: Option<bool>,
    retrieve: Option<bool>,
    count: Option<u64>,
    packed: Option<bool>,
    #[serde(borrow, default, deserialize_with = "present")]
    json: Option<&'a RawValue>,
    #[serde(borrow)]
    binary: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    error: Option<ErrorBody<'a>>,
}
