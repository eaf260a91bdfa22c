//! How much a server has to do, looked at while it runs.

use std::future::pending;
use std::sync::Arc;

use moorline_core::Time;

use super::{Core, Marks, change};
use crate::server::run::sleep;

/// How much there is of what marks are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct Load {
    /// Bytes that wait to be sent.
    pub(in crate::server) queued: u64,
    /// Messages that have come, ever.
    pub(in crate::server) arrived: u64,
    pub(in crate::server) connections: u64,
}

impl Marks {
    /// Whether there is too much, where there was, or was not.
    const fn passed(self, value: u64, before: bool) -> bool {
        if before { value >= self.low } else { value >= self.high }
    }
}

/// Looks at the load from time to time, for as long as the server runs.
pub(in crate::server) async fn watch(core: &Arc<Core>) {
    let settings = &core.throttling.settings;
    let marks = [settings.queued, settings.messages, settings.connections];
    if marks.iter().all(Option::is_none) || settings.features.is_empty() {
        return pending().await;
    }
    let _over = Over(core);
    let mut looked = core.runtime.now();
    let mut arrived = core.registry.load().arrived;
    loop {
        sleep(&core.runtime, settings.every).await;
        let (now, load) = (core.runtime.now(), core.registry.load());
        let rate = per_second(load.arrived.saturating_sub(arrived), looked, now);
        (looked, arrived) = (now, load.arrived);
        change(core, |state| {
            let before = state.overloaded;
            let values = [load.queued, rate, load.connections];
            let mut kinds = marks.iter().zip(values);
            state.overloaded =
                kinds.any(|(marks, value)| marks.is_some_and(|marks| marks.passed(value, before)));
        });
    }
}

/// A server that does not run is not overloaded.
struct Over<'a>(&'a Arc<Core>);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        change(self.0, |state| state.overloaded = false);
    }
}

/// So many since then, for each second.
fn per_second(count: u64, since: Time, now: Time) -> u64 {
    let nanos = now.since(since).as_nanos().max(1);
    u64::try_from(u128::from(count) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rate_is_for_a_second_whatever_the_time_between_looks() {
        let at = |millis| Time::from_origin(Duration::from_millis(millis));
        assert_eq!(per_second(500, at(0), at(1000)), 500);
        assert_eq!(per_second(500, at(1000), at(1250)), 2000);
        assert_eq!(per_second(1, at(0), at(60_000)), 0);
        assert_eq!(per_second(u64::MAX, at(0), at(0)), u64::MAX);
    }

    #[test]
    fn between_the_marks_it_stays_as_it_was() {
        let marks = Marks { high: 10, low: 5 };
        let mut passed = false;
        let states: Vec<_> = [9, 10, 9, 5, 4, 9, 5, 10, 4]
            .into_iter()
            .map(|value| {
                passed = marks.passed(value, passed);
                passed
            })
            .collect();
        assert_eq!(states, [false, true, true, true, false, false, false, true, false]);
    }
}
