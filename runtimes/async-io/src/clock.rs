//! The system's clock as [`Time`].

use std::sync::OnceLock;
use std::time::Instant;

use moorline_core::Time;

/// One origin for the process, so that all runtimes on this crate agree.
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// The time now. Its origin is the process's first call.
#[must_use]
pub fn now() -> Time {
    Time::from_origin(origin().elapsed())
}

/// The moment of `time`; `None` when it is too far away for the clock, and so never comes.
pub(crate) fn instant(time: Time) -> Option<Instant> {
    if time == Time::MAX { None } else { origin().checked_add(time.since_origin()) }
}
