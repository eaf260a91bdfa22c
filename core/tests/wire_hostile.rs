//! Whatever a frame holds, a codec gives a packet or says what is wrong with it.

mod wire_packets;

use bytes::Bytes;
use moorline_core::wire::{
    Binary, Close, Codec, DecodeError, EncodeError, Hello, Json, Packet, Raw, Ready, Recovery,
};
use moorline_core::{ConnectionId, Data, Frame, Message};
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
