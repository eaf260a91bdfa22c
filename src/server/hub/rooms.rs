//! What happens to rooms (R31), told in order.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use bytestring::ByteString;
use futures_util::FutureExt;
use moorline_core::{BoxFuture, Runtime};

use crate::ServerConnection;
use crate::listeners::Outcome;
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
}

type Hook = Arc<dyn Fn(RoomEvent) -> Option<BoxFuture<'static, ()>> + Send + Sync>;

/// The hooks for rooms. They run in a task of their own, one after another: no connection waits for them.
#[derive(Clone, Default)]
pub(crate) struct RoomEvents {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    hooks: Mutex<Vec<Hook>>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<RoomEvent>,
    /// There is a task that tells them.
    told: bool,
}

impl RoomEvents {
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
            lock(&self.inner.queue).events.push_back(event);
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
        runtime.spawn("room hooks", Box::pin(run(self.inner.clone())));
    }
}

async fn run(inner: Arc<Inner>) {
    loop {
        let event = {
            let mut queue = lock(&inner.queue);
            let Some(event) = queue.events.pop_front() else {
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
            // A hook that panics has nobody to tell: the others still run.
            let _told = AssertUnwindSafe(called).catch_unwind().await;
        }
    }
}
