//! What happens to rooms (R31), told in order.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use bytestring::ByteString;
use futures_util::FutureExt;
use moorline_core::{BoxFuture, Runtime};

use crate::ServerConnection;
use crate::error::panic_text;
use crate::listeners::Outcome;
use crate::server::hooks::Hooks;
use crate::sync::lock;

/// What happens to a room (R31). A room is made by the first connection that enters it, and is gone with the last that leaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RoomEvent {
    /// There is a room of that name now.
    Created(ByteString),
    /// A connection has entered it.
    Entered(ByteString, ServerConnection),
    /// A connection has left it: it is over. Not when its client is away for a while.
    Left(ByteString, ServerConnection),
    /// It is gone.
    Destroyed(ByteString),
    /// The hooks are slower than what happens: so much is not told. Look at the rooms anew
    /// ([`Server::rooms`](crate::Server::rooms)). 16,384 events may wait.
    Missed(u64),
}

/// How many events may wait for the hooks.
const MAX_WAITING: usize = 16_384;

type Hook = Arc<dyn Fn(RoomEvent) -> Option<BoxFuture<'static, ()>> + Send + Sync>;

/// The hooks for rooms. They run in a task of their own, one after another: no connection waits for them.
pub(crate) struct RoomEvents {
    inner: Arc<Inner>,
}

struct Inner {
    hooks: Mutex<Vec<Hook>>,
    queue: Mutex<Queue>,
    /// Who hears of a hook that panics.
    others: Arc<Hooks>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<RoomEvent>,
    /// How many have found no room behind those.
    missed: u64,
    /// There is a task that tells them.
    told: bool,
}

impl RoomEvents {
    pub(super) fn new(others: Arc<Hooks>) -> Self {
        let (hooks, queue) = (Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { hooks, queue, others }) }
    }

    pub(in crate::server) fn add<F, R, M>(&self, hook: F)
    where
        F: Fn(RoomEvent) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        lock(&self.inner.hooks).push(Arc::new(move |event| hook(event).into_future()));
    }

    /// Something happens. It may be told under a lock: nothing is run here.
    pub(super) fn tell(&self, event: RoomEvent) {
        if !lock(&self.inner.hooks).is_empty() {
            lock(&self.inner.queue).push(event);
        }
    }

    /// Has the hooks run for what has happened.
    pub(super) fn deliver(&self, runtime: &Arc<dyn Runtime>) {
        let mut queue = lock(&self.inner.queue);
        if queue.told || queue.events.is_empty() {
            return;
        }
        queue.told = true;
        drop(queue);
        runtime.spawn("room hooks", Box::pin(run(self.inner.clone(), runtime.clone())));
    }
}

impl Queue {
    /// An event that finds no room is dropped with the lock of its group held: its connection is not over yet, or is kept by who
    /// ends it.
    fn push(&mut self, event: RoomEvent) {
        if self.events.len() >= MAX_WAITING {
            self.missed += 1;
            return;
        }
        if self.missed > 0 {
            self.events.push_back(RoomEvent::Missed(std::mem::take(&mut self.missed)));
        }
        self.events.push_back(event);
    }

    fn pop(&mut self) -> Option<RoomEvent> {
        let missed =
            || (self.missed > 0).then(|| RoomEvent::Missed(std::mem::take(&mut self.missed)));
        self.events.pop_front().or_else(missed)
    }
}

async fn run(inner: Arc<Inner>, runtime: Arc<dyn Runtime>) {
    loop {
        let event = {
            let mut queue = lock(&inner.queue);
            let Some(event) = queue.pop() else {
                queue.told = false;
                queue.events.shrink_to(4);
                return;
            };
            event
        };
        let hooks = lock(&inner.hooks).clone();
        for hook in hooks {
            let called = async {
                if let Some(future) = hook(event.clone()) {
                    future.await;
                }
            };
            if let Err(panic) = AssertUnwindSafe(called).catch_unwind().await {
                inner.others.failed(&runtime, panic_text(&*panic));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told, in words.
    fn told(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|event| format!("{event:?}")).collect()
    }

    #[test]
    fn r31_slow_hooks_are_told_how_much_they_miss() {
        let mut queue = Queue::default();
        let event = |n: usize| RoomEvent::Created(ByteString::from(n.to_string()));
        (0..MAX_WAITING + 2).for_each(|n| queue.push(event(n)));
        assert!(matches!(queue.pop(), Some(RoomEvent::Created(name)) if name == "0"));
        queue.push(event(7));
        let waiting = told(&mut queue);
        assert_eq!(waiting.len(), MAX_WAITING + 1);
        assert_eq!(waiting[MAX_WAITING - 1..], ["Missed(2)", "Created(\"7\")"]);
        (0..=MAX_WAITING).for_each(|n| queue.push(event(n)));
        assert_eq!(told(&mut queue).last().unwrap(), "Missed(1)");
        assert_eq!(told(&mut queue), [""; 0]);
    }
}
