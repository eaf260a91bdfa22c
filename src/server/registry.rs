//! Which connections there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use moorline_core::ConnectionId;

use super::ServerConnection;
use super::throttle::Load;
use crate::shared::Shared;
use crate::stats::{ServerStats, Stats};
use crate::sync::{WaitList, lock, wait_until};

/// How often an id that is taken is drawn anew. 120 random bits never need it; a generator of the user's
/// that gives this many taken ones in a row is broken.
const DRAWS: usize = 16;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Registry {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Links past their transport's handshake, open or not, by a number of ours.
    links: BTreeMap<u64, Arc<Shared>>,
    next_link: u64,
    /// Links that have come in and whose clients are not let in yet.
    handshakes: usize,
    handshake_places: WaitList,
    ids: BTreeSet<ConnectionId>,
    open: BTreeMap<ConnectionId, ServerConnection>,
    accepted: u64,
    /// Of connections that are over.
    past: Stats,
    all_gone: WaitList,
}

impl Registry {
    /// Waits for a place for one more handshake.
    pub(super) async fn handshake(self: &Arc<Self>, limit: usize) -> Handshake {
        wait_until(
            &self.state,
            |state| &mut state.handshake_places,
            |state| {
                let free = state.handshakes < limit;
                state.handshakes += usize::from(free);
                free.then_some(())
            },
        )
        .await;
        Handshake { registry: self.clone() }
    }

    pub(super) fn add(self: &Arc<Self>, shared: Arc<Shared>) -> Place {
        let mut state = lock(&self.state);
        state.next_link += 1;
        let link = state.next_link;
        state.links.insert(link, shared);
        Place { registry: self.clone(), link, id: None, first: None }
    }

    pub(super) fn open(&self, connection: ServerConnection) {
        let mut state = lock(&self.state);
        state.accepted += 1;
        state.open.insert(connection.id(), connection);
    }

    pub(super) fn stats(&self) -> ServerStats {
        let (mut stats, links) = {
            let state = lock(&self.state);
            let (connections, accepted) = (state.open.len(), state.accepted);
            let links: Vec<_> = state.links.values().cloned().collect();
            let stats = ServerStats {
                connections,
                links: links.len(),
                accepted,
                held_back: 0,
                sum: state.past,
            };
            (stats, links)
        };
        for link in &links {
            stats.sum.add(&link.stats());
        }
        stats
    }

    /// How much there is to do, without looking at what readers hold.
    pub(super) fn load(&self) -> Load {
        let (mut load, links) = {
            let state = lock(&self.state);
            let (connections, arrived) = (state.open.len() as u64, state.past.counts.arrived);
            let links: Vec<_> = state.links.values().cloned().collect();
            (Load { connections, arrived, queued: 0 }, links)
        };
        for link in &links {
            let state = lock(&link.state);
            load.queued += state.queued() as u64;
            load.arrived = load.arrived.saturating_add(state.counts.arrived);
        }
        load
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.state).open.len()
    }

    pub(super) fn get(&self, id: &str) -> Option<ServerConnection> {
        lock(&self.state).open.get(id).cloned()
    }

    pub(super) fn connections(&self) -> Vec<ServerConnection> {
        lock(&self.state).open.values().cloned().collect()
    }

    /// Everything that has a link.
    pub(super) fn links(&self) -> Vec<Arc<Shared>> {
        lock(&self.state).links.values().cloned().collect()
    }

    /// Waits until no link is left. One that is still in its transport's handshake is dropped when that is
    /// over, since the server does not run any more.
    pub(super) async fn all_gone(&self) {
        wait_until(
            &self.state,
            |state| &mut state.all_gone,
            |state| state.links.is_empty().then_some(()),
        )
        .await;
    }
}

/// A handshake under way.
pub(super) struct Handshake {
    registry: Arc<Registry>,
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut state = lock(&self.registry.state);
        state.handshakes -= 1;
        let waker = state.handshake_places.first();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// A link's place in the registry. Leaves it when dropped.
pub(super) struct Place {
    registry: Arc<Registry>,
    link: u64,
    id: Option<ConnectionId>,
    /// The id that it had first, where it has another one now: the others on its channels go on to know it by that.
    first: Option<ConnectionId>,
}

impl Place {
    /// Its place among all links of the server.
    pub(super) const fn number(&self) -> u64 {
        self.link
    }

    /// An id that nobody else has.
    pub(super) fn draw_id(&mut self, draw: impl Fn() -> ConnectionId) -> Option<ConnectionId> {
        for _ in 0..DRAWS {
            let id = draw();
            if lock(&self.registry.state).ids.insert(id.clone()) {
                self.id = Some(id.clone());
                return Some(id);
            }
        }
        None
    }

    /// Another id that nobody else has, in place of the one that it has. The first one stays taken.
    pub(super) fn renew_id(&mut self, draw: impl Fn() -> ConnectionId) -> Option<ConnectionId> {
        let old = self.id.take();
        let new = self.draw_id(draw);
        if new.is_none() {
            self.id = old;
            return None;
        }
        let mut state = lock(&self.registry.state);
        if let (Some(old), Some(new)) = (old, &new) {
            if let Some(connection) = state.open.remove(&old) {
                state.open.insert(new.clone(), connection);
            }
            if self.first.is_none() {
                self.first = Some(old);
            } else {
                state.ids.remove(&old);
            }
        }
        new
    }

    /// The connection is no longer alive. Its id stays taken until its last listener has heard of it.
    pub(super) fn close(&self) {
        let Some(id) = &self.id else { return };
        // Bound to a name, so that it is dropped after the lock.
        let _closed = lock(&self.registry.state).open.remove(id);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.close();
        let mut state = lock(&self.registry.state);
        let shared = state.links.remove(&self.link);
        if let Some(shared) = &shared {
            state.past.add(&shared.stats().after_the_end());
        }
        for id in self.id.iter().chain(&self.first) {
            state.ids.remove(id);
        }
        let waker = state.all_gone.first();
        drop(state);
        drop(shared);
        waker.into_iter().for_each(Waker::wake);
    }
}
