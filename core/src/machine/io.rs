//! What goes into the machine and what comes out of it.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use super::{AppState, NetworkHint};
use crate::wire::{Close, ErrorPacket, Hello, Packet, SessionGrant};
use crate::{
    Capabilities, Class, CloseFrame, ConnectionId, Event, Frame, Message, Time, TransportError,
};

/// What happened, told to [`Machine::handle`](super::Machine::handle).
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// The application wants a connection (a client's).
    Connect,
    /// The application wants no connection any more. What is queued goes out first.
    Disconnect(Close),
    /// The application sends a message, encoded already.
    Send(Outgoing),
    /// A broadcast found no room here for so many numbered messages: they are lost, and the peer is told at
    /// their place.
    Lost(u64),
    /// So many messages without a number found no room here, and the peer is told of them.
    Lagged(u64),
    /// The application takes the message of that ticket back, if it still can be.
    Cancel(u64),
    /// The application has taken so much since the link opened.
    Taken(Taken),
    /// The application wants to know the round-trip time.
    Ping,
    /// The application is in front of its user, or not (a client's; R49).
    AppState(AppState),
    /// What the application knows of its network (a client's; R49).
    Network(NetworkHint),
    /// The link is up: it can carry this much, and (a client's) these are the credentials.
    LinkUp(Capabilities, Option<Bytes>),
    /// The attempt to make a link failed.
    LinkFailed(Failure),
    /// The link is gone: closed by the peer, at its end, or broken.
    LinkLost(Loss),
    /// A frame came.
    Frame(Frame),
    /// The transport saw a sign of life.
    Activity,
    /// This end stopped reading (`true`), or reads again (`false`).
    Suspended(bool),
    /// The link has taken the batch of the last [`Output::Write`].
    Written,
    /// The client may come in (a server's answer to [`Output::Authenticate`]).
    Accept(Grant),
    /// The client may not come in.
    Refuse(Refusal),
    /// The client has come back over a new link, which is up (a server's; see
    /// [`Machine::can_resume`](super::Machine::can_resume)).
    Resume(Box<Return>),
    /// A link has opened ([`Output::Opened`]), and this stands for this client beside its messages: memberships, profile,
    /// queries. It goes out before the messages that wait (a client's). With a session that goes on it is what has changed
    /// meanwhile (`true`); else it is all, and what of that kind still waits is forgotten.
    Restore(Vec<Outgoing>, bool),
    /// The peer is told of an error. The connection stays.
    Report(ErrorPacket),
    /// The server holds these features back now (a server's).
    Throttle(Vec<String>),
    /// The deadline that [`Output::Wait`] named may have come.
    Tick,
}

/// What the driver is to do, in the order given by [`Machine::poll`](super::Machine::poll).
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// The link is open: messages may come. Whether it goes on with the session of the link before.
    Opened(bool),
    /// Fetch credentials, make a link, and answer with [`Input::LinkUp`] or [`Input::LinkFailed`].
    Connect {
        /// Which attempt since the last open, from 1.
        attempt: u32,
        /// When it should be over: the driver need not watch this, the machine does.
        deadline: Time,
    },
    /// Ask the application whether this client may come in; answer with [`Input::Accept`] or
    /// [`Input::Refuse`]. Do not read from the link meanwhile.
    Authenticate(Box<Hello>),
    /// A batch is whole: take it ([`Machine::take_batch`](super::Machine::take_batch)), write it, flush
    /// once, and answer with [`Input::Written`]. No further one comes before that.
    Write,
    /// Drop the link, or the attempt to make one, at once.
    DropLink,
    /// Tell the application.
    Event(Event),
    /// Give the application this many messages
    /// ([`Machine::take_messages`](super::Machine::take_messages)), and tell when they were taken.
    Messages(usize),
    /// Answer all who wait for a round-trip time; `None`: there will be none.
    RoundTrip(Option<Duration>),
    /// Nobody needs to wait for the connection to open any more: it will not, until
    /// [`Input::Connect`]. A server's connection is over.
    Closed(Option<Failure>),
    /// Nothing more until an input comes, or this deadline with [`Input::Tick`].
    Wait(Time),
}

/// One thing for the link to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// A frame.
    Frame(Frame),
    /// The transport's own ping.
    Ping,
    /// The transport's close. Nothing comes after it.
    Close(CloseFrame),
}

/// A message on its way out, encoded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outgoing {
    /// The frame.
    pub frame: Frame,
    /// The message's delivery class.
    pub class: Class,
    /// By which its outcome is told: each message of a connection has a higher one than the one before.
    pub ticket: u64,
    /// When it is too old to go out, at first or again.
    pub expires: Time,
    /// Until when it may wait for a connection that is lost.
    pub waits_until: Time,
    /// A newer message of the same key takes its place in the queue.
    pub key: Option<u64>,
    /// It was sent to many: nobody holds a receipt, so where a numbered one is dropped its reader is told.
    pub broadcast: bool,
    /// Where there is no room for it, older messages without a number are dropped for it.
    pub pushes_out: bool,
    /// It is no message but tells what stands beside them ([`Input::Restore`]): it is neither dropped nor too old while the
    /// session goes on, and does not outlive it.
    pub state: bool,
}

impl Outgoing {
    /// When it is to be dropped from the queue.
    pub(super) fn end(&self) -> Time {
        self.expires.min(self.waits_until)
    }

    /// A message without a ticket, that never is too old.
    #[must_use]
    pub const fn new(frame: Frame, class: Class) -> Self {
        Self {
            frame,
            class,
            ticket: 0,
            expires: Time::MAX,
            waits_until: Time::MAX,
            key: None,
            broadcast: false,
            pushes_out: false,
            state: false,
        }
    }
}

/// A message on its way in.
#[derive(Debug)]
pub struct Received {
    /// The message.
    pub message: Message,
    /// Whether it asks for an answer, or is one.
    pub exchange: Exchange,
    /// What it costs of the window, in bytes.
    pub cost: usize,
    /// Whether it is numbered.
    pub numbered: bool,
}

/// What a message is to a request.
#[derive(Debug)]
pub enum Exchange {
    /// Nothing: a message like any other.
    None,
    /// It asks for an answer with this id.
    Request(u64),
    /// It answers the request of this id.
    Response(u64),
    /// The request of this id failed; the message is empty.
    Failure(u64, Box<ErrorPacket>),
    /// It is to be passed on to the others on its channel, or to everybody (a client's); whether its sender hears it too.
    Publish(Option<bool>),
    /// No message but something that stands beside them; the message is empty.
    State(Box<Packet>),
}

/// What the application has taken: of numbered messages since the session began, of the others since the link
/// opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Numbered messages.
    pub numbered: u64,
    /// Messages without a number.
    pub unnumbered: u64,
    /// The costs of the numbered ones, in bytes.
    pub numbered_cost: u64,
    /// The costs of the others, in bytes.
    pub unnumbered_cost: u64,
}

/// How a client is let in.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its id.
    pub id: ConnectionId,
    /// Its properties.
    pub properties: Vec<(String, String)>,
    /// The session that it may come back to; `None` where none is kept.
    pub session: Option<SessionGrant>,
}

/// How a client comes back to its session.
#[derive(Clone, Debug)]
pub struct Return {
    /// What the new link can do.
    pub capabilities: Capabilities,
    /// What the client takes: its window, and its largest frame, in bytes.
    pub window: u64,
    /// See [`window`](Self::window).
    pub max_frame: u64,
    /// How many numbered packets it has received.
    pub received: u64,
    /// Its new id.
    pub id: ConnectionId,
    /// Its properties.
    pub properties: Vec<(String, String)>,
}

/// How a client is kept out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs: `"unauthorized"`, or a code of the application's own.
    pub code: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// When to try again; `None` is never.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Refused for good: the client does not try again by itself.
    pub fn for_good(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retry_after: None }
    }

    /// Refused for now: the client tries again after that time at the earliest.
    pub fn for_now(
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
        retry_after: Duration,
    ) -> Self {
        Self { code: code.into(), message: message.into(), retry_after: Some(retry_after) }
    }
}

/// Why an attempt to connect failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For programs: a code of `docs/protocol.md`, or the server's own.
    pub code: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// Whether another attempt can help.
    pub retryable: bool,
    /// The delay that the other end asked for.
    pub retry_after: Option<Duration>,
    /// The time over which it asked for the next attempts to be spread.
    pub spread: Option<Duration>,
}

impl Failure {
    /// A failure that another attempt may mend.
    pub fn retryable(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            retryable: true,
            retry_after: None,
            spread: None,
        }
    }

    /// A failure that no further attempt can mend.
    pub fn for_good(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { retryable: false, ..Self::retryable(code, message) }
    }
}

impl From<&TransportError> for Failure {
    fn from(error: &TransportError) -> Self {
        Self {
            code: error.kind().code().into(),
            message: error.to_string(),
            retryable: error.is_retryable(),
            retry_after: error.retry_after(),
            spread: None,
        }
    }
}

/// How a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The peer closed it.
    Closed(CloseFrame),
    /// It ended without a close.
    Ended,
    /// It broke.
    Broken(Failure),
}
