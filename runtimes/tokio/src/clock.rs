//! tokio's clock as [`Time`].

use std::sync::OnceLock;
use std::time::Duration;

use moorline_core::Time;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// The [`Time`] of the origin. Not zero, because the clock of a paused runtime stands where it was paused, which may be
/// before this process first asked for the time; a day is longer than any such test.
const ORIGIN: Time = Time::from_origin(Duration::from_secs(24 * 3600));

/// One origin for the process, so that all values of the runtime agree. It is a point of the real clock: taken from a
/// paused and advanced one it would lie in the future of all others.
fn origin() -> Instant {
    static REAL: OnceLock<std::time::Instant> = OnceLock::new();
    #[allow(clippy::disallowed_methods, reason = "a runtime is where the time comes from")]
    let real = REAL.get_or_init(std::time::Instant::now);
    Instant::from_std(*real)
}

/// The time now on the clock of `handle`'s runtime.
pub(crate) fn now(handle: &Handle) -> Time {
    // A paused clock belongs to its runtime, and is found only from within.
    let _entered = handle.enter();
    let (now, origin) = (Instant::now(), origin());
    match now.checked_duration_since(origin) {
        Some(elapsed) => ORIGIN + elapsed,
        None => Time::from_origin(ORIGIN.since_origin().saturating_sub(origin - now)),
    }
}

/// The moment of `time`; `None` when it is too far away for the clock, and so never comes.
pub(crate) fn instant(time: Time) -> Option<Instant> {
    if time == Time::MAX {
        None
    } else if time >= ORIGIN {
        origin().checked_add(time - ORIGIN)
    } else {
        // A clock that cannot go back as far as `time` is past it.
        Some(origin().checked_sub(ORIGIN - time).unwrap_or_else(origin))
    }
}
