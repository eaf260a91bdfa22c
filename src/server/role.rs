//! What only a server's connections do: ask who it is, register, call the hooks.

use std::any::TypeId;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use moorline_core::machine::{Exchange, Grant, Outgoing, Refusal};
use moorline_core::wire::{Close, ErrorPacket, Hello, Packet};
use moorline_core::{BoxFuture, ConnectionId, Message, Peer, Time, close_code};

use super::admission::Props;
use super::connection::Inner;
use super::extras::Extras;
use super::fanout::Fanout;
use super::guard::{self, Wish};
use super::hub::{Attendee, Kind};
use super::limits::{Source, Tally, Told};
use super::queries::Desk;
use super::registry::{Handshake, Place};
use super::run::command;
use super::sessions::{ClientSide, Seat};
use super::{Admission, Authenticator, Core, ServerConnection, Visitor, telling};
use crate::delivery::Item;
use crate::driver::{Admitted, Attempt, Coming, Heard, Role, Verdict};
use crate::error::panic_text;
use crate::sending;
use crate::shared::{Command, Shared};
use crate::sync::lock;
use crate::{Disconnect, Event, Handle};

/// When a client may come back that met a panic of the authenticator's, or a generator without ids.
pub(super) const RETRY_AFTER_FAULT: Duration = Duration::from_secs(5);

/// Over what time clients come back whose credentials have expired: these expire one by one, unlike a server that stops. Not at
/// once, for credentials that have expired as they come.
const SPREAD_AFTER_EXPIRY: Duration = Duration::from_millis(500);

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
    attendee: Option<Arc<Attendee>>,
    /// What its client asks.
    desk: Option<Arc<Desk>>,
    /// What the application has given it to begin with.
    props: Vec<(TypeId, Props)>,
    presence: Presence,
    /// When it is not known any more who it is.
    expires: Time,
    /// What it has sent, where that is limited.
    tally: Tally,
    /// Where it comes from, until it is known whose connection it is.
    source: Option<Arc<Source>>,
}

/// How the others on its channels see a client.
#[derive(Clone, Copy, Debug)]
enum Presence {
    Here,
    /// It is away, and they do not see that before then.
    Away {
        until: Time,
    },
    /// They have seen it leave.
    Gone,
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
            attendee: None,
            desk: None,
            props: Vec::new(),
            presence: Presence::Here,
            expires: Time::MAX,
            tally: Tally::default(),
            source: None,
        }
    }

    fn opened(&mut self, shared: &Arc<Shared>) {
        self.handshake = None;
        if let Some(session) = &mut self.session {
            session.attach();
        }
        self.returned();
        let Some(visitor) = self.visitor.take() else { return };
        self.tally.opened(self.core.hub.channels.per_connection);
        let handle = Handle::new(shared.clone());
        let id = handle.id().map_or_else(String::new, |id| id.to_string());
        let attendee = Attendee::new(self.place.number(), &id, shared.clone());
        let extras = Extras::default();
        for (key, value) in self.props.drain(..) {
            extras.set_any(key, value);
        }
        let connection = ServerConnection {
            inner: Arc::new(Inner {
                handle,
                visitor,
                identity: self.identity.take(),
                attendee: attendee.clone(),
                hub: self.core.hub.clone(),
                extras,
            }),
        };
        attendee.belongs_to(&connection);
        self.attendee = Some(attendee.clone());
        self.desk = Some(Desk::new(attendee.clone()));
        self.core.registry.open(connection.clone());
        self.connection = Some(connection.clone());
        self.core.hub.opened(&attendee, connection.room(), connection.identity());
        self.hook = self.core.hooks.connected(&self.core.runtime, &connection);
    }

    /// Its client has come, or come back.
    fn returned(&mut self) {
        if matches!(std::mem::replace(&mut self.presence, Presence::Here), Presence::Gone) {
            if let Some(attendee) = &self.attendee {
                self.core.hub.back(attendee);
            }
        }
    }

    /// The connection is over for good.
    fn over(&mut self, end: Option<Disconnect>) {
        self.session = None;
        self.place.close();
        self.presence = Presence::Here;
        self.expires = Time::MAX;
        if let Some(desk) = self.desk.take() {
            desk.close();
        }
        if let Some(attendee) = self.attendee.take() {
            self.core.hub.over(&attendee);
        }
        if let (Some(connection), Some(end)) = (self.connection.take(), end) {
            self.core.hooks.disconnected(&self.core.runtime, connection, end);
        }
    }
}

/// Whether it is told who is there: it waits until there is room for that, or it would ask again and again.
fn is_told_much(exchange: &Exchange) -> bool {
    matches!(exchange, Exchange::State(packet) if matches!(**packet, Packet::Join(_) | Packet::Members(_)))
}

impl Drop for ServerRole {
    /// Also where its driver did not come to an end: the runtime has ended, or something panicked.
    fn drop(&mut self) {
        self.over(None);
    }
}

async fn authenticated(
    core: &Arc<Core>,
    authenticator: &dyn Authenticator,
    visitor: Arc<Visitor>,
) -> Result<Admission, Refusal> {
    // Called inside the future, so that a panic before its first await is caught too.
    let asked = async { authenticator.authenticate(visitor).await };
    AssertUnwindSafe(asked).catch_unwind().await.unwrap_or_else(|panic| {
        core.hooks.failed(&core.runtime, format!("the authenticator: {}", panic_text(&*panic)));
        Err(Refusal::for_now("internal", "the server failed", RETRY_AFTER_FAULT))
    })
}

/// By this properties that wait are replaced by newer ones: other keys are hashes.
const PROPERTIES: u64 = 0;

/// How the events begin that only a server says.
const RESERVED: &str = "moorline:";

impl Role for ServerRole {
    fn connect(&mut self, _attempt: u32) -> BoxFuture<'static, Attempt> {
        unreachable!("a server's machine makes no links")
    }

    fn authenticate(&mut self, mut hello: Hello) -> BoxFuture<'static, Result<Admission, Refusal>> {
        let limits = &self.core.limits;
        let (address, now) = (limits.address(&self.peer), self.core.runtime.now());
        self.source = limits.source(&self.peer, address, now);
        if let Err(refusal) = limits.connect(self.source.as_deref(), now) {
            return Box::pin(std::future::ready(Err(refusal)));
        }
        let visitor = Arc::new(Visitor {
            peer: std::mem::take(&mut self.peer),
            address,
            room: hello.room.take(),
            query: std::mem::take(&mut hello.query),
            auth: hello.auth.take(),
        });
        self.hello = hello;
        self.visitor = Some(visitor.clone());
        let core = self.core.clone();
        let authenticator = core.authenticator.clone();
        if authenticator.is_none() && core.middleware.is_empty() {
            return Box::pin(std::future::ready(Ok(Admission::anonymous())));
        }
        Box::pin(async move {
            let mut admission = match authenticator {
                Some(authenticator) => {
                    authenticated(&core, &*authenticator, visitor.clone()).await?
                }
                None => Admission::anonymous(),
            };
            guard::admit(&core, &visitor, &mut admission).await?;
            Ok(admission)
        })
    }

    fn admit(
        &mut self,
        admission: Admission,
        shared: &Arc<Shared>,
        codec: &'static str,
    ) -> Result<Admitted, Refusal> {
        let Admission { identity, properties, valid_for, props } = admission;
        let expires = valid_for.map_or(Time::MAX, |time| self.core.runtime.now() + time);
        let hello = std::mem::take(&mut self.hello);
        let client = ClientSide { identity: identity.clone(), attempt: hello.attempt, codec };
        let sessions = &self.core.sessions;
        if let Some(resume) = &hello.resume {
            if let Some(session) = sessions.find(resume, &client)? {
                let received = resume.received;
                let (window, max_frame) = (hello.window, hello.max_frame);
                // What it has been told belongs to the session.
                let properties = lock(&session.state).properties.clone();
                let source = self.source.take();
                let coming = Coming { window, max_frame, received, properties, expires, source };
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
        self.props = props;
        self.expires = expires;
        self.tally.come(self.source.take());
        Ok(Admitted::Anew(Grant { id, properties, session: grant }))
    }

    fn renew_id(&mut self) -> Option<ConnectionId> {
        self.place.renew_id(|| (self.core.ids)(&self.core.runtime))
    }

    fn keeps(&mut self, bytes: usize) {
        if let Some(session) = &mut self.session {
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
                if let Some(session) = &mut self.session {
                    session.detach();
                }
                if matches!(self.presence, Presence::Here) {
                    let until = self.core.runtime.now() + self.core.hub.channels.grace;
                    self.presence = Presence::Away { until };
                }
            }
            // Out of the registry before anybody hears of it (R34).
            Event::Disconnect(end) => self.over(Some(end.clone())),
            Event::ReconnectFailed => self.closed(),
            _ => {}
        }
    }

    fn guards(&self) -> bool {
        !self.core.middleware.is_empty()
            || self.core.hooks.watch_messages()
            || self.core.limits.count_messages()
    }

    fn guard(
        &mut self,
        shared: &Arc<Shared>,
        item: &Item,
        exchange: &Exchange,
        now: Time,
    ) -> Verdict {
        if self.core.limits.count_messages() {
            match self.tally.count(&self.core.limits, exchange, item.cost, now) {
                Ok(()) => {}
                Err(Told::Refused(refusal)) => return Verdict::Refuse(refusal),
                Err(Told::Flooded) => {
                    let close = Close::new(close_code::POLICY, "rate_limit_exceeded");
                    command(shared, Command::Disconnect(Box::new(close)));
                    return Verdict::Drop;
                }
                Err(Told::Nothing) => return Verdict::Drop,
            }
        }
        let asked = if self.core.middleware.is_empty() && !self.core.hooks.watch_messages() {
            None
        } else {
            let wish = Wish::of(&item.message, exchange);
            self.connection
                .clone()
                .zip(wish)
                .map(|(connection, wish)| guard::ask(self.core.clone(), connection, wish))
        };
        let room = is_told_much(exchange) && !lock(&shared.state).has_room();
        match (asked, room.then(|| shared.clone())) {
            (None, None) => Verdict::Pass,
            (Some(asked), None) => Verdict::Later(asked),
            (asked, Some(shared)) => Verdict::Later(Box::pin(async move {
                if let Some(asked) = asked {
                    asked.await?;
                }
                telling::room(&shared).await;
                Ok(())
            })),
        }
    }

    fn refused(
        &mut self,
        packet: &Packet,
        error: ErrorPacket,
        for_now: bool,
    ) -> Option<ErrorPacket> {
        match (packet, &self.attendee) {
            (Packet::Join(join), Some(attendee)) => {
                self.core.hub.refused(attendee, &join.channel, error, for_now)
            }
            (Packet::Query(query), Some(_)) => {
                if let Some(desk) = &self.desk {
                    desk.refuse(&self.core, query, &error);
                }
                None
            }
            _ => Some(error),
        }
    }

    fn throttled(&self) -> Vec<String> {
        (*self.core.throttling.features()).clone()
    }

    fn state(&mut self, _: &Arc<Shared>, packet: Packet, item: Item) -> Heard {
        let (Some(attendee), Some(desk)) = (&self.attendee, &self.desk) else {
            return Heard::Taken(item);
        };
        let heard = match packet {
            Packet::Query(query) => {
                desk.hear(&self.core, *query);
                Ok(())
            }
            packet => self.core.hub.hear(attendee, packet),
        };
        match heard {
            Ok(()) => Heard::Taken(item),
            Err(refusal) => Heard::Refused(item, refusal),
        }
    }

    fn lost(&mut self) {
        if let (Some(attendee), Some(desk), true) =
            (&self.attendee, &self.desk, self.core.limits.count_messages())
        {
            self.tally.lost(attendee.keys(Kind::Channel).len(), desk.count());
        }
    }

    fn standing(&mut self, shared: &Arc<Shared>, _all: bool) -> Vec<Outgoing> {
        let properties = {
            let mut state = lock(&shared.state);
            std::mem::take(&mut state.properties_changed).then(|| state.properties.clone())
        };
        let frame = properties.zip(shared.codec.get()).and_then(|(properties, codec)| {
            // A codec without a session has no properties.
            codec.encode(Packet::Properties(properties)).ok()
        });
        let told = frame.map(|frame| {
            let mut outgoing = sending::state(frame);
            outgoing.key = Some(PROPERTIES);
            outgoing
        });
        told.into_iter().collect()
    }

    fn publish(
        &mut self,
        shared: &Arc<Shared>,
        message: Message,
        echo: Option<bool>,
    ) -> Result<(), Refusal> {
        let Some(attendee) = &self.attendee else { return Ok(()) };
        if message.event.as_ref().is_some_and(|event| event.starts_with(RESERVED)) {
            let text = format!("events that begin with `{RESERVED}` are the server's");
            return Err(Refusal::for_good("not_published", text));
        }
        if self.core.throttling.drops(&message) {
            return Ok(());
        }
        if message.channel.is_some() {
            return self.core.hub.publish(attendee, message, echo);
        }
        if !self.core.hub.channels.broadcasts {
            let text = "clients do not broadcast here: name a channel";
            return Err(Refusal::for_good("not_published", text));
        }
        let mut fanout = Fanout::of_message(message, &*shared.runtime);
        for connection in self.core.registry.connections() {
            if echo.unwrap_or(true) || !Arc::ptr_eq(&connection.shared, shared) {
                fanout.send(&connection.shared);
            }
        }
        let _told_to_those_who_miss_it = fanout.finish();
        Ok(())
    }

    fn came_back(&mut self, expires: Time, source: Option<Arc<Source>>) {
        self.expires = expires;
        self.tally.come(source);
    }

    fn deadline(&self) -> Time {
        match self.presence {
            Presence::Away { until } => until.min(self.expires),
            Presence::Here | Presence::Gone => self.expires,
        }
    }

    fn tick(&mut self, shared: &Arc<Shared>, now: Time) {
        if matches!(self.presence, Presence::Away { until } if until <= now) {
            self.presence = Presence::Gone;
            if let Some(attendee) = &self.attendee {
                self.core.hub.away(attendee);
            }
        }
        if self.expires <= now {
            self.expires = Time::MAX;
            // Who is away comes back with fresh ones anyway.
            if lock(&shared.state).status.is_connected() {
                let mut close = Close::new(close_code::EXPIRED, "the credentials have expired");
                close.spread = Some(SPREAD_AFTER_EXPIRY);
                command(shared, Command::Disconnect(Box::new(close)));
            }
        }
    }

    fn take_hook(&mut self) -> Option<BoxFuture<'static, ()>> {
        self.hook.take()
    }

    fn ends_when_closed(&self) -> bool {
        true
    }
}
