//! The life of tasks.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_channel::oneshot;
use moorline_core::Runtime;
use moorline_sim::Sim;

/// Counts its drops.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

impl Drops {
    fn witness(&self) -> Witness {
        Witness(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

struct Witness(Drops);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn tasks_are_dropped_at_the_end() {
    let drops = Drops::default();
    Sim::new().run(async |sim| {
        let keep = |witness| {
            let runtime = sim.runtime();
            async move {
                let _held = (witness, runtime.clone());
                runtime.timer().await;
            }
        };
        // One waits on a timer for ever, one sleeps, one has no waker, one is never polled; each holds the runtime.
        sim.spawn(keep(drops.witness()));
        let (sleeper, witness) = (sim.clone(), drops.witness());
        sim.spawn(async move {
            let _held = witness;
            sleeper.sleep(Duration::from_secs(3600)).await;
        });
        let (witness, runtime) = (drops.witness(), sim.runtime());
        sim.spawn(async move {
            let _held = (witness, runtime);
            pending::<()>().await;
        });
        sim.sleep(Duration::from_secs(1)).await;
        sim.spawn(keep(drops.witness()));
        assert_eq!((sim.tasks(), drops.count()), (4, 0));
    });
    assert_eq!(drops.count(), 4);
}

#[test]
fn tasks_are_dropped_when_the_run_fails() {
    let drops = Drops::default();
    let result = std::panic::catch_unwind(|| {
        Sim::new().run(async |sim| {
            let witness = drops.witness();
            sim.spawn(async move {
                let _held = witness;
                pending::<()>().await;
            });
            sim.sleep(Duration::from_secs(1)).await;
            panic!("the test's own");
        })
    });
    assert!(result.is_err());
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_task_spawned_after_the_end_is_dropped_at_once() {
    let drops = Drops::default();
    let runtime = Sim::new().run(async |sim| sim.runtime());
    let witness = drops.witness();
    runtime.spawn("late", Box::pin(async move { drop(witness) }));
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_task_spawned_by_a_dropped_task_is_dropped_too() {
    struct Respawn(Option<Witness>, moorline_sim::SimRuntime);
    impl Drop for Respawn {
        fn drop(&mut self) {
            let witness = self.0.take();
            self.1.spawn("goodbye", Box::pin(async move { drop(witness) }));
        }
    }
    let drops = Drops::default();
    Sim::new().run(async |sim| {
        let respawn = Respawn(Some(drops.witness()), sim.runtime());
        sim.spawn(async move {
            let _held = respawn;
            pending::<()>().await;
        });
        sim.sleep(Duration::from_secs(1)).await;
    });
    assert_eq!(drops.count(), 1);
}

#[test]
fn an_ended_task_no_longer_counts() {
    Sim::new().run(async |sim| {
        let (release, released) = oneshot::channel::<()>();
        sim.spawn(async move { released.await.unwrap() });
        sim.settle().await;
        assert_eq!(sim.tasks(), 1);
        release.send(()).unwrap();
        sim.settle().await;
        assert_eq!(sim.tasks(), 0);
    });
}

#[test]
fn spawning_polls_nothing_yet() {
    Sim::new().run(async |sim| {
        let drops = Drops::default();
        let witness = drops.witness();
        sim.runtime().spawn("later", Box::pin(async move { drop(witness) }));
        assert_eq!(drops.count(), 0);
        sim.settle().await;
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn blocking_work_runs_in_place() {
    Sim::new().run(async |sim| {
        let drops = Drops::default();
        let witness = drops.witness();
        sim.runtime().spawn_blocking(Box::new(move || drop(witness)));
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn the_main_future_may_borrow_and_need_not_be_send() {
    let local = std::rc::Rc::new(5);
    let borrowed = &local;
    assert_eq!(Sim::new().run(async |_| { **borrowed + 1 }), 6);
}

#[test]
fn wakers_work_from_other_threads() {
    Sim::new().run(async |sim| {
        let (send, receive) = oneshot::channel();
        sim.spawn(async move {
            let mut first = true;
            poll_fn(|context| {
                if !std::mem::take(&mut first) {
                    return Poll::Ready(());
                }
                let waker: Waker = context.waker().clone();
                std::thread::spawn(move || waker.wake()).join().unwrap();
                Poll::Pending
            })
            .await;
            send.send(7).unwrap();
        });
        assert_eq!(receive.await, Ok(7));
    });
}
