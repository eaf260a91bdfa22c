//! The packets: what can be said, apart from how it is written.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::state::{Answer, Join, Leave, Members, Profile, Publish, Query};
use crate::event::retry_after;
use crate::machine::Refusal;
use crate::{ConnectionId, Message};

/// Names and values, in the order in which they were given.
pub type Pairs = Vec<(String, String)>;

/// One thing said by one end to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet {
    /// Client: who I am, and what I can take. The first packet of a link.
    Hello(Box<Hello>),
    /// Server: you are in. The first packet of its answer.
    Ready(Box<Ready>),
    /// A message of the application.
    Message(Message),
    /// A message that asks for an answer.
    Request(Request),
    /// The answer to a request.
    Response(Box<Response>),
    /// What the application at this end has taken so far.
    Ack(Ack),
    /// In a replay, in place of so many numbered packets that are too old to be sent again.
    Skip(u64),
    /// So many numbered packets found no room at this end, and are lost.
    Gap(u64),
    /// So many messages without a number found no room at this end, and are lost.
    Lagged(u64),
    /// Are you there? The number comes back in the pong.
    Ping(u64),
    /// I am.
    Pong(u64),
    /// Something went wrong; the connection stays, unless a close follows.
    Error(ErrorPacket),
    /// This end closes, why, and when to come back.
    Close(Close),
    /// Client: I want to be on that channel.
    Join(Join),
    /// Client: I leave that channel. Server: you are not on it.
    Leave(Box<Leave>),
    /// Who is on a channel, or who has come or gone.
    Members(Box<Members>),
    /// Client: this is my profile.
    Profile(Profile),
    /// Server: these are the connection's properties now.
    Properties(Pairs),
    /// Server: these features are held back now.
    Throttle(Vec<String>),
    /// Client: queries that are asked, and those that are not any more.
    Query(Box<Query>),
    /// Server: what a query gave.
    Answer(Box<Answer>),
    /// Client: to those on the message's channel, or to everybody.
    Publish(Box<Publish>),
}

impl Packet {
    /// The packet's type as the wire names it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Ready(_) => "ready",
            Self::Message(_) => "message",
            Self::Request(_) => "request",
            Self::Response(_) => "response",
            Self::Ack(_) => "ack",
            Self::Skip(_) => "skip",
            Self::Gap(_) => "gap",
            Self::Lagged(_) => "lagged",
            Self::Ping(_) => "ping",
            Self::Pong(_) => "pong",
            Self::Error(_) => "error",
            Self::Close(_) => "close",
            Self::Join(_) => "join",
            Self::Leave(_) => "leave",
            Self::Members(_) => "members",
            Self::Profile(_) => "profile",
            Self::Properties(_) => "properties",
            Self::Throttle(_) => "throttle",
            Self::Query(_) => "query",
            Self::Answer(_) => "result",
            Self::Publish(_) => "publish",
        }
    }
}

/// A client's first packet.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hello {
    /// The version that the client speaks.
    pub version: u8,
    /// A number that rises with each attempt of this client: a delayed duplicate is known by it.
    pub attempt: u64,
    /// How many bytes the server may send that the client has not acknowledged.
    pub window: u64,
    /// The largest frame in bytes that the client takes.
    pub max_frame: u64,
    /// The room to enter (R8).
    pub room: Option<String>,
    /// Credentials: a JSON value.
    pub auth: Option<Bytes>,
    /// Connect-time parameters.
    pub query: Pairs,
    /// The session to continue.
    pub resume: Option<Resume>,
}

impl fmt::Debug for Hello {
    /// Leaves credentials and the query's values out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("version", &self.version)
            .field("attempt", &self.attempt)
            .field("window", &self.window)
            .field("max_frame", &self.max_frame)
            .field("room", &self.room)
            .field("auth", &self.auth.as_ref().map(|_| "…"))
            .field("query", &self.query.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("resume", &self.resume)
            .finish()
    }
}

/// Which session to continue, with the proof that it is one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The session's id.
    pub session: String,
    /// The session's secret.
    pub secret: Secret,
    /// How many numbered packets of the server the client has received.
    pub received: u64,
}

/// 128 random bits that prove a session to be one's own.
#[derive(Clone, Copy)]
pub struct Secret(pub [u8; 16]);

impl PartialEq for Secret {
    /// Takes the same time whatever differs.
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A server's first packet to a client that it lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The version that both will speak.
    pub version: u8,
    /// The connection's id.
    pub id: ConnectionId,
    /// How many bytes the client may send that the server has not acknowledged.
    pub window: u64,
    /// The largest frame in bytes that the server takes.
    pub max_frame: u64,
    /// The connection's properties (R14).
    pub properties: Pairs,
    /// The session to continue after a loss; `None` when the server keeps none.
    pub session: Option<SessionGrant>,
    /// What became of the session that the client wanted to continue.
    pub recovery: Recovery,
}

/// A session given to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionGrant {
    /// Its id, which proves nothing.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
}

/// What became of the session that a client wanted to continue (R45).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Recovery {
    /// There is none to continue: a new one begins.
    #[default]
    Fresh,
    /// It goes on; the server has received that many numbered packets of the client.
    Recovered {
        /// Numbered packets received.
        received: u64,
    },
}

/// A message that asks for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// By which the answer is known: chosen by who asks, and used once in a session.
    pub id: u64,
    /// What is asked.
    pub message: Message,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The request's id.
    pub id: u64,
    /// The answer, or why there is none.
    pub result: Result<Message, ErrorPacket>,
}

/// How much the application at one end has taken. Both counts only rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Ack {
    /// Numbered packets since the session began.
    pub numbered: u64,
    /// Messages without a number since the link began.
    pub unnumbered: u64,
}

impl ErrorPacket {
    /// An error without details.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), details: None }
    }

    /// How long to wait before it is tried again, where the details say so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.details.as_ref().and_then(|details| retry_after(details))
    }

    /// The same, with details of its own: else it would keep the frame that they lie in.
    #[must_use]
    pub(crate) fn owned(self) -> Self {
        let details = self.details.map(|details| Bytes::copy_from_slice(&details));
        Self { details, ..self }
    }
}

impl From<Refusal> for ErrorPacket {
    /// When to try again is told in the details, in whole milliseconds: `{"retry_after":250}`.
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, message, retry_after } = refusal;
        let mut error = Self::new(code, message);
        error.details = retry_after.map(|wait| {
            let millis = wait.as_nanos().div_ceil(1_000_000).min(u64::MAX.into());
            format!(r#"{{"retry_after":{millis}}}"#).into()
        });
        error
    }
}

/// Something that went wrong (R17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPacket {
    /// For programs: one of the codes in `docs/protocol.md`, or the application's own.
    pub code: String,
    /// For people.
    pub message: String,
    /// More, as a JSON value.
    pub details: Option<Bytes>,
}

/// The last packet of an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The close code; see [`Reason`](crate::Reason) for what it means.
    pub code: u16,
    /// For people; at most [`MAX_REASON`](crate::CloseFrame::MAX_REASON) bytes.
    pub reason: String,
    /// The least delay before another attempt, in whole milliseconds.
    pub retry_after: Option<Duration>,
    /// The time over which clients should spread their next attempts, in whole milliseconds.
    pub spread: Option<Duration>,
}
