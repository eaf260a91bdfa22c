//! A channel, a room or a user, as the server sees it.

use std::fmt;
use std::sync::Arc;

use bytestring::ByteString;
use moorline_core::wire::{ErrorPacket, Join};
use moorline_core::{Member, Message};
use serde::{Deserialize, Serialize};

use super::fanout::Fanout;
use super::hub::{Key, Kind};
use super::{Core, Emitted, Server, ServerConnection};
use crate::SendError;
use crate::sync::lock;

/// Some of a server's connections: those on a [channel](Server::channel), in a [room](Server::room), or of a
/// [user](Server::user). It is a name: who belongs to it is looked up with each call.
///
/// ```
/// # fn tell(server: &moorline::Server) -> Result<(), moorline::SendError> {
/// server.channel("news").emit("the shop is open")?;
/// server.user("ali").emit("your tea is ready")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Group {
    core: Arc<Core>,
    key: Key,
}

impl Server {
    /// The connections on a channel (R26, R30).
    #[must_use]
    pub fn channel(&self, name: impl Into<ByteString>) -> Group {
        self.group(Kind::Channel, name.into())
    }

    /// The connections in a room (R31).
    #[must_use]
    pub fn room(&self, name: impl Into<ByteString>) -> Group {
        self.group(Kind::Room, name.into())
    }

    /// All connections of a user: of that identity, as the authenticator has said (R32).
    #[must_use]
    pub fn user(&self, identity: impl Into<ByteString>) -> Group {
        self.group(Kind::User, identity.into())
    }

    /// The channels that somebody is on, by name.
    #[must_use]
    pub fn channels(&self) -> Vec<ByteString> {
        self.core.hub.names(Kind::Channel)
    }

    /// The rooms that somebody is in, by name.
    #[must_use]
    pub fn rooms(&self) -> Vec<ByteString> {
        self.core.hub.names(Kind::Room)
    }

    fn group(&self, kind: Kind, name: ByteString) -> Group {
        Group { core: self.core.clone(), key: (kind, name) }
    }
}

impl Group {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &ByteString {
        &self.key.1
    }

    /// How many connections belong to it, with those whose clients are away for the moment.
    #[must_use]
    pub fn count(&self) -> usize {
        self.core.hub.get(&self.key).map_or(0, |group| lock(&group.roll).len())
    }

    /// The connections that belong to it.
    #[must_use]
    pub fn connections(&self) -> Vec<ServerConnection> {
        let Some(group) = self.core.hub.get(&self.key) else { return Vec::new() };
        // The connections are made without the lock: dropping one may be the application's code.
        let attendees: Vec<_> = lock(&group.roll).attendees().cloned().collect();
        attendees.iter().filter_map(|attendee| attendee.connection()).collect()
    }

    /// Who is there, as those on the channel see it.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let Some(group) = self.core.hub.get(&self.key) else { return Vec::new() };
        let roll = lock(&group.roll);
        roll.present().map(|attendee| attendee.member()).collect()
    }

    /// Sends a message to all of it: to a channel's with the channel's name on it, to a room's or a user's as it is. Encoded
    /// once for each codec in use; never waits: see [`Server::emit`].
    ///
    /// # Errors
    ///
    /// When it reached nobody and a codec in use cannot write it.
    pub fn emit(&self, message: impl Into<Message>) -> Result<Emitted, SendError> {
        self.emit_but(message.into(), None)
    }

    /// [`emit`](Self::emit) to all but that one.
    ///
    /// # Errors
    ///
    /// As `emit`.
    pub fn emit_except(
        &self,
        connection: &ServerConnection,
        message: impl Into<Message>,
    ) -> Result<Emitted, SendError> {
        self.emit_but(message.into(), Some(connection.inner.attendee.number))
    }

    /// Tells a user of something that concerns it, such as a sign-out elsewhere (R32). Clients listen with
    /// [`on_user_event`](crate::Connection::on_user_event).
    ///
    /// # Errors
    ///
    /// As `emit`, and when the values cannot be written as JSON.
    pub fn emit_event(&self, event: &UserEvent) -> Result<Emitted, SendError> {
        let message =
            Message::from_json(event).map_err(|error| SendError::Json(error.to_string()))?;
        self.emit(message.event(USER_EVENT))
    }

    fn emit_but(&self, mut message: Message, but: Option<u64>) -> Result<Emitted, SendError> {
        if self.key.0 == Kind::Channel {
            message = message.on(self.key.1.clone());
        }
        let mut fanout = Fanout::of_message(message, &*self.core.runtime);
        if let Some(group) = self.core.hub.get(&self.key) {
            lock(&group.roll).send(&mut fanout, but, |_| true);
        }
        fanout.finish()
    }
}

/// As which event user events travel.
pub(crate) const USER_EVENT: &str = "moorline:user";

/// Something that concerns a user, told to all its connections (R32).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UserEvent {
    /// What has happened.
    pub name: String,
    /// The session that it is about, as the application knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<serde_json::Value>,
    /// The user that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<serde_json::Value>,
}

impl UserEvent {
    /// An event of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The same, about that session.
    #[must_use]
    pub fn session(mut self, session: impl Into<serde_json::Value>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// The same, about that user.
    #[must_use]
    pub fn user(mut self, user: impl Into<serde_json::Value>) -> Self {
        self.user = Some(user.into());
        self
    }
}

impl ServerConnection {
    /// The room that it is in, as it asked when it came; the same for its life (R8).
    #[must_use]
    pub fn room(&self) -> Option<&str> {
        self.visitor().room.as_deref()
    }

    /// Sends a message to all in its room but itself (R31). Reaches nobody where it has none.
    ///
    /// # Errors
    ///
    /// As [`Group::emit`].
    pub fn broadcast(&self, message: impl Into<Message>) -> Result<Emitted, SendError> {
        self.broadcast_in_room(message.into(), Some(self.inner.attendee.number))
    }

    /// [`broadcast`](Self::broadcast) to itself too.
    ///
    /// # Errors
    ///
    /// As `broadcast`.
    pub fn broadcast_with_self(&self, message: impl Into<Message>) -> Result<Emitted, SendError> {
        self.broadcast_in_room(message.into(), None)
    }

    fn broadcast_in_room(&self, message: Message, but: Option<u64>) -> Result<Emitted, SendError> {
        let mut fanout = Fanout::of_message(message, &*self.shared.runtime);
        let key = self.room().map(|room| (Kind::Room, ByteString::from(room)));
        if let Some(group) = key.and_then(|key| self.inner.hub.get(&key)) {
            lock(&group.roll).send(&mut fanout, but, |_| true);
        }
        fanout.finish()
    }

    /// Puts it on a channel: its client hears what is sent there, and may leave it. No middleware is asked. What its client lists is
    /// what it has joined by itself: this one is not in its [`channels`](crate::Connection::channels), it does not hear who else
    /// is there, and a session that begins anew is not on it, so put it there in a hook for each connect.
    pub fn join(&self, channel: impl Into<ByteString>) {
        let join = Join { channel: channel.into(), echo: true, presence: true };
        self.inner.hub.join(&self.inner.attendee, join);
    }

    /// Takes it off a channel; whether it was on it. Its client is told why, and does not join it again by itself.
    #[allow(clippy::must_use_candidate, reason = "most callers only want it off")]
    pub fn leave(&self, channel: &str, reason: &str) -> bool {
        let why = ErrorPacket::new("taken_off", reason);
        self.inner.hub.leave(&self.inner.attendee, channel, Some(false), Some(why))
    }

    /// The channels that it is on, by name.
    #[must_use]
    pub fn channels(&self) -> Vec<ByteString> {
        let keys = self.inner.attendee.keys(Kind::Channel);
        keys.into_iter().map(|(_, name)| name).collect()
    }

    /// Who it is among the members of its channels. It stays the same as long as its session goes on.
    #[must_use]
    pub fn member(&self) -> Member {
        self.inner.attendee.member()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("kind", &self.key.0).field("name", &self.key.1).finish()
    }
}
