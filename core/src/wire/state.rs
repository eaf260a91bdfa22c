//! The packets of what a session keeps beside messages: memberships, profile, properties, what is held back, queries.
//!
//! They are rare, so both codecs write their members as one JSON object; only the rows of a result stand outside it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use bytestring::ByteString;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::members::{ErrorBody, Object, PairsBody, base64_len, object, present};
use super::{DecodeError, EncodeError, ErrorPacket, Packet, Pairs, json, limits};
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
        Packet::Throttle(features) => object.any("features", features),
        Packet::Query(query) => {
            object.any("ask", &query.ask.iter().map(AskBody::of).collect::<Vec<_>>());
            object.any("end", &query.end.iter().map(AskedBody::of).collect::<Vec<_>>());
        }
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
    if members.more {
        object.boolean("more", true);
    }
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

fn write_answer(object: &mut Object, answer: &Answer) -> Result<(), EncodeError> {
    if let Some(id) = answer.id {
        object.number("id", id, "result.id")?;
    }
    if let Some(Asked { query, compress }) = &answer.asked {
        object.string("query", query);
        if *compress {
            object.boolean("compress", true);
        }
    }
    match &answer.body {
        AnswerBody::Named => {}
        AnswerBody::Failed(error) => write_error(object, error)?,
        AnswerBody::Rows { retrieve, count, packed, .. } => {
            object.boolean("retrieve", *retrieve);
            object.number("count", *count, "result.count")?;
            if *packed {
                object.boolean("packed", true);
            }
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

/// How many bytes the rows take in JSON, so that a buffer is allocated once.
pub(super) fn rows_len(packet: &Packet) -> usize {
    match packet {
        Packet::Answer(answer) => match &answer.body {
            AnswerBody::Rows { rows, packed: false, .. } => rows.len(),
            AnswerBody::Rows { rows, packed: true, .. } => base64_len(rows),
            AnswerBody::Named | AnswerBody::Failed(_) => 0,
        },
        Packet::Members(members) => members.members.len() * 64,
        _ => 0,
    }
}

/// Reads the packet of that type, whose members are `text`, and whose rows stand there or are given.
pub(super) fn read(
    kind: &str,
    frame: &Bytes,
    text: &str,
    rows: Option<Bytes>,
) -> Result<Option<Packet>, DecodeError> {
    Ok(Some(match kind {
        "join" => {
            let body: JoinBody = json::parse(text)?;
            let (channel, presence) = (name("join.channel", body.channel)?, body.presence);
            Packet::Join(Join { channel, echo: body.echo, presence })
        }
        "leave" => {
            let body: LeaveBody<'_> = json::parse(text)?;
            let error = body.error.map(|error| json::read_error(frame, error).owned());
            let (channel, echo) = (name("leave.channel", body.channel)?, body.echo);
            Packet::Leave(Box::new(Leave { channel, echo, error }))
        }
        "members" => Packet::Members(Box::new(read_members(json::parse(text)?)?)),
        "profile" => {
            let body: ProfileBody<'_> = json::parse(text)?;
            let data = body.data.map(|data| copied("profile.data", data)).transpose()?;
            Packet::Profile(Profile { data, echo: body.echo })
        }
        "properties" => {
            let body: PropertiesBody = json::parse(text)?;
            Packet::Properties(json::pairs("properties.properties", body.properties)?)
        }
        "throttle" => {
            let body: ThrottleBody = json::parse(text)?;
            limits::pairs("throttle.features", body.features.len())?;
            for feature in &body.features {
                limits::name("throttle.features", feature.len())?;
            }
            Packet::Throttle(body.features)
        }
        "query" => Packet::Query(Box::new(read_query(json::parse(text)?)?)),
        "result" => Packet::Answer(Box::new(read_answer(frame, json::parse(text)?, rows)?)),
        _ => return Ok(None),
    }))
}

fn read_members(body: MembersBody<'_>) -> Result<Members, DecodeError> {
    let expected = "ask, all, joined, left, updated or hidden";
    let kind = MembersKind::of(&body.kind);
    let kind = kind.ok_or(DecodeError::Invalid { field: "members.kind", expected })?;
    limits::members(body.members.len())?;
    let member = |MemberBody { id, data }: MemberBody<'_>| {
        let data = data.map(|data| copied("members.data", data)).transpose()?;
        Ok(Member { id: name("members.id", id)?, data })
    };
    Ok(Members {
        channel: name("members.channel", body.channel)?,
        id: json::optional("members.id", body.id)?,
        kind,
        more: body.more,
        members: body.members.into_iter().map(member).collect::<Result<_, DecodeError>>()?,
    })
}

fn read_query(body: QueryBody) -> Result<Query, DecodeError> {
    limits::queries("query.ask", body.ask.len())?;
    limits::queries("query.end", body.end.len())?;
    let ask = body.ask.into_iter().map(|AskBody { query, compress, retrieve, subscribe }| {
        let asked = asked("query.ask.query", query, compress)?;
        Ok(Ask { asked, retrieve, subscribe })
    });
    let end = body.end.into_iter();
    Ok(Query {
        ask: ask.collect::<Result<_, DecodeError>>()?,
        end: end
            .map(|AskedBody { query, compress }| asked("query.end.query", query, compress))
            .collect::<Result<_, DecodeError>>()?,
    })
}

fn asked(field: &'static str, query: String, compress: bool) -> Result<Asked, DecodeError> {
    limits::query(field, query.len())?;
    Ok(Asked { query, compress })
}

fn read_answer(
    frame: &Bytes,
    body: AnswerBodyBody<'_>,
    rows: Option<Bytes>,
) -> Result<Answer, DecodeError> {
    let rows = match (rows, body.json, body.binary) {
        (Some(rows), None, None) => Some(rows),
        (None, Some(json), None) => Some(json::slice(frame, json)),
        (None, None, Some(text)) => {
            let expected = "base64 with padding";
            let bytes = STANDARD.decode(&*text);
            Some(
                bytes
                    .map_err(|_| DecodeError::Invalid { field: "result.binary", expected })?
                    .into(),
            )
        }
        _ => None,
    };
    let body_of = match (body.error, body.retrieve, rows) {
        (Some(error), None, _) => AnswerBody::Failed(json::read_error(frame, error).owned()),
        (None, Some(retrieve), Some(rows)) => {
            let count = json::required("result.count", body.count)?;
            AnswerBody::Rows { retrieve, count, rows, packed: body.packed }
        }
        (None, None, _) => AnswerBody::Named,
        _ => {
            let expected = "an object with rows, or an error, or neither";
            return Err(DecodeError::Invalid { field: "result", expected });
        }
    };
    let told = body.query.map(|query| asked("result.query", query, body.compress)).transpose()?;
    Ok(Answer { id: json::optional("result.id", body.id)?, asked: told, body: body_of })
}

/// A name that is kept: copied, or it would keep the frame that it lies in.
fn name(field: &'static str, name: String) -> Result<ByteString, DecodeError> {
    limits::name(field, name.len())?;
    if name.is_empty() {
        return Err(DecodeError::Invalid { field, expected: "a name: it is empty" });
    }
    Ok(name.into())
}

/// A value that is kept.
fn copied(field: &'static str, data: &RawValue) -> Result<Bytes, DecodeError> {
    limits::profile(field, data.get().len())?;
    Ok(Bytes::copy_from_slice(data.get().as_bytes()))
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct JoinBody {
    channel: String,
    #[serde(default = "yes")]
    echo: bool,
    #[serde(default = "yes")]
    presence: bool,
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
    kind: String,
    id: Option<u64>,
    #[serde(default)]
    more: bool,
    #[serde(borrow, default)]
    members: Vec<MemberBody<'a>>,
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
    #[serde(default)]
    features: Vec<String>,
}

#[derive(Deserialize)]
struct QueryBody {
    #[serde(default)]
    ask: Vec<AskBody>,
    #[serde(default)]
    end: Vec<AskedBody>,
}

#[derive(Deserialize, serde::Serialize)]
struct AskBody {
    query: String,
    #[serde(default)]
    compress: bool,
    #[serde(default)]
    retrieve: bool,
    #[serde(default)]
    subscribe: bool,
}

impl AskBody {
    fn of(Ask { asked, retrieve, subscribe }: &Ask) -> Self {
        let Asked { query, compress } = asked.clone();
        Self { query, compress, retrieve: *retrieve, subscribe: *subscribe }
    }
}

#[derive(Deserialize, serde::Serialize)]
struct AskedBody {
    query: String,
    #[serde(default)]
    compress: bool,
}

impl AskedBody {
    fn of(Asked { query, compress }: &Asked) -> Self {
        Self { query: query.clone(), compress: *compress }
    }
}

#[derive(Deserialize)]
struct AnswerBodyBody<'a> {
    id: Option<u64>,
    query: Option<String>,
    #[serde(default)]
    compress: bool,
    retrieve: Option<bool>,
    count: Option<u64>,
    #[serde(default)]
    packed: bool,
    #[serde(borrow, default, deserialize_with = "present")]
    json: Option<&'a RawValue>,
    #[serde(borrow)]
    binary: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "object")]
    error: Option<ErrorBody<'a>>,
}

/// What is wrong with such a packet whatever the codec.
pub(super) fn check(packet: &Packet) -> Result<(), EncodeError> {
    let named = |field, name: &str| {
        limits::name(field, name.len())?;
        if name.is_empty() {
            return Err(EncodeError::Invalid { field, expected: "a name: it is empty" });
        }
        Ok(())
    };
    match packet {
        Packet::Join(join) => named("join.channel", &join.channel),
        Packet::Leave(leave) => named("leave.channel", &leave.channel),
        Packet::Members(members) => {
            named("members.channel", &members.channel)?;
            Ok(limits::members(members.members.len())?)
        }
        Packet::Profile(Profile { data: Some(data), .. }) => {
            limits::profile("profile.data", data.len())?;
            limits::is_json("profile.data", data)
        }
        Packet::Properties(properties) => check_pairs(properties),
        Packet::Throttle(features) => {
            limits::pairs("throttle.features", features.len())?;
            features.iter().try_for_each(|name| named("throttle.features", name))
        }
        Packet::Query(query) => {
            limits::queries("query.ask", query.ask.len())?;
            limits::queries("query.end", query.end.len())?;
            let all = query.ask.iter().map(|ask| &ask.asked).chain(&query.end);
            for asked in all {
                limits::query("query", asked.query.len())?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_pairs(pairs: &Pairs) -> Result<(), EncodeError> {
    Ok(limits::pairs("properties.properties", pairs.len())?)
}
