//! What only a server's connections do: ask who it is, register, call the hooks.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use moorline_core::machine::{Grant, Refusal};
use moorline_core::wire::Hello;
use moorline_core::{BoxFuture, Peer};

use super::connection::Inner;
use super::registry::{Handshake, Place};
use super::{Admission, Core, ServerConnection, Visitor};
use crate::driver::{Attempt, Role};
use crate::error::panic_text;
use crate::shared::Shared;
use crate::{Event, Handle};

/// When a client may come back that met a panic of the authenticator's, or a generator without ids.
const RETRY_AFTER_FAULT: Duration = Duration::from_secs(5);

/// A server's [`Role`], one for each connection.
pub(super) struct ServerRole {
    core: Arc<Core>,
    place: Place,
    /// Held until the client is let in.
    handshake: Option<Handshake>,
    peer: Peer,
    visitor: Option<Arc<Visitor>>,
    identity: Option<String>,
    connection: Option<ServerConnection>,
    hook: Option<BoxFuture<'static, ()>>,
}

impl ServerRole {
    pub(super) fn new(core: Arc<Core>, place: Place, handshake: Handshake, peer: Peer) -> Self {
        Self {
            core,
            place,
            handshake: Some(handshake),
            peer,
            visitor: None,
            identity: None,
            connection: None,
            hook: None,
        }
    }

    fn opened(&mut self, shared: &Arc<Shared>, grant_id: moorline_core::ConnectionId) {
        self.handshake = None;
        let Some(visitor) = self.visitor.take() else { return };
        let connection = ServerConnection {
            inner: Arc::new(Inner {
                handle: Handle::new(shared.clone()),
                id: grant_id,
                visitor,
                identity: self.identity.take(),
            }),
        };
        self.core.registry.open(connection.clone());
        self.connection = Some(connection.clone());
        self.hook = self.core.hooks.connected(&self.core.runtime, &connection);
    }
}

impl Role for ServerRole {
    fn connect(&mut self, _attempt: u32) -> BoxFuture<'static, Attempt> {
        unreachable!("a server's machine makes no links")
    }

    fn authenticate(&mut self, hello: Hello) -> BoxFuture<'static, Result<Admission, Refusal>> {
        let visitor = Arc::new(Visitor {
            peer: std::mem::take(&mut self.peer),
            room: hello.room,
            query: hello.query,
            auth: hello.auth,
        });
        self.visitor = Some(visitor.clone());
        let Some(authenticator) = self.core.authenticator.clone() else {
            return Box::pin(std::future::ready(Ok(Admission::anonymous())));
        };
        let core = self.core.clone();
        Box::pin(async move {
            // Called inside the future, so that a panic before its first await is caught too.
            let asked = async { authenticator.authenticate(visitor).await };
            match AssertUnwindSafe(asked).catch_unwind().await {
                Ok(answer) => answer,
                Err(panic) => {
                    core.hooks.failed(
                        &core.runtime,
                        format!("the authenticator: {}", panic_text(&*panic)),
                    );
                    Err(Refusal::for_now("internal", "the server failed", RETRY_AFTER_FAULT))
                }
            }
        })
    }

    fn admit(&mut self, admission: Admission) -> Result<Grant, Refusal> {
        let Some(id) = self.place.draw_id(|| (self.core.ids)(&self.core.runtime)) else {
            return Err(Refusal::for_now("internal", "no free connection id", RETRY_AFTER_FAULT));
        };
        self.identity = admission.identity;
        Ok(Grant { id, properties: admission.properties })
    }

    fn before(&mut self, shared: &Arc<Shared>, event: &Event) {
        match event {
            Event::Connect(connected) => {
                if let Some(id) = connected.id.clone() {
                    self.opened(shared, id);
                }
            }
            // Out of the registry before anybody hears of it (R34).
            Event::Disconnect(end) => {
                self.place.close();
                if let Some(connection) = self.connection.take() {
                    self.core.hooks.disconnected(&self.core.runtime, connection, end.clone());
                }
            }
            _ => {}
        }
    }

    fn take_hook(&mut self) -> Option<BoxFuture<'static, ()>> {
        self.hook.take()
    }

    fn ends_when_closed(&self) -> bool {
        true
    }
}
