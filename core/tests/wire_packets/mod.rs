//! Packets to try the codecs with.

use std::time::Duration;

use bytes::Bytes;
use moorline_core::wire::{
    Ack, Answer, AnswerBody, Ask, Asked, Close, ErrorPacket, Hello, Join, Leave, Members,
    MembersKind, Packet, Profile, Publish, Query, Ready, Recovery, Request, Response, Resume,
    Secret, SessionGrant,
};
use moorline_core::{Class, ConnectionId, Data, Member, Message};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// The largest number that JSON carries.
pub(crate) const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Any packet whose numbers are at most `max`.
pub(crate) fn packets(max: u64) -> impl Strategy<Value = Packet> {
    prop_oneof![
        hellos(max).prop_map(|hello| Packet::Hello(Box::new(hello))),
        readys(max).prop_map(|ready| Packet::Ready(Box::new(ready))),
        messages().prop_map(Packet::Message),
        (0..=max, 0..=max)
            .prop_map(|(numbered, unnumbered)| Packet::Ack(Ack { numbered, unnumbered })),
        (0..=max, messages()).prop_map(|(id, message)| Packet::Request(Request { id, message })),
        (0..=max, messages()).prop_map(|(id, message)| {
            Packet::Response(Box::new(Response { id, result: Ok(message) }))
        }),
        (0..=max, errors()).prop_map(|(id, error)| {
            Packet::Response(Box::new(Response { id, result: Err(error) }))
        }),
        (1..=max).prop_map(Packet::Skip),
        (1..=max).prop_map(Packet::Gap),
        (1..=max).prop_map(Packet::Lagged),
        (0..=max).prop_map(Packet::Ping),
        (0..=max).prop_map(Packet::Pong),
        errors().prop_map(Packet::Error),
        (any::<u16>(), text(30), option::of(millis()), option::of(millis()))
            .prop_map(|(code, reason, retry_after, spread)| Close {
                code,
                reason,
                retry_after,
                spread
            })
            .prop_map(Packet::Close),
        (messages(), option::of(any::<bool>()))
            .prop_map(|(message, echo)| { Packet::Publish(Box::new(Publish { message, echo })) }),
        state(),
    ]
}

/// Any packet of what stands beside the messages. Its numbers are those of JSON in both codecs.
pub(crate) fn state() -> impl Strategy<Value = Packet> {
    let echo = || option::of(any::<bool>());
    prop_oneof![
        (name(), any::<bool>(), any::<bool>()).prop_map(|(channel, echo, presence)| {
            Packet::Join(Join { channel: channel.into(), echo, presence })
        }),
        (name(), echo(), option::of(errors())).prop_map(|(channel, echo, error)| {
            Packet::Leave(Box::new(Leave { channel: channel.into(), echo, error }))
        }),
        members().prop_map(|members| Packet::Members(Box::new(members))),
        (option::of(json()), echo())
            .prop_map(|(data, echo)| Packet::Profile(Profile { data, echo })),
        pairs().prop_map(Packet::Properties),
        vec(name(), 0..6).prop_map(Packet::Throttle),
        (vec(asks(), 0..4), vec(asked(), 0..4))
            .prop_map(|(ask, end)| Packet::Query(Box::new(Query { ask, end }))),
        answers().prop_map(|answer| Packet::Answer(Box::new(answer))),
    ]
}

fn members() -> impl Strategy<Value = Members> {
    let kind = prop_oneof![
        Just(MembersKind::Ask),
        Just(MembersKind::All),
        Just(MembersKind::Joined),
        Just(MembersKind::Left),
        Just(MembersKind::Updated),
        Just(MembersKind::Hidden),
    ];
    let member = (name(), option::of(json())).prop_map(|(id, data)| Member::new(id, data));
    (name(), option::of(0..=MAX_NUMBER), kind, any::<bool>(), vec(member, 0..4)).prop_map(
        |(channel, id, kind, more, members)| Members {
            channel: channel.into(),
            id,
            kind,
            more,
            members,
        },
    )
}

fn asked() -> impl Strategy<Value = Asked> {
    (text(60), any::<bool>()).prop_map(|(query, compress)| Asked { query, compress })
}

fn asks() -> impl Strategy<Value = Ask> {
    (asked(), any::<bool>(), any::<bool>()).prop_map(|(asked, retrieve, subscribe)| Ask {
        asked,
        retrieve,
        subscribe,
    })
}

fn answers() -> impl Strategy<Value = Answer> {
    let rows = prop_oneof![
        json().prop_map(|rows| (rows, false)),
        vec(any::<u8>(), 1..60).prop_map(|rows| (rows.into(), true)),
    ];
    let rows =
        (any::<bool>(), 0..=MAX_NUMBER, rows).prop_map(|(retrieve, count, (rows, packed))| {
            AnswerBody::Rows { retrieve, count, rows, packed }
        });
    let body = prop_oneof![rows, errors().prop_map(AnswerBody::Failed)];
    let named = (0..=MAX_NUMBER, asked()).prop_map(|(id, asked)| Answer {
        id: Some(id),
        asked: Some(asked),
        body: AnswerBody::Named,
    });
    let told = (option::of(0..=MAX_NUMBER), asked(), any::<bool>(), body).prop_map(
        |(id, asked, tells, body)| Answer {
            asked: (tells || id.is_none()).then_some(asked),
            id,
            body,
        },
    );
    prop_oneof![1 => named, 3 => told]
}

/// A name that is not empty.
fn name() -> impl Strategy<Value = String> {
    (any::<char>(), text(30)).prop_map(|(first, rest)| format!("{first}{rest}"))
}

fn errors() -> impl Strategy<Value = ErrorPacket> {
    (text(30), text(30), option::of(json())).prop_map(|(code, message, details)| ErrorPacket {
        code,
        message,
        details,
    })
}

fn messages() -> impl Strategy<Value = Message> {
    let class =
        prop_oneof![Just(Class::Volatile), Just(Class::AtMostOnce), Just(Class::AtLeastOnce)];
    let data = prop_oneof![
        text(60).prop_map(|text| Data::Text(text.into())),
        json().prop_map(Data::Json),
        vec(any::<u8>(), 0..60).prop_map(|bytes| Data::Binary(bytes.into())),
    ];
    (class, option::of(text(30)), option::of(text(30)), data).prop_map(
        |(class, channel, event, data)| {
            let mut message = Message::new(data).class(class);
            message.channel = channel.map(Into::into);
            message.event = event.map(Into::into);
            message
        },
    )
}

fn hellos(max: u64) -> impl Strategy<Value = Hello> {
    let numbers = (0..=max, 0..=max, 0..=max);
    let resume = (text(30), any::<[u8; 16]>(), 0..=max).prop_map(|(session, secret, received)| {
        Resume { session, secret: Secret(secret), received }
    });
    (numbers, option::of(text(30)), option::of(json()), pairs(), option::of(resume)).prop_map(
        |((attempt, window, max_frame), room, auth, query, resume)| Hello {
            version: 1,
            attempt,
            window,
            max_frame,
            room,
            auth,
            query,
            resume,
        },
    )
}

fn readys(max: u64) -> impl Strategy<Value = Ready> {
    let session = (text(30), any::<[u8; 16]>())
        .prop_map(|(id, secret)| SessionGrant { id, secret: Secret(secret) });
    let recovery = prop_oneof![
        Just(Recovery::Fresh),
        (0..=max).prop_map(|received| Recovery::Recovered { received }),
    ];
    ("\\PC{1,16}", 0..=max, 0..=max, pairs(), option::of(session), recovery).prop_map(
        |(id, window, max_frame, properties, session, recovery)| Ready {
            version: 1,
            id: ConnectionId::new(id).expect("1 to 16 characters of at most 4 bytes"),
            window,
            max_frame,
            properties,
            session,
            recovery,
        },
    )
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((text(10), text(10)), 0..6)
}

/// Any characters, at most `bytes` of them: control characters, quotation marks and emoji too.
fn text(bytes: usize) -> impl Strategy<Value = String> {
    vec(prop_oneof![any::<char>(), proptest::char::range('\0', '\x7f')], 0..=bytes / 4)
        .prop_map(String::from_iter)
}

/// Any JSON value, with no white space around it.
fn json() -> impl Strategy<Value = Bytes> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        text(30).prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            vec((text(10), inner), 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
    .prop_map(|value| value.to_string().into())
}

fn millis() -> impl Strategy<Value = Duration> {
    (0..=MAX_NUMBER).prop_map(Duration::from_millis)
}
