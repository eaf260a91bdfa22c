use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use moorline_core::{Time, Timer};

use crate::executor::{Phase, Shared};

/// Ends when its deadline has come in virtual time; see [`Sim::sleep`](crate::Sim::sleep).
///
/// It is armed by its first poll, and stays ready once it has fired, until it is [`reset`](Timer::reset). Dropping it
/// disarms it. After the run's end it fires no more.
#[must_use = "futures do nothing unless polled"]
pub struct SimTimer {
    shared: Arc<Shared>,
    deadline: Time,
    /// With the deadline, the key of its entry among the run's timers.
    sequence: Option<u64>,
}

impl SimTimer {
    pub(crate) fn new(shared: Arc<Shared>, deadline: Time) -> Self {
        Self { shared, deadline, sequence: None }
    }

    fn disarm(&mut self) {
        if let Some(sequence) = self.sequence.take() {
            // Bound to a name, so that the waker is dropped after the lock: its drop may run a task's destructor.
            let waker = self.shared.lock().timers.remove(&(self.deadline, sequence));
            drop(waker);
        }
    }
}

impl Timer for SimTimer {
    fn reset(self: Pin<&mut Self>, deadline: Time) {
        let this = self.get_mut();
        if deadline != this.deadline {
            this.disarm();
            this.deadline = deadline;
        }
    }
}

impl Future for SimTimer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.deadline == Time::MAX {
            return Poll::Pending;
        }
        let state = this.shared.lock();
        if state.now >= this.deadline {
            drop(state);
            this.disarm();
            return Poll::Ready(());
        }
        if state.phase == Phase::Ended {
            return Poll::Pending;
        }
        let armed = this.sequence.and_then(|sequence| state.timers.get(&(this.deadline, sequence)));
        if armed.is_some_and(|waker| waker.will_wake(context.waker())) {
            return Poll::Pending;
        }
        // Cloning and dropping a waker runs foreign code, which must not find the lock held.
        drop(state);
        let waker = context.waker().clone();
        let mut state = this.shared.lock();
        let sequence = *this.sequence.get_or_insert_with(|| state.next_sequence());
        let old = state.timers.insert((this.deadline, sequence), waker);
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for SimTimer {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl fmt::Debug for SimTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimTimer").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
