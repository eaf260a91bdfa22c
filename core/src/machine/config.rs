//! What a machine is told once.

use std::sync::Arc;
use std::time::Duration;

use super::{Backoff, Heartbeat};
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
    /// How long a message waits for somebody to listen.
    pub unheard_after: Duration,
    /// The largest frame in bytes, in and out.
    pub max_frame: usize,
    /// The room that a client enters (R8).
    pub room: Option<String>,
    /// What a client tells at connect time.
    pub query: Vec<(String, String)>,
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
            attempt_timeout: Self::ATTEMPT_TIMEOUT,
            handshake_timeout: Self::HANDSHAKE_TIMEOUT,
            close_timeout: Self::CLOSE_TIMEOUT,
            window: Self::WINDOW,
            queue: Self::QUEUE,
            unheard_after: Self::UNHEARD_AFTER,
            max_frame: ConnectRequest::MAX_FRAME,
            room: None,
            query: Vec::new(),
        }
    }
}
