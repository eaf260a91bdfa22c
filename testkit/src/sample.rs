//! Frames that say which one they are, so that one can tell what became of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use moorline_core::Frame;

/// The frame with that number: text and binary by turns where binary travels.
pub(crate) fn numbered(number: usize, size: usize, binary: bool) -> Frame {
    let payload = Bytes::from(payload(number, size));
    if binary && number % 2 == 1 { Frame::Binary(payload) } else { Frame::Text(payload) }
}

/// ASCII that begins with the number and is nowhere alike for long: `<17>` and letters, at least as long as that.
pub(crate) fn payload(number: usize, size: usize) -> Vec<u8> {
    let mut payload = mark(number);
    let mut state = number as u64 + 1;
    while payload.len() < size {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        payload.push(b'a' + ((state >> 33) % 26) as u8);
    }
    payload
}

/// How a payload with that number begins. Stands nowhere else.
pub(crate) fn mark(number: usize) -> Vec<u8> {
    format!("<{number}>").into_bytes()
}

/// The number that a payload begins with.
pub(crate) fn number(payload: &[u8]) -> Option<usize> {
    let inner = payload.strip_prefix(b"<")?;
    let end = inner.iter().position(|byte| *byte == b'>')?;
    std::str::from_utf8(&inner[..end]).ok()?.parse().ok()
}

/// Counts the payloads that somebody still holds.
#[derive(Clone, Default)]
pub(crate) struct Held(Arc<AtomicUsize>);

struct Owner {
    payload: Vec<u8>,
    held: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Held {
    /// A text frame that counts until its payload is given back.
    pub(crate) fn frame(&self, number: usize, size: usize) -> Frame {
        self.0.fetch_add(1, Ordering::SeqCst);
        let owner = Owner { payload: payload(number, size), held: self.0.clone() };
        Frame::Text(Bytes::from_owner(owner))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}
