//! Virtual time and its timers.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use moorline_core::{Runtime, Time, Timer};
use moorline_sim::{SETTLE, Sim};

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Time {
    Time::from_origin(Duration::from_secs(seconds))
}

async fn is_ready(timer: &mut Pin<Box<dyn Timer>>) -> bool {
    poll_fn(|context| Poll::Ready(timer.as_mut().poll(context).is_ready())).await
}

#[test]
fn r54_time_jumps_to_the_next_deadline() {
    let real = Instant::now();
    Sim::new().run(async |sim| {
        assert_eq!(sim.now(), Time::ZERO);
        let background = sim.clone();
        sim.spawn(async move { background.sleep(3 * SECOND).await });
        sim.sleep(2 * SECOND).await;
        assert_eq!((sim.now(), sim.tasks()), (at(2), 1));
        sim.sleep(Duration::from_secs(1_000_000)).await;
        assert_eq!((sim.now(), sim.tasks()), (at(1_000_002), 0));
        sim.settle().await;
        assert_eq!(sim.now(), at(1_000_002) + SETTLE);
    });
    assert!(real.elapsed() < SECOND * 10);
}

#[test]
fn r54_time_stands_still_while_a_task_is_ready() {
    Sim::new().run(async |sim| {
        let mut sleep = sim.sleep(Duration::from_nanos(1));
        for _ in 0..100 {
            assert!((&mut sleep).now_or_never().is_none());
            sim.yield_now().await;
        }
        assert_eq!(sim.now(), Time::ZERO);
        sleep.await;
        assert_eq!(sim.now(), Time::from_origin(Duration::from_nanos(1)));
    });
}

#[test]
fn a_timer_reset_forward_does_not_fire_early() {
    Sim::new().run(async |sim| {
        let mut timer = sim.runtime().timer();
        timer.as_mut().reset(at(5));
        assert!(!is_ready(&mut timer).await);
        timer.as_mut().reset(at(9));
        assert!(!is_ready(&mut timer).await);
        sim.sleep_until(at(6)).await;
        assert!(!is_ready(&mut timer).await);
        timer.await;
        assert_eq!(sim.now(), at(9));
    });
}

#[test]
fn a_timer_reset_backward_fires_early() {
    Sim::new().run(async |sim| {
        let mut timer = sim.runtime().timer();
        timer.as_mut().reset(at(50));
        assert!(!is_ready(&mut timer).await);
        timer.as_mut().reset(at(3));
        timer.await;
        assert_eq!(sim.now(), at(3));
    });
}

#[test]
fn a_fired_timer_stays_ready() {
    Sim::new().run(async |sim| {
        let mut timer = sim.runtime().timer();
        timer.as_mut().reset(at(1));
        timer.as_mut().await;
        assert!(is_ready(&mut timer).await);
        sim.sleep(SECOND).await;
        assert!(is_ready(&mut timer).await);
        timer.as_mut().reset(at(3));
        assert!(!is_ready(&mut timer).await);
    });
}

#[test]
fn a_timer_follows_the_task_that_polled_it_last() {
    Sim::new().run(async |sim| {
        let mut timer = sim.runtime().timer();
        timer.as_mut().reset(at(1));
        assert!(!is_ready(&mut timer).await);
        let runtime = sim.runtime();
        let (done, ended) = futures_channel::oneshot::channel();
        sim.spawn(async move {
            timer.await;
            done.send(runtime.now()).unwrap();
        });
        assert_eq!(ended.await.unwrap(), at(1));
    });
}

#[test]
#[should_panic(expected = "no timer is armed")]
fn a_timer_at_the_end_of_time_is_not_armed() {
    Sim::new().run(async |sim| sim.sleep(Duration::MAX).await);
}

#[test]
fn a_timeout_ends_a_wait() {
    Sim::new().run(async |sim| {
        let late = sim.timeout(SECOND, std::future::pending::<()>()).await;
        assert_eq!(late.unwrap_err().to_string(), "not done within 1s of virtual time");
        assert_eq!(sim.now(), at(1));
        // Ready at the deadline itself is in time.
        assert!(sim.timeout(SECOND, sim.sleep(SECOND)).await.is_ok());
    });
}

#[test]
fn a_million_resets_leave_one_deadline() {
    Sim::new().run(async |sim| {
        let mut timer = sim.runtime().timer();
        for reset in 1..1_000_000 {
            timer.as_mut().reset(Time::from_origin(Duration::from_micros(reset)));
            assert!(!is_ready(&mut timer).await);
        }
        let polls = sim.polls();
        timer.await;
        // Each deadline that was left behind would have woken this future.
        assert_eq!(sim.polls(), polls + 1);
    });
}
