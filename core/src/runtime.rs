//! The third plug: what gives tasks and time.
//!
//! moorline asks five things of a runtime: to run a task, to run blocking work, a timer, the time, and (with a default that
//! does) randomness. Sockets need more; that is [`Net`](crate::Net), which only socket transports ask for. The trait is
//! object-safe, so that a client or a server holds a runtime as a value and has no parameter for it.
//!
//! # A whole runtime
//!
//! One thread a task: not for many connections, and all that the trait asks for.
//!
//! ```
//! use std::future::Future;
//! use std::pin::Pin;
//! use std::task::{Context, Poll};
//! use std::time::{Duration, Instant};
//! use futures_util::future::BoxFuture;
//! use moorline_core::{Runtime, Time, Timer};
//!
//! #[derive(Debug)]
//! struct Threads {
//!     origin: Instant,
//! }
//!
//! impl Runtime for Threads {
//!     fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
//!         std::thread::spawn(|| futures_executor::block_on(task));
//!     }
//!     fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
//!         std::thread::spawn(work);
//!     }
//!     fn timer(&self) -> Pin<Box<dyn Timer>> {
//!         Box::pin(ThreadTimer { origin: self.origin, deadline: Time::MAX })
//!     }
//!     fn now(&self) -> Time {
//!         Time::from_origin(self.origin.elapsed())
//!     }
//! }
//!
//! struct ThreadTimer {
//!     origin: Instant,
//!     deadline: Time,
//! }
//!
//! impl Timer for ThreadTimer {
//!     fn reset(mut self: Pin<&mut Self>, deadline: Time) {
//!         self.deadline = deadline;
//!     }
//! }
//!
//! impl Future for ThreadTimer {
//!     type Output = ();
//!     fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
//!         let left = self.deadline.since(Time::from_origin(self.origin.elapsed()));
//!         if left.is_zero() {
//!             return Poll::Ready(());
//!         }
//!         if self.deadline != Time::MAX {
//!             let waker = context.waker().clone();
//!             std::thread::spawn(move || {
//!                 std::thread::sleep(left);
//!                 waker.wake();
//!             });
//!         }
//!         Poll::Pending
//!     }
//! }
//! # let runtime = Threads { origin: Instant::now() };
//! # let mut timer = runtime.timer();
//! # timer.as_mut().reset(runtime.now() + Duration::from_millis(5));
//! # futures_executor::block_on(timer);
//! # assert!(runtime.now() >= Time::from_origin(Duration::from_millis(5)));
//! ```

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{BoxFuture, Time};

/// Gives tasks and time.
///
/// # Behaviour
///
/// - [`spawn`](Self::spawn) MUST run the task until it ends, whatever becomes of the value that it
///   was spawned from, or drop it when the runtime shuts down. It MUST NOT poll it in place, on the
///   caller's stack.
/// - A task that panics MUST NOT take another one with it.
/// - [`now`](Self::now) MUST NOT go backwards, and MUST be the clock of [`timer`](Self::timer).
/// - Values of one runtime MUST agree on their clock's origin.
pub trait Runtime: Debug + Send + Sync + 'static {
    /// Runs a task in the background. `name` says what it is, for reports of the runtime's.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);

    /// Runs work that blocks where it holds up no task. A simulated runtime runs it in place.
    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>);

    /// A new timer, which fires never until it is [`reset`](Timer::reset). One is made for each
    /// connection and used again and again.
    fn timer(&self) -> Pin<Box<dyn Timer>>;

    /// The time now.
    fn now(&self) -> Time;

    /// 128 random bits, fit for secrets: the operating system's. A simulated runtime gives seeded ones
    /// instead, so that a run can be repeated.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness.
    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        u128::from_le_bytes(bytes)
    }
}

impl<R: Runtime + ?Sized> Runtime for Arc<R> {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        (**self).spawn(name, task);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        (**self).spawn_blocking(work);
    }

    fn timer(&self) -> Pin<Box<dyn Timer>> {
        (**self).timer()
    }

    fn now(&self) -> Time {
        (**self).now()
    }

    fn random(&self) -> u128 {
        (**self).random()
    }
}

/// Ends when its deadline has come.
///
/// # Behaviour
///
/// - A poll before the deadline MUST give `Pending` and wake the task when it comes; a poll at or
///   after it MUST give `Ready`, also when it gave it before.
/// - It MUST NOT fire early. After [`reset`](Self::reset) only the new deadline counts.
/// - Neither `reset` nor a poll should allocate: both stand on the path of messages.
pub trait Timer: Future<Output = ()> + Send {
    /// Sets the deadline; [`Time::MAX`] is never. Poll the timer afterwards, or nobody is woken.
    fn reset(self: Pin<&mut Self>, deadline: Time);
}
