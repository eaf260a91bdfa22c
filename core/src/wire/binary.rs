//! The codec `binary`.

use super::fields::{Put, Reader};
use super::members::Object;
use super::state::Rows;
use super::{
    Ack, Close, Codec, DecodeError, EncodeError, ErrorPacket, Hello, Packet, Publish, Ready,
    Recovery, Request, Response, Resume, SessionGrant, VERSION, limits, state,
};
use crate::{Class, Data, Frame, Message};

/// The codec `binary`: compact, the default between two moorlines.
///
/// A plain message costs two bytes beside its payload. Encoding allocates one buffer of just the right size; decoding
/// a message allocates nothing, since payload and names are slices of the frame.
///
/// A message's text and JSON are not checked, neither way: most of them are only passed on, and whoever reads them
/// checks anyway ([`Message::text`], [`Message::json`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Binary;

/// The first bytes. 2 to 15 are the hellos of later versions.
mod kind {
    pub(super) const HELLO: u8 = super::VERSION;
    pub(super) const LAST_HELLO: u8 = 15;
    pub(super) const READY: u8 = 16;
    pub(super) const MESSAGE: u8 = 17;
    pub(super) const ACK: u8 = 18;
    pub(super) const SKIP: u8 = 19;
    pub(super) const GAP: u8 = 20;
    pub(super) const LAGGED: u8 = 21;
    pub(super) const PING: u8 = 22;
    pub(super) const PONG: u8 = 23;
    pub(super) const REQUEST: u8 = 24;
    pub(super) const RESPONSE: u8 = 25;
    pub(super) const ERROR: u8 = 26;
    pub(super) const CLOSE: u8 = 27;
    pub(super) const JOIN: u8 = 28;
    pub(super) const LEAVE: u8 = 29;
    pub(super) const MEMBERS: u8 = 30;
    pub(super) const PROFILE: u8 = 31;
    pub(super) const PROPERTIES: u8 = 32;
    pub(super) const THROTTLE: u8 = 33;
    pub(super) const QUERY: u8 = 34;
    pub(super) const RESULT: u8 = 35;
    pub(super) const PUBLISH: u8 = 36;

    /// Those whose members are one JSON object.
    pub(super) const STATE: [(u8, &str); 8] = [
        (JOIN, "join"),
        (LEAVE, "leave"),
        (MEMBERS, "members"),
        (PROFILE, "profile"),
        (PROPERTIES, "properties"),
        (THROTTLE, "throttle"),
        (QUERY, "query"),
        (RESULT, "result"),
    ];
}

/// The flags, by packet.
mod flag {
    pub(super) const HELLO_ROOM: u8 = 1;
    pub(super) const HELLO_AUTH: u8 = 2;
    pub(super) const HELLO_RESUME: u8 = 4;
    pub(super) const READY_SESSION: u8 = 1;
    pub(super) const MESSAGE_CHANNEL: u8 = 16;
    pub(super) const MESSAGE_EVENT: u8 = 32;
    pub(super) const ERROR_DETAILS: u8 = 1;
    pub(super) const CLOSE_RETRY_AFTER: u8 = 1;
    pub(super) const CLOSE_SPREAD: u8 = 2;
    pub(super) const PUBLISH_ECHO: u8 = 1;
    pub(super) const PUBLISH_SILENT: u8 = 2;
}

impl Codec for Binary {
    fn name(&self) -> &'static str {
        "binary"
    }

    fn protocol(&self) -> Option<&'static str> {
        Some("moorline.v1.bin")
    }

    fn claims(&self, first: &Frame) -> bool {
        match first {
            Frame::Binary(bytes) => {
                bytes.first().is_some_and(|byte| (kind::HELLO..=kind::LAST_HELLO).contains(byte))
            }
            Frame::Text(_) => false,
        }
    }

    fn has_session(&self) -> bool {
        true
    }

    fn encode(&self, packet: Packet) -> Result<Frame, EncodeError> {
        limits::check(&packet)?;
        if let Some(kind) = state_kind(&packet) {
            return encode_state(kind, &packet);
        }
        let mut len = 0;
        put_packet(&mut len, &packet);
        let mut frame = Vec::with_capacity(len);
        put_packet(&mut frame, &packet);
        Ok(Frame::binary(frame))
    }

    fn decode(&self, frame: Frame) -> Result<Packet, DecodeError> {
        let Frame::Binary(bytes) = frame else {
            return Err(DecodeError::WrongKind { codec: "binary", got: "text" });
        };
        let mut reader = Reader::new(bytes);
        let packet = match reader.byte("type")? {
            kind::MESSAGE => return read_message(reader).map(Packet::Message),
            kind::REQUEST => {
                let id = reader.varint("request.id")?;
                let message = read_message(reader)?;
                return Ok(Packet::Request(Request { id, message }));
            }
            kind::RESPONSE => return read_response(reader),
            kind::HELLO => Packet::Hello(Box::new(read_hello(&mut reader)?)),
            version @ 2..=kind::LAST_HELLO => {
                return Err(DecodeError::UnsupportedVersion(version.into()));
            }
            kind::READY => Packet::Ready(Box::new(read_ready(&mut reader)?)),
            kind::ACK => Packet::Ack(Ack {
                numbered: reader.varint("ack.numbered")?,
                unnumbered: reader.varint("ack.unnumbered")?,
            }),
            kind::SKIP => Packet::Skip(limits::count("skip.count", reader.varint("skip.count")?)?),
            kind::GAP => Packet::Gap(limits::count("gap.count", reader.varint("gap.count")?)?),
            kind::LAGGED => {
                Packet::Lagged(limits::count("lagged.count", reader.varint("lagged.count")?)?)
            }
            kind::PING => Packet::Ping(reader.varint("ping.n")?),
            kind::PONG => Packet::Pong(reader.varint("pong.n")?),
            kind::ERROR => Packet::Error(read_error(&mut reader)?),
            kind::CLOSE => Packet::Close(read_close(&mut reader)?),
            kind::PUBLISH => {
                let flags =
                    reader.flags("publish.flags", flag::PUBLISH_ECHO | flag::PUBLISH_SILENT)?;
                let echo = match flags {
                    0 => None,
                    flag::PUBLISH_ECHO => Some(true),
                    flag::PUBLISH_SILENT => Some(false),
                    _ => {
                        let expected = "one of its two bits";
                        return Err(DecodeError::Invalid { field: "publish.flags", expected });
                    }
                };
                let message = read_message(reader)?;
                return Ok(Packet::Publish(Box::new(Publish { message, echo })));
            }
            other => return decode_state(other, reader),
        };
        reader.end()?;
        Ok(packet)
    }
}

fn put_packet(out: &mut impl Put, packet: &Packet) {
    match packet {
        Packet::Hello(hello) => put_hello(out, hello),
        Packet::Ready(ready) => put_ready(out, ready),
        Packet::Message(message) => {
            out.byte(kind::MESSAGE);
            put_message(out, message);
        }
        Packet::Request(request) => {
            out.byte(kind::REQUEST);
            out.varint(request.id);
            put_message(out, &request.message);
        }
        Packet::Response(response) => put_response(out, response),
        Packet::Skip(count) => put_number(out, kind::SKIP, *count),
        Packet::Gap(count) => put_number(out, kind::GAP, *count),
        Packet::Lagged(count) => put_number(out, kind::LAGGED, *count),
        Packet::Ack(ack) => {
            out.byte(kind::ACK);
            out.varint(ack.numbered);
            out.varint(ack.unnumbered);
        }
        Packet::Ping(n) => put_number(out, kind::PING, *n),
        Packet::Pong(n) => put_number(out, kind::PONG, *n),
        Packet::Error(error) => {
            out.byte(kind::ERROR);
            put_error(out, error);
        }
        Packet::Close(close) => put_close(out, close),
        Packet::Publish(publish) => {
            out.byte(kind::PUBLISH);
            out.byte(match publish.echo {
                None => 0,
                Some(true) => flag::PUBLISH_ECHO,
                Some(false) => flag::PUBLISH_SILENT,
            });
            put_message(out, &publish.message);
        }
        // They are written by `encode_state`.
        Packet::Join(_)
        | Packet::Leave(_)
        | Packet::Members(_)
        | Packet::Profile(_)
        | Packet::Properties(_)
        | Packet::Throttle(_)
        | Packet::Query(_)
        | Packet::Answer(_) => {}
    }
}

/// The type of a packet whose members are one JSON object; `None` of any other.
const fn state_kind(packet: &Packet) -> Option<u8> {
    Some(match packet {
        Packet::Join(_) => kind::JOIN,
        Packet::Leave(_) => kind::LEAVE,
        Packet::Members(_) => kind::MEMBERS,
        Packet::Profile(_) => kind::PROFILE,
        Packet::Properties(_) => kind::PROPERTIES,
        Packet::Throttle(_) => kind::THROTTLE,
        Packet::Query(_) => kind::QUERY,
        Packet::Answer(_) => kind::RESULT,
        _ => return None,
    })
}

/// Members as JSON, and behind them what an answer has of rows.
fn encode_state(kind: u8, packet: &Packet) -> Result<Frame, EncodeError> {
    let mut head = Object::plain(state::room(packet));
    state::write(&mut head, packet)?;
    let head = head.finish();
    let rows: &[u8] = match packet {
        Packet::Answer(answer) => answer.rows().map_or(&[], |rows| rows),
        _ => &[],
    };
    let mut len = 0;
    put_state(&mut len, kind, &head, rows);
    let mut frame = Vec::with_capacity(len);
    put_state(&mut frame, kind, &head, rows);
    Ok(Frame::binary(frame))
}

fn put_state(out: &mut impl Put, kind: u8, head: &[u8], rows: &[u8]) {
    out.byte(kind);
    out.bytes(head);
    out.put(rows);
}

fn decode_state(kind: u8, mut reader: Reader) -> Result<Packet, DecodeError> {
    let unknown = || DecodeError::UnknownType(kind.to_string());
    let (_, name) = kind::STATE.iter().find(|(own, _)| *own == kind).ok_or_else(unknown)?;
    let head = reader.bytes("members")?;
    let text = std::str::from_utf8(&head)
        .map_err(|_| DecodeError::Invalid { field: "members", expected: "UTF-8" })?;
    // Else an array would do for an object.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(DecodeError::Invalid { field: "members", expected: "an object" });
    }
    if *name != "result" {
        reader.end()?;
    }
    state::read(name, &head, text, Rows::Behind(reader.rest()))?.ok_or_else(unknown)
}

fn put_number(out: &mut impl Put, kind: u8, number: u64) {
    out.byte(kind);
    out.varint(number);
}

fn put_response(out: &mut impl Put, response: &Response) {
    out.byte(kind::RESPONSE);
    out.varint(response.id);
    match &response.result {
        Ok(message) => {
            out.byte(0);
            put_message(out, message);
        }
        Err(error) => {
            out.byte(1);
            put_error(out, error);
        }
    }
}

fn read_response(mut reader: Reader) -> Result<Packet, DecodeError> {
    let id = reader.varint("response.id")?;
    let result = match reader.byte("response.result")? {
        0 => Ok(read_message(reader)?),
        1 => {
            let error = read_error(&mut reader)?;
            reader.end()?;
            Err(error)
        }
        _ => return Err(DecodeError::Invalid { field: "response.result", expected: "0 or 1" }),
    };
    Ok(Packet::Response(Box::new(Response { id, result })))
}

fn put_hello(out: &mut impl Put, hello: &Hello) {
    out.byte(kind::HELLO);
    out.varint(hello.attempt);
    out.varint(hello.window);
    out.varint(hello.max_frame);
    out.byte(
        flag_if(hello.room.is_some(), flag::HELLO_ROOM)
            | flag_if(hello.auth.is_some(), flag::HELLO_AUTH)
            | flag_if(hello.resume.is_some(), flag::HELLO_RESUME),
    );
    if let Some(room) = &hello.room {
        out.bytes(room.as_bytes());
    }
    if let Some(auth) = &hello.auth {
        out.bytes(auth);
    }
    out.pairs(&hello.query);
    if let Some(resume) = &hello.resume {
        out.bytes(resume.session.as_bytes());
        out.put(&resume.secret.0);
        out.varint(resume.received);
    }
}

fn read_hello(reader: &mut Reader) -> Result<Hello, DecodeError> {
    let attempt = reader.varint("hello.attempt")?;
    let window = reader.varint("hello.window")?;
    let max_frame = reader.varint("hello.max_frame")?;
    let flags =
        reader.flags("hello.flags", flag::HELLO_ROOM | flag::HELLO_AUTH | flag::HELLO_RESUME)?;
    let room = optional(flags & flag::HELLO_ROOM, || reader.string("hello.room"))?;
    let auth = optional(flags & flag::HELLO_AUTH, || reader.json("hello.auth"))?;
    let query = reader.pairs("hello.query")?;
    let resume = optional(flags & flag::HELLO_RESUME, || {
        Ok(Resume {
            session: reader.string("hello.resume.session")?,
            secret: reader.secret("hello.resume.secret")?,
            received: reader.varint("hello.resume.received")?,
        })
    })?;
    reader.extensions("hello.extensions")?;
    Ok(Hello { version: VERSION, attempt, window, max_frame, room, auth, query, resume })
}

fn put_ready(out: &mut impl Put, ready: &Ready) {
    out.byte(kind::READY);
    out.varint(ready.version.into());
    out.bytes(ready.id.as_str().as_bytes());
    out.varint(ready.window);
    out.varint(ready.max_frame);
    out.byte(flag_if(ready.session.is_some(), flag::READY_SESSION));
    out.pairs(&ready.properties);
    if let Some(session) = &ready.session {
        out.bytes(session.id.as_bytes());
        out.put(&session.secret.0);
    }
    match ready.recovery {
        Recovery::Fresh => out.byte(0),
        Recovery::Recovered { received } => {
            out.byte(1);
            out.varint(received);
        }
    }
}

fn read_ready(reader: &mut Reader) -> Result<Ready, DecodeError> {
    let version = limits::version(reader.varint("ready.version")?)?;
    let id = limits::connection_id(&reader.text("ready.id")?)?;
    let window = reader.varint("ready.window")?;
    let max_frame = reader.varint("ready.max_frame")?;
    let flags = reader.flags("ready.flags", flag::READY_SESSION)?;
    let properties = reader.pairs("ready.properties")?;
    let session = optional(flags & flag::READY_SESSION, || {
        Ok(SessionGrant {
            id: reader.string("ready.session.id")?,
            secret: reader.secret("ready.session.secret")?,
        })
    })?;
    let recovery = match reader.byte("ready.recovery")? {
        0 => Recovery::Fresh,
        1 => Recovery::Recovered { received: reader.varint("ready.recovery.received")? },
        _ => return Err(DecodeError::Invalid { field: "ready.recovery", expected: "0 or 1" }),
    };
    reader.extensions("ready.extensions")?;
    Ok(Ready { version, id, window, max_frame, properties, session, recovery })
}

fn put_message(out: &mut impl Put, message: &Message) {
    let class = match message.class {
        Class::Volatile => 0,
        Class::AtMostOnce => 1,
        Class::AtLeastOnce => 2,
    };
    let data = match message.data {
        Data::Text(_) => 0,
        Data::Json(_) => 1,
        Data::Binary(_) => 2,
    };
    out.byte(
        class
            | data << 2
            | flag_if(message.channel.is_some(), flag::MESSAGE_CHANNEL)
            | flag_if(message.event.is_some(), flag::MESSAGE_EVENT),
    );
    if let Some(channel) = &message.channel {
        out.bytes(channel.as_bytes());
    }
    if let Some(event) = &message.event {
        out.bytes(event.as_bytes());
    }
    out.put(message.bytes());
}

fn read_message(mut reader: Reader) -> Result<Message, DecodeError> {
    let flags =
        reader.flags("message.flags", 0b1111 | flag::MESSAGE_CHANNEL | flag::MESSAGE_EVENT)?;
    let class = match flags & 0b11 {
        0 => Class::Volatile,
        1 => Class::AtMostOnce,
        2 => Class::AtLeastOnce,
        _ => return Err(DecodeError::Invalid { field: "message.class", expected: "0, 1 or 2" }),
    };
    let data = match flags >> 2 & 0b11 {
        0 => Data::Text,
        1 => Data::Json,
        2 => Data::Binary,
        _ => return Err(DecodeError::Invalid { field: "message.data", expected: "0, 1 or 2" }),
    };
    let channel = optional(flags & flag::MESSAGE_CHANNEL, || reader.text("message.channel"))?;
    let event = optional(flags & flag::MESSAGE_EVENT, || reader.text("message.event"))?;
    limits::name("message.channel", channel.as_ref().map_or(0, |channel| channel.len()))?;
    limits::name("message.event", event.as_ref().map_or(0, |event| event.len()))?;
    let mut message = Message::new(data(reader.rest())).class(class);
    message.channel = channel;
    message.event = event;
    Ok(message)
}

fn put_error(out: &mut impl Put, error: &ErrorPacket) {
    out.byte(flag_if(error.details.is_some(), flag::ERROR_DETAILS));
    out.bytes(error.code.as_bytes());
    out.bytes(error.message.as_bytes());
    if let Some(details) = &error.details {
        out.bytes(details);
    }
}

fn read_error(reader: &mut Reader) -> Result<ErrorPacket, DecodeError> {
    let flags = reader.flags("error.flags", flag::ERROR_DETAILS)?;
    Ok(ErrorPacket {
        code: reader.string("error.code")?,
        message: reader.string("error.message")?,
        details: optional(flags & flag::ERROR_DETAILS, || reader.json("error.details"))?,
    })
}

fn put_close(out: &mut impl Put, close: &Close) {
    out.byte(kind::CLOSE);
    out.varint(close.code.into());
    out.byte(
        flag_if(close.retry_after.is_some(), flag::CLOSE_RETRY_AFTER)
            | flag_if(close.spread.is_some(), flag::CLOSE_SPREAD),
    );
    out.bytes(close.reason.as_bytes());
    for delay in [close.retry_after, close.spread].into_iter().flatten() {
        out.varint(limits::to_millis(delay));
    }
}

fn read_close(reader: &mut Reader) -> Result<Close, DecodeError> {
    let code = limits::close_code(reader.varint("close.code")?)?;
    let flags = reader.flags("close.flags", flag::CLOSE_RETRY_AFTER | flag::CLOSE_SPREAD)?;
    let reason = reader.text("close.reason")?;
    limits::reason(reason.len())?;
    let retry_after =
        optional(flags & flag::CLOSE_RETRY_AFTER, || reader.varint("close.retry_after"))?;
    let spread = optional(flags & flag::CLOSE_SPREAD, || reader.varint("close.spread"))?;
    Ok(Close {
        code,
        reason: reason.to_string(),
        retry_after: retry_after.map(limits::from_millis),
        spread: spread.map(limits::from_millis),
    })
}

const fn flag_if(present: bool, flag: u8) -> u8 {
    if present { flag } else { 0 }
}

fn optional<T>(
    flag: u8,
    read: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if flag == 0 { Ok(None) } else { read().map(Some) }
}
