//! What a transport carries: whole frames, and the close that may end them.

use std::fmt;

use bytes::Bytes;

/// One unit of transport: delivered whole, in order, or not at all.
///
/// A payload is [`Bytes`], so a frame is cloned by counting a reference. `Text` is bytes too, not a
/// string type: a message that is only passed on is then never checked twice, and no transport has
/// to convert between two libraries' strings. Read it with [`Frame::as_text`], which checks.
#[derive(Clone, PartialEq, Eq)]
pub enum Frame {
    /// UTF-8 text. A transport MUST refuse what it receives as text and is not UTF-8, if its
    /// protocol tells the two apart.
    Text(Bytes),
    /// Any bytes.
    Binary(Bytes),
}

impl Frame {
    /// A text frame.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Bytes::from(text.into()))
    }

    /// A binary frame.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::Binary(bytes.into())
    }

    /// The payload, of either kind.
    #[must_use]
    pub const fn payload(&self) -> &Bytes {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => bytes,
        }
    }

    /// The payload, taken out.
    #[must_use]
    pub fn into_payload(self) -> Bytes {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => bytes,
        }
    }

    /// The length of the payload in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.payload().len()
    }

    /// Whether the payload is empty. An empty frame is a frame: it MUST be delivered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.payload().is_empty()
    }

    /// The text of a text frame; `None` for a binary one, and for text that is not UTF-8.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Binary(_) => None,
        }
    }
}

impl fmt::Debug for Frame {
    /// Says the kind and the length. Payloads stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Text(_) => "Text",
            Self::Binary(_) => "Binary",
        };
        write!(f, "{kind}({} bytes)", self.len())
    }
}

/// How a link is closed: a code of RFC 6455, section 7.4, and a text for people.
///
/// Which code means what to a session is one table: [`Reason`](crate::Reason).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CloseFrame {
    /// The close code.
    pub code: u16,
    /// The text; at most 123 bytes of UTF-8, since a WebSocket's control frame holds no more.
    pub reason: String,
}

impl CloseFrame {
    /// The largest [`reason`](Self::reason) in bytes (RFC 6455, section 5.5: 125 less the code).
    pub const MAX_REASON: usize = 123;

    /// A close frame; a longer `reason` is cut at a character's edge.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        if reason.len() > Self::MAX_REASON {
            let end = (0..=Self::MAX_REASON).rev().find(|&at| reason.is_char_boundary(at));
            reason.truncate(end.unwrap_or(0));
        }
        Self { code, reason }
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.is_empty() {
            write!(f, "{}", self.code)
        } else {
            write!(f, "{} ({})", self.code, self.reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_close_reason_is_cut_at_a_characters_edge() {
        let close = CloseFrame::new(4000, "é".repeat(100));
        assert_eq!(close.reason, "é".repeat(61));
    }

    #[test]
    fn text_that_is_not_utf8_reads_as_none() {
        assert_eq!(Frame::Text(Bytes::from_static(&[0xff])).as_text(), None);
        assert_eq!(Frame::text("é").as_text(), Some("é"));
    }
}
