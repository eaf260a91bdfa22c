//! What waits to be written.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_io::AsyncWrite;
use moorline_core::CloseFrame;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::close;
use crate::decoder::Role;
use crate::mask;

/// How many bytes may wait before a frame must wait with them: a batch goes out in one write, and two or three of these
/// fill a socket's own buffer.
const HIGH_WATER: usize = 128 * 1024;

/// A server's payloads from this on are written from where they lie. Below it a copy together with others costs less than
/// one more slice in a write.
const LARGE: usize = 4 * 1024;

/// A client's payloads from this on are masked piece by piece, each of this size.
const PIECE: usize = 64 * 1024;

/// The most slices in one write.
const SLICES: usize = 16;

/// What is kept of the memory when nothing waits.
const KEPT: usize = 256;

/// How large the memory becomes at once when that is not enough.
const GROWN: usize = 4096;

/// Pongs wait for room as one, the latest, when more than this waits (RFC 6455, section 5.5.3).
const PONG_ROOM: usize = 4096;

/// Frames, encoded in order. Holds at most about [`HIGH_WATER`] and one payload.
pub(crate) struct Outbox {
    role: Role,
    /// Headers, and the payloads that are copied.
    bytes: Vec<u8>,
    /// How many of `bytes` are written.
    written: usize,
    /// The payloads that are not.
    large: VecDeque<Large>,
    /// How many bytes wait.
    waiting: usize,
    pong: Option<Bytes>,
    close: Option<CloseFrame>,
    /// A close was taken: nothing comes after it.
    closed: bool,
}

struct Large {
    /// It comes when so many of `bytes` are written.
    at: usize,
    /// What is left of it.
    payload: Bytes,
    /// A client's mask, and how much has been masked.
    mask: Option<([u8; 4], usize)>,
}

impl Outbox {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            role,
            bytes: Vec::new(),
            written: 0,
            large: VecDeque::new(),
            waiting: 0,
            pong: None,
            close: None,
            closed: false,
        }
    }

    /// Whether a close has been taken.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Whether a frame can be taken. When not, it can once everything is written.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting < HIGH_WATER && self.bytes.len() < HIGH_WATER && !self.is_masking()
    }

    /// Whether a client's large payload is under way, which nothing can be put behind.
    fn is_masking(&self) -> bool {
        self.role == Role::Client && !self.large.is_empty()
    }

    /// Takes a message in. Only when it [has room](Self::has_room).
    pub(crate) fn push(&mut self, text: bool, payload: Bytes) {
        let opcode = OpCode::Data(if text { Data::Text } else { Data::Binary });
        let large = match self.role {
            Role::Server => LARGE,
            Role::Client => PIECE,
        };
        if payload.len() < large {
            self.push_whole(opcode, &payload);
        } else {
            let mask = self.push_header(opcode, payload.len(), 0).map(|key| (key, 0));
            self.waiting += payload.len();
            self.large.push_back(Large { at: self.bytes.len(), payload, mask });
        }
    }

    /// Takes a ping in. Only when it [has room](Self::has_room).
    pub(crate) fn ping(&mut self) {
        self.push_whole(OpCode::Control(Control::Ping), &[]);
    }

    /// Takes the answer to a ping in. A later one replaces it if it cannot be written meanwhile.
    pub(crate) fn pong(&mut self, payload: Bytes) {
        if self.closed {
            return;
        }
        self.pong = Some(payload);
        if self.waiting < PONG_ROOM {
            self.push_control();
        }
    }

    /// Takes the close in, unless there was one.
    pub(crate) fn close(&mut self, close: CloseFrame) {
        if !self.closed {
            self.closed = true;
            self.close = Some(close);
            self.push_control();
        }
    }

    /// Forgets everything: it can never be written.
    pub(crate) fn abandon(&mut self) {
        *self = Self { closed: true, ..Self::new(self.role) };
    }

    /// Writes until nothing waits.
    pub(crate) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.waiting > 0 {
            self.mask_piece();
            let mut stream = Pin::new(&mut *stream);
            let written = if self.role == Role::Client || self.large.is_empty() {
                ready!(stream.as_mut().poll_write(context, &self.bytes[self.written..]))?
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = self.fill(&mut slices);
                ready!(stream.as_mut().poll_write_vectored(context, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// What comes next, as slices; how many.
    fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let (mut count, mut from) = (0, self.written);
        let mut add = |slice: &'a [u8]| {
            if !slice.is_empty() && count < SLICES {
                slices[count] = IoSlice::new(slice);
                count += 1;
            }
        };
        for large in self.large.iter().take(SLICES) {
            add(&self.bytes[from..large.at]);
            add(&large.payload);
            from = large.at;
        }
        if self.large.len() < SLICES {
            add(&self.bytes[from..]);
        }
        count
    }

    fn advance(&mut self, mut written: usize) {
        self.waiting -= written;
        if self.role == Role::Client {
            self.written += written;
        } else {
            while written > 0 {
                let end = self.large.front().map_or(self.bytes.len(), |large| large.at);
                let ours = written.min(end - self.written);
                self.written += ours;
                written -= ours;
                let Some(large) = self.large.front_mut() else { break };
                let theirs = written.min(large.payload.len());
                large.payload.advance(theirs);
                written -= theirs;
                if large.payload.is_empty() {
                    self.large.pop_front();
                }
            }
        }
        if self.written == self.bytes.len() && (self.waiting == 0 || self.is_masking()) {
            self.written = 0;
            self.bytes.clear();
        } else if self.written >= HIGH_WATER && self.large.is_empty() {
            // A peer that reads just enough for it never to be empty.
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        if self.waiting == 0 {
            self.large.clear();
            if self.bytes.capacity() > KEPT {
                self.bytes = Vec::new();
            }
            if self.large.capacity() > 1 {
                self.large = VecDeque::new();
            }
            self.push_control();
        }
    }

    /// Masks the next piece of a client's large payload.
    fn mask_piece(&mut self) {
        let Some(Large { payload, mask: Some((key, done)), .. }) = self.large.front_mut() else {
            return;
        };
        if self.written == 0 && self.bytes.len() < PIECE {
            let start = self.bytes.len();
            let piece = payload.split_to(payload.len().min(PIECE - start));
            self.bytes.extend_from_slice(&piece);
            mask::apply(&mut self.bytes[start..], *key, *done);
            *done += piece.len();
        }
    }

    /// Puts the control frames that wait behind what waits already, unless that is being masked.
    fn push_control(&mut self) {
        if self.is_masking() {
            return;
        }
        if let Some(pong) = self.pong.take() {
            self.push_whole(OpCode::Control(Control::Pong), &pong);
        }
        if let Some(close) = self.close.take() {
            self.push_whole(OpCode::Control(Control::Close), &close::payload(close));
        }
    }

    fn push_whole(&mut self, opcode: OpCode, payload: &[u8]) {
        let key = self.push_header(opcode, payload.len(), payload.len());
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.waiting += payload.len();
        if let Some(key) = key {
            mask::apply(&mut self.bytes[start..], key, 0);
        }
    }

    /// Writes a header for a payload of that length, with room for `more` behind it; its key.
    fn push_header(&mut self, opcode: OpCode, length: usize, more: usize) -> Option<[u8; 4]> {
        let mask = (self.role == Role::Client).then(mask::new_key);
        let header = FrameHeader { is_final: true, opcode, mask, ..FrameHeader::default() };
        let length = length as u64;
        let size = header.len(length);
        self.waiting += size;
        let needed = size + more;
        if self.bytes.capacity() - self.bytes.len() < needed {
            let grown = if self.bytes.is_empty() { 0 } else { GROWN };
            self.bytes.reserve(needed.max(grown));
        }
        header.format(length, &mut self.bytes).expect("a Vec takes all");
        mask
    }
}
