//! What stands beside the messages: both codecs say the same of it, right or wrong, and hold to the same limits.

use bytes::Bytes;
use moorline_core::wire::{
    Answer, AnswerBody, Ask, Asked, Binary, Codec, DecodeError, EncodeError, Join, Json, Leave,
    Members, MembersKind, Packet, Profile, Query,
};
use moorline_core::{Frame, Member};
use proptest::collection::vec;
use proptest::prelude::*;

/// The largest number that JSON carries.
const MAX_NUMBER: u64 = (1 << 53) - 1;

proptest! {
    #[test]
    fn random_members_panic_nobody(kind in 28u8..36, text in "[\\[\\]{}\":,a-z0-9]{0,60}") {
        let head = text.as_bytes();
        let _ = Binary.decode(Frame::binary([&[kind, head.len() as u8], head].concat()));
        let _ = Json.decode(Frame::text(text));
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

fn binary(bytes: &[u8]) -> DecodeError {
    Binary.decode(Frame::binary(bytes.to_vec())).expect_err("a bad frame")
}

fn json(text: &str) -> DecodeError {
    Json.decode(Frame::text(text)).expect_err("a bad frame")
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
