//! What only a server's connections do: ask who it is, register, call the hooks.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use moorline_core::machine::{Grant, Refusal};
use moorline_core::wire::Hello;
use moorline_core::{BoxFuture, ConnectionId, Peer};

use super::connection::Inner;
use super::registry::{Handshake, Place};
use super::sessions::{ClientSide, Seat};
use super::{Admission, Core, ServerConnection, Visitor};
use crate::driver::{Admitted, Attempt, Coming, Role};
use crate::error::panic_text;
use crate::shared::Shared;
use crate::{Disconnect, Event, Handle};

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
    /// What the client said, without its credentials.
    hello: Hello,
    /// The session that its client may come back to.
    session: Option<Seat>,
    /// How the connection was lost, until its client comes back.
    end: Option<Disconnect>,
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
            hello: Hello::default(),
            session: None,
            end: None,
            hook: None,
        }
    }

    fn opened(&mut self, shared: &Arc<Shared>) {
        self.handshake = None;
        if let Some(session) = &self.session {
            session.attach();
        }
        let Some(visitor) = self.visitor.take() else { return };
        let connection = ServerConnection {
            inner: Arc::new(Inner {
                handle: Handle::new(shared.clone()),
                visitor,
                identity: self.identity.take(),
            }),
        };
        self.core.registry.open(connection.clone());
        self.connection = Some(connection.clone());
        self.hook = self.core.hooks.connected(&self.core.runtime, &connection);
    }

    /// The connection is over for good.
    fn over(&mut self, end: Option<Disconnect>) {
        self.session = None;
        self.place.close();
        if let (Some(connection), Some(end)) = (self.connection.take(), end) {
            self.core.hooks.disconnected(&self.core.runtime, connection, end);
        }
    }
}

impl Role for ServerRole {
    fn connect(&mut self, _attempt: u32) -> BoxFuture<'static, Attempt> {
        unreachable!("a server's machine makes no links")
    }

    fn authenticate(&mut self, mut hello: Hello) -> BoxFuture<'static, Result<Admission, Refusal>> {
        let visitor = Arc::new(Visitor {
            peer: std::mem::take(&mut self.peer),
            room: hello.room.take(),
            query: std::mem::take(&mut hello.query),
            auth: hello.auth.take(),
        });
        self.hello = hello;
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

    fn admit(
        &mut self,
        admission: Admission,
        shared: &Arc<Shared>,
        codec: &'static str,
    ) -> Result<Admitted, Refusal> {
        let Admission { identity, properties } = admission;
        let hello = std::mem::take(&mut self.hello);
        let client = ClientSide { identity: identity.clone(), attempt: hello.attempt, codec };
        let sessions = &self.core.sessions;
        if let Some(resume) = &hello.resume {
            if let Some(session) = sessions.find(resume, &client)? {
                let received = resume.received;
                let (window, max_frame) = (hello.window, hello.max_frame);
                let coming = Coming { window, max_frame, received, properties };
                return Ok(Admitted::Back(session, coming));
            }
        }
        let Some(id) = self.place.draw_id(|| (self.core.ids)(&self.core.runtime)) else {
            return Err(Refusal::for_now("internal", "no free connection id", RETRY_AFTER_FAULT));
        };
        let keeps = shared.codec.get().is_none_or(|codec| codec.has_session())
            && codec != "raw"
            && !self.core.config.retention.is_zero();
        let session = keeps.then(|| sessions.open(shared, client, &self.core.runtime));
        let (seat, grant) = session.unzip();
        self.session = seat;
        self.identity = identity;
        Ok(Admitted::Anew(Grant { id, properties, session: grant }))
    }

    fn renew_id(&mut self) -> Option<ConnectionId> {
        self.place.renew_id(|| (self.core.ids)(&self.core.runtime))
    }

    fn keeps(&mut self, bytes: usize) {
        if let Some(session) = &self.session {
            session.keeps(bytes);
        }
    }

    fn closed(&mut self) {
        let end = self.end.take();
        self.over(end);
    }

    fn before(&mut self, shared: &Arc<Shared>, event: &Event) {
        match event {
            Event::Connect(_) => {
                self.end = None;
                self.opened(shared);
            }
            // Its client may come back, and its hook goes on.
            Event::Disconnect(end) if end.reconnects => {
                self.end = Some(end.clone());
                if let Some(end) = &mut self.end {
                    end.reconnects = false;
                }
                if let Some(session) = &self.session {
                    session.detach();
                }
            }
            // Out of the registry before anybody hears of it (R34).
            Event::Disconnect(end) => self.over(Some(end.clone())),
            Event::ReconnectFailed => self.closed(),
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
