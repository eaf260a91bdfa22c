use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use moorline_core::{BoxFuture, Runtime, Time, Timer};

use crate::SimTimer;
use crate::executor::Shared;
use crate::spawned::Label;

/// The runtime of one [`Sim`](crate::Sim). Clones are cheap and mean the same one.
///
/// - [`spawn`](Runtime::spawn) panics before [`Sim::run`](crate::Sim::run) has begun, since nothing would drive the task, and
///   drops the task at once after the run's end.
/// - [`spawn_blocking`](Runtime::spawn_blocking) runs the work in place; its panic counts as a task's.
#[derive(Clone)]
pub struct SimRuntime {
    pub(crate) shared: Arc<Shared>,
}

impl Runtime for SimRuntime {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.shared.spawn(name, None, task);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        // The work is gone after a panic, so nobody sees it half done.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            self.shared.panicked(Label { id: 0, name: "blocking work", at: None }, panic);
        }
    }

    fn timer(&self) -> Pin<Box<dyn Timer>> {
        Box::pin(SimTimer::new(self.shared.clone(), Time::MAX))
    }

    fn now(&self) -> Time {
        self.shared.lock().now
    }

    fn random(&self) -> u128 {
        self.shared.lock().random()
    }
}

impl fmt::Debug for SimRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now();
        f.debug_struct("SimRuntime").field("seed", &self.shared.seed).field("now", &now).finish()
    }
}
