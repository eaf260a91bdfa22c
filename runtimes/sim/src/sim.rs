use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{Location, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use moorline_core::{Runtime, Time};

use crate::executor::{Shared, drive};
use crate::{DEFAULT_SEED, SETTLE, SimRuntime, SimTimer};

/// One deterministic run, and the handle to it. Clones are cheap and mean the same run.
#[derive(Clone, Debug)]
pub struct Sim {
    runtime: SimRuntime,
}

impl Sim {
    /// A run with the seed [`DEFAULT_SEED`].
    #[must_use]
    pub fn new() -> Self {
        Self::seeded(DEFAULT_SEED)
    }

    /// A run whose order of tasks is chosen by `seed`: the same seed gives the same order.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { runtime: SimRuntime { shared: Arc::new(Shared::new(seed)) } }
    }

    /// Drives the future of `main`, and all tasks, on this thread until `main` ends; gives its output.
    ///
    /// `main` need not be `Send` and may borrow. Time starts at [`Time::ZERO`]. When the run ends, also by a panic, the tasks
    /// that are left are dropped on this thread, in the order in which they were spawned; time then stands still.
    ///
    /// # Panics
    ///
    /// When `main` or a task panics, on a deadlock and on a livelock (see the [crate's page](crate)); each time the seed is
    /// printed to standard error. Also when this `Sim` has run before, or runs now: one `Sim` is one run.
    pub fn run<T>(&self, main: impl AsyncFnOnce(Sim) -> T) -> T {
        let shared = &self.runtime.shared;
        shared.start();
        let mut ending = Ending { shared, passed: false };
        let output = drive(shared, pin!(main(self.clone())));
        shared.end();
        if let Some(panic) = shared.take_panic() {
            resume_unwind(panic);
        }
        ending.passed = true;
        output
    }

    /// The runtime to give to a client, a server or anything else that spawns tasks and asks for the time.
    #[must_use]
    pub fn runtime(&self) -> SimRuntime {
        self.runtime.clone()
    }

    /// The seed of this run, from which a test's other generators can be seeded.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.runtime.shared.seed
    }

    /// The virtual time now.
    #[must_use]
    pub fn now(&self) -> Time {
        self.runtime.now()
    }

    /// Waits until `span` of virtual time has passed since this call. A span that is too long for [`Time`] never ends.
    pub fn sleep(&self, span: Duration) -> SimTimer {
        self.sleep_until(self.now() + span)
    }

    /// Waits until `deadline`; [`Time::MAX`] never comes.
    pub fn sleep_until(&self, deadline: Time) -> SimTimer {
        SimTimer::new(self.runtime.shared.clone(), deadline)
    }

    /// Waits for `future` for at most `span` of virtual time from the first poll. A future that is ready at the deadline
    /// counts as in time.
    ///
    /// # Errors
    ///
    /// When the span has passed; `future` is dropped then.
    pub async fn timeout<F: Future>(
        &self,
        span: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        let mut timer = pin!(self.sleep(span));
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            timer.as_mut().poll(context).map(|()| Err(Elapsed { span }))
        })
        .await
    }

    /// Runs a task in the background until it ends or the run does. Reports name it by the line of this call.
    ///
    /// # Panics
    ///
    /// When the run has not begun: nothing would drive the task. After its end the task is dropped at once.
    #[track_caller]
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.shared.spawn("task", Some(Location::caller()), Box::pin(task));
    }

    /// Lets [`SETTLE`] (one minute) of virtual time pass, so that whatever was going to happen has happened.
    pub fn settle(&self) -> SimTimer {
        self.sleep(SETTLE)
    }

    /// Lets other ready tasks go first: the seed chooses anew among all of them, this one included. Time stands still
    /// meanwhile, so a loop that waits in this way for a timer's doing is a livelock.
    pub async fn yield_now(&self) {
        let mut yielded = false;
        poll_fn(|context| {
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// How many spawned tasks are alive: neither ended nor dropped. The main future is not counted.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.runtime.shared.lock().tasks.len()
    }

    /// How many times a future was polled in this run, the main one included.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.runtime.shared.lock().polls
    }

    /// A hash of which task was polled when, from the start until now. Two runs of one program did the same when theirs
    /// are equal.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.runtime.shared.lock().fingerprint
    }

    /// Lets this run pass although tasks panic, earlier ones included. Their panics are still printed.
    pub fn allow_task_panics(&self) {
        self.runtime.shared.lock().panics.allowed = true;
    }
}

impl Default for Sim {
    fn default() -> Self {
        Self::new()
    }
}

/// The time-out of [`Sim::timeout`] has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    span: Duration,
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not done within {:?} of virtual time", self.span)
    }
}

impl std::error::Error for Elapsed {}

/// Ends the run on every way out of it, and prints the seed when that way is a panic.
struct Ending<'a> {
    shared: &'a Shared,
    passed: bool,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if !self.passed {
            eprintln!("sim: seed {}", self.shared.seed);
        }
        self.shared.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(
        expected = "livelock: 1000 polls while time stood still; most by\n  task #1 `task` ("
    )]
    fn a_livelock_names_who_was_polled_most() {
        let sim = Sim::new();
        sim.runtime.shared.lock().livelock = 1_000;
        sim.run(async |sim| {
            let spinner = sim.clone();
            sim.spawn(async move {
                loop {
                    spinner.yield_now().await;
                }
            });
            sim.settle().await;
        });
    }
}
