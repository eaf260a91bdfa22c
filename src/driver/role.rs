//! What only one side's connections do.

use std::sync::Arc;

use bytes::Bytes;
use moorline_core::machine::{Exchange, Failure, Grant, Outgoing, Refusal};
use moorline_core::wire::{ErrorPacket, Hello, Packet};
use moorline_core::{BoxFuture, Capabilities, ConnectionId, Message, Time};

use super::{Link, Verdict};
use crate::Event;
use crate::delivery::Item;
use crate::server::{Admission, Source};
use crate::shared::Shared;

/// What an attempt to make a link gives: the link, what it can do, and credentials.
pub(crate) type Attempt = Result<(Link, Capabilities, Option<Bytes>), Failure>;

/// How a client is let in.
pub(crate) enum Admitted {
    /// With a connection of its own.
    Anew(Grant),
    /// Back to a session that it had.
    Back(Arc<Shared>, Coming),
}

/// A client that comes back to its session.
pub(crate) struct Coming {
    pub(crate) window: u64,
    pub(crate) max_frame: u64,
    pub(crate) received: u64,
    pub(crate) properties: Vec<(String, String)>,
    pub(crate) expires: Time,
    pub(crate) source: Option<Arc<Source>>,
}

/// What became of something that stands beside the messages.
pub(crate) enum Heard {
    /// Nobody else has to hear of it.
    Taken(Item),
    /// It counts as taken once somebody has heard of it.
    Kept,
    Refused(Item, Refusal),
}

/// What only one side's connections do.
pub(crate) trait Role: Send + 'static {
    /// Makes a link (a client's).
    fn connect(&mut self, attempt: u32) -> BoxFuture<'static, Attempt>;

    /// Decides whether a client may come in (a server's).
    fn authenticate(&mut self, hello: Hello) -> BoxFuture<'static, Result<Admission, Refusal>>;

    /// Lets a client in, which speaks that codec (a server's).
    fn admit(
        &mut self,
        admission: Admission,
        shared: &Arc<Shared>,
        codec: &'static str,
    ) -> Result<Admitted, Refusal>;

    /// Another id for the connection, whose client has come back (a server's).
    fn renew_id(&mut self) -> Option<ConnectionId>;

    /// Its session keeps so many bytes now.
    fn keeps(&mut self, bytes: usize);

    /// The connection is closed, and does not come back by itself.
    fn closed(&mut self);

    /// Hears of an event before the application's listeners do.
    fn before(&mut self, shared: &Arc<Shared>, event: &Event);

    /// What the application does with a connection that has just opened, to be run in its own task.
    fn take_hook(&mut self) -> Option<BoxFuture<'static, ()>>;

    /// Whether each message is looked at before it is handed out.
    fn guards(&self) -> bool {
        false
    }

    /// Whether a message may be handed out.
    fn guard(&mut self, _: &Arc<Shared>, _: &Item, _: &Exchange, _: Time) -> Verdict {
        Verdict::Pass
    }

    /// What stands beside the messages was refused, for now or for good. The error, unless the peer was told in another way.
    fn refused(&mut self, _: &Packet, error: ErrorPacket, _for_now: bool) -> Option<ErrorPacket> {
        Some(error)
    }

    /// The features that are held back now (a server's).
    fn throttled(&self) -> Vec<String> {
        Vec::new()
    }

    /// Something has come that stands beside the messages. What has to be counted as taken now, unless somebody has yet to
    /// hear of it.
    fn state(&mut self, shared: &Arc<Shared>, packet: Packet, item: Item) -> Heard;

    /// The client has come back, is known until then, and comes from there (a server's).
    fn came_back(&mut self, _expires: Time, _source: Option<Arc<Source>>) {}

    /// A message has come for the others on its channel, or for everybody (a server's).
    fn publish(&mut self, _: &Arc<Shared>, _: Message, _: Option<bool>) -> Result<(), Refusal> {
        Ok(())
    }

    /// What stands for this end beside its messages, and the peer does not know, or all of it.
    fn standing(&mut self, shared: &Arc<Shared>, all: bool) -> Vec<Outgoing>;

    /// Something was lost on the way here: what the peer has answered has to be asked for again.
    fn missed(&mut self) {}

    /// Something was lost on the way to the peer, which will be told so.
    fn lost(&mut self) {}

    /// A session begins anew: what the last one had at the peer is gone there.
    fn session_over(&mut self) {}

    /// When this role wants to be asked again.
    fn deadline(&self) -> Time {
        Time::MAX
    }

    /// That time has come.
    fn tick(&mut self, _: &Arc<Shared>, _now: Time) {}

    /// Whether the connection is over for good once it is closed.
    fn ends_when_closed(&self) -> bool;
}
