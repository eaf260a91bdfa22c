//! Writes the members of such packets.

use bytes::Bytes;

use super::{Answer, AnswerBody, Ask, Asked, Members, Query};
use crate::Member;
use crate::wire::members::{Object, base64_len};
use crate::wire::{EncodeError, ErrorPacket, Packet, json};

/// Writes the members of such a packet, but for an answer's rows; `false` for any other packet.
pub(in crate::wire) fn write(object: &mut Object, packet: &Packet) -> Result<bool, EncodeError> {
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
pub(in crate::wire) fn write_rows(object: &mut Object, packet: &Packet) -> Result<(), EncodeError> {
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
pub(in crate::wire) fn room(packet: &Packet) -> usize {
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
pub(in crate::wire) fn rows_room(packet: &Packet) -> usize {
    match packet {
        Packet::Answer(answer) => match &answer.body {
            AnswerBody::Rows { rows, packed: false, .. } => rows.len(),
            AnswerBody::Rows { rows, packed: true, .. } => base64_len(rows),
            AnswerBody::Named | AnswerBody::Failed(_) => 0,
        },
        _ => 0,
    }
}
