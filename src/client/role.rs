//! What only a client's connections do: make links.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use moorline_core::machine::{Failure, Outgoing, Refusal};
use moorline_core::wire::{Hello, Packet};
use moorline_core::{BoxFuture, ConnectRequest, ConnectionId, Transport};

use super::Standing;
use crate::Event;
use crate::delivery::Item;
use crate::driver::{Admitted, Attempt, Heard, Link, Role};
use crate::error::panic_text;
use crate::server::Admission;
use crate::shared::Shared;
use crate::sync::lock;

/// Fetches credentials: a JSON value, or why there is none.
pub(crate) type Credentials =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Bytes, String>> + Send + Sync>;

/// Makes links, with the transport's type erased: one box for each attempt.
pub(crate) type Attempts = Arc<dyn Fn(u32) -> BoxFuture<'static, Attempt> + Send + Sync>;

/// The attempts of a client on this transport.
pub(crate) fn attempts<T: Transport>(
    transport: T,
    request: ConnectRequest,
    credentials: Option<Credentials>,
) -> Attempts {
    let transport = Arc::new(transport);
    Arc::new(move |attempt| {
        let transport = transport.clone();
        let credentials = credentials.clone();
        let mut request = request.clone();
        request.attempt = attempt;
        let attempt = async move {
            // Fetched afresh for each attempt: a token may have expired in the meantime (R43).
            let auth = match credentials {
                Some(fetch) => {
                    Some(fetch().await.map_err(|cause| Failure::retryable("credentials", cause))?)
                }
                None => None,
            };
            let link = transport.connect(&request).await;
            let (sender, receiver) = link.map_err(|error| Failure::from(&error))?;
            Ok((Link::new(sender, receiver), transport.capabilities(), auth))
        };
        // A panic of the hook's or the transport's costs this attempt and not the connection.
        let attempt = AssertUnwindSafe(attempt).catch_unwind();
        Box::pin(attempt.map(|attempt| {
            attempt.unwrap_or_else(|panic| Err(Failure::retryable("panicked", panic_text(&*panic))))
        }))
    })
}

/// A client's [`Role`].
pub(crate) struct ClientRole {
    attempts: Attempts,
    standing: Arc<Standing>,
    rejoin: bool,
}

impl ClientRole {
    pub(crate) const fn new(attempts: Attempts, standing: Arc<Standing>, rejoin: bool) -> Self {
        Self { attempts, standing, rejoin }
    }
}

impl Role for ClientRole {
    fn connect(&mut self, attempt: u32) -> BoxFuture<'static, Attempt> {
        (self.attempts)(attempt)
    }

    fn authenticate(&mut self, _: Hello) -> BoxFuture<'static, Result<Admission, Refusal>> {
        unreachable!("a client's machine never asks who its peer is")
    }

    fn admit(
        &mut self,
        _: Admission,
        _: &Arc<Shared>,
        _: &'static str,
    ) -> Result<Admitted, Refusal> {
        unreachable!("a client's machine never asks who its peer is")
    }

    fn renew_id(&mut self) -> Option<ConnectionId> {
        None
    }

    fn keeps(&mut self, _bytes: usize) {}

    fn session_over(&mut self) {
        if !self.rejoin {
            self.standing.forget_joined();
        }
    }

    fn closed(&mut self) {
        self.session_over();
        self.standing.set_closed(true);
    }

    fn before(&mut self, _shared: &Arc<Shared>, event: &Event) {
        match event {
            Event::Connecting | Event::Connect(_) => self.standing.set_closed(false),
            _ => {}
        }
    }

    fn state(&mut self, shared: &Arc<Shared>, packet: Packet, item: Item) -> Heard {
        match packet {
            Packet::Properties(properties) => {
                lock(&shared.state).properties.clone_from(&properties);
                shared.dispatch(Event::Properties(properties));
                Heard::Taken(item)
            }
            packet => self.standing.hear(shared, packet, item).map_or(Heard::Kept, Heard::Taken),
        }
    }

    fn missed(&mut self) {
        self.standing.missed();
    }

    fn standing(&mut self, shared: &Arc<Shared>, all: bool) -> Vec<Outgoing> {
        self.standing.tell(shared, all)
    }

    fn take_hook(&mut self) -> Option<BoxFuture<'static, ()>> {
        None
    }

    fn ends_when_closed(&self) -> bool {
        false
    }
}
