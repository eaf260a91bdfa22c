//! The conformance kit: does a transport keep what its traits promise?
//!
//! Each MUST of [`moorline_core::transport`] and [`moorline_core::acceptor`] that can be seen from outside is one check, whose
//! name says the promise. One call runs them all; the [`Report`] says which ones passed, failed, or were left out because of
//! what the transport declares.
//!
//! ```no_run
//! use moorline_core::{Acceptor, Transport};
//! use moorline_testkit::TransportKit;
//!
//! # async fn contract<A: Acceptor, T: Transport>(
//! #     runtime: impl moorline_core::Runtime, my_acceptor: fn() -> A, my_transport: fn(&A) -> T) {
//! let report = TransportKit::new(runtime, my_acceptor, my_transport).run().await;
//! println!("{report}");
//! report.assert();
//! # }
//! ```
//!
//! - The kit depends on `moorline-core` alone; tasks and time are those of the [`Runtime`](moorline_core::Runtime) it is given.
//!   In virtual time it is done at once.
//! - A check that is not over in time fails, and says what it waited for. It has a task of its own, so one that blocks its thread
//!   is noticed too, where the runtime has another; what would come after it is not run.
//! - A panic of the transport's fails the check that it happened in.
//!
//! # What it cannot see
//!
//! Whether an address is looked up anew, whether `TCP_NODELAY` is set, and what a hostile peer can do that speaks the transport's
//! language. Test those by hand.

mod checks;
mod failure;
mod kit;
mod link;
mod play;
mod report;
mod runner;
mod sample;
mod site;

pub use kit::TransportKit;
pub use report::{Entry, Outcome, Report};
pub use site::RawStream;
