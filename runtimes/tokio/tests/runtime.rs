//! Tasks and time.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use futures_executor::block_on;
use moorline_core::{Runtime, Time, Timer};
use moorline_tokio::Tokio;

const HOUR: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(20);

async fn is_ready(timer: &mut Pin<Box<dyn Timer>>) -> bool {
    poll_fn(|context| Poll::Ready(timer.as_mut().poll(context).is_ready())).await
}

#[test]
fn two_values_agree_on_the_time() {
    let build = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (one, other) = (build(), build());
    let (one, other) =
        (Tokio::from_handle(one.handle().clone()), Tokio::from(other.handle().clone()));
    let (first, second, third) = (one.now(), other.now(), one.now());
    assert!(first <= second && second <= third && third - first < Duration::from_secs(60));
}

#[test]
fn outside_a_runtime_there_is_no_current_one() {
    assert!(Tokio::try_current().is_none());
    let panic = std::panic::catch_unwind(Tokio::current).unwrap_err();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("outside a tokio runtime"));
}

#[tokio::test]
async fn a_timer_does_not_fire_early_and_stays_ready() {
    let runtime = Tokio::current();
    let mut timer = runtime.timer();
    assert!(!is_ready(&mut timer).await);
    let deadline = runtime.now() + SHORT;
    timer.as_mut().reset(deadline);
    timer.as_mut().await;
    assert!(runtime.now() >= deadline);
    assert!(is_ready(&mut timer).await);
    timer.as_mut().reset(runtime.now() + HOUR);
    assert!(!is_ready(&mut timer).await);
    timer.as_mut().reset(Time::ZERO);
    assert!(is_ready(&mut timer).await);
}

#[test]
fn a_timer_works_outside_the_runtime() {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let runtime = Tokio::from_handle(tokio.handle().clone());
    let deadline = runtime.now() + SHORT;
    let mut timer = runtime.timer();
    timer.as_mut().reset(deadline);
    block_on(timer);
    assert!(runtime.now() >= deadline);
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_is_the_timers_clock() {
    let runtime = Tokio::current();
    let start = runtime.now();
    tokio::time::advance(HOUR).await;
    assert_eq!(runtime.now(), start + HOUR);
    let mut timer = runtime.timer();
    timer.as_mut().reset(start + 3 * HOUR);
    assert!(!is_ready(&mut timer).await);
    timer.await;
    assert!(runtime.now() - start >= 3 * HOUR);
    assert!(runtime.now() - start < 3 * HOUR + SHORT);
}

#[test]
fn a_paused_clock_is_seen_from_outside() {
    let tokio =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let tokio = tokio.unwrap();
    let runtime = Tokio::from_handle(tokio.handle().clone());
    let start = runtime.now();
    tokio.block_on(tokio::time::advance(HOUR));
    assert_eq!(runtime.now(), start + HOUR);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_too_far_for_the_clock_never_comes() {
    let runtime = Tokio::current();
    let mut timer = runtime.timer();
    for far in [Time::MAX, runtime.now() + Duration::from_secs(u64::MAX / 2)] {
        timer.as_mut().reset(runtime.now() + SHORT);
        assert!(!is_ready(&mut timer).await);
        timer.as_mut().reset(far);
        assert!(tokio::time::timeout(HOUR, timer.as_mut()).await.is_err());
    }
    timer.as_mut().reset(runtime.now() + SHORT);
    timer.await;
}

#[test]
fn a_task_outlives_the_value_that_spawned_it() {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (send, receive) = mpsc::channel();
    let runtime = Tokio::from_handle(tokio.handle().clone());
    let mut timer = runtime.timer();
    timer.as_mut().reset(runtime.now() + SHORT);
    let task = async move {
        timer.await;
        send.send(()).unwrap();
    };
    runtime.spawn("task", Box::pin(task));
    drop(runtime);
    receive.recv_timeout(Duration::from_secs(20)).unwrap();
}

#[test]
fn a_panicking_task_takes_no_other_with_it() {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let runtime = Tokio::from_handle(tokio.handle().clone());
    let (send, receive) = mpsc::channel();
    let others = send.clone();
    runtime.spawn("panics", Box::pin(async { panic!("boom") }));
    runtime.spawn("goes on", Box::pin(async move { others.send("task").unwrap() }));
    runtime.spawn_blocking(Box::new(move || send.send("work").unwrap()));
    let mut got: Vec<_> = receive.iter().collect();
    got.sort_unstable();
    assert_eq!(got, ["task", "work"]);
}

#[test]
fn a_task_spawned_after_the_end_is_dropped() {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let runtime = Tokio::from_handle(tokio.handle().clone());
    drop(tokio);
    let (send, receive) = mpsc::channel::<()>();
    runtime.spawn("late", Box::pin(async move { drop(send) }));
    assert!(receive.recv().is_err());
}
