//! moorline on [tokio]: tasks, time and TCP.
//!
//! ```
//! use std::time::Duration;
//! use moorline_core::{Runtime, Time};
//! use moorline_tokio::Tokio;
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let runtime = Tokio::current();
//!     let start = runtime.now();
//!     let mut timer = runtime.timer();
//!     timer.as_mut().reset(start + Duration::from_millis(5));
//!     timer.await;
//!     assert!(runtime.now() >= start + Duration::from_millis(5));
//! }
//! ```
//!
//! A [`Tokio`] may be used from any thread, also outside tokio's runtime: it holds the runtime's handle and enters it where
//! tokio asks for that. The runtime must have been built with `enable_time`, and for [`Net`](moorline_core::Net) with
//! `enable_io`; otherwise tokio panics on first use.
//!
//! Time is tokio's, so under `tokio::time::pause` it is virtual here too.

mod clock;
mod net;
mod timer;

use std::pin::Pin;

use moorline_core::{BoxFuture, Runtime, Time, Timer};
use tokio::runtime::Handle;

pub use net::{TokioListener, TokioStream};

/// A tokio runtime. Clones are cheap and mean the same one; it does not keep the runtime alive.
///
/// [`spawn`](Runtime::spawn) ignores the task's name, since tokio's names are unstable. When the runtime shuts down it drops
/// its tasks; a task that is spawned afterwards is dropped at once.
#[derive(Clone, Debug)]
pub struct Tokio {
    handle: Handle,
}

impl Tokio {
    /// The runtime that the caller runs in.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime. There, take [`try_current`](Self::try_current) or [`from_handle`](Self::from_handle).
    #[must_use]
    #[track_caller]
    pub fn current() -> Self {
        match Self::try_current() {
            Some(runtime) => runtime,
            None => panic!(
                "Tokio::current() was called outside a tokio runtime: call it in one (#[tokio::main], \
                 Runtime::block_on), or use Tokio::from_handle"
            ),
        }
    }

    /// The runtime that the caller runs in; `None` outside one.
    #[must_use]
    pub fn try_current() -> Option<Self> {
        Handle::try_current().ok().map(Self::from_handle)
    }

    /// The runtime of `handle`.
    #[must_use]
    pub fn from_handle(handle: Handle) -> Self {
        Self { handle }
    }
}

impl From<Handle> for Tokio {
    fn from(handle: Handle) -> Self {
        Self::from_handle(handle)
    }
}

impl Runtime for Tokio {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        self.handle.spawn(task);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.handle.spawn_blocking(work);
    }

    fn timer(&self) -> Pin<Box<dyn Timer>> {
        Box::pin(timer::TokioTimer::new(self.handle.clone()))
    }

    fn now(&self) -> Time {
        clock::now(&self.handle)
    }
}
