//! Connections that are lent, one to each piece of work, first come first served.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use futures_channel::oneshot;

use crate::watch::lock;

/// A number of things to be lent.
pub(crate) struct Pool<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    free: Vec<T>,
    /// Nobody waits while something is free.
    waiting: VecDeque<oneshot::Sender<Lease<T>>>,
}

impl<T> Pool<T> {
    pub(crate) fn new(things: impl IntoIterator<Item = T>) -> Arc<Self> {
        let free = things.into_iter().collect();
        Arc::new(Self { state: Mutex::new(State { free, waiting: VecDeque::new() }) })
    }

    /// One of them, when one is free.
    pub(crate) async fn lease(self: &Arc<Self>) -> Lease<T> {
        loop {
            let turn = {
                let mut state = lock(&self.state);
                if let Some(thing) = state.free.pop() {
                    return Lease { pool: Arc::clone(self), thing: Some(thing) };
                }
                let (sender, turn) = oneshot::channel();
                state.waiting.push_back(sender);
                turn
            };
            // A sender goes only with a lease, or with the pool, which stands here.
            if let Ok(lease) = turn.await {
                return lease;
            }
        }
    }

    fn give_back(self: &Arc<Self>, thing: T) {
        let mut lease = Lease { pool: Arc::clone(self), thing: Some(thing) };
        loop {
            let mut state = lock(&self.state);
            let Some(next) = state.waiting.pop_front() else {
                state.free.extend(lease.thing.take());
                return;
            };
            drop(state);
            // Whoever has gone meanwhile is passed over.
            match next.send(lease) {
                Ok(()) => return,
                Err(back) => lease = back,
            }
        }
    }
}

/// One of the pool's things; dropped, it goes to the next who waits, also when it was never looked at.
pub(crate) struct Lease<T> {
    pool: Arc<Pool<T>>,
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
            self.pool.give_back(thing);
        }
    }
}
