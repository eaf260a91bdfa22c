//! Bytes to messages (RFC 6455, section 5), without I/O.

use std::io::Cursor;
use std::ops::Range;

use bytes::Bytes;
use moorline_core::{CloseFrame, Frame, TransportErrorKind};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::close::{self, BAD_TEXT, PROTOCOL, TOO_LARGE};
use crate::mask;

/// The largest payload of a control frame.
const MAX_CONTROL: u64 = 125;

/// How much memory is set aside on the word of a header alone; beyond it memory grows with what has come.
const TRUSTED: usize = 64 * 1024;

/// Which end we are. A client's frames are masked, a server's are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// Puts messages together from pieces of any size.
pub(crate) struct Decoder {
    role: Role,
    /// The largest message now.
    limit: usize,
    /// The largest message after the first.
    later_limit: usize,
    /// The message that has begun and not ended; whether it is text.
    message: Option<bool>,
    data: Vec<u8>,
    /// Up to where `data` has been found to be UTF-8.
    checked: usize,
    /// The data frame whose payload has not come in full.
    frame: Option<Payload>,
}

struct Payload {
    left: usize,
    last: bool,
    mask: Option<[u8; 4]>,
    done: usize,
}

/// What a piece of input gave.
pub(crate) enum Step {
    /// Nothing yet: more input is needed.
    Wait,
    /// A message that lies in the input as a whole, unmasked and checked; and whether it is text.
    Whole(bool, Range<usize>),
    Item(Item),
}

/// What a peer has sent.
pub(crate) enum Item {
    Message(Frame),
    Ping(Bytes),
    Pong,
    Close(CloseFrame),
}

/// What a peer did wrong.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) code: u16,
    pub(crate) kind: TransportErrorKind,
    pub(crate) what: &'static str,
}

impl Violation {
    const fn new(code: u16, what: &'static str) -> Self {
        Self { code, kind: TransportErrorKind::Protocol, what }
    }

    const fn protocol(what: &'static str) -> Self {
        Self::new(PROTOCOL, what)
    }
}

const NOT_UTF8: Violation = Violation::new(BAD_TEXT, "text is not UTF-8");

impl Decoder {
    /// `first_limit` is the largest first message in bytes, `limit` that of every later one.
    pub(crate) fn new(role: Role, first_limit: usize, limit: usize) -> Self {
        Self {
            role,
            limit: first_limit.min(limit),
            later_limit: limit,
            message: None,
            data: Vec::new(),
            checked: 0,
            frame: None,
        }
    }

    /// Takes input in, unmasking it in place: how much was consumed, and what it gave. To be called again with the rest
    /// until it gives [`Step::Wait`]; what is not consumed then is given again, with more behind it. That is never more
    /// than a header and a control frame.
    pub(crate) fn step(&mut self, input: &mut [u8]) -> Result<(usize, Step), Violation> {
        let mut consumed = 0;
        loop {
            if self.frame.is_some() {
                let (taken, message) = self.take_payload(&mut input[consumed..])?;
                consumed += taken;
                if let Some(message) = message {
                    return Ok((consumed, Step::Item(Item::Message(message))));
                }
                if self.frame.is_some() {
                    return Ok((consumed, Step::Wait));
                }
            }
            let input = &mut input[consumed..];
            let mut cursor = Cursor::new(&*input);
            let header = FrameHeader::parse(&mut cursor)
                .map_err(|_| Violation::protocol("unknown kind of frame"))?;
            let Some((header, length)) = header else { return Ok((consumed, Step::Wait)) };
            let start = cursor.position() as usize;
            self.check(&header)?;
            match header.opcode {
                OpCode::Control(control) => {
                    if length > MAX_CONTROL || !header.is_final {
                        return Err(Violation::protocol("control frame too long or in pieces"));
                    }
                    let Some(payload) = input.get_mut(start..start + length as usize) else {
                        return Ok((consumed, Step::Wait));
                    };
                    unmask(payload, header.mask);
                    let item = control_item(control, payload)?;
                    return Ok((consumed + start + payload.len(), Step::Item(item)));
                }
                OpCode::Data(data) => {
                    let text = self.begin(data)?;
                    let length = self.check_length(length)?;
                    let whole = header.is_final && data != Data::Continue;
                    let end = start + length;
                    if whole && end <= input.len() {
                        let payload = &mut input[start..end];
                        unmask(payload, header.mask);
                        if text && std::str::from_utf8(payload).is_err() {
                            return Err(NOT_UTF8);
                        }
                        self.limit = self.later_limit;
                        let range = consumed + start..consumed + end;
                        return Ok((range.end, Step::Whole(text, range)));
                    }
                    self.message = Some(text);
                    self.frame = Some(Payload {
                        left: length,
                        last: header.is_final,
                        mask: header.mask,
                        done: 0,
                    });
                    consumed += start;
                }
            }
        }
    }

    fn check(&self, header: &FrameHeader) -> Result<(), Violation> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Violation::protocol("reserved bit set"));
        }
        match (self.role, header.mask) {
            (Role::Server, Some(_)) | (Role::Client, None) => Ok(()),
            (Role::Server, None) => Err(Violation::protocol("a client's frame is not masked")),
            (Role::Client, Some(_)) => Err(Violation::protocol("a server's frame is masked")),
        }
    }

    /// Whether the message that this frame belongs to is text.
    fn begin(&self, data: Data) -> Result<bool, Violation> {
        match (data, self.message) {
            (Data::Text, None) => Ok(true),
            (Data::Binary, None) => Ok(false),
            (Data::Continue, Some(text)) => Ok(text),
            (Data::Continue, None) => Err(Violation::protocol("nothing to continue")),
            _ => Err(Violation::protocol("a message begins within another one")),
        }
    }

    fn check_length(&self, length: u64) -> Result<usize, Violation> {
        let room = self.limit.saturating_sub(self.data.len());
        match usize::try_from(length) {
            Ok(length) if length <= room => Ok(length),
            _ => Err(Violation {
                code: TOO_LARGE,
                kind: TransportErrorKind::TooLarge,
                what: "message too large",
            }),
        }
    }

    fn take_payload(&mut self, input: &mut [u8]) -> Result<(usize, Option<Frame>), Violation> {
        let Some(frame) = &mut self.frame else { return Ok((0, None)) };
        let taken = frame.left.min(input.len());
        let payload = &mut input[..taken];
        if let Some(key) = frame.mask {
            mask::apply(payload, key, frame.done);
        }
        if self.data.capacity() - self.data.len() < taken {
            let more = frame.left.min(self.data.len().max(TRUSTED)).max(taken);
            self.data.reserve_exact(more);
        }
        self.data.extend_from_slice(payload);
        frame.done += taken;
        frame.left -= taken;
        let (frame_ends, message_ends) = (frame.left == 0, frame.left == 0 && frame.last);
        if frame_ends {
            self.frame = None;
        }
        let text = self.message == Some(true);
        if text {
            self.check_text(message_ends)?;
        }
        Ok((taken, message_ends.then(|| self.finish(text))))
    }

    /// Checks text as it comes, so that a message that is wrong at its start is refused there.
    fn check_text(&mut self, is_all: bool) -> Result<(), Violation> {
        match std::str::from_utf8(&self.data[self.checked..]) {
            Ok(_) => self.checked = self.data.len(),
            Err(error) if error.error_len().is_none() && !is_all => {
                self.checked += error.valid_up_to();
            }
            Err(_) => return Err(NOT_UTF8),
        }
        Ok(())
    }

    fn finish(&mut self, text: bool) -> Frame {
        self.message = None;
        self.checked = 0;
        self.limit = self.later_limit;
        let mut data = std::mem::take(&mut self.data);
        if data.capacity() - data.len() > data.len() / 4 {
            data.shrink_to_fit();
        }
        frame(text, data.into())
    }
}

/// A message of that kind.
pub(crate) fn frame(text: bool, payload: Bytes) -> Frame {
    if text { Frame::Text(payload) } else { Frame::Binary(payload) }
}

fn unmask(payload: &mut [u8], key: Option<[u8; 4]>) {
    if let Some(key) = key {
        mask::apply(payload, key, 0);
    }
}

fn control_item(control: Control, payload: &[u8]) -> Result<Item, Violation> {
    match control {
        Control::Ping => Ok(Item::Ping(Bytes::copy_from_slice(payload))),
        Control::Pong => Ok(Item::Pong),
        Control::Close => close::parse(payload)
            .map(Item::Close)
            .map_err(|code| Violation::new(code, "close frame is not valid")),
        Control::Reserved(_) => Err(Violation::protocol("unknown kind of frame")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 4096;

    /// Random enough for a test (xorshift).
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound as u64) as usize
        }
    }

    /// What a decoder makes of input in pieces: all that comes out, as text.
    fn decode(input: &[u8], mut cut: impl FnMut(usize) -> usize) -> Vec<String> {
        let mut decoder = Decoder::new(Role::Server, LIMIT, LIMIT);
        let (mut out, mut buffer, mut given) = (Vec::new(), Vec::new(), 0);
        loop {
            match decoder.step(&mut buffer) {
                Ok((consumed, step)) => {
                    let waits = matches!(step, Step::Wait);
                    match step {
                        Step::Wait => {}
                        Step::Whole(text, range) => {
                            let payload = Bytes::copy_from_slice(&buffer[range]);
                            out.push(describe(&frame(text, payload)));
                        }
                        Step::Item(Item::Message(frame)) => out.push(describe(&frame)),
                        Step::Item(Item::Ping(payload)) => out.push(format!("ping {payload:?}")),
                        Step::Item(Item::Pong) => out.push("pong".into()),
                        Step::Item(Item::Close(close)) => {
                            out.push(format!("close {close}"));
                            return out;
                        }
                    }
                    buffer.drain(..consumed);
                    if waits {
                        // Never more than a header and a control frame is asked for again.
                        assert!(buffer.len() < 14 + 125, "{} bytes are kept", buffer.len());
                        if given == input.len() {
                            return out;
                        }
                        let piece = cut(input.len() - given).clamp(1, input.len() - given);
                        buffer.extend_from_slice(&input[given..given + piece]);
                        given += piece;
                    }
                }
                Err(violation) => {
                    out.push(format!("{} {}", violation.code, violation.what));
                    return out;
                }
            }
            assert!(decoder.data.capacity() <= TRUSTED.max(2 * LIMIT));
        }
    }

    fn describe(frame: &Frame) -> String {
        format!("{frame:?} {:?}", frame.payload())
    }

    /// Frames of all kinds, most of them right.
    fn frames(random: &mut Random) -> Vec<u8> {
        let mut input = Vec::new();
        let mut open = false;
        for _ in 0..random.below(12) {
            let control = random.below(3) == 0;
            let last = control || random.below(2) == 0;
            let opcode = match (control, open) {
                (true, _) => 9 + random.below(2),
                (false, true) => 0,
                (false, false) => 1 + random.below(2),
            };
            if !control {
                open = !last;
            }
            let length = if control { random.below(126) } else { random.below(700) };
            let wrong = random.below(60) == 0;
            let first = (u8::from(last) << 7) | opcode as u8 | if wrong { 0x40 } else { 0 };
            input.push(first);
            if length < 126 {
                input.push(0x80 | length as u8);
            } else {
                input.push(0x80 | 126);
                input.extend_from_slice(&(length as u16).to_be_bytes());
            }
            let key = [random.below(256) as u8, 2, 3, 4];
            input.extend_from_slice(&key);
            let start = input.len();
            input.extend("aé€🎈".bytes().cycle().take(length));
            mask::apply(&mut input[start..], key, 0);
        }
        input
    }

    #[test]
    fn the_pieces_that_input_comes_in_make_no_difference() {
        let mut random = Random(0x5eed);
        for round in 0..3000 {
            let mut input = frames(&mut random);
            for _ in 0..random.below(3) {
                if !input.is_empty() {
                    let at = random.below(input.len());
                    input[at] = random.below(256) as u8;
                }
            }
            // A violation deep in a message is found earlier in pieces; what came before it is the same.
            let whole = decode(&input, |left| left);
            let bytewise = decode(&input, |_| 1);
            let cut = decode(&input, |left| 1 + random.below(left));
            assert_eq!(whole, bytewise, "round {round}");
            assert_eq!(whole, cut, "round {round}");
        }
    }

    #[test]
    fn nothing_that_comes_makes_it_panic() {
        let mut random = Random(0xbad);
        for _ in 0..20_000 {
            let input: Vec<u8> = (0..random.below(60)).map(|_| random.below(256) as u8).collect();
            decode(&input, |left| left);
            decode(&input, |_| 1);
        }
    }
}
