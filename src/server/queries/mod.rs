//! Answers queries (R38 to R42): the engine is asked once for all who ask the same, and each is told what comes of it.
//!
//! Each connection has a [`Desk`] with what it asks. Each query that is answered is a [`Live`] with a task of its own, which alone
//! has the engine's query, and sends all that is told of it: so everybody is told all of it, and in order. Locks are taken in the
//! order desk, all queries, one query, connection; no user code runs and nobody is woken under one.

mod desk;
mod limits;
mod live;
mod roster;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use futures_util::future::AbortHandle;
use moorline_core::QueryEngine;
use moorline_core::wire::{Answer, AnswerBody, Asked, Packet};

pub(super) use self::desk::Desk;
use self::desk::Joiner;
pub use self::limits::{QueryLimits, QueryStats};
use self::live::Live;
use super::Server;
use crate::sync::lock;

/// See the [module](self).
pub(super) struct Queries {
    engine: Option<Arc<dyn QueryEngine>>,
    limits: QueryLimits,
    /// By the engine's key.
    all: Mutex<BTreeMap<String, Arc<Live>>>,
    /// How many there ever were.
    count: AtomicU64,
    subscribers: AtomicUsize,
}

/// What is to be done once no lock is held.
#[derive(Default)]
struct After {
    wakes: Vec<Waker>,
    dropped: Vec<Joiner>,
    aborted: Vec<AbortHandle>,
}

impl After {
    fn settle(self) {
        drop(self.dropped);
        self.aborted.into_iter().for_each(|task| task.abort());
        self.wakes.into_iter().for_each(Waker::wake);
    }
}

/// Why a query was not joined.
struct Full;

impl Queries {
    pub(super) fn new(engine: Option<Arc<dyn QueryEngine>>, limits: QueryLimits) -> Self {
        let (all, count, subscribers) = Default::default();
        Self { engine, limits, all, count, subscribers }
    }

    /// Adds one who asks to the query of that key; and whether it is a new one, whose task has to be spawned.
    fn join(
        &self,
        key: String,
        joiner: Joiner,
        after: &mut After,
    ) -> Result<(Arc<Live>, bool), Full> {
        let mut all = lock(&self.all);
        if let Some(live) = all.get(&key) {
            // What is over is not in the map.
            if live.join(joiner, after) {
                return Ok((live.clone(), false));
            }
            return Err(Full);
        }
        if all.len() >= self.limits.shared {
            after.dropped.push(joiner);
            return Err(Full);
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let live = Arc::new(Live::new(number, key.clone()));
        live.join(joiner, after);
        all.insert(key, live.clone());
        Ok((live, true))
    }

    /// Ends a query if nobody has come to it meanwhile; whether that is so.
    fn close(&self, live: &Arc<Live>) -> bool {
        let mut all = lock(&self.all);
        let over = live.end_if_idle();
        let gone = if over { self.forget(&mut all, live) } else { None };
        drop(all);
        drop(gone);
        over
    }

    /// Ends a query: nobody comes to it any more.
    fn end(&self, live: &Arc<Live>) {
        let mut all = lock(&self.all);
        live.end();
        let gone = self.forget(&mut all, live);
        drop(all);
        drop(gone);
    }

    fn forget(&self, all: &mut BTreeMap<String, Arc<Live>>, live: &Arc<Live>) -> Option<Arc<Live>> {
        let own = all.get(&live.key).is_some_and(|known| Arc::ptr_eq(known, live));
        if own { all.remove(&live.key) } else { None }
    }

    fn stats(&self) -> QueryStats {
        let subscribers = self.subscribers.load(Ordering::Relaxed);
        QueryStats { shared: lock(&self.all).len(), subscribers }
    }
}

impl Server {
    /// How many queries its clients ask now, and how often (R40).
    #[must_use]
    pub fn queries(&self) -> QueryStats {
        self.core.queries.stats()
    }
}

fn packet(id: Option<u64>, asked: Option<&Asked>, body: AnswerBody) -> Packet {
    Packet::Answer(Box::new(Answer { id, asked: asked.cloned(), body }))
}
