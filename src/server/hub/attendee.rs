//! A connection, as the groups know it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use bytestring::ByteString;
use moorline_core::Member;

use super::{Key, Kind};
use crate::ServerConnection;
use crate::server::connection::WeakServerConnection;
use crate::shared::Shared;
use crate::sync::lock;

/// See the [module](self).
pub(crate) struct Attendee {
    /// Its place among all connections of the server.
    pub(in crate::server) number: u64,
    /// Who it is to the others: the id that its connection had first. It stays for as long as its session.
    pub(in crate::server) id: ByteString,
    pub(in crate::server) shared: Arc<Shared>,
    connection: OnceLock<WeakServerConnection>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    profile: Option<Bytes>,
    keys: BTreeSet<Key>,
    /// For longer than the grace time.
    away: bool,
    over: bool,
}

impl Attendee {
    pub(in crate::server) fn new(number: u64, id: &str, shared: Arc<Shared>) -> Arc<Self> {
        let (connection, state) = (OnceLock::new(), Mutex::default());
        Arc::new(Self { number, id: ByteString::from(id), shared, connection, state })
    }

    pub(in crate::server) fn belongs_to(&self, connection: &ServerConnection) {
        self.connection.get_or_init(|| connection.downgrade());
    }

    pub(in crate::server) fn connection(&self) -> Option<ServerConnection> {
        self.connection.get()?.upgrade()
    }

    /// How the others see it.
    pub(in crate::server) fn member(&self) -> Member {
        Member::new(self.id.clone(), lock(&self.state).profile.clone())
    }

    pub(super) fn set_profile(&self, profile: Option<Bytes>) {
        lock(&self.state).profile = profile;
    }

    pub(super) fn set_away(&self, away: bool) {
        lock(&self.state).away = away;
    }

    /// Whether its client is away for longer than the grace time.
    pub(super) fn is_away(&self) -> bool {
        lock(&self.state).away
    }

    /// The groups of a kind that it is in.
    pub(in crate::server) fn keys(&self, kind: Kind) -> Vec<Key> {
        lock(&self.state).keys.iter().filter(|(own, _)| *own == kind).cloned().collect()
    }

    /// Notes that it is in a group, unless it is over, or would be on more channels than so many. With the group's lock held,
    /// as [`forget`](Self::forget): what is noted here and who is in the group is the same.
    pub(super) fn note(&self, key: &Key, channels: usize) -> bool {
        let mut state = lock(&self.state);
        if state.over || state.keys.contains(key) {
            return !state.over;
        }
        // There are few others, behind the channels.
        let others = state.keys.range((Kind::Room, ByteString::default())..).count();
        let full = key.0 == Kind::Channel && state.keys.len() - others >= channels;
        !full && state.keys.insert(key.clone())
    }

    pub(super) fn forget(&self, key: &Key) {
        lock(&self.state).keys.remove(key);
    }

    /// The connection is over; what it was in.
    pub(super) fn end(&self) -> BTreeSet<Key> {
        let mut state = lock(&self.state);
        state.over = true;
        std::mem::take(&mut state.keys)
    }

    /// Whether its connection is over: then it comes into no group any more.
    pub(super) fn is_over(&self) -> bool {
        lock(&self.state).over
    }
}
