//! A runtime that knows which tasks are alive, by their names: for the message when some are left.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use moorline::{Runtime, Time, Tokio};
use moorline_core::{BoxFuture, Timer};

/// tokio, watched. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    tokio: Tokio,
    alive: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl Watched {
    pub(crate) fn new() -> Self {
        Self { tokio: Tokio::current(), alive: Arc::default() }
    }

    /// How many tasks there are of each name.
    pub(crate) fn alive(&self) -> BTreeMap<&'static str, usize> {
        let mut alive = self.alive.lock().unwrap().clone();
        alive.retain(|_, count| *count > 0);
        alive
    }
}

impl Runtime for Watched {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        *self.alive.lock().unwrap().entry(name).or_default() += 1;
        let counted = Counted { name, alive: self.alive.clone() };
        let task = async move {
            let _counted = counted;
            task.await;
        };
        self.tokio.spawn(name, Box::pin(task));
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.tokio.spawn_blocking(work);
    }

    fn timer(&self) -> Pin<Box<dyn Timer>> {
        self.tokio.timer()
    }

    fn now(&self) -> Time {
        self.tokio.now()
    }
}

/// One of those alive.
struct Counted {
    name: &'static str,
    alive: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(count) = self.alive.lock().unwrap().get_mut(self.name) {
            *count -= 1;
        }
    }
}
