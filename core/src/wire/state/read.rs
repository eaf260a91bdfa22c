//! Reads the members of such packets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Answer, AnswerBody, Ask, Asked, Join, Leave, Members, MembersKind, Profile, Query, check,
};
use crate::Member;
use crate::wire::members::{Entry, ErrorBody, List, PairsBody, Text, object, present};
use crate::wire::{DecodeError, Packet, json, limits};

/// Where the rows of an answer stand.
pub(in crate::wire) enum Rows {
    /// Among the members.
    Within,
    /// Behind them: these, or none.
    Behind(Bytes),
}

/// Reads the packet of that type, whose members are `text`, which lies in `frame`.
pub(in crate::wire) fn read(
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
