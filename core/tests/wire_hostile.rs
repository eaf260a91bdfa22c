//! Whatever a frame holds, a codec gives a packet or says what is wrong with it.

mod wire_packets;

use bytes::Bytes;
use moorline_core::wire::{
    Answer, AnswerBody, Ask, Asked, Binary, Close, Codec, DecodeError, EncodeError, Hello, Join,
    Json, Leave, Members, MembersKind, Packet, Profile, Query, Raw, Ready, Recovery,
};
use moorline_core::{ConnectionId, Data, Frame, Member, Message};
use proptest::collection::vec;
use proptest::prelude::*;
use wire_packets::{MAX_NUMBER, packets};

proptest! {
    #[test]
    fn random_bytes_panic_nobody(bytes in vec(any::<u8>(), 0..200)) {
        decode_all(&bytes);
    }

    #[test]
    fn random_packet_bytes_panic_nobody(kind in 1u8..38, bytes in vec(any::<u8>(), 0..100)) {
        decode_all(&[&[kind], &bytes[..]].concat());
    }

    #[test]
    fn mutated_frames_panic_nobody(
        packet in packets(MAX_NUMBER),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        for codec in [&Binary as &dyn Codec, &Json] {
            let frame = codec.encode(packet.clone()).expect("inside the limits");
            let mut bytes = frame.into_payload().to_vec();
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            decode_all(&bytes);
        }
    }

    /// Except a message in binary, whose payload is what there is.
    #[test]
    fn a_frame_cut_anywhere_is_refused(packet in packets(MAX_NUMBER)) {
        for codec in [&Binary as &dyn Codec, &Json] {
            let frame = codec.encode(packet.clone()).expect("inside the limits");
            for end in 0..frame.len() {
                let cut = with_payload(&frame, frame.payload().slice(..end));
                let payload_of_message = ends_in_a_payload(&packet) && codec.name() == "binary";
                let read = codec.decode(cut);
                prop_assert!(read.is_err() || payload_of_message, "{end} bytes: {read:?}");
            }
        }
    }

    /// What is read can be written, and reads the same again.
    #[test]
    fn what_is_accepted_is_a_packet_that_encodes(kind in 1u8..28, bytes in vec(0u8..4, 0..40)) {
        if let Ok(packet) = Binary.decode(Frame::binary([&[kind], &bytes[..]].concat())) {
            let frame = Binary.encode(packet.clone()).expect("decode and encode have the same limits");
            prop_assert_eq!(Binary.decode(frame), Ok(packet));
        }
    }

    #[test]
    fn random_members_panic_nobody(kind in 28u8..36, text in "[\\[\\]{}\":,a-z0-9]{0,60}") {
        let head = text.as_bytes();
        decode_all(&[&[kind, head.len() as u8], head].concat());
    }

    #[test]
    fn what_is_accepted_of_members_is_a_packet_that_encodes(kind in 28u8..36, head in members()) {
        let bytes = [&[kind, head.len() as u8], head.as_bytes()].concat();
        if let Ok(packet) = Binary.decode(Frame::binary(bytes)) {
            for codec in [&Binary as &dyn Codec, &Json] {
                let frame = codec.encode(packet.clone()).expect("the same limits");
                prop_assert_eq!(codec.decode(frame), Ok(packet.clone()));
            }
        }
    }

    /// What stands in the members says the same in both codecs, be it right or wrong.
    #[test]
    fn members_mean_the_same_in_both_codecs(kind in 28u8..36, head in members()) {
        let bytes = [&[kind, head.len() as u8], head.as_bytes()].concat();
        let name = NAMES[usize::from(kind) - 28];
        let comma = if head == "{}" { "" } else { "," };
        let text = format!(r#"{{"type":"{name}"{comma}{}"#, &head[1..]);
        let rows = head.contains("\"json\"") || head.contains("\"binary\"");
        let (binary, json) = (Binary.decode(Frame::binary(bytes)), Json.decode(Frame::text(text)));
        match (binary, json) {
            (Ok(binary), Ok(json)) => prop_assert_eq!(binary, json),
            (Err(_), Err(_)) => {}
            // Rows stand behind the members there.
            (binary, json) => prop_assert!(name == "result" && rows, "{binary:?} {json:?}"),
        }
    }

    #[test]
    fn a_binary_frame_with_something_behind_it_is_refused(
        packet in packets(MAX_NUMBER),
        more in 0x80u8..,
    ) {
        let frame = Binary.encode(packet.clone()).expect("inside the limits");
        let longer = [frame.payload(), &[more][..]].concat();
        let read = Binary.decode(Frame::binary(longer));
        prop_assert!(read.is_err() || ends_in_a_payload(&packet), "{read:?}");
    }
}

/// The packets of what stands beside the messages, by their types from 28 on.
const NAMES: [&str; 8] =
    ["join", "leave", "members", "profile", "properties", "throttle", "query", "result"];

/// An object of members that such packets have, and of values that these have and have not.
fn members() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "channel",
        "echo",
        "presence",
        "error",
        "kind",
        "id",
        "more",
        "members",
        "data",
        "properties",
        "features",
        "ask",
        "end",
        "query",
        "compress",
        "retrieve",
        "count",
        "packed",
        "json",
        "binary",
    ]);
    let values = prop::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "7",
        "-1",
        "9007199254740992",
        r#""""#,
        r#""c""#,
        r#""ask""#,
        r#""all""#,
        "[]",
        "[1]",
        r#"["f"]"#,
        r#"[{"id":"c"}]"#,
        r#"[{"query":"q"}]"#,
        "{}",
        r#"{"code":"e"}"#,
        r#"{"a":"b"}"#,
        r#""AAH/""#,
    ]);
    vec((names, values), 0..6)
        .prop_map(|members| {
            let members: Vec<_> =
                members.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
            format!("{{{}}}", members.join(",")).chars().take(120).collect::<String>()
        })
        .prop_filter("not cut", |text| text.ends_with('}'))
}

/// Whether it ends in data that go up to the frame's end.
fn ends_in_a_payload(packet: &Packet) -> bool {
    match packet {
        Packet::Message(_) | Packet::Request(_) | Packet::Publish(_) => true,
        Packet::Response(response) => response.result.is_ok(),
        // Or would have them there.
        Packet::Answer(_) => true,
        _ => false,
    }
}

fn decode_all(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    for codec in [&Binary as &dyn Codec, &Json, &Raw] {
        for frame in [Frame::Text(bytes.clone()), Frame::Binary(bytes.clone())] {
            codec.claims(&frame);
            let _ = codec.decode(frame);
        }
    }
}

fn with_payload(frame: &Frame, payload: Bytes) -> Frame {
    match frame {
        Frame::Text(_) => Frame::Text(payload),
        Frame::Binary(_) => Frame::Binary(payload),
    }
}

fn binary(bytes: &[u8]) -> DecodeError {
    Binary.decode(Frame::binary(bytes.to_vec())).expect_err("a bad frame")
}

fn json(text: &str) -> DecodeError {
    Json.decode(Frame::text(text)).expect_err("a bad frame")
}

/// An allocation of that size would end the process.
#[test]
fn a_length_of_2_to_the_60_allocates_nothing() {
    const HUGE: [u8; 9] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
    let with = |head: &[u8]| binary(&[head, &HUGE[..]].concat());
    assert_eq!(with(&[17, 16]), DecodeError::Truncated { field: "message.channel" });
    assert_eq!(with(&[26, 0]), DecodeError::Truncated { field: "error.code" });
    assert_eq!(with(&[16, 1]), DecodeError::Truncated { field: "ready.id" });
    assert_eq!(with(&[1, 1, 0, 0, 0, 0, 9]), DecodeError::Truncated { field: "hello.extensions" });
    assert_eq!(
        with(&[1, 1, 0, 0, 0]).to_string(),
        "the field `hello.query` has 1152921504606846976, limit 64"
    );
}

#[test]
fn a_number_has_one_form() {
    let invalid = |expected| DecodeError::Invalid { field: "ping.n", expected };
    assert_eq!(binary(&[22, 0x80, 0]), invalid("a varint in its shortest form"));
    assert_eq!(
        binary(&[22, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2]),
        invalid("a varint of at most 64 bits")
    );
    assert_eq!(binary(&[22, 255, 255, 255]), DecodeError::Truncated { field: "ping.n" });
    let most = Frame::binary(vec![22, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    assert_eq!(Binary.decode(most), Ok(Packet::Ping(u64::MAX)));

    let limit = invalid("a whole number of at most 9007199254740991");
    assert_eq!(json(r#"{"type":"ping","n":9007199254740992}"#), limit);
    assert!(Json.decode(Frame::text(r#"{"type":"ping","n":9007199254740991}"#)).is_ok());
    for n in ["-1", "1.5", "1e3", "\"1\"", "18446744073709551616"] {
        let error = json(&format!(r#"{{"type":"ping","n":{n}}}"#));
        assert!(matches!(error, DecodeError::Json(_)), "{n}: {error}");
    }
    let refused = EncodeError::Invalid {
        field: "ack.unnumbered",
        expected: "a whole number of at most 9007199254740991",
    };
    let ack = moorline_core::wire::Ack { numbered: 0, unnumbered: MAX_NUMBER + 1 };
    assert_eq!(Json.encode(Packet::Ack(ack)), Err(refused));
}

#[test]
fn unknown_flags_and_types_are_refused() {
    let free = "free of unknown bits";
    assert_eq!(
        binary(&[17, 0x40]),
        DecodeError::Invalid { field: "message.flags", expected: free }
    );
    assert_eq!(binary(&[26, 2]), DecodeError::Invalid { field: "error.flags", expected: free });
    assert_eq!(binary(&[27, 0, 4]), DecodeError::Invalid { field: "close.flags", expected: free });
    let (class, data) = (binary(&[17, 3]), binary(&[17, 0b1100]));
    assert_eq!(class, DecodeError::Invalid { field: "message.class", expected: "0, 1 or 2" });
    assert_eq!(data, DecodeError::Invalid { field: "message.data", expected: "0, 1 or 2" });
    assert_eq!(binary(&[37, 1, 2]), DecodeError::UnknownType("37".into()));
    assert_eq!(binary(&[0]), DecodeError::UnknownType("0".into()));
    assert_eq!(binary(&[]), DecodeError::Truncated { field: "type" });
    assert_eq!(json(r#"{"type":"meow"}"#), DecodeError::UnknownType("meow".into()));
    for (kind, field) in [(19, "skip.count"), (20, "gap.count"), (21, "lagged.count")] {
        assert_eq!(binary(&[kind, 0]), DecodeError::Invalid { field, expected: "at least 1" });
    }
    let result = DecodeError::Invalid { field: "response.result", expected: "0 or 1" };
    assert_eq!(binary(&[25, 1, 2]), result);
    let long = json(&format!(r#"{{"type":"{}"}}"#, "é".repeat(9999)));
    assert_eq!(long, DecodeError::UnknownType("é".repeat(32)));
}

#[test]
fn another_version_is_told_apart_from_a_broken_hello() {
    for version in 2..=15 {
        assert_eq!(binary(&[version]), DecodeError::UnsupportedVersion(version.into()));
    }
    let later = r#"{"version":2,"window":{"up":1},"type":"hello"}"#;
    assert_eq!(json(later), DecodeError::UnsupportedVersion(2));
    assert_eq!(binary(&[16, 7]), DecodeError::UnsupportedVersion(7));
    assert_eq!(json(r#"{"type":"ready","version":7}"#), DecodeError::UnsupportedVersion(7));
    assert!(matches!(json(r#"{"type":"hello"}"#), DecodeError::Json(_)));
    let mut hello = hello();
    hello.version = 2;
    let refused = EncodeError::Invalid { field: "hello.version", expected: "1" };
    for codec in [&Binary as &dyn Codec, &Json] {
        let packet = Packet::Hello(Box::new(hello.clone()));
        assert_eq!(codec.encode(packet.clone()), Err(refused.clone()));
    }
}

#[test]
fn the_wrong_kind_of_frame_is_refused() {
    let got = Binary.decode(Frame::text("hi"));
    assert_eq!(got, Err(DecodeError::WrongKind { codec: "binary", got: "text" }));
    let got = Json.decode(Frame::binary(vec![b'{']));
    assert_eq!(got, Err(DecodeError::WrongKind { codec: "json", got: "binary" }));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let bad = Bytes::from_static(b"{\"type\":\"ping\",\"x\":\"\xff\"}");
    let error = DecodeError::Invalid { field: "frame", expected: "UTF-8" };
    assert_eq!(Json.decode(Frame::Text(bad)), Err(error));
    let channel = DecodeError::Invalid { field: "message.channel", expected: "UTF-8" };
    assert_eq!(binary(&[17, 16, 1, 0xff]), channel);
}

#[test]
fn a_million_brackets_take_no_stack() {
    let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    let read = |text: String| Json.decode(Frame::text(text));
    let Ok(Packet::Message(message)) = read(format!(r#"{{"type":"message","json":{deep}}}"#))
    else {
        panic!("depth is the reader's matter");
    };
    assert!(message.json::<serde_json::Value>().is_err(), "serde_json has its own limit");
    assert!(read(format!(r#"{{"type":"ping","unknown":{deep}}}"#)).is_ok());
    assert!(read(format!(r#"{{"unknown":{deep},"type":"ping"}}"#)).is_ok());
    assert!(read(format!(r#"{{"type":"ping","n":{deep}}}"#)).is_err());
    assert!(read(format!(r#"{{"type":"hello","version":1,"auth":{deep}}}"#)).is_ok());
    assert!(read(deep.clone()).is_err());
    let packet = Packet::Message(Message::new(Data::Json(deep.into())));
    assert!(Json.encode(packet.clone()).is_ok());
}

#[test]
fn json_members_have_one_meaning() {
    for text in [
        r#"{"type":"ping","n":1,"type":"pong"}"#,
        r#"{"type":"message","text":"a","type":"message"}"#,
        r#"{"type":"message","text":"a","type":null}"#,
        r#"{"n":1,"type":"ping","type":"ping"}"#,
        r#"{"type":"ping","n":1,"n":2}"#,
        r#"{"type":"message","text":"a","text":"b"}"#,
        r#"{"type":"message","text":"\ud800"}"#,
        r#"{"type":"ping"} {}"#,
        r#"{"type":"ping",}"#,
        r#"{"type":1}"#,
        r#"{}"#,
        r#"["ping"]"#,
        r#"{"type":"hello","version":1,"resume":["s","AAAAAAAAAAAAAAAAAAAAAA",1]}"#,
        r#"{"type":"hello","version":1,"query":{"a":1}}"#,
        "",
    ] {
        assert!(matches!(json(text), DecodeError::Json(_)), "{text}: {}", json(text));
    }
    let one = DecodeError::Invalid {
        field: "message",
        expected: "an object with just one of text, json and binary",
    };
    assert_eq!(json(r#"{"type":"message"}"#), one);
    assert_eq!(json(r#"{"type":"message","text":"a","json":null}"#), one);
    assert_eq!(json(r#"{"type":"message","binary":"AA==","json":1}"#), one);
    for base64 in ["AA", "AA=", "AB==", "A-==", "AA==\\n"] {
        let error = json(&format!(r#"{{"type":"message","binary":"{base64}"}}"#));
        let expected = "base64 with padding";
        assert_eq!(error, DecodeError::Invalid { field: "message.binary", expected }, "{base64}");
    }
    for secret in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAAA=="] {
        let error = json(&format!(
            r#"{{"type":"hello","version":1,"resume":{{"session":"s","secret":"{secret}"}}}}"#
        ));
        let expected = "16 bytes in base64url without padding";
        let field = "hello.resume.secret";
        assert_eq!(error, DecodeError::Invalid { field, expected }, "{secret}");
    }
}

#[test]
fn an_error_repeats_no_payload() {
    for text in [
        r#"{"type":"hello","version":"my, expected secret"}"#,
        r#"{"type":"message","text":{"my":"secret"},"json":1}"#,
        r#"{"type":"close","code":"secret"}"#,
        r#"{"type":"hello","version":1,"query":"secret"}"#,
        r#"{"type":"hello","version":1,"resume":"secret"}"#,
        r#"{"type":"join","channel":"c","echo":"secret"}"#,
        r#"{"type":"members","channel":"c","kind":"all","members":"secret"}"#,
        r#"{"type":"members","channel":"c","kind":"all","members":["secret"]}"#,
        r#"{"type":"leave","channel":"c","error":"secret"}"#,
        r#"{"type":"throttle","features":{"my":"secret"}}"#,
        r#"{"type":"query","ask":[{"query":{"my":"secret"}}]}"#,
    ] {
        let error = json(text).to_string();
        assert!(!error.contains("secret"), "{error}");
        assert!(error.contains(" at line 1 column "), "{error}");
    }
}

#[test]
fn credentials_and_details_must_be_json() {
    let field = "hello.auth";
    assert_eq!(
        binary(&[1, 1, 0, 0, 2, 2, b'{', b'[', 0]),
        DecodeError::Invalid { field, expected: "JSON" }
    );
    assert_eq!(
        binary(&[26, 1, 0, 0, 1, 0xff]),
        DecodeError::Invalid { field: "error.details", expected: "JSON" }
    );
    let mut hello = hello();
    hello.auth = Some(Bytes::from_static(b"token"));
    let packet = Packet::Hello(Box::new(hello));
    for codec in [&Binary as &dyn Codec, &Json] {
        let refused = EncodeError::Invalid { field, expected: "JSON" };
        assert_eq!(codec.encode(packet.clone()), Err(refused));
    }
}

/// Each limit, one over it: on the way out, and on the way in from a peer that does not keep it.
#[test]
fn each_limit_names_its_field_and_itself() {
    let pairs = |count: usize| vec![(String::new(), String::new()); count];
    let mut hello = hello();
    hello.query = pairs(65);
    let mut ready = ready();
    ready.properties = pairs(65);
    let close = Close { code: 1000, reason: "r".repeat(124), retry_after: None, spread: None };
    let cases = [
        (Packet::Hello(Box::new(hello)), "hello.query", 65, 64),
        (Packet::Ready(Box::new(ready)), "ready.properties", 65, 64),
        (Packet::Message(Message::from("").on("c".repeat(257))), "message.channel", 257, 256),
        (Packet::Message(Message::from("").event("e".repeat(257))), "message.event", 257, 256),
        (Packet::Close(close), "close.reason", 124, 123),
    ];
    for (packet, field, size, limit) in cases {
        for codec in [&Binary as &dyn Codec, &Json] {
            assert_eq!(
                codec.encode(packet.clone()),
                Err(EncodeError::TooLarge { field, size, limit })
            );
        }
    }

    let members = vec![r#""":"""#; 65].join(",");
    let (name, reason, id) = ("n".repeat(257), "r".repeat(124), "i".repeat(65));
    let varint_257 = [0x81, 2];
    let cases = [
        (
            [&[1, 1, 0, 0, 0, 65][..], &[0; 130]].concat(),
            format!(r#"{{"type":"hello","version":1,"query":{{{members}}}}}"#),
            ("hello.query", 65, 64),
        ),
        (
            [&[16, 1, 1, b'i', 0, 0, 0, 65][..], &[0; 130]].concat(),
            format!(r#"{{"type":"ready","version":1,"id":"i","properties":{{{members}}}}}"#),
            ("ready.properties", 65, 64),
        ),
        (
            [&[16, 1, 65], id.as_bytes()].concat(),
            format!(r#"{{"type":"ready","version":1,"id":"{id}"}}"#),
            ("ready.id", 65, 64),
        ),
        (
            [&[17, 16][..], &varint_257, name.as_bytes()].concat(),
            format!(r#"{{"type":"message","channel":"{name}","text":""}}"#),
            ("message.channel", 257, 256),
        ),
        (
            [&[17, 32][..], &varint_257, name.as_bytes()].concat(),
            format!(r#"{{"type":"message","event":"{name}","text":""}}"#),
            ("message.event", 257, 256),
        ),
        (
            [&[27, 0, 0, 124], reason.as_bytes()].concat(),
            format!(r#"{{"type":"close","code":0,"reason":"{reason}"}}"#),
            ("close.reason", 124, 123),
        ),
    ];
    for (bytes, text, (field, size, limit)) in cases {
        let error = DecodeError::TooLarge { field, size, limit };
        assert_eq!(binary(&bytes), error);
        assert_eq!(json(&text), error);
        assert_eq!(error.to_string(), format!("the field `{field}` has {size}, limit {limit}"));
    }
    let empty = DecodeError::Invalid { field: "ready.id", expected: "an id: it is empty" };
    assert_eq!(binary(&[16, 1, 0]), empty);
    let code = DecodeError::Invalid { field: "close.code", expected: "at most 65535" };
    assert_eq!(binary(&[27, 0x80, 0x80, 4, 0, 0]), code);
    assert_eq!(json(r#"{"type":"close","code":65536}"#), code);
}

/// A packet of that type, with these members, in both codecs: what is wrong with it.
fn beside(kind: u8, members: &str) -> DecodeError {
    let head = members.as_bytes();
    let mut bytes = vec![kind];
    let mut len = head.len();
    while len >= 0x80 {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend_from_slice(head);
    let name = NAMES[usize::from(kind) - 28];
    let text = format!(r#"{{"type":"{name}",{}"#, &members[1..]);
    let (in_binary, in_json) = (binary(&bytes), json(&text));
    match (&in_binary, &in_json) {
        // They name the columns of their own texts.
        (DecodeError::Json(_), DecodeError::Json(_)) => {}
        _ => assert_eq!(in_binary, in_json, "{members}"),
    }
    in_binary
}

#[test]
fn members_of_the_wrong_kind_are_refused_in_both_codecs() {
    for (kind, members) in [
        (28, r#"{"echo":true}"#),
        (28, r#"{"channel":null}"#),
        (28, r#"{"channel":["c"]}"#),
        (28, r#"{"channel":"c","echo":1}"#),
        (28, r#"{"channel":"c","channel":"c"}"#),
        (29, r#"{"channel":"c","error":["code","message"]}"#),
        (29, r#"{"channel":"c","error":{"message":"no code"}}"#),
        (30, r#"{"channel":"c"}"#),
        (30, r#"{"channel":"c","kind":"all","members":{}}"#),
        (30, r#"{"channel":"c","kind":"all","members":[["c1"]]}"#),
        (30, r#"{"channel":"c","kind":"all","members":[null]}"#),
        (30, r#"{"channel":"c","kind":"all","members":[{"data":1}]}"#),
        (30, r#"{"channel":"c","kind":"all","members":[{"id":"a","id":"b"}]}"#),
        (30, r#"{"channel":"c","kind":"ask","id":-1}"#),
        (30, r#"{"channel":"c","kind":"ask","id":1.5}"#),
        (31, r#"{"data":1,"data":2}"#),
        (32, r#"{"properties":["a","b"]}"#),
        (32, r#"{"properties":{"a":1}}"#),
        (32, r#"{"properties":{"a":null}}"#),
        (33, r#"{"features":"presence"}"#),
        (33, r#"{"features":{"presence":true}}"#),
        (33, r#"{"features":[null]}"#),
        (34, r#"{"ask":[["q"]]}"#),
        (34, r#"{"ask":["q"]}"#),
        (34, r#"{"ask":[{"retrieve":true}]}"#),
        (34, r#"{"ask":{"query":"q"}}"#),
        (34, r#"{"end":[["q",true]]}"#),
        (35, r#"{"id":"3"}"#),
        (35, r#"{"id":3,"error":["code"]}"#),
    ] {
        let error = beside(kind, members);
        assert!(matches!(error, DecodeError::Json(_)), "{members}: {error}");
    }
    let number = "a whole number of at most 9007199254740991";
    let most = beside(30, r#"{"channel":"c","kind":"ask","id":9007199254740992}"#);
    assert_eq!(most, DecodeError::Invalid { field: "members.id", expected: number });
    let most = beside(35, r#"{"id":9007199254740992,"query":"q"}"#);
    assert_eq!(most, DecodeError::Invalid { field: "result.id", expected: number });
    let expected = "ask, all, joined, left, updated or hidden";
    let unknown = beside(30, r#"{"channel":"c","kind":"dancing"}"#);
    assert_eq!(unknown, DecodeError::Invalid { field: "members.kind", expected });
    for (kind, field, members) in [
        (28, "join.channel", r#"{"channel":""}"#),
        (29, "leave.channel", r#"{"channel":""}"#),
        (30, "members.channel", r#"{"channel":"","kind":"ask"}"#),
        (30, "members.id", r#"{"channel":"c","kind":"all","members":[{"id":""}]}"#),
        (33, "throttle.features", r#"{"features":[""]}"#),
    ] {
        let empty = DecodeError::Invalid { field, expected: "a name: it is empty" };
        assert_eq!(beside(kind, members), empty);
    }
}

#[test]
fn what_is_null_is_absent_unless_it_is_any_value() {
    let same = |kind: u8, with: &str, without: &str| {
        let read = |members: &str| {
            Binary
                .decode(Frame::binary([&[kind, members.len() as u8], members.as_bytes()].concat()))
        };
        assert_eq!(read(with), read(without), "{with}");
        assert!(read(with).is_ok(), "{with}");
    };
    same(28, r#"{"channel":"c","echo":null,"presence":null}"#, r#"{"channel":"c"}"#);
    same(29, r#"{"channel":"c","echo":null,"error":null}"#, r#"{"channel":"c"}"#);
    let absent = r#"{"channel":"c","kind":"all"}"#;
    same(30, r#"{"channel":"c","kind":"all","id":null,"more":null,"members":null}"#, absent);
    same(31, r#"{"echo":null}"#, "{}");
    same(32, r#"{"properties":null}"#, "{}");
    same(33, r#"{"features":null}"#, "{}");
    same(34, r#"{"ask":null,"end":null}"#, "{}");
    let nulls = r#"{"ask":[{"query":"q","compress":null,"retrieve":null,"subscribe":null}]}"#;
    same(34, nulls, r#"{"ask":[{"query":"q"}]}"#);
    let nulls = r#"{"id":3,"query":"q","compress":null,"retrieve":null,"count":null,"packed":null,"error":null}"#;
    same(35, nulls, r#"{"id":3,"query":"q"}"#);
    same(28, r#"{"channel":"c","later":[{"deep":[1]}]}"#, r#"{"channel":"c"}"#);

    let profile = Json.decode(Frame::text(r#"{"type":"profile","data":null}"#));
    let null = Profile { data: Some(Bytes::from_static(b"null")), echo: None };
    assert_eq!(profile, Ok(Packet::Profile(null)));
}

#[test]
fn a_result_has_one_of_three_forms() {
    for members in [
        "{}",
        r#"{"id":3}"#,
        r#"{"query":"q"}"#,
        r#"{"error":{"code":"failed"}}"#,
        r#"{"id":3,"retrieve":true}"#,
        r#"{"id":3,"count":1}"#,
        r#"{"id":3,"retrieve":true,"count":1}"#,
        r#"{"id":3,"retrieve":true,"error":{"code":"failed"}}"#,
        r#"{"id":3,"error":{"code":"failed"},"json":[]}"#,
        r#"{"id":3,"query":"q","json":[]}"#,
        r#"{"id":3,"retrieve":true,"json":[]}"#,
        r#"{"id":3,"retrieve":true,"count":0,"json":[],"binary":"AA=="}"#,
        r#"{"id":3,"retrieve":true,"count":0,"json":[],"packed":true}"#,
        r#"{"id":3,"retrieve":true,"count":0,"binary":"AA=="}"#,
        r#"{"id":3,"retrieve":true,"count":0,"binary":"","packed":true}"#,
        r#"{"retrieve":true,"count":0,"json":[]}"#,
    ] {
        let error = json(&format!(r#"{{"type":"result",{}"#, &members[1..]).replace(",}", "}"));
        assert!(
            matches!(error, DecodeError::Invalid { field: "result", .. }),
            "{members}: {error}"
        );
        let head = members.as_bytes();
        let error = binary(&[&[35, head.len() as u8], head].concat());
        assert!(
            matches!(error, DecodeError::Invalid { field: "result", .. }),
            "{members}: {error}"
        );
    }
    let padding = "base64 with padding";
    let base64 =
        json(r#"{"type":"result","id":3,"retrieve":true,"count":0,"packed":true,"binary":"A"}"#);
    assert_eq!(base64, DecodeError::Invalid { field: "result.binary", expected: padding });
    // In binary they stand behind the members, and nowhere else.
    let head = br#"{"id":3,"retrieve":true,"count":0,"json":[]}"#;
    let twice = binary(&[&[35, head.len() as u8], &head[..], b"[]"].concat());
    assert!(matches!(twice, DecodeError::Invalid { field: "result", .. }), "{twice}");
    let within = binary(&[&[35, head.len() as u8], &head[..]].concat());
    assert!(matches!(within, DecodeError::Invalid { field: "result", .. }), "{within}");
}

#[test]
fn only_a_result_has_something_behind_its_members() {
    let expected = "at its end where its packet ends";
    for (kind, head) in [
        (28, r#"{"channel":"c"}"#),
        (29, r#"{"channel":"c"}"#),
        (30, r#"{"channel":"c","kind":"ask"}"#),
        (31, "{}"),
        (32, "{}"),
        (33, "{}"),
        (34, "{}"),
    ] {
        let bytes = [&[kind, head.len() as u8], head.as_bytes(), b"[]"].concat();
        assert_eq!(binary(&bytes), DecodeError::Invalid { field: "frame", expected }, "{kind}");
    }
}

#[test]
fn members_are_one_object_in_utf8() {
    for kind in 28..36 {
        let object = DecodeError::Invalid { field: "members", expected: "an object" };
        for head in ["[]", r#"["c"]"#, "null", "1", r#""c""#, ""] {
            let bytes = [&[kind, head.len() as u8], head.as_bytes()].concat();
            assert_eq!(binary(&bytes), object, "{head}");
        }
        let utf8 = DecodeError::Invalid { field: "members", expected: "UTF-8" };
        assert_eq!(binary(&[kind, 3, b'{', 0xff, b'}']), utf8);
        for head in ["{", "{}{}", "{},", r#"{"a"}"#] {
            let bytes = [&[kind, head.len() as u8], head.as_bytes()].concat();
            assert!(matches!(binary(&bytes), DecodeError::Json(_)), "{head}");
        }
        assert_eq!(binary(&[kind, 5, b'{', b'}']), DecodeError::Truncated { field: "members" });
        assert_eq!(binary(&[kind]), DecodeError::Truncated { field: "members" });
    }
}

#[test]
fn what_stands_beside_the_messages_has_limits_both_ways() {
    let long = "n".repeat(257);
    let data = Bytes::from(format!(r#""{}""#, "d".repeat(4095)));
    let query = "q".repeat(16 * 1024 + 1);
    let member = |id: &str, data: Option<&Bytes>| Member::new(id.to_owned(), data.cloned());
    let members = |members: Vec<Member>| {
        let (channel, kind) = ("c".into(), MembersKind::All);
        Packet::Members(Box::new(Members { channel, id: None, kind, more: false, members }))
    };
    let asked = |query: &str| Asked { query: query.to_owned(), compress: false };
    let ask = |query: &str| Ask { asked: asked(query), retrieve: true, subscribe: false };
    let queries = |ask: Vec<Ask>, end: Vec<Asked>| Packet::Query(Box::new(Query { ask, end }));
    let pair = (String::new(), String::new());
    let too_large = |field, size, limit| DecodeError::TooLarge { field, size, limit };
    let of_strings = |count: usize, text: &str| vec![text; count].join(",");
    let cases: Vec<(Packet, u8, String, DecodeError)> = vec![
        (
            Packet::Join(Join { channel: long.clone().into(), echo: true, presence: true }),
            28,
            format!(r#"{{"channel":"{long}"}}"#),
            too_large("join.channel", 257, 256),
        ),
        (
            Packet::Leave(Box::new(Leave {
                channel: long.clone().into(),
                echo: None,
                error: None,
            })),
            29,
            format!(r#"{{"channel":"{long}"}}"#),
            too_large("leave.channel", 257, 256),
        ),
        (
            members(vec![member(&long, None)]),
            30,
            format!(r#"{{"channel":"c","kind":"all","members":[{{"id":"{long}"}}]}}"#),
            too_large("members.id", 257, 256),
        ),
        (
            members(vec![member("m", Some(&data))]),
            30,
            format!(
                r#"{{"channel":"c","kind":"all","members":[{{"id":"m","data":"{}"}}]}}"#,
                "d".repeat(4095)
            ),
            too_large("members.data", 4097, 4096),
        ),
        (
            members(vec![member("m", None); 1003]),
            30,
            format!(
                r#"{{"channel":"c","kind":"all","members":[{}]}}"#,
                of_strings(1003, r#"{"id":"m"}"#)
            ),
            too_large("members.members", 1003, 1000),
        ),
        (
            Packet::Profile(Profile { data: Some(data), echo: None }),
            31,
            format!(r#"{{"data":"{}"}}"#, "d".repeat(4095)),
            too_large("profile.data", 4097, 4096),
        ),
        (
            Packet::Properties(vec![pair; 67]),
            32,
            format!(r#"{{"properties":{{{}}}}}"#, of_strings(67, r#""":"""#)),
            too_large("properties.properties", 67, 64),
        ),
        (
            Packet::Throttle(vec!["f".to_owned(); 67]),
            33,
            format!(r#"{{"features":[{}]}}"#, of_strings(67, r#""f""#)),
            too_large("throttle.features", 67, 64),
        ),
        (
            Packet::Throttle(vec![long.clone()]),
            33,
            format!(r#"{{"features":["{long}"]}}"#),
            too_large("throttle.features", 257, 256),
        ),
        (
            queries(vec![ask("q"); 259], vec![]),
            34,
            format!(r#"{{"ask":[{}]}}"#, of_strings(259, r#"{"query":"q"}"#)),
            too_large("query.ask", 259, 256),
        ),
        (
            queries(vec![], vec![asked("q"); 259]),
            34,
            format!(r#"{{"end":[{}]}}"#, of_strings(259, r#"{"query":"q"}"#)),
            too_large("query.end", 259, 256),
        ),
        (
            queries(vec![ask(&query)], vec![]),
            34,
            format!(r#"{{"ask":[{{"query":"{query}"}}]}}"#),
            too_large("query.ask", 16 * 1024 + 1, 16 * 1024),
        ),
        (
            queries(vec![], vec![asked(&query)]),
            34,
            format!(r#"{{"end":[{{"query":"{query}"}}]}}"#),
            too_large("query.end", 16 * 1024 + 1, 16 * 1024),
        ),
        (
            Packet::Answer(Box::new(Answer {
                id: Some(3),
                asked: Some(asked(&query)),
                body: AnswerBody::Named,
            })),
            35,
            format!(r#"{{"id":3,"query":"{query}"}}"#),
            too_large("result.query", 16 * 1024 + 1, 16 * 1024),
        ),
    ];
    for (packet, kind, members, error) in cases {
        assert_eq!(beside(kind, &members), error);
        for codec in [&Binary as &dyn Codec, &Json] {
            let refused = codec.encode(packet.clone()).expect_err("over its limit");
            assert_eq!(refused.to_string(), error.to_string());
        }
    }
}

#[test]
fn what_cannot_be_said_beside_the_messages_is_not_encoded() {
    let named = |id, asked| Packet::Answer(Box::new(Answer { id, asked, body: AnswerBody::Named }));
    let asked = || Some(Asked { query: "q".into(), compress: false });
    let rows = |rows: &'static [u8], packed| {
        let rows = Bytes::from_static(rows);
        let body = AnswerBody::Rows { retrieve: true, count: 1, rows, packed };
        Packet::Answer(Box::new(Answer { id: Some(1), asked: None, body }))
    };
    let member = Member::new("m", Some(Bytes::from_static(b"{")));
    let empty = Join { channel: "".into(), echo: true, presence: true };
    for packet in [
        Packet::Join(empty),
        Packet::Profile(Profile { data: Some(Bytes::from_static(b"{")), echo: None }),
        Packet::Members(Box::new(Members {
            channel: "c".into(),
            id: None,
            kind: MembersKind::All,
            more: false,
            members: vec![member],
        })),
        Packet::Members(Box::new(Members {
            channel: "c".into(),
            id: Some(MAX_NUMBER + 1),
            kind: MembersKind::Ask,
            more: false,
            members: vec![],
        })),
        Packet::Throttle(vec![String::new()]),
        named(None, asked()),
        named(Some(1), None),
        named(Some(MAX_NUMBER + 1), asked()),
        rows(b"", false),
        rows(b"", true),
    ] {
        for codec in [&Binary as &dyn Codec, &Json] {
            let refused = codec.encode(packet.clone());
            assert!(matches!(refused, Err(EncodeError::Invalid { .. })), "{refused:?}");
        }
    }
    assert!(Json.encode(rows(b"[", false)).is_err(), "it would break the object around it");
}

#[test]
fn names_and_profiles_that_are_kept_keep_no_frame() {
    let lies_in = |part: &[u8], whole: &Bytes| whole.as_ptr_range().contains(&part.as_ptr());
    let text =
        r#"{"type":"members","channel":"chat","kind":"all","members":[{"id":"c1","data":[1]}]}"#;
    let frame = Bytes::from_static(text.as_bytes());
    let Ok(Packet::Members(members)) = Json.decode(Frame::Text(frame.clone())) else {
        panic!("members");
    };
    let member = &members.members[0];
    assert!(!lies_in(members.channel.as_bytes(), &frame) && !lies_in(member.id.as_bytes(), &frame));
    assert!(!member.data.as_ref().is_some_and(|data| lies_in(data, &frame)));
}

#[test]
fn a_million_brackets_beside_the_messages_take_no_stack() {
    let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    let read = |text: String| Json.decode(Frame::text(text));
    assert!(read(format!(r#"{{"type":"join","channel":"c","later":{deep}}}"#)).is_ok());
    assert!(
        read(format!(r#"{{"type":"members","channel":"c","kind":"all","members":{deep}}}"#))
            .is_err()
    );
    assert!(read(format!(r#"{{"type":"query","ask":{deep}}}"#)).is_err());
    assert!(read(format!(r#"{{"type":"throttle","features":{deep}}}"#)).is_err());
    let rows = format!(r#"{{"type":"result","id":1,"retrieve":true,"count":1,"json":{deep}}}"#);
    assert!(read(rows).is_ok(), "depth is the reader's matter");
    assert!(read(format!(r#"{{"type":"leave","channel":"c","error":{deep}}}"#)).is_err());
}

#[test]
fn the_flags_of_a_publish_are_one_of_three() {
    let expected = "one of its two bits";
    let both = DecodeError::Invalid { field: "publish.flags", expected };
    assert_eq!(binary(&[36, 3, 2, b'x']), both);
    let expected = "free of unknown bits";
    let unknown = DecodeError::Invalid { field: "publish.flags", expected };
    assert_eq!(binary(&[36, 4, 2, b'x']), unknown);
    assert_eq!(binary(&[36]), DecodeError::Truncated { field: "publish.flags" });
    assert_eq!(binary(&[36, 0]), DecodeError::Truncated { field: "message.flags" });
    for text in [
        r#"{"type":"publish","echo":1,"text":"x"}"#,
        r#"{"type":"publish","echo":true,"echo":true,"text":"x"}"#,
    ] {
        assert!(matches!(json(text), DecodeError::Json(_)), "{text}");
    }
    assert!(Json.decode(Frame::text(r#"{"type":"publish","echo":null,"text":"x"}"#)).is_ok());
    assert!(matches!(json(r#"{"type":"publish"}"#), DecodeError::Invalid { field: "message", .. }));
}

fn hello() -> Hello {
    Hello {
        version: 1,
        attempt: 1,
        window: 0,
        max_frame: 0,
        room: None,
        auth: None,
        query: vec![],
        resume: None,
    }
}

fn ready() -> Ready {
    Ready {
        version: 1,
        id: ConnectionId::new("c").expect("one byte"),
        window: 0,
        max_frame: 0,
        properties: vec![],
        session: None,
        recovery: Recovery::Fresh,
    }
}
