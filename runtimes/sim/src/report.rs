//! What a run that is stuck says.

use std::fmt::Write;

use crate::executor::State;
use crate::spawned::{Label, Tally};

/// How many tasks a report lists: enough to see the pattern, and still one screen.
const LISTED: usize = 40;

/// Who waits, the main future first and then in the order of spawning.
pub(crate) fn deadlock(state: &State, seed: u64) -> String {
    let title = "deadlock: nothing is ready and no timer is armed; waiting are";
    report(state, seed, title, &everyone(state))
}

/// Who was polled most at this instant.
pub(crate) fn livelock(state: &State, seed: u64) -> String {
    let mut busy = everyone(state);
    busy.retain(|(_, tally)| tally.last == state.now);
    busy.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.here));
    let title = format!("livelock: {} polls while time stood still; most by", state.polls_here);
    report(state, seed, &title, &busy)
}

fn everyone(state: &State) -> Vec<(Label, Tally)> {
    let main = (Label { id: 0, name: "main", at: None }, state.main);
    let tasks = state.tasks.values().map(|entry| (*entry.task.metadata(), entry.tally));
    std::iter::once(main).chain(tasks).collect()
}

fn report(state: &State, seed: u64, title: &str, rows: &[(Label, Tally)]) -> String {
    let mut text = format!("sim: seed {seed}, at {:?}: {title}", state.now);
    for (label, tally) in rows.iter().take(LISTED) {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {label}: {tally}");
    }
    if rows.len() > LISTED {
        let _ = write!(text, "\n  and {} more", rows.len() - LISTED);
    }
    if state.panics.count > 0 {
        let _ = write!(text, "\n  tasks that panicked before: {}", state.panics.count);
    }
    text
}
