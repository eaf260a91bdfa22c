//! What a packet may hold, for both codecs and both directions.
//!
//! Everything without a limit here (a room, a query's value, an error's text) is bounded by the frame alone: 16 KiB
//! before a link is known, the receiver's `max_frame` after that.

use std::time::Duration;

use super::{DecodeError, EncodeError, ErrorPacket, Hello, Packet, Ready, VERSION, state};
use crate::{CloseFrame, ConnectionId, Message};

/// Pairs in a hello's query or in properties, and features that are held back: more than any page's URL carries, and few
/// enough to search by walking.
pub(super) const MAX_PAIRS: usize = 64;

/// Bytes in the name of a channel or an event: such names are keys of maps at the receiver, so a peer must not choose
/// how much memory one takes.
const MAX_NAME: usize = 256;

/// Bytes of a profile: each is kept once, and told to everybody on its channels.
const MAX_PROFILE: usize = 4096;

/// Members in one packet: more come in several.
pub(super) const MAX_MEMBERS: usize = 1000;

/// Queries in one packet: more than a page has.
pub(super) const MAX_QUERIES: usize = 256;

/// Bytes of a query: more than a person writes.
const MAX_QUERY: usize = 16 * 1024;

/// The largest number that JSON carries unharmed: JavaScript's `Number.MAX_SAFE_INTEGER`. In milliseconds it is
/// 285,000 years, so durations are capped to it in both codecs.
pub(super) const MAX_NUMBER: u64 = (1 << 53) - 1;

/// What is wrong with a field, in either direction.
pub(super) enum Wrong {
    TooLarge { field: &'static str, size: usize, limit: usize },
    Invalid { field: &'static str, expected: &'static str },
}

impl From<Wrong> for EncodeError {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::TooLarge { field, size, limit } => Self::TooLarge { field, size, limit },
            Wrong::Invalid { field, expected } => Self::Invalid { field, expected },
        }
    }
}

impl From<Wrong> for DecodeError {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::TooLarge { field, size, limit } => Self::TooLarge { field, size, limit },
            Wrong::Invalid { field, expected } => Self::Invalid { field, expected },
        }
    }
}

/// How many pairs a query or properties have.
pub(super) fn pairs(field: &'static str, count: usize) -> Result<(), Wrong> {
    within(field, count, MAX_PAIRS)
}

/// How long the name of a channel or an event is.
pub(super) fn name(field: &'static str, len: usize) -> Result<(), Wrong> {
    within(field, len, MAX_NAME)
}

/// How long a name is that cannot be empty: of a channel to join, a member, a feature.
pub(super) fn full_name(field: &'static str, text: &str) -> Result<(), Wrong> {
    name(field, text.len())?;
    if text.is_empty() {
        return Err(Wrong::Invalid { field, expected: "a name: it is empty" });
    }
    Ok(())
}

/// How long a profile is.
pub(super) fn profile(field: &'static str, len: usize) -> Result<(), Wrong> {
    within(field, len, MAX_PROFILE)
}

/// How many members a packet has.
pub(super) fn members(count: usize) -> Result<(), Wrong> {
    within("members.members", count, MAX_MEMBERS)
}

/// How many queries a packet has.
pub(super) fn queries(field: &'static str, count: usize) -> Result<(), Wrong> {
    within(field, count, MAX_QUERIES)
}

/// How long a query is.
pub(super) fn query(field: &'static str, len: usize) -> Result<(), Wrong> {
    within(field, len, MAX_QUERY)
}

/// How long the reason of a close is.
pub(super) fn reason(len: usize) -> Result<(), Wrong> {
    within("close.reason", len, CloseFrame::MAX_REASON)
}

/// The id in a ready.
pub(super) fn connection_id(id: &str) -> Result<ConnectionId, DecodeError> {
    within("ready.id", id.len(), ConnectionId::MAX_LEN)?;
    ConnectionId::new(id)
        .ok_or(DecodeError::Invalid { field: "ready.id", expected: "an id: it is empty" })
}

/// The version that a peer says it speaks.
pub(super) fn version(version: u64) -> Result<u8, DecodeError> {
    if version == u64::from(VERSION) {
        Ok(VERSION)
    } else {
        Err(DecodeError::UnsupportedVersion(version))
    }
}

/// The code of a close.
pub(super) fn close_code(code: u64) -> Result<u16, DecodeError> {
    u16::try_from(code)
        .map_err(|_| DecodeError::Invalid { field: "close.code", expected: "at most 65535" })
}

/// What is wrong with a packet whatever the codec.
pub(super) fn check(packet: &Packet) -> Result<(), EncodeError> {
    match packet {
        Packet::Hello(hello) => check_hello(hello),
        Packet::Ready(ready) => check_ready(ready),
        Packet::Message(message) => check_message(message),
        Packet::Request(request) => check_message(&request.message),
        Packet::Response(response) => match &response.result {
            Ok(message) => check_message(message),
            Err(error) => check_error(error),
        },
        Packet::Error(error) => check_error(error),
        Packet::Close(close) => Ok(reason(close.reason.len())?),
        Packet::Skip(count) | Packet::Gap(count) | Packet::Lagged(count) if *count == 0 => {
            Err(EncodeError::Invalid { field: "count", expected: AT_LEAST_ONE })
        }
        Packet::Publish(publish) => check_message(&publish.message),
        Packet::Join(_)
        | Packet::Leave(_)
        | Packet::Members(_)
        | Packet::Profile(_)
        | Packet::Properties(_)
        | Packet::Throttle(_)
        | Packet::Query(_)
        | Packet::Answer(_) => Ok(state::check(packet)?),
        Packet::Ack(_)
        | Packet::Skip(_)
        | Packet::Gap(_)
        | Packet::Lagged(_)
        | Packet::Ping(_)
        | Packet::Pong(_) => Ok(()),
    }
}

/// How many packets a skip, a gap or a lagged stands for.
pub(super) fn count(field: &'static str, count: u64) -> Result<u64, DecodeError> {
    if count == 0 {
        return Err(DecodeError::Invalid { field, expected: AT_LEAST_ONE });
    }
    Ok(count)
}

const AT_LEAST_ONE: &str = "at least 1";

fn check_error(error: &ErrorPacket) -> Result<(), EncodeError> {
    error.details.as_deref().map_or(Ok(()), |details| is_json("error.details", details))
}

fn check_hello(hello: &Hello) -> Result<(), EncodeError> {
    is_this_version("hello.version", hello.version)?;
    pairs("hello.query", hello.query.len())?;
    hello.auth.as_deref().map_or(Ok(()), |auth| is_json("hello.auth", auth))
}

fn check_ready(ready: &Ready) -> Result<(), EncodeError> {
    is_this_version("ready.version", ready.version)?;
    Ok(pairs("ready.properties", ready.properties.len())?)
}

fn check_message(message: &Message) -> Result<(), EncodeError> {
    name("message.channel", message.channel.as_ref().map_or(0, |channel| channel.len()))?;
    Ok(name("message.event", message.event.as_ref().map_or(0, |event| event.len()))?)
}

fn is_this_version(field: &'static str, version: u8) -> Result<(), EncodeError> {
    if version == VERSION { Ok(()) } else { Err(EncodeError::Invalid { field, expected: "1" }) }
}

pub(super) fn is_json(field: &'static str, bytes: &[u8]) -> Result<(), EncodeError> {
    json(bytes).map(|_| ()).ok_or(EncodeError::Invalid { field, expected: "JSON" })
}

/// The one JSON value in `bytes`, without the white space around it; `None` when it is not JSON in UTF-8. It takes no
/// stack however deep the value is: a `RawValue` is skipped over, not built.
pub(super) fn json(bytes: &[u8]) -> Option<&str> {
    serde_json::from_slice::<&serde_json::value::RawValue>(bytes)
        .ok()
        .map(serde_json::value::RawValue::get)
}

/// Whole milliseconds, rounded up so that nobody comes back too early, at most [`MAX_NUMBER`].
pub(super) fn to_millis(duration: Duration) -> u64 {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(MAX_NUMBER).min(MAX_NUMBER)
}

/// The duration of that many milliseconds, at most [`MAX_NUMBER`].
pub(super) fn from_millis(millis: u64) -> Duration {
    Duration::from_millis(millis.min(MAX_NUMBER))
}

fn within(field: &'static str, size: usize, limit: usize) -> Result<(), Wrong> {
    if size <= limit { Ok(()) } else { Err(Wrong::TooLarge { field, size, limit }) }
}
