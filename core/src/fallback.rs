//! Several ways to one place.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{
    BoxReceiver, BoxSender, BoxTransport, Capabilities, ConnectRequest, Incoming, Receiver,
    Transport, TransportError,
};

/// Transports to one server, in the order of preference: where a WebSocket is blocked, something else may get through.
///
/// A failed attempt makes the next one take the next transport, and what has worked is taken again for the next link. A link has
/// worked once something has come over it: a proxy may let one open and then let nothing through. A transport that
/// says no for good (a proxy that answers an upgrade with 400) is passed over within the attempt; only when all do, the
/// attempt ends for good. One that says nothing costs an attempt its time limit, 20 s by default: set a shorter one where a
/// proxy swallows what it does not know.
///
/// The session moves along: a server that listens on several transports
/// ([`add_acceptor`](https://docs.rs/moorline/latest/moorline/struct.ServerBuilder.html)) keeps one set of sessions.
///
/// ```
/// # fn f(websocket: impl moorline_core::Transport, pipe: impl moorline_core::Transport) {
/// use moorline_core::Fallback;
///
/// let transport = Fallback::new(websocket).then(pipe);
/// # }
/// ```
///
/// It can do what all of them can: its [`capabilities`](Transport::capabilities) are what they have in common. Its links are
/// boxed.
pub struct Fallback {
    transports: Vec<BoxTransport>,
    /// The one to take, counted on and on.
    turn: Arc<AtomicUsize>,
}

/// The half that receives.
pub struct FallbackReceiver {
    inner: BoxReceiver,
    /// Until something has come.
    turn: Option<Turn>,
}

impl Fallback {
    /// Prefers that one.
    pub fn new(first: impl Transport) -> Self {
        Self { transports: vec![BoxTransport::new(first)], turn: Arc::default() }
    }

    /// And then that one.
    #[must_use]
    pub fn then(mut self, next: impl Transport) -> Self {
        self.transports.push(BoxTransport::new(next));
        self
    }
}

impl Transport for Fallback {
    type Sender = BoxSender;
    type Receiver = FallbackReceiver;

    async fn connect(
        &self,
        request: &ConnectRequest,
    ) -> Result<(BoxSender, FallbackReceiver), TransportError> {
        let mut refusals = 0;
        loop {
            let turn = Turn::take(&self.turn);
            let at = turn.number % self.transports.len();
            let error = match self.transports[at].connect(request).await {
                Ok((sender, inner)) => {
                    return Ok((sender, FallbackReceiver { inner, turn: Some(turn) }));
                }
                Err(error) => error,
            };
            drop(turn);
            refusals += 1;
            if error.is_retryable() || refusals == self.transports.len() {
                return Err(error);
            }
        }
    }

    fn capabilities(&self) -> Capabilities {
        let all = self.transports.iter().map(Transport::capabilities);
        let both = |one: Capabilities, other: Capabilities| Capabilities {
            binary: one.binary && other.binary,
            ping: one.ping && other.ping,
            close_codes: one.close_codes && other.close_codes,
            max_frame: match (one.max_frame, other.max_frame) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
        };
        all.reduce(both).unwrap_or_default()
    }
}

impl Receiver for FallbackReceiver {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        let received = self.inner.receive().await;
        if matches!(received, Ok(Some(Incoming::Frame(_) | Incoming::Activity))) {
            if let Some(turn) = self.turn.take() {
                turn.keep();
            }
        }
        received
    }
}

impl fmt::Debug for FallbackReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackReceiver").finish_non_exhaustive()
    }
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("transports", &self.transports.len())
            .field("turn", &self.turn)
            .finish()
    }
}

/// A transport's turn, which passes to the next one unless it is kept: also when the attempt is dropped.
struct Turn {
    turn: Arc<AtomicUsize>,
    number: usize,
    kept: bool,
}

impl Turn {
    fn take(turn: &Arc<AtomicUsize>) -> Self {
        Self { number: turn.load(Ordering::Relaxed), turn: turn.clone(), kept: false }
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.kept {
            let next = self.number.wrapping_add(1);
            // Of several attempts at once the first to fail has passed it on.
            let _ =
                self.turn.compare_exchange(self.number, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}
