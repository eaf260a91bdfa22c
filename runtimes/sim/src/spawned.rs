//! One spawned task and what is kept of it.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll};

use async_task::Task;
use moorline_core::{BoxFuture, Time};

use crate::executor::Shared;

/// Who a task is, in reports.
#[derive(Clone, Copy)]
pub(crate) struct Label {
    /// Counts from 1 in the order of spawning; 0 is no task.
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    pub(crate) at: Option<&'static Location<'static>>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.id == 0 {
            return write!(f, "{}", self.name);
        }
        write!(f, "task #{} `{}`", self.id, self.name)?;
        self.at.map_or(Ok(()), |at| write!(f, " ({}:{})", at.file(), at.line()))
    }
}

/// How often a future was polled.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) polls: u64,
    pub(crate) last: Time,
    /// Polls at the instant `last`.
    pub(crate) here: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, now: Time) {
        if self.last != now {
            self.here = 0;
            self.last = now;
        }
        self.polls += 1;
        self.here += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.polls {
            0 => f.write_str("never polled"),
            polls => write!(f, "polls: {polls}, the last at {:?}", self.last),
        }
    }
}

/// A live task in the run's register. Dropping it cancels the task.
pub(crate) struct Entry {
    pub(crate) task: Task<(), Label>,
    pub(crate) tally: Tally,
}

/// A task's future, which leaves the register when it is dropped: after its end, a panic or with the run.
pub(crate) struct Spawned {
    // Above the membership, so that a task counts as alive until its destructor has run.
    future: BoxFuture<'static, ()>,
    _membership: Membership,
}

impl Spawned {
    pub(crate) fn new(id: u64, shared: Weak<Shared>, future: BoxFuture<'static, ()>) -> Self {
        Self { future, _membership: Membership { id, shared } }
    }
}

impl Future for Spawned {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.future.as_mut().poll(context)
    }
}

struct Membership {
    id: u64,
    shared: Weak<Shared>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            let entry = shared.lock().tasks.remove(&self.id);
            drop(entry);
        }
    }
}
