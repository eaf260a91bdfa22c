//! The decoder against a plain reading of the standard, with the stream cut anywhere.

use bytes::Bytes;
use moorline_core::TransportErrorKind;
use moorline_sse::{Event, EventDecoder, Item};
use proptest::collection::vec;
use proptest::prelude::*;

/// What the standard says, read slowly: the whole stream at once, decoded, split into lines, interpreted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    events: Vec<(String, String, String)>,
    comments: usize,
    retries: Vec<u64>,
}

fn reference(stream: &[u8]) -> Read {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<_> = text.split('\n').collect();
    // What follows the last line's end is no line.
    lines.pop();
    let mut read = Read::default();
    let (mut name, mut data, mut id, mut last_id) =
        (String::new(), String::new(), String::new(), String::new());
    for line in lines {
        if line.is_empty() {
            last_id.clone_from(&id);
            if !data.is_empty() {
                data.pop();
                read.events.push((name.clone(), data.clone(), last_id.clone()));
            }
            name.clear();
            data.clear();
        } else if line.starts_with(':') {
            read.comments += 1;
        } else {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => name = value.to_owned(),
                "data" => {
                    data.push_str(value);
                    data.push('\n');
                }
                "id" if !value.contains('\0') => id = value.to_owned(),
                "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                    read.retries.push(value.parse().unwrap_or(u64::MAX));
                }
                _ => {}
            }
        }
    }
    read
}

/// What our decoder says of the stream in these pieces.
fn ours(pieces: &[&[u8]]) -> Read {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut decoder = EventDecoder::new(1 << 20);
    let mut read = Read::default();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(item) = decoder.next().expect("it is small") {
            match item {
                Item::Event(Event { name, data }) => {
                    let id = lossy(decoder.last_event_id());
                    read.events.push((lossy(&name), lossy(&data), id));
                }
                Item::Comment => read.comments += 1,
                Item::Retry(time) => {
                    read.retries.push(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
                }
            }
        }
    }
    read
}

/// Streams that are mostly lines of the format, of bytes of every kind.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(b"data".to_vec()),
        Just(b"data:".to_vec()),
        Just(b"data: ".to_vec()),
        Just(b"event:".to_vec()),
        Just(b"id:".to_vec()),
        Just(b"retry:".to_vec()),
        Just(b"retry: 12".to_vec()),
        Just(b":".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just("\u{feff}".as_bytes().to_vec()),
        Just("é🎈".as_bytes().to_vec()),
        vec(any::<u8>(), 0..3),
        "[a-z0-9]{0,4}".prop_map(String::into_bytes),
    ];
    vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn it_reads_what_the_standard_says_however_it_is_cut(
        stream in streams(),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let wanted = reference(&stream);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&stream[from..cut]);
            from = cut;
        }
        pieces.push(&stream[from..]);
        prop_assert_eq!(&ours(&pieces), &wanted);
        let bytes: Vec<_> = stream.chunks(1).collect();
        prop_assert_eq!(&ours(&bytes), &wanted);
    }
}

#[test]
fn an_event_has_a_limit_and_what_is_within_it_none() {
    let mut decoder = EventDecoder::new(100);
    for event in ["data: ", "data: \ndata: "] {
        let data = "x".repeat(100 - event.len());
        decoder.push(format!("{event}{data}\n\n").into());
        assert!(matches!(decoder.next().unwrap(), Some(Item::Event(_))));
        assert_eq!(decoder.next().unwrap(), None);
    }
    let long = "x".repeat(101);
    let lines = "data: 123\n".repeat(40);
    for too_long in [format!("data: {long}"), format!("event: {long}\n"), lines] {
        let mut decoder = EventDecoder::new(100);
        decoder.push(too_long.into());
        let error = loop {
            match decoder.next() {
                Ok(None) => panic!("nothing is too long"),
                Ok(Some(_)) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), TransportErrorKind::TooLarge);
    }
}

#[test]
fn a_million_comments_and_one_without_end_are_kept_nowhere() {
    let mut decoder = EventDecoder::new(10);
    let comments = Bytes::from(": a comment that is longer than the limit\n".repeat(1000));
    for _ in 0..1000 {
        decoder.push(comments.clone());
        let mut count = 0;
        while decoder.next().unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 1000);
    }
    decoder.push(": ".into());
    assert_eq!(decoder.next().unwrap(), None);
    for _ in 0..1000 {
        decoder.push(Bytes::from_static(&[b'x'; 1000]));
        assert_eq!(decoder.next().unwrap(), None);
    }
}

#[test]
fn what_lies_in_one_piece_is_not_copied() {
    let mut decoder = EventDecoder::new(1000);
    decoder.push("\n".into());
    assert_eq!(decoder.next().unwrap(), None);
    let chunk = Bytes::from("data: hello\n\n");
    decoder.push(chunk.clone());
    let Some(Item::Event(event)) = decoder.next().unwrap() else { panic!("an event") };
    assert_eq!(event.data.as_ptr(), chunk[6..].as_ptr());
}
