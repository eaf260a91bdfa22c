//! The codec `json`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use bytestring::ByteString;
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::members::{
    A_NUMBER, AckBody, CloseBody, CountBody, Envelope, ErrorBody, HelloBody, IdBody, MessageBody,
    Object, PairsBody, PingBody, PublishBody, ReadyBody, RecoveryBody, ResponseBody, Text,
    VersionBody, base64_len, quoted_len,
};
use super::state::{self, Rows};
use super::{
    Ack, Close, Codec, DecodeError, EncodeError, ErrorPacket, Hello, Packet, Pairs, Publish, Ready,
    Recovery, Request, Response, Resume, Secret, SessionGrant, limits,
};
use crate::{Class, Data, Frame, Message};

/// The codec `json`: text that a browser reads and writes in twenty lines.
///
/// A packet is one object whose member `type` names it; put it first, and a message is read in one pass. Numbers are
/// at most 2⁵³ − 1 and members that are not known are ignored. Text and JSON of a message are slices of the frame,
/// unless the text holds escapes; JSON loses the white space around it, and bytes travel as base64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

/// The window of a peer that names none: enough for the throughput of a browser's page, and little to hold for it.
const DEFAULT_WINDOW: u64 = 256 * 1024;

/// The largest frame of a peer that names none: a message of 1 MiB, and 4 KiB for what stands around it.
const DEFAULT_MAX_FRAME: u64 = 1024 * 1024 + 4096;

/// How much of an unknown type is repeated in an error.
const MAX_SHOWN: usize = 32;

impl Codec for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn protocol(&self) -> Option<&'static str> {
        Some("moorline.v1.json")
    }

    fn claims(&self, first: &Frame) -> bool {
        matches!(first, Frame::Text(text) if text.first() == Some(&b'{'))
    }

    fn has_session(&self) -> bool {
        true
    }

    fn encode(&self, packet: Packet) -> Result<Frame, EncodeError> {
        limits::check(&packet)?;
        let text = match &packet {
            Packet::Hello(hello) => write_hello(hello),
            Packet::Ready(ready) => write_ready(ready),
            Packet::Message(message) => write_message("message", None, None, message),
            Packet::Request(request) => {
                write_message("request", Some(request.id), None, &request.message)
            }
            Packet::Publish(publish) => {
                write_message("publish", None, publish.echo, &publish.message)
            }
            Packet::Response(response) => write_response(response),
            Packet::Skip(count) => write_count("skip", *count, "skip.count"),
            Packet::Gap(count) => write_count("gap", *count, "gap.count"),
            Packet::Lagged(count) => write_count("lagged", *count, "lagged.count"),
            Packet::Ack(ack) => write_ack(ack),
            Packet::Ping(n) => write_ping("ping", *n, "ping.n"),
            Packet::Pong(n) => write_ping("pong", *n, "pong.n"),
            Packet::Error(error) => {
                let mut object = Object::packet("error", 256);
                write_error(&mut object, error).map(|()| object.finish())
            }
            Packet::Close(close) => write_close(close),
            Packet::Join(_)
            | Packet::Leave(_)
            | Packet::Members(_)
            | Packet::Profile(_)
            | Packet::Properties(_)
            | Packet::Throttle(_)
            | Packet::Query(_)
            | Packet::Answer(_) => write_state(&packet),
        }?;
        Ok(Frame::Text(text.into()))
    }

    fn decode(&self, frame: Frame) -> Result<Packet, DecodeError> {
        let Frame::Text(frame) = frame else {
            return Err(DecodeError::WrongKind { codec: "json", got: "binary" });
        };
        let Ok(text) = std::str::from_utf8(&frame) else {
            return Err(DecodeError::Invalid { field: "frame", expected: "UTF-8" });
        };
        let kind = match parse(text)? {
            Envelope::Message(body) => return read_message(&frame, body).map(Packet::Message),
            Envelope::Other(Text(kind)) => kind,
        };
        match &*kind {
            "hello" => Ok(Packet::Hello(Box::new(read_hello(&frame, text)?))),
            "ready" => Ok(Packet::Ready(Box::new(read_ready(text)?))),
            "message" => read_message(&frame, parse(text)?).map(Packet::Message),
            "request" => Ok(Packet::Request(Request {
                id: required("request.id", parse::<IdBody>(text)?.id)?,
                message: read_message(&frame, parse(text)?)?,
            })),
            "response" => read_response(&frame, text),
            "skip" => Ok(Packet::Skip(count("skip.count", text)?)),
            "gap" => Ok(Packet::Gap(count("gap.count", text)?)),
            "lagged" => Ok(Packet::Lagged(count("lagged.count", text)?)),
            "ack" => read_ack(&parse(text)?),
            "ping" => Ok(Packet::Ping(number("ping.n", parse::<PingBody>(text)?.n, 0)?)),
            "pong" => Ok(Packet::Pong(number("pong.n", parse::<PingBody>(text)?.n, 0)?)),
            "error" => Ok(Packet::Error(read_error(&frame, parse(text)?))),
            "close" => read_close(parse(text)?),
            "publish" => Ok(Packet::Publish(Box::new(Publish {
                echo: parse::<PublishBody>(text)?.echo,
                message: read_message(&frame, parse(text)?)?,
            }))),
            other => state::read(other, &frame, text, Rows::Within)?
                .ok_or_else(|| DecodeError::UnknownType(other.chars().take(MAX_SHOWN).collect())),
        }
    }
}

fn write_state(packet: &Packet) -> Result<Vec<u8>, EncodeError> {
    let room = state::room(packet) + state::rows_room(packet);
    let mut object = Object::packet(packet.name(), room);
    state::write(&mut object, packet)?;
    state::write_rows(&mut object, packet)?;
    Ok(object.finish())
}

fn write_hello(hello: &Hello) -> Result<Vec<u8>, EncodeError> {
    let mut object = Object::packet("hello", 256);
    object.number("version", hello.version.into(), "hello.version")?;
    object.number("attempt", hello.attempt, "hello.attempt")?;
    object.number("window", hello.window, "hello.window")?;
    object.number("max_frame", hello.max_frame, "hello.max_frame")?;
    if let Some(room) = &hello.room {
        object.string("room", room);
    }
    if let Some(auth) = &hello.auth {
        object.raw("auth", json("hello.auth", auth)?);
    }
    object.pairs("query", &hello.query);
    if let Some(resume) = &hello.resume {
        object.open("resume");
        object.string("session", &resume.session);
        object.string("secret", &URL_SAFE_NO_PAD.encode(resume.secret.0));
        object.number("received", resume.received, "hello.resume.received")?;
        object.close();
    }
    Ok(object.finish())
}

fn read_hello(frame: &Bytes, text: &str) -> Result<Hello, DecodeError> {
    let version = limits::version(parse::<VersionBody>(text)?.version)?;
    let body: HelloBody<'_> = parse(text)?;
    let resume = match body.resume {
        Some(resume) => Some(Resume {
            session: resume.session,
            secret: secret("hello.resume.secret", &resume.secret)?,
            received: number("hello.resume.received", resume.received, 0)?,
        }),
        None => None,
    };
    Ok(Hello {
        version,
        attempt: number("hello.attempt", body.attempt, 1)?,
        window: number("hello.window", body.window, DEFAULT_WINDOW)?,
        max_frame: number("hello.max_frame", body.max_frame, DEFAULT_MAX_FRAME)?,
        room: body.room,
        auth: body.auth.map(|auth| slice(frame, auth)),
        query: pairs("hello.query", body.query)?,
        resume,
    })
}

fn write_ready(ready: &Ready) -> Result<Vec<u8>, EncodeError> {
    let mut object = Object::packet("ready", 256);
    object.number("version", ready.version.into(), "ready.version")?;
    object.string("id", ready.id.as_str());
    object.number("window", ready.window, "ready.window")?;
    object.number("max_frame", ready.max_frame, "ready.max_frame")?;
    object.pairs("properties", &ready.properties);
    if let Some(session) = &ready.session {
        object.open("session");
        object.string("id", &session.id);
        object.string("secret", &URL_SAFE_NO_PAD.encode(session.secret.0));
        object.close();
    }
    object.open("recovery");
    match ready.recovery {
        Recovery::Fresh => object.string("kind", "fresh"),
        Recovery::Recovered { received } => {
            object.string("kind", "recovered");
            object.number("received", received, "ready.recovery.received")?;
        }
    }
    object.close();
    Ok(object.finish())
}

fn read_ready(text: &str) -> Result<Ready, DecodeError> {
    let version = limits::version(parse::<VersionBody>(text)?.version)?;
    let body: ReadyBody = parse(text)?;
    let session = match body.session {
        Some(session) => Some(SessionGrant {
            id: session.id,
            secret: secret("ready.session.secret", &session.secret)?,
        }),
        None => None,
    };
    Ok(Ready {
        version,
        id: limits::connection_id(&body.id)?,
        window: number("ready.window", body.window, DEFAULT_WINDOW)?,
        max_frame: number("ready.max_frame", body.max_frame, DEFAULT_MAX_FRAME)?,
        properties: pairs("ready.properties", body.properties)?,
        session,
        recovery: body.recovery.map_or(Ok(Recovery::Fresh), |recovery| read_recovery(&recovery))?,
    })
}

fn read_recovery(body: &RecoveryBody) -> Result<Recovery, DecodeError> {
    match &*body.kind {
        "fresh" => Ok(Recovery::Fresh),
        "recovered" => Ok(Recovery::Recovered {
            received: required("ready.recovery.received", body.received)?,
        }),
        _ => Err(DecodeError::Invalid {
            field: "ready.recovery.kind",
            expected: "fresh or recovered",
        }),
    }
}

fn write_message(
    kind: &str,
    id: Option<u64>,
    echo: Option<bool>,
    message: &Message,
) -> Result<Vec<u8>, EncodeError> {
    enum Value<'a> {
        Text(&'a str),
        Json(&'a str),
        Binary(&'a [u8]),
    }
    let value = match &message.data {
        Data::Text(bytes) => Value::Text(
            std::str::from_utf8(bytes)
                .map_err(|_| EncodeError::Invalid { field: "message.text", expected: "UTF-8" })?,
        ),
        // Anything else would break the object around it.
        Data::Json(bytes) => Value::Json(json("message.json", bytes)?),
        Data::Binary(bytes) => Value::Binary(bytes),
    };
    let names = [&message.channel, &message.event];
    let capacity = MESSAGE_MEMBERS
        + id.map_or(0, |_| ID_MEMBER)
        + names.into_iter().flatten().map(|name| quoted_len(name)).sum::<usize>()
        + match value {
            Value::Text(text) => quoted_len(text),
            Value::Json(json) => json.len(),
            Value::Binary(bytes) => base64_len(bytes),
        };
    let mut object = Object::packet(kind, capacity);
    if let Some(id) = id {
        object.number("id", id, "id")?;
    }
    if let Some(echo) = echo {
        object.boolean("echo", echo);
    }
    if let Some(channel) = &message.channel {
        object.string("channel", channel);
    }
    if let Some(event) = &message.event {
        object.string("event", event);
    }
    match message.class {
        Class::Volatile => object.string("class", "volatile"),
        Class::AtMostOnce => object.string("class", "at_most_once"),
        Class::AtLeastOnce => {}
    }
    match value {
        Value::Text(text) => object.string("text", text),
        Value::Json(json) => object.raw("json", json),
        Value::Binary(bytes) => object.base64("binary", bytes),
    }
    Ok(object.finish())
}

/// The bytes around a message's values: so much that its buffer never grows.
const MESSAGE_MEMBERS: usize = r#","channel":,"event":,"class":"at_most_once","binary":""}"#.len();

/// The bytes of a request's or a response's id.
const ID_MEMBER: usize = r#","id":9007199254740991"#.len();

fn read_message(frame: &Bytes, body: MessageBody<'_>) -> Result<Message, DecodeError> {
    let class = match body.class.as_ref().map(|class| &*class.0) {
        None | Some("at_least_once") => Class::AtLeastOnce,
        Some("at_most_once") => Class::AtMostOnce,
        Some("volatile") => Class::Volatile,
        Some(_) => {
            let expected = "volatile, at_most_once or at_least_once";
            return Err(DecodeError::Invalid { field: "message.class", expected });
        }
    };
    let data = match (body.text, body.json, body.binary) {
        (Some(text), None, None) => Data::Text(bytes(frame, text)),
        (None, Some(json), None) => Data::Json(slice(frame, json)),
        (None, None, Some(Text(base64))) => match STANDARD.decode(&*base64) {
            Ok(bytes) => Data::Binary(bytes.into()),
            Err(_) => {
                return Err(DecodeError::Invalid {
                    field: "message.binary",
                    expected: "base64 with padding",
                });
            }
        },
        _ => {
            let expected = "an object with just one of text, json and binary";
            return Err(DecodeError::Invalid { field: "message", expected });
        }
    };
    let mut message = Message::new(data).class(class);
    message.channel =
        body.channel.map(|channel| name(frame, channel, "message.channel")).transpose()?;
    message.event = body.event.map(|event| name(frame, event, "message.event")).transpose()?;
    Ok(message)
}

fn write_response(response: &Response) -> Result<Vec<u8>, EncodeError> {
    match &response.result {
        Ok(message) => write_message("response", Some(response.id), None, message),
        Err(error) => {
            let mut object = Object::packet("response", 256);
            object.number("id", response.id, "response.id")?;
            object.open("error");
            write_error(&mut object, error)?;
            object.close();
            Ok(object.finish())
        }
    }
}

fn read_response(frame: &Bytes, text: &str) -> Result<Packet, DecodeError> {
    let ResponseBody { id, error } = parse(text)?;
    let result = match error {
        Some(error) => Err(read_error(frame, error)),
        None => Ok(read_message(frame, parse(text)?)?),
    };
    Ok(Packet::Response(Box::new(Response { id: required("response.id", Some(id))?, result })))
}

fn write_count(kind: &str, count: u64, field: &'static str) -> Result<Vec<u8>, EncodeError> {
    let mut object = Object::packet(kind, 64);
    object.number("count", count, field)?;
    Ok(object.finish())
}

fn count(field: &'static str, text: &str) -> Result<u64, DecodeError> {
    limits::count(field, required(field, Some(parse::<CountBody>(text)?.count))?)
}

fn write_ack(ack: &Ack) -> Result<Vec<u8>, EncodeError> {
    let mut object = Object::packet("ack", 64);
    object.number("numbered", ack.numbered, "ack.numbered")?;
    object.number("unnumbered", ack.unnumbered, "ack.unnumbered")?;
    Ok(object.finish())
}

fn read_ack(body: &AckBody) -> Result<Packet, DecodeError> {
    Ok(Packet::Ack(Ack {
        numbered: number("ack.numbered", body.numbered, 0)?,
        unnumbered: number("ack.unnumbered", body.unnumbered, 0)?,
    }))
}

fn write_ping(kind: &str, n: u64, field: &'static str) -> Result<Vec<u8>, EncodeError> {
    let mut object = Object::packet(kind, 32);
    object.number("n", n, field)?;
    Ok(object.finish())
}

pub(super) fn write_error(object: &mut Object, error: &ErrorPacket) -> Result<(), EncodeError> {
    object.string("code", &error.code);
    object.string("message", &error.message);
    if let Some(details) = &error.details {
        object.raw("details", json("error.details", details)?);
    }
    Ok(())
}

pub(super) fn read_error(frame: &Bytes, body: ErrorBody<'_>) -> ErrorPacket {
    ErrorPacket {
        code: body.code,
        message: body.message.unwrap_or_default(),
        details: body.details.map(|details| slice(frame, details)),
    }
}

fn write_close(close: &Close) -> Result<Vec<u8>, EncodeError> {
    let mut object = Object::packet("close", 256);
    object.number("code", close.code.into(), "close.code")?;
    object.string("reason", &close.reason);
    if let Some(retry_after) = close.retry_after {
        object.number("retry_after", limits::to_millis(retry_after), "close.retry_after")?;
    }
    if let Some(spread) = close.spread {
        object.number("spread", limits::to_millis(spread), "close.spread")?;
    }
    Ok(object.finish())
}

fn read_close(body: CloseBody) -> Result<Packet, DecodeError> {
    let reason = body.reason.unwrap_or_default();
    limits::reason(reason.len())?;
    let millis =
        |field, value: Option<u64>| value.map(|value| required(field, Some(value))).transpose();
    Ok(Packet::Close(Close {
        code: limits::close_code(body.code)?,
        reason,
        retry_after: millis("close.retry_after", body.retry_after)?.map(limits::from_millis),
        spread: millis("close.spread", body.spread)?.map(limits::from_millis),
    }))
}

/// The JSON that the application gave, checked.
pub(super) fn json<'a>(field: &'static str, bytes: &'a [u8]) -> Result<&'a str, EncodeError> {
    limits::json(bytes).ok_or(EncodeError::Invalid { field, expected: "JSON" })
}

pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|error| DecodeError::Json(describe(&error)))
}

/// The error without the value it is about: payloads and secrets stay out of logs.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match (error.classify(), text.starts_with("invalid "), text.rfind(", expected ")) {
        (Category::Data, true, Some(at)) => text[at + 2..].to_owned(),
        _ => text,
    }
}

fn number(field: &'static str, value: Option<u64>, default: u64) -> Result<u64, DecodeError> {
    required(field, Some(value.unwrap_or(default)))
}

/// A number that may be absent.
pub(super) fn optional(
    field: &'static str,
    value: Option<u64>,
) -> Result<Option<u64>, DecodeError> {
    value.map(|value| required(field, Some(value))).transpose()
}

pub(super) fn required(field: &'static str, value: Option<u64>) -> Result<u64, DecodeError> {
    value
        .filter(|&value| value <= limits::MAX_NUMBER)
        .ok_or(DecodeError::Invalid { field, expected: A_NUMBER })
}

pub(super) fn pairs(field: &'static str, body: Option<PairsBody>) -> Result<Pairs, DecodeError> {
    let body = body.unwrap_or_default();
    limits::pairs(field, body.count)?;
    Ok(body.pairs)
}

fn secret(field: &'static str, text: &str) -> Result<Secret, DecodeError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(Secret)
        .ok_or(DecodeError::Invalid { field, expected: "16 bytes in base64url without padding" })
}

fn name(frame: &Bytes, text: Text<'_>, field: &'static str) -> Result<ByteString, DecodeError> {
    limits::name(field, text.0.len())?;
    ByteString::try_from(bytes(frame, text))
        .map_err(|_| DecodeError::Invalid { field, expected: "UTF-8" })
}

fn bytes(frame: &Bytes, text: Text<'_>) -> Bytes {
    match text.0 {
        Cow::Borrowed(text) => frame.slice_ref(text.as_bytes()),
        Cow::Owned(text) => text.into(),
    }
}

pub(super) fn slice(frame: &Bytes, json: &RawValue) -> Bytes {
    frame.slice_ref(json.get().as_bytes())
}
