//! Connections that are lent, one to each piece of work; to whoever asks in turn, so that one who asks for much waits for itself.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use futures_channel::oneshot;

use crate::watch::lock;

/// For whom something is lent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// The application.
    Own,
    Identity(Arc<str>),
    /// One without an identity, by its connection.
    Connection(u64),
}

/// A number of things to be lent.
pub(crate) struct Pool<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    free: Vec<T>,
    /// Those who have something, or wait for it. Nobody waits while something is free.
    lines: BTreeMap<Who, Line<T>>,
    /// Counts who comes, and what is lent.
    clock: u64,
}

struct Line<T> {
    waiting: VecDeque<oneshot::Sender<Lease<T>>>,
    /// How many things it has.
    has: usize,
    /// When it came, or was lent something last.
    served: u64,
}

impl<T> Pool<T> {
    pub(crate) fn new(things: impl IntoIterator<Item = T>) -> Arc<Self> {
        let state = State { free: things.into_iter().collect(), lines: BTreeMap::new(), clock: 0 };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// One of them, when one is free and it is their turn.
    pub(crate) async fn lease(self: &Arc<Self>, who: &Who) -> Lease<T> {
        loop {
            let turn = {
                let mut state = lock(&self.state);
                let free = state.free.pop();
                let line = state.line(who);
                if let Some(thing) = free {
                    line.has += 1;
                    return Lease { pool: Arc::clone(self), who: who.clone(), thing: Some(thing) };
                }
                let (sender, turn) = oneshot::channel();
                line.waiting.push_back(sender);
                turn
            };
            // A sender goes only with a lease, or with the pool, which stands here.
            if let Ok(lease) = turn.await {
                return lease;
            }
        }
    }

    fn give_back(self: &Arc<Self>, mut who: Who, thing: T) {
        let mut thing = Some(thing);
        loop {
            let mut state = lock(&self.state);
            state.line(&who).has -= 1;
            let Some((next, sender)) = state.next() else {
                state.free.extend(thing.take());
                return;
            };
            drop(state);
            // Whoever has gone meanwhile is passed over.
            let lease = Lease { pool: Arc::clone(self), who: next.clone(), thing: thing.take() };
            match sender.send(lease) {
                Ok(()) => return,
                Err(mut back) => {
                    thing = back.thing.take();
                    who = next;
                }
            }
        }
    }
}

impl<T> State<T> {
    fn line(&mut self, who: &Who) -> &mut Line<T> {
        self.clock += 1;
        let (waiting, has, served) = (VecDeque::new(), 0, self.clock);
        self.lines.entry(who.clone()).or_insert(Line { waiting, has, served })
    }

    /// Who is lent something next: of those who have the least, the one that waits longest.
    fn next(&mut self) -> Option<(Who, oneshot::Sender<Lease<T>>)> {
        self.lines.retain(|_, line| line.has > 0 || !line.waiting.is_empty());
        let waiting = self.lines.iter_mut().filter(|(_, line)| !line.waiting.is_empty());
        let (who, line) = waiting.min_by_key(|(_, line)| (line.has, line.served))?;
        let sender = line.waiting.pop_front()?;
        self.clock += 1;
        line.served = self.clock;
        line.has += 1;
        Some((who.clone(), sender))
    }
}

/// One of the pool's things; dropped, it goes to the next who waits, also when it was never looked at.
pub(crate) struct Lease<T> {
    pool: Arc<Pool<T>>,
    who: Who,
    thing: Option<T>,
}

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.thing.as_ref().expect("only its drop takes it out")
    }
}

impl<T> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.thing.as_mut().expect("only its drop takes it out")
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        if let Some(thing) = self.thing.take() {
            self.pool.give_back(self.who.clone(), thing);
        }
    }
}
