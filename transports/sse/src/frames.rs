//! Frames as events, and events as frames (`docs/protocol.md`).
//!
//! A text is an event of the type `message`, a line each. A binary frame is an event of the type `binary`, in Base64; so is, as
//! `text`, a text with a carriage return, which no line can hold. A close is an event of the type `close`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use memchr::{memchr, memchr_iter};
use moorline_core::{CloseFrame, Frame, Incoming, TransportError, TransportErrorKind};
use serde::{Deserialize, Serialize};

use crate::decoder::Event;

const BINARY: &[u8] = b"binary";
const TEXT: &[u8] = b"text";
const CLOSE: &[u8] = b"close";

/// What stands before each line of data.
const LINE: &[u8] = b"data: ";

#[derive(Deserialize, Serialize)]
struct Close<'a> {
    code: u16,
    #[serde(borrow, default)]
    reason: std::borrow::Cow<'a, str>,
}

/// How large the event of a frame of that size may be.
pub(crate) const fn event_limit(max_frame: usize) -> usize {
    // In Base64, and with what stands around it.
    (max_frame / 3).saturating_mul(4).saturating_add(64)
}

/// Writes a frame.
pub(crate) fn put_frame(frame: &Frame, out: &mut BytesMut) {
    match frame {
        Frame::Text(text) if fits_lines(text) => put_text(text, out),
        Frame::Text(text) => put_base64(TEXT, text, out),
        Frame::Binary(bytes) => put_base64(BINARY, bytes, out),
    }
}

/// Whether a text is best written as lines: no line holds a carriage return, and each costs more than a line feed.
fn fits_lines(text: &[u8]) -> bool {
    let feeds = memchr_iter(b'\n', text).count();
    feeds * LINE.len() <= text.len() / 3 + 32 && memchr(b'\r', text).is_none()
}

/// What is known of a frame apart from what it was read with, where it is much smaller: it may be kept for long.
pub(crate) fn apart(incoming: Incoming, read: usize) -> Incoming {
    let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    match incoming {
        Incoming::Frame(Frame::Text(text)) if text.len() < read / 4 => {
            Incoming::Frame(Frame::Text(copy(&text)))
        }
        other => other,
    }
}

/// Writes a close.
pub(crate) fn put_close(close: &CloseFrame, out: &mut BytesMut) {
    let close = Close { code: close.code, reason: close.reason.as_str().into() };
    put_name(CLOSE, out);
    put_text(serde_json::to_string(&close).unwrap_or_default().as_bytes(), out);
}

pub(crate) fn put_name(name: &[u8], out: &mut BytesMut) {
    out.put_slice(b"event: ");
    out.put_slice(name);
    out.put_slice(b"\n");
}

/// Writes data without carriage returns, and the event's end.
pub(crate) fn put_text(text: &[u8], out: &mut BytesMut) {
    out.reserve(text.len() + 8);
    let mut from = 0;
    for end in memchr_iter(b'\n', text).chain([text.len()]) {
        out.put_slice(LINE);
        out.put_slice(&text[from..end]);
        out.put_slice(b"\n");
        from = end + 1;
    }
    out.put_slice(b"\n");
}

pub(crate) fn put_base64(name: &[u8], bytes: &[u8], out: &mut BytesMut) {
    put_name(name, out);
    out.put_slice(b"data: ");
    let begin = out.len();
    let length = bytes.len().div_ceil(3) * 4;
    out.resize(begin + length, 0);
    // It is just as long.
    let written = STANDARD.encode_slice(bytes, &mut out[begin..]).unwrap_or(0);
    out.truncate(begin + written);
    out.put_slice(b"\n\n");
}

/// What an event of the other end's means; `None` of one that is not known.
pub(crate) fn incoming(event: Event, max_frame: usize) -> Result<Option<Incoming>, TransportError> {
    let frame = match &event.name[..] {
        b"" => Frame::Text(event.data),
        BINARY => Frame::Binary(decode(&event.data)?),
        TEXT => Frame::Text(decode(&event.data)?),
        CLOSE => {
            let close: Close<'_> = serde_json::from_slice(&event.data)
                .map_err(|error| protocol("a close says no code").with_source(error))?;
            let close = CloseFrame::new(close.code, close.reason);
            return Ok(Some(Incoming::Close(close)));
        }
        _ => return Ok(None),
    };
    if frame.len() > max_frame {
        return Err(TransportError::too_large(frame.len(), max_frame));
    }
    if let Frame::Text(text) = &frame {
        std::str::from_utf8(text)
            .map_err(|error| protocol("a text is not UTF-8").with_source(error))?;
    }
    Ok(Some(Incoming::Frame(frame)))
}

fn decode(data: &[u8]) -> Result<Bytes, TransportError> {
    let decoded = STANDARD.decode(data);
    Ok(decoded.map_err(|error| protocol("a frame is not Base64").with_source(error))?.into())
}

pub(crate) fn protocol(message: &str) -> TransportError {
    TransportError::new(TransportErrorKind::Protocol, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{EventDecoder, Item};

    fn round_trip(frame: &Frame) -> Option<Incoming> {
        let mut out = BytesMut::new();
        put_frame(frame, &mut out);
        assert!(out.len() <= event_limit(frame.len()), "{} of {}", out.len(), frame.len());
        let mut decoder = EventDecoder::new(event_limit(frame.len()));
        decoder.push(": the stream's first line\n".into());
        assert_eq!(decoder.next().unwrap(), Some(Item::Comment));
        assert_eq!(decoder.next().unwrap(), None);
        decoder.push(out.freeze());
        let Some(Item::Event(event)) = decoder.next().unwrap() else { panic!("an event") };
        assert_eq!(decoder.next().unwrap(), None);
        incoming(event, frame.len()).unwrap()
    }

    proptest! {
        #[test]
        fn every_frame_comes_back(text in "[a\r\n :\u{feff}é]{0,40}", bytes: Vec<u8>) {
            for frame in [Frame::text(text), Frame::binary(bytes)] {
                prop_assert_eq!(round_trip(&frame), Some(Incoming::Frame(frame)));
            }
        }
    }

    #[test]
    fn a_close_comes_back() {
        let close = CloseFrame::new(4001, "line\r\n\"end\"");
        let mut out = BytesMut::new();
        put_close(&close, &mut out);
        let mut decoder = EventDecoder::new(1000);
        decoder.push(out.freeze());
        let Some(Item::Event(event)) = decoder.next().unwrap() else { panic!("an event") };
        assert_eq!(incoming(event, 0).unwrap(), Some(Incoming::Close(close)));
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let event = |name: &'static str, data: &'static [u8]| Event {
            name: name.into(),
            data: Bytes::from_static(data),
        };
        for (event, kind) in [
            (event("", b"\xff"), TransportErrorKind::Protocol),
            (event("text", b"/w=="), TransportErrorKind::Protocol),
            (event("binary", b"?"), TransportErrorKind::Protocol),
            (event("close", b"1000"), TransportErrorKind::Protocol),
            (event("", b"12345"), TransportErrorKind::TooLarge),
            (event("binary", b"AAAAAAAA"), TransportErrorKind::TooLarge),
        ] {
            assert_eq!(incoming(event, 4).unwrap_err().kind(), kind);
        }
        assert_eq!(incoming(event("of the future", b"1"), 4).unwrap(), None);
    }
}
