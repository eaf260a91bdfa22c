//! Who is to be told of which tables.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use futures_channel::oneshot;

/// A set of tables, by lower-case name: what a query reads, or what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tables {
    /// Not known, so any.
    All,
    Some(BTreeSet<String>),
}

impl Tables {
    pub(crate) const NONE: Self = Self::Some(BTreeSet::new());

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    pub(crate) fn add(&mut self, table: String) {
        if let Self::Some(tables) = self {
            tables.insert(table);
        }
    }

    fn merge(&mut self, other: &Self) {
        match other {
            Self::All => *self = Self::All,
            Self::Some(tables) => tables.iter().for_each(|table| self.add(table.clone())),
        }
    }

    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Some(these), Self::Some(those)) => !these.is_disjoint(those),
            (Self::All, some) | (some, Self::All) => !some.is_none(),
        }
    }
}

/// All live queries of an engine.
pub(crate) struct Registry {
    /// Before a watch's lock, never the other way round.
    state: Mutex<State>,
}

struct State {
    next: u64,
    watches: BTreeMap<u64, Arc<Watch>>,
    /// Ends what looks for other connections' writes. It runs only while somebody wants to know.
    polling: Option<oneshot::Sender<()>>,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { next: 0, watches: BTreeMap::new(), polling: None }) }
    }

    /// How many watch.
    pub(crate) fn len(&self) -> usize {
        lock(&self.state).watches.len()
    }

    /// One more watch, unless there are `most`. With the first one comes what ends the polling that is to start.
    pub(crate) fn watch(
        self: &Arc<Self>,
        most: usize,
    ) -> Option<(Watching, Option<oneshot::Receiver<()>>)> {
        let mut state = lock(&self.state);
        if state.watches.len() >= most {
            return None;
        }
        let id = state.next;
        state.next += 1;
        let watch = Arc::new(Watch::new());
        state.watches.insert(id, Arc::clone(&watch));
        let mut start = None;
        if state.polling.is_none() {
            let (stop, stopped) = oneshot::channel();
            state.polling = Some(stop);
            start = Some(stopped);
        }
        Some((Watching { registry: Arc::clone(self), id, watch }, start))
    }

    /// Tells all who read one of these tables.
    pub(crate) fn mark(&self, written: &Tables) {
        if written.is_none() {
            return;
        }
        let watches: Vec<_> = lock(&self.state).watches.values().cloned().collect();
        for watch in watches {
            watch.mark(written);
        }
    }
}

/// A query's place in the registry, which it has until it is dropped.
pub(crate) struct Watching {
    registry: Arc<Registry>,
    id: u64,
    pub(crate) watch: Arc<Watch>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.watch.abandoned.store(true, Ordering::Relaxed);
        let mut state = lock(&self.registry.state);
        state.watches.remove(&self.id);
        if state.watches.is_empty() {
            state.polling = None;
        }
    }
}

/// What one query must know.
pub(crate) struct Watch {
    state: Mutex<Seen>,
    /// Nobody wants the answer any more.
    pub(crate) abandoned: AtomicBool,
}

struct Seen {
    /// Something was written that its last evaluation may not have seen.
    dirty: bool,
    reads: Tables,
    /// What was written during an evaluation: only at its end is it known which tables it reads.
    during: Option<Tables>,
    waker: Option<Waker>,
}

impl Watch {
    fn new() -> Self {
        let seen = Seen { dirty: false, reads: Tables::All, during: None, waker: None };
        Self { state: Mutex::new(seen), abandoned: AtomicBool::new(false) }
    }

    fn mark(&self, written: &Tables) {
        let mut seen = lock(&self.state);
        let mut waker = None;
        if let Some(during) = &mut seen.during {
            during.merge(written);
        } else if written.meets(&seen.reads) {
            waker = seen.soil();
        }
        drop(seen);
        waker.into_iter().for_each(Waker::wake);
    }

    /// An evaluation starts: what is written from now on, it may not see.
    pub(crate) fn begin(&self) {
        let mut seen = lock(&self.state);
        seen.dirty = false;
        seen.during = Some(Tables::NONE);
    }

    /// It has ended, and these are the tables that it has read.
    pub(crate) fn end(&self, reads: Tables) {
        let mut seen = lock(&self.state);
        let during = seen.during.take().unwrap_or(Tables::All);
        seen.reads = reads;
        let waker = if during.meets(&seen.reads) { seen.soil() } else { None };
        drop(seen);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Waits until another evaluation is due. Cancel safe.
    pub(crate) async fn dirty(&self) {
        poll_fn(|context| {
            let mut seen = lock(&self.state);
            if seen.dirty {
                return Poll::Ready(());
            }
            seen.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Seen {
    /// Gives whom to wake once the lock is free.
    fn soil(&mut self) -> Option<Waker> {
        self.dirty = true;
        self.waker.take()
    }
}

/// Nothing panics under these locks but what is a bug here, and each change is one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
