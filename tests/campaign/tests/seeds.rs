//! A hundred seeds, each in a share of an hour.

use std::time::Duration;

use moorline_campaign::{Report, play};

/// What fits into a minute without optimization; `cargo xtask simulate` plays whole hours.
const SPAN: Duration = Duration::from_secs(6 * 60);

#[test]
fn a_hundred_seeds_break_no_promise() {
    let mut all = Report::default();
    for seed in 0..100 {
        all.add(play(seed, SPAN));
    }
    println!("{all}");
    assert_eq!(all.violations, []);
    // The campaign is one only if there is something to it.
    assert!(all.messages.iter().all(|count| *count > 10_000), "{all}");
    assert!(all.faults.values().sum::<u64>() > 1_000, "{all}");
    assert!(all.recoveries > 1_000 && all.gaps > 10 && all.fresh > 10, "{all}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let (one, same, other) = (play(1, SPAN), play(1, SPAN), play(2, SPAN));
    assert_eq!(one.trace, same.trace);
    assert_ne!(one.trace, other.trace);
}
