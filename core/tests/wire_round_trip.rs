//! What is encoded comes back, from every codec.

mod wire_packets;

use std::time::Duration;

use bytes::Bytes;
use moorline_core::wire::{Binary, Close, Codec, Json, Packet, Raw};
use moorline_core::{Class, Data, Frame, Message};
use proptest::prelude::*;
use wire_packets::{MAX_NUMBER, packets};

proptest! {
    #[test]
    fn every_packet_comes_back_and_both_codecs_mean_the_same(packet in packets(MAX_NUMBER)) {
        for codec in [&Binary as &dyn Codec, &Json] {
            let frame = codec.encode(packet.clone()).expect("inside the limits");
            prop_assert_eq!(codec.decode(frame), Ok(packet.clone()), "{}", codec.name());
        }
    }

    #[test]
    fn binary_carries_every_u64(packet in packets(u64::MAX)) {
        let frame = Binary.encode(packet.clone()).expect("inside the limits");
        prop_assert_eq!(Binary.decode(frame), Ok(packet));
    }

    #[test]
    fn json_reads_a_type_that_does_not_come_first(packet in packets(MAX_NUMBER)) {
        let frame = Json.encode(packet.clone()).expect("inside the limits");
        let text = frame.as_text().expect("a text frame");
        let moved = format!("{{ \"x\":[{{}}],\n{}", &text[1..]);
        prop_assert_eq!(Json.decode(Frame::text(moved)), Ok(packet));
    }

    #[test]
    fn what_is_encoded_is_its_buffer_and_no_more(packet in packets(MAX_NUMBER)) {
        let (len, capacity) = measure(Binary.encode(packet.clone()).expect("inside the limits"));
        prop_assert_eq!(len, capacity);
        if matches!(packet, Packet::Message(_)) {
            let (len, capacity) = measure(Json.encode(packet.clone()).expect("inside the limits"));
            prop_assert!(capacity - len <= 64, "the buffer grew from {len} to {capacity}");
        }
    }
}

/// The length of a frame and the capacity of the buffer that it was written into.
fn measure(frame: Frame) -> (usize, usize) {
    let bytes = Vec::from(frame.into_payload());
    (bytes.len(), bytes.capacity())
}

fn sent(codec: &dyn Codec, data: Data) -> Result<Data, String> {
    let frame = codec.encode(Packet::Message(data.into())).map_err(|error| error.to_string())?;
    match codec.decode(frame) {
        Ok(Packet::Message(message)) => Ok(message.data),
        other => Err(format!("{other:?}")),
    }
}

fn lies_in(part: &[u8], whole: &Bytes) -> bool {
    whole.as_ptr_range().start <= part.as_ptr_range().start
        && part.as_ptr_range().end <= whole.as_ptr_range().end
}

#[test]
fn a_plain_message_costs_binary_two_bytes() {
    let frame = Binary.encode(Packet::Message("hello".into())).expect("inside the limits");
    assert_eq!(&frame.payload()[..], b"\x11\x02hello");
}

#[test]
fn payloads_and_names_are_slices_of_the_frame() {
    let text = Message::from("plain").on("chat").event("said");
    let json = Message::from_json(&[1, 2]).expect("numbers are JSON").on("chat").event("said");
    let binary = Message::from(vec![1, 2, 3]).on("chat").event("said");
    let cases: [(&dyn Codec, &Message); 5] =
        [(&Binary, &text), (&Binary, &json), (&Binary, &binary), (&Json, &text), (&Json, &json)];
    for (codec, message) in cases {
        let frame = codec.encode(Packet::Message(message.clone())).expect("inside the limits");
        let buffer = frame.payload().clone();
        let Ok(Packet::Message(read)) = codec.decode(frame) else {
            panic!("{} does not read what it wrote", codec.name());
        };
        assert_eq!(&read, message);
        for name in [&read.channel, &read.event] {
            assert!(name.as_ref().is_some_and(|name| lies_in(name.as_bytes(), &buffer)));
        }
        assert!(lies_in(read.bytes(), &buffer), "{} copies {:?}", codec.name(), read.data);
    }
    let credentials = Bytes::from_static(b"\x01\x01\x00\x00\x02\x04\"me\"\x00");
    let Ok(Packet::Hello(hello)) = Binary.decode(Frame::Binary(credentials.clone())) else {
        panic!("a hello");
    };
    assert!(hello.auth.is_some_and(|auth| auth == "\"me\"" && lies_in(&auth, &credentials)));
}

#[test]
fn json_null_is_a_value_and_not_an_absence() {
    let null = Data::Json(Bytes::from_static(b"null"));
    assert_eq!(sent(&Json, null.clone()), Ok(null.clone()));
    assert_eq!(sent(&Binary, null.clone()), Ok(null));
}

#[test]
fn json_around_white_space_loses_it_and_json_within_keeps_it() {
    let spaced = Data::Json(Bytes::from_static(b" \r\n[1,\n\t2]\n"));
    assert_eq!(sent(&Json, spaced), Ok(Data::Json(Bytes::from_static(b"[1,\n\t2]"))));
}

#[test]
fn data_that_break_the_envelope_are_refused() {
    let bad = [b"1}".as_slice(), b"", b"{\"a\":1},\"b\":2", b"\"\xff\"", b"1 2", b"nul"];
    for json in bad {
        let error = sent(&Json, Data::Json(Bytes::from_static(json)));
        assert_eq!(error, Err("the field `message.json` is not JSON".into()), "{json:?}");
    }
    let latin = Data::Text(Bytes::from_static(b"\xe9"));
    assert_eq!(sent(&Json, latin), Err("the field `message.text` is not UTF-8".into()));
}

#[test]
fn a_delay_is_rounded_up_to_milliseconds_and_capped() {
    let close = |delay| {
        Packet::Close(Close {
            code: 1012,
            reason: String::new(),
            retry_after: Some(delay),
            spread: None,
        })
    };
    for codec in [&Binary as &dyn Codec, &Json] {
        for (given, read) in [
            (Duration::from_nanos(1), Duration::from_millis(1)),
            (Duration::from_micros(1500), Duration::from_millis(2)),
            (Duration::ZERO, Duration::ZERO),
            (Duration::MAX, Duration::from_millis(MAX_NUMBER)),
        ] {
            let frame = codec.encode(close(given)).expect("inside the limits");
            assert_eq!(codec.decode(frame), Ok(close(read)), "{}", codec.name());
        }
    }
}

#[test]
fn each_codec_claims_only_its_own_first_frame() {
    let frames = [
        Frame::text("{\"type\":\"hello\",\"version\":1}"),
        Frame::binary(vec![1]),
        Frame::binary(vec![15]),
        Frame::binary(vec![0]),
        Frame::binary(vec![16]),
        Frame::binary(vec![b'{']),
        Frame::text("\u{1}"),
        Frame::text(""),
        Frame::binary(vec![]),
    ];
    let claims =
        |codec: &dyn Codec| frames.iter().map(|frame| codec.claims(frame)).collect::<Vec<_>>();
    let (yes, no) = (true, false);
    assert_eq!(claims(&Json), [yes, no, no, no, no, no, no, no, no]);
    assert_eq!(claims(&Binary), [no, yes, yes, no, no, no, no, no, no]);
    assert_eq!(claims(&Raw), [no; 9]);
}

#[test]
fn raw_has_frames_and_nothing_around_them() {
    let text = Packet::Message("hi".into());
    assert_eq!(Raw.encode(text.clone()), Ok(Frame::text("hi")));
    let json = Packet::Message(Message::from_json(&1).expect("a number is JSON"));
    assert_eq!(Raw.encode(json.clone()), Ok(Frame::text("1")));
    let binary = Packet::Message(vec![1].into());
    assert_eq!(Raw.encode(binary.clone()), Ok(Frame::binary(vec![1])));

    let received = Packet::Message(Message::from("hi").class(Class::AtMostOnce));
    assert_eq!(Raw.decode(Frame::text("hi")), Ok(received));
    let odd = Bytes::from_static(b"\xff");
    let Ok(Packet::Message(message)) = Raw.decode(Frame::Text(odd.clone())) else {
        panic!("every frame is a message");
    };
    assert_eq!(message.data, Data::Text(odd));
    assert!(!Raw.has_session() && Raw.protocol().is_none());
}

#[test]
fn raw_says_what_it_has_no_place_for() {
    let refused = |packet: Packet| Raw.encode(packet).expect_err("raw has none").to_string();
    let hint = "choose `Json` or `Binary`, or send without it";
    let message = Message::from("hi");
    assert_eq!(
        refused(Packet::Message(message.clone().on("chat"))),
        format!("the codec `raw` has no channel: {hint}")
    );
    assert_eq!(
        refused(Packet::Message(message.event("said"))),
        format!("the codec `raw` has no event: {hint}")
    );
    assert_eq!(refused(Packet::Ping(1)), format!("the codec `raw` has no ping: {hint}"));
    let latin = Message::new(Data::Text(Bytes::from_static(b"\xe9")));
    assert_eq!(refused(Packet::Message(latin)), "the field `message.text` is not UTF-8");
}
