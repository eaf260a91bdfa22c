//! A link: two pipes, known to its network until the last half has been dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use moorline_core::{Runtime, Time};

use crate::fault::Direction;
use crate::network::Inner;
use crate::pipe::{Aftermath, Pipe};

/// A link. Its halves share it; the network knows it weakly.
pub(crate) struct Link {
    pub(crate) network: Arc<Inner>,
    pub(crate) name: Arc<str>,
    pub(crate) id: u64,
    pub(crate) to_server: Pipe,
    pub(crate) to_client: Pipe,
    /// Whether anything on it takes time. Set once and for good; while it is not, nothing on a
    /// message's path asks for the time.
    pub(crate) clocked: AtomicBool,
}

impl Link {
    /// The pipe of that direction.
    pub(crate) fn pipe(&self, direction: Direction) -> &Pipe {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    /// The time, if it matters. It is asked for outside of every lock.
    pub(crate) fn now(&self) -> Option<Time> {
        self.clocked.load(Ordering::Acquire).then(|| self.network.runtime.now())
    }

    /// Breaks both directions. What is on its way is lost.
    pub(crate) fn break_off(&self, why: &'static str, after: &mut Aftermath) {
        self.to_server.break_off(why, after);
        self.to_client.break_off(why, after);
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.to_server.is_whole() && self.to_client.is_whole()
    }

    pub(crate) fn hold(&self) {
        self.to_server.hold();
        self.to_client.hold();
    }

    pub(crate) fn heal(&self, now: Time, after: &mut Aftermath) {
        self.to_server.heal(now, after);
        self.to_client.heal(now, after);
    }

    pub(crate) fn lose(&self, direction: Direction, after: &mut Aftermath) {
        self.pipe(direction).lose(after);
        self.pipe(direction.reverse()).lose_replies();
    }

    pub(crate) fn limit(&self, bandwidth: u64) {
        self.clocked.store(true, Ordering::Release);
        self.to_server.limit(bandwidth);
        self.to_client.limit(bandwidth);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.network.forget(&self.name, self.id);
    }
}
