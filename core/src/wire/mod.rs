//! The wire: what two ends say to each other, and the codecs that write it into frames.
//!
//! `docs/protocol.md` defines it byte for byte. Three codecs ship: [`Json`] (text that a browser reads and writes in
//! twenty lines), [`Binary`] (compact, the default between two moorlines) and [`Raw`] (no envelope: frames are the
//! messages). The first frame of a link tells which one it is.

mod binary;
mod fields;
mod json;
mod limits;
mod members;
mod packet;
mod raw;
mod state;

use std::fmt::Debug;
use std::sync::Arc;

pub use binary::Binary;
pub use json::Json;
pub use packet::{
    Ack, Close, ErrorPacket, Hello, Packet, Pairs, Ready, Recovery, Request, Response, Resume,
    Secret, SessionGrant,
};
pub use raw::Raw;
pub use state::{
    Answer, AnswerBody, Ask, Asked, Join, Leave, Members, MembersKind, Profile, Publish, Query,
};

use crate::{Class, Frame};

/// The version of the protocol that this crate speaks.
pub const VERSION: u8 = 1;

/// The largest first frame of a link in bytes: what a stranger may send before it is known who it is.
pub const MAX_HELLO: usize = 16 * 1024;

/// What a packet costs of a window beside its frame's payload, in bytes. It stands for the memory
/// that a packet takes whatever its size, so that a flood of empty ones stays bounded too.
pub const PACKET_OVERHEAD: usize = 64;

/// What a frame costs of its receiver's window, in bytes.
#[must_use]
pub fn cost(frame: &Frame) -> usize {
    frame.len() + PACKET_OVERHEAD
}

/// Whether a packet takes a number of the session. The one place that says so, for both ends.
#[must_use]
pub const fn is_numbered(packet: &Packet) -> bool {
    match packet {
        Packet::Message(message) => matches!(message.class, Class::AtLeastOnce),
        Packet::Publish(publish) => matches!(publish.message.class, Class::AtLeastOnce),
        Packet::Request(_)
        | Packet::Response(_)
        | Packet::Join(_)
        | Packet::Leave(_)
        | Packet::Members(_)
        | Packet::Profile(_)
        | Packet::Properties(_)
        | Packet::Query(_)
        | Packet::Answer(_) => true,
        Packet::Hello(_)
        | Packet::Ready(_)
        | Packet::Ack(_)
        | Packet::Skip(_)
        | Packet::Gap(_)
        | Packet::Lagged(_)
        | Packet::Ping(_)
        | Packet::Pong(_)
        | Packet::Error(_)
        | Packet::Throttle(_)
        | Packet::Close(_) => false,
    }
}

/// Gives frames meaning: packets ⇄ frames, and whether the two ends shake hands.
///
/// # Behaviour
///
/// - [`decode`](Self::decode) MUST give back what [`encode`](Self::encode) was given, MUST NOT panic
///   whatever the frame holds, and MUST NOT allocate more than a small multiple of the frame's length.
/// - Neither may depend on what came before: a broadcast's frame is encoded once for many links.
/// - `encode` MUST NOT wait for anything, nor call moorline: a server calls it with a group's lock held, so that all in the group
///   get the same in the same order.
/// - Payloads SHOULD be slices of the frame, not copies.
pub trait Codec: Debug + Send + Sync + 'static {
    /// Its name in the subprotocol `moorline.v1.NAME`, and in logs.
    fn name(&self) -> &'static str;

    /// The subprotocol it offers to transports that negotiate one; `None` for a protocol without a
    /// handshake.
    fn protocol(&self) -> Option<&'static str>;

    /// Whether this is the first frame of a client that speaks this codec.
    fn claims(&self, first: &Frame) -> bool;

    /// Whether the two ends shake hands (hello, ready), number and acknowledge. Without it a
    /// connection is open as soon as its link is, and every frame is a message.
    fn has_session(&self) -> bool;

    /// Writes a packet into a frame. It takes the packet, so that a codec can hand its payload on without a
    /// copy.
    ///
    /// # Errors
    ///
    /// When the codec cannot say it: [`Raw`] has no channels, for example.
    fn encode(&self, packet: Packet) -> Result<Frame, EncodeError>;

    /// Reads a packet out of a frame.
    ///
    /// # Errors
    ///
    /// When the frame is not a packet of this version.
    fn decode(&self, frame: Frame) -> Result<Packet, DecodeError>;
}

impl<C: Codec + ?Sized> Codec for Arc<C> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn protocol(&self) -> Option<&'static str> {
        (**self).protocol()
    }

    fn claims(&self, first: &Frame) -> bool {
        (**self).claims(first)
    }

    fn has_session(&self) -> bool {
        (**self).has_session()
    }

    fn encode(&self, packet: Packet) -> Result<Frame, EncodeError> {
        (**self).encode(packet)
    }

    fn decode(&self, frame: Frame) -> Result<Packet, DecodeError> {
        (**self).decode(frame)
    }
}

/// A packet that a codec cannot write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The codec has no place for a part of it.
    #[error("the codec `{codec}` has no {field}: choose `Json` or `Binary`, or send without it")]
    Unsupported {
        /// The codec's name.
        codec: &'static str,
        /// What it has no place for.
        field: &'static str,
    },
    /// Data that say they are text or JSON and are not.
    #[error("the field `{field}` is not {expected}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A field is larger than its limit.
    #[error("the field `{field}` has {size}, limit {limit}")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
}

/// A frame that is not a packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is text where the codec speaks binary, or the other way round.
    #[error("the codec `{codec}` does not take {got} frames")]
    WrongKind {
        /// The codec's name.
        codec: &'static str,
        /// `"text"` or `"binary"`.
        got: &'static str,
    },
    /// It ends too soon.
    #[error("the frame ends inside `{field}`")]
    Truncated {
        /// The field that it ends in.
        field: &'static str,
    },
    /// A field holds what it cannot hold.
    #[error("the field `{field}` is not {expected}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A field is larger than its limit.
    #[error("the field `{field}` has {size}, limit {limit}")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The kind of packet is not one of this version.
    #[error("unknown packet type {0}")]
    UnknownType(String),
    /// The other end speaks a version that this one does not.
    #[error("protocol version {0} is not supported: this end speaks version {VERSION}")]
    UnsupportedVersion(u64),
    /// It is not JSON, or not the JSON of a packet.
    #[error("not a packet: {0}")]
    Json(String),
}
