//! How a run fails, and that no failure is silent.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_channel::oneshot;
use moorline_core::Runtime;
use moorline_sim::Sim;

/// What the run of `sim` panics with.
fn failure(sim: &Sim, main: impl AsyncFnOnce(Sim)) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| sim.run(main))).expect_err("the run passed");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().expect("a panic with a text").to_string(),
    }
}

#[test]
fn a_deadlock_names_who_waits() {
    let report = failure(&Sim::seeded(3), async |sim| {
        let (_sender, receiver) = oneshot::channel::<()>();
        sim.runtime().spawn("reader", Box::pin(pending()));
        sim.spawn(async {});
        sim.runtime().spawn("writer", Box::pin(sim.sleep(Duration::from_secs(4))));
        sim.spawn(pending());
        sim.sleep(Duration::from_secs(5)).await;
        receiver.await.unwrap();
    });
    let lines: Vec<_> = report.lines().map(str::trim).collect();
    assert_eq!(
        lines[..3],
        [
            "sim: seed 3, at 5s: deadlock: nothing is ready and no timer is armed; waiting are",
            "main: polls: 2, the last at 5s",
            "task #1 `reader`: polls: 1, the last at 0ns",
        ]
    );
    assert!(lines[3].starts_with("task #4 `task` (") && lines[3].contains("failures.rs:"));
    assert_eq!(lines.len(), 4);
}

#[test]
fn a_panicking_task_fails_the_run() {
    let report = failure(&Sim::new(), async |sim| {
        sim.spawn(async { panic!("boom") });
        sim.settle().await;
    });
    assert_eq!(report, "boom");
}

#[test]
fn a_panicking_task_takes_no_other_with_it() {
    Sim::new().run(async |sim| {
        sim.allow_task_panics();
        let (send, receive) = oneshot::channel();
        let other = sim.clone();
        sim.spawn(async { panic!("boom") });
        sim.spawn(async move {
            other.settle().await;
            send.send(()).unwrap();
        });
        receive.await.unwrap();
        assert_eq!(sim.tasks(), 0);
    });
}

#[test]
fn a_panicking_task_goes_before_the_deadlock_it_causes() {
    let report = failure(&Sim::new(), async |sim| {
        let (_sender, receiver) = oneshot::channel::<()>();
        sim.spawn(async { panic!("boom") });
        receiver.await.unwrap();
    });
    assert_eq!(report, "boom");
}

#[test]
fn panicking_blocking_work_fails_the_run() {
    let report = failure(&Sim::new(), async |sim| {
        sim.runtime().spawn_blocking(Box::new(|| panic!("boom")));
    });
    assert_eq!(report, "boom");
}

#[test]
fn a_panic_of_the_main_future_comes_out() {
    assert_eq!(failure(&Sim::new(), async |_| panic!("mine")), "mine");
}

#[test]
fn a_sim_runs_once() {
    let sim = Sim::new();
    sim.run(async |_| {});
    assert!(failure(&sim, async |_| {}).starts_with("a Sim runs once"));
    assert!(failure(&Sim::new(), async |sim| sim.run(async |_| {})).starts_with("a Sim runs once"));
}

#[test]
fn spawning_before_the_run_is_an_error() {
    let sim = Sim::new();
    let early = catch_unwind(AssertUnwindSafe(|| sim.runtime().spawn("early", Box::pin(async {}))));
    assert!(early.is_err());
}
