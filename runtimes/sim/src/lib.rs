//! A deterministic runtime with virtual time: an hour of outage in a test of milliseconds, the same every time.
//!
//! [`Sim::run`] drives a main future and all tasks that are spawned on its [`SimRuntime`] on the calling thread. Which
//! of the ready tasks is polled next is chosen by a generator with the run's seed, so that each seed tries another order
//! and the same seed repeats its order exactly. Time is virtual: it stands still while anything is ready, and then jumps
//! to the next deadline.
//!
//! ```
//! use std::time::Duration;
//! use futures_channel::oneshot;
//! use moorline_sim::Sim;
//!
//! const HOUR: Duration = Duration::from_secs(3600);
//!
//! fn a_slow_kitchen_still_serves() {
//!     Sim::seeded(7).run(async |sim| {
//!         let (order, ordered) = oneshot::channel();
//!         let (serve, served) = oneshot::channel();
//!         let kitchen = sim.clone();
//!         sim.spawn(async move {
//!             let dish: &str = ordered.await.unwrap();
//!             kitchen.sleep(HOUR).await;
//!             serve.send(format!("hot {dish}")).unwrap();
//!         });
//!
//!         order.send("tea").unwrap();
//!         assert_eq!(sim.timeout(2 * HOUR, served).await.unwrap().unwrap(), "hot tea");
//!         assert_eq!(sim.now().since_origin(), HOUR);
//!         sim.settle().await;
//!         assert_eq!(sim.tasks(), 0);
//!     });
//! }
//! # a_slow_kitchen_still_serves();
//! ```
//!
//! # When a test fails
//!
//! The seed is printed as `sim: seed 7`; a run with [`Sim::seeded`] of it fails in the same way. A run fails when
//!
//! - its main future panics;
//! - a task panics: the other tasks go on, and `run` resumes the first task's panic once the main future has ended
//!   (unless [`Sim::allow_task_panics`] was called);
//! - nothing is ready and no timer is armed while the main future still waits: a deadlock, reported with a list of who
//!   waits;
//! - [`LIVELOCK_POLLS`] polls happen while time stands still, reported with a list of who was polled most.
//!
//! A run whose timers repeat for ever, while its main future waits for something else, does not end: bound such a wait
//! by [`Sim::timeout`].
//!
//! # What keeps a run deterministic
//!
//! Tasks must take time and randomness from the run alone ([`Sim::now`], [`Sim::seed`]), must not iterate a `HashMap` with
//! a random state, and must not wait for other threads. Wakers may be called from other threads without harm, but their
//! moment is then not the seed's to choose, and a run does not wait for them: when only another thread could wake the main
//! future, that is a deadlock. To see whether two runs did the same, compare their [`Sim::fingerprint`].

mod executor;
mod report;
mod runtime;
mod sim;
mod spawned;
mod timer;

use std::time::Duration;

pub use runtime::SimRuntime;
pub use sim::{Elapsed, Sim};
pub use timer::SimTimer;

/// The seed of [`Sim::new`]. Any number would do; that it is fixed lets a failing test fail again.
pub const DEFAULT_SEED: u64 = 0x6d6f_6f72;

/// How much virtual time [`Sim::settle`] lets pass: one minute, which is longer than each default delay of moorline
/// after which something moves on its own (an attempt's time-out of 20 s, a missed heartbeat's 50 s, the spread of 5 s after
/// a loss), so that what was going to happen has happened.
pub const SETTLE: Duration = Duration::from_secs(60);

/// How many polls may happen while virtual time stands still: ten million, some thousand times what the busiest instant
/// of a test with a thousand connections needs, and still reached within seconds by two tasks that only wake each other.
pub const LIVELOCK_POLLS: u64 = 10_000_000;
