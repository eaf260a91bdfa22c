//! Which task runs next is the seed's choice, and nothing else's.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but does not see their helpers"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use moorline_sim::Sim;

/// The order in which ten tasks, each of three steps, came to run; and the run's fingerprint.
fn order(seed: u64) -> (Vec<(u32, u32)>, u64) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let fingerprint = Sim::seeded(seed).run(async |sim| {
        for task in 0..10 {
            let (sim, log) = (sim.clone(), log.clone());
            sim.clone().spawn(async move {
                for step in 0..3 {
                    log.lock().unwrap().push((task, step));
                    sim.yield_now().await;
                    sim.sleep(Duration::from_millis(5)).await;
                }
            });
        }
        sim.settle().await;
        sim.fingerprint()
    });
    (Arc::into_inner(log).unwrap().into_inner().unwrap(), fingerprint)
}

#[test]
fn r54_the_same_seed_gives_the_same_order() {
    assert_eq!(order(1), order(1));
}

#[test]
fn different_seeds_try_different_orders() {
    let orders = (0..20).map(order).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(orders.len(), 20);
}

#[test]
fn a_yield_lets_others_go_first() {
    // Two ready tasks have two orders, so some seed shows each.
    let mut firsts = [0; 2];
    for seed in 0..20 {
        Sim::seeded(seed).run(async |sim| {
            let flag = Arc::new(Mutex::new(false));
            let other = flag.clone();
            sim.spawn(async move { *other.lock().unwrap() = true });
            sim.yield_now().await;
            firsts[usize::from(*flag.lock().unwrap())] += 1;
        });
    }
    assert!(firsts.iter().all(|&count| count > 0), "{firsts:?}");
}
