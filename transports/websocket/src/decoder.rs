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
    #[allow(dead_code, reason = "where there are clients alone")]
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
            let header = parse_header(input)?;
            let Some((header, length, start)) = header else { return Ok((consumed, Step::Wait)) };
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

/// The header at the start of the input, its payload's length, and where that starts; `None` if it has not come in full.
fn parse_header(input: &[u8]) -> Result<Option<(FrameHeader, u64, usize)>, Violation> {
    // Nearly all frames: a short message as a whole.
    if let [first @ (0x81 | 0x82), second @ 0x80..0xfe, a, b, c, d, ..] = *input {
        let opcode = OpCode::Data(if first == 0x81 { Data::Text } else { Data::Binary });
        let mask = Some([a, b, c, d]);
        let header = FrameHeader { is_final: true, opcode, mask, ..FrameHeader::default() };
        return Ok(Some((header, u64::from(second & 0x7f), 6)));
    }
    let mut cursor = Cursor::new(input);
    let header = FrameHeader::parse(&mut cursor)
        .map_err(|_| Violation::protocol("unknown kind of frame"))?;
    Ok(header.map(|(header, length)| (header, length, cursor.position() as usize)))
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
mod tests;
