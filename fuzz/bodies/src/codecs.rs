//! The decoders of the codecs with a session.

use bytes::Bytes;
use moorline_core::wire::{
    Answer, AnswerBody, Binary, Codec, ErrorPacket, Hello, Json, Packet, Ready,
};
use moorline_core::{Data, Frame, Member, Message};

/// Decodes as binary. What is a packet is encoded and decoded again, in JSON too where that can say it.
pub fn binary_decoder(data: &[u8]) {
    let frame = Frame::binary(Bytes::copy_from_slice(data));
    assert!(Json.decode(frame.clone()).is_err(), "JSON is text");
    let Ok(packet) = Binary.decode(frame.clone()) else { return };
    assert!(content(&packet) <= data.len(), "more came out than went in");
    let encoded = Binary.encode(packet.clone()).expect("a packet that was decoded");
    // Those whose members are JSON have as many forms as JSON has.
    if !is_state(&packet) {
        assert!(encoded.len() <= data.len(), "there is one shortest form");
    }
    if is_the_only_form(&packet) {
        assert_eq!(encoded.payload(), frame.payload(), "there is one form");
    }
    assert_eq!(Binary.decode(encoded).as_ref(), Ok(&packet));

    // JSON has smaller numbers, checks texts, and loses white space.
    if let Ok(json) = Json.encode(packet.clone()) {
        assert_eq!(Json.decode(json).map(trimmed), Ok(trimmed(packet)));
    }
}

/// Decodes as JSON. What is a packet is encoded and decoded again, in binary too.
pub fn json_decoder(data: &[u8]) {
    let frame = Frame::Text(Bytes::copy_from_slice(data));
    assert!(Binary.decode(frame.clone()).is_err(), "binary is not text");
    let Ok(packet) = Json.decode(frame.clone()) else { return };
    assert!(content(&packet) <= data.len(), "more came out than went in");
    assert!(Json.claims(&frame) || data[0].is_ascii_whitespace(), "it is an object");
    let encoded = Json.encode(packet.clone()).expect("a packet that was decoded");
    assert!(encoded.as_text().is_some(), "it is text");
    assert!(Json.claims(&encoded), "it is an object");
    assert_eq!(Json.decode(encoded).as_ref(), Ok(&packet));
    let binary = Binary.encode(packet.clone()).expect("binary says all that JSON does");
    assert_eq!(Binary.decode(binary), Ok(packet));
}

/// The bytes that a packet holds.
fn content(packet: &Packet) -> usize {
    let pairs = |pairs: &[(String, String)]| -> usize {
        pairs.iter().map(|(name, value)| name.len() + value.len()).sum()
    };
    match packet {
        Packet::Hello(hello) => {
            let Hello { room, auth, query, resume, .. } = &**hello;
            room.as_ref().map_or(0, String::len)
                + auth.as_ref().map_or(0, Bytes::len)
                + pairs(query)
                + resume.as_ref().map_or(0, |resume| resume.session.len() + 16)
        }
        Packet::Ready(ready) => {
            let Ready { id, properties, session, .. } = &**ready;
            id.as_str().len()
                + pairs(properties)
                + session.as_ref().map_or(0, |session| session.id.len() + 16)
        }
        Packet::Message(message) => of_message(message),
        Packet::Request(request) => of_message(&request.message),
        Packet::Response(response) => match &response.result {
            Ok(message) => of_message(message),
            Err(error) => of_error(error),
        },
        Packet::Error(error) => of_error(error),
        Packet::Close(close) => close.reason.len(),
        Packet::Join(join) => join.channel.len(),
        Packet::Leave(leave) => leave.channel.len() + leave.error.as_ref().map_or(0, of_error),
        Packet::Members(members) => {
            let member = |one: &Member| one.id.len() + one.data.as_ref().map_or(0, Bytes::len);
            members.channel.len() + members.members.iter().map(member).sum::<usize>()
        }
        Packet::Profile(profile) => profile.data.as_ref().map_or(0, Bytes::len),
        Packet::Properties(properties) => pairs(properties),
        Packet::Throttle(features) => features.iter().map(String::len).sum(),
        Packet::Query(query) => {
            let all = query.ask.iter().map(|ask| &ask.asked).chain(&query.end);
            all.map(|asked| asked.query.len()).sum()
        }
        Packet::Answer(answer) => of_answer(answer),
        Packet::Publish(publish) => of_message(&publish.message),
        _ => 0,
    }
}

fn of_answer(answer: &Answer) -> usize {
    let body = match &answer.body {
        AnswerBody::Rows { rows, .. } => rows.len(),
        AnswerBody::Failed(error) => of_error(error),
        _ => 0,
    };
    body + answer.asked.as_ref().map_or(0, |asked| asked.query.len())
}

/// Whether its members are JSON in binary too.
const fn is_state(packet: &Packet) -> bool {
    matches!(
        packet,
        Packet::Join(_)
            | Packet::Leave(_)
            | Packet::Members(_)
            | Packet::Profile(_)
            | Packet::Properties(_)
            | Packet::Throttle(_)
            | Packet::Query(_)
            | Packet::Answer(_)
    )
}

fn of_message(message: &Message) -> usize {
    let name = |name: Option<&str>| name.map_or(0, str::len);
    message.bytes().len() + name(message.channel.as_deref()) + name(message.event.as_deref())
}

fn of_error(error: &ErrorPacket) -> usize {
    error.code.len() + error.message.len() + error.details.as_ref().map_or(0, Bytes::len)
}

/// Whether binary has but one way to write it: hello and ready may have extensions, and times are capped.
const fn is_the_only_form(packet: &Packet) -> bool {
    matches!(
        packet,
        Packet::Message(_)
            | Packet::Request(_)
            | Packet::Response(_)
            | Packet::Ack(_)
            | Packet::Skip(_)
            | Packet::Gap(_)
            | Packet::Lagged(_)
            | Packet::Ping(_)
            | Packet::Pong(_)
            | Packet::Error(_)
            | Packet::Publish(_)
    )
}

/// The packet without the white space around its JSON.
fn trimmed(mut packet: Packet) -> Packet {
    let trim = |json: &mut Bytes| {
        let value = json.trim_ascii();
        *json = json.slice_ref(value);
    };
    match &mut packet {
        Packet::Hello(hello) => hello.auth.iter_mut().for_each(trim),
        Packet::Error(error) => error.details.iter_mut().for_each(trim),
        Packet::Message(message) => trim_message(message, trim),
        Packet::Request(request) => trim_message(&mut request.message, trim),
        Packet::Publish(publish) => trim_message(&mut publish.message, trim),
        Packet::Answer(answer) => {
            if let AnswerBody::Rows { rows, packed: false, .. } = &mut answer.body {
                trim(rows);
            }
        }
        Packet::Response(response) => match &mut response.result {
            Ok(message) => trim_message(message, trim),
            Err(error) => error.details.iter_mut().for_each(trim),
        },
        _ => {}
    }
    packet
}

fn trim_message(message: &mut Message, trim: impl Fn(&mut Bytes)) {
    if let Data::Json(json) = &mut message.data {
        trim(json);
    }
}
