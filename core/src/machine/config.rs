//! What a machine is told once.

use std::sync::Arc;
use std::time::Duration;

use super::{AppStateMode, Backoff, Heartbeat};
use crate::ConnectRequest;
use crate::wire::{Binary, Codec, Json};

/// What a connection is configured with, at either end. Every default has its reason beside it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The codecs. A client speaks the first one; a server takes them all and tells them apart by the
    /// first frame. A server whose first one has no session (raw) takes that one alone.
    pub codecs: Vec<Arc<dyn Codec>>,
    /// How signs of life are asked for.
    pub heartbeat: Heartbeat,
    /// When to try again. A client's.
    pub backoff: Backoff,
    /// Whether to connect again after a loss. A client's.
    pub reconnect: bool,
    /// Whether to try again when the first connect fails. A client's.
    pub retry_first: bool,
    /// Whether the channels that a session was on are joined again when a new one begins (R29). A client's.
    pub rejoin: bool,
    /// Whether this end hears what it publishes on channels itself, where nothing else is said (R27). A client's.
    pub echo: bool,
    /// Whether a connection stays closed until it is first used (R2). A client's.
    pub lazy: bool,
    /// What a connection does while its application is in the background (R49). A client's.
    pub app_state: AppStateMode,
    /// How long the background leaves a connection open, and a ping by hand there: from each anew. A client's.
    pub background_grace: Duration,
    /// How long one attempt may take: credentials, link and handshake. A client's.
    pub attempt_timeout: Duration,
    /// How long a client may take for its hello, and the authenticator for its answer. A server's.
    pub handshake_timeout: Duration,
    /// How long closing may take; half of it for what is queued, the rest for the peer's answer.
    pub close_timeout: Duration,
    /// How many bytes the peer may send that the application here has not taken.
    pub window: usize,
    /// How many bytes may wait to be sent; beyond it `send` waits.
    pub queue: usize,
    /// How long a server keeps a session whose link is lost; zero keeps none.
    pub retention: Duration,
    /// What becomes of messages that are sent while the connection is lost.
    pub buffer: Buffer,
    /// How long a peer, for which a broadcast found no room, may take nothing before its link is dropped; zero is
    /// for ever. Direct sends wait for it as long as it lives.
    pub stalled_after: Duration,
    /// How long a message waits for somebody to listen.
    pub unheard_after: Duration,
    /// The largest frame in bytes, in and out.
    pub max_frame: usize,
    /// The room that a client enters (R8).
    pub room: Option<String>,
    /// What a client tells at connect time.
    pub query: Vec<(String, String)>,
}

/// What becomes of messages that are sent while the connection is lost and may come back (R28).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Buffer {
    /// How many messages wait; zero is none: a send then fails at once.
    pub count: usize,
    /// How many bytes they may have, with 64 for each message.
    pub bytes: usize,
    /// How long one waits. Past that it expires, and is not sent.
    pub age: Duration,
    /// What becomes of one more message.
    pub overflow: Overflow,
}

/// What becomes of one more message where there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// The send fails.
    Reject,
    /// The oldest one is dropped.
    DropOldest,
    /// The new one is accepted and dropped.
    DropNewest,
    /// The send waits for room.
    #[default]
    Wait,
}

impl Buffer {
    /// As many as a person writes in two minutes, and a device measures.
    pub const COUNT: usize = 1024;
    /// As much as waits on an open connection.
    pub const BYTES: usize = Config::QUEUE;
    /// As long as a server keeps a session: what is older has become history.
    pub const AGE: Duration = Config::RETENTION;

    /// Nothing waits: a send while the connection is lost fails at once.
    #[must_use]
    pub fn off() -> Self {
        Self { count: 0, ..Self::default() }
    }

    /// How many messages wait.
    #[must_use]
    pub const fn count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    /// How many bytes they may have.
    #[must_use]
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// How long one waits.
    #[must_use]
    pub const fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// What becomes of one more.
    #[must_use]
    pub const fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            count: Self::COUNT,
            bytes: Self::BYTES,
            age: Self::AGE,
            overflow: Overflow::default(),
        }
    }
}

impl Config {
    /// Four attempts a minute at the worst.
    pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
    /// A round trip and a look into a database, on a bad day.
    pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
    /// As long as a person waits for a window to close.
    pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
    /// 5 MB/s over a round trip of 50 ms; ten thousand stopped readers take 2.5 GB at the worst.
    pub const WINDOW: usize = 256 * 1024;
    /// A burst of a few thousand small messages, or one large one.
    pub const QUEUE: usize = 256 * 1024;
    /// A tunnel, a lift, a change of networks; and what most peers of this field keep.
    pub const RETENTION: Duration = Duration::from_secs(120);
    /// As long as a phone's system lets an application finish, and as a person looks at another one.
    pub const BACKGROUND_GRACE: Duration = Duration::from_secs(30);
    /// Longer than any pause of a healthy application; a hung one is not waited for.
    pub const STALLED_AFTER: Duration = Duration::from_secs(60);
    /// Longer than any start of an application between its connect and its first listener.
    pub const UNHEARD_AFTER: Duration = Duration::from_secs(30);

    /// What a client does by default.
    #[must_use]
    pub fn client() -> Self {
        Self::new(vec![Arc::new(Binary)], Heartbeat::client())
    }

    /// What a server does by default.
    #[must_use]
    pub fn server() -> Self {
        Self::new(vec![Arc::new(Binary), Arc::new(Json)], Heartbeat::server())
    }

    fn new(codecs: Vec<Arc<dyn Codec>>, heartbeat: Heartbeat) -> Self {
        Self {
            codecs,
            heartbeat,
            backoff: Backoff::default(),
            reconnect: true,
            retry_first: true,
            // Who has joined wants to be there: the link is what was lost.
            rejoin: true,
            echo: true,
            lazy: false,
            app_state: AppStateMode::default(),
            background_grace: Self::BACKGROUND_GRACE,
            attempt_timeout: Self::ATTEMPT_TIMEOUT,
            handshake_timeout: Self::HANDSHAKE_TIMEOUT,
            close_timeout: Self::CLOSE_TIMEOUT,
            window: Self::WINDOW,
            queue: Self::QUEUE,
            retention: Self::RETENTION,
            buffer: Buffer::default(),
            stalled_after: Self::STALLED_AFTER,
            unheard_after: Self::UNHEARD_AFTER,
            max_frame: ConnectRequest::MAX_FRAME,
            room: None,
            query: Vec::new(),
        }
    }
}
