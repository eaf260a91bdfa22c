//! When a client tries again (R43), to the instant.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use moorline::{Backoff, Connection, event};

use crate::stage::plan::ClientPlan;
use crate::stage::{Journal, SECOND, Virtual};

in_virtual_time![
    r43_delays_double_up_to_the_cap,
    r43_the_seed_decides_the_schedule,
    r43_the_first_attempt_after_a_loss_is_spread_evenly,
    r43_the_count_starts_again_after_an_open,
    r43_an_attempt_that_hangs_is_given_up_after_its_time_out,
    r43_a_policy_of_ones_own_is_followed_and_ends,
    r43_an_hour_of_outage_ends_within_the_cap,
];

/// The times of a connection's attempts after the first one.
type Times = Arc<Mutex<Vec<Duration>>>;

fn note_attempts(stage: &Virtual, connection: &Connection) -> Times {
    let times = Times::default();
    let (pen, sim) = (times.clone(), stage.sim.clone());
    connection.on(event::ReconnectAttempt, move |_| {
        pen.lock().unwrap().push(sim.now().since_origin());
    });
    times
}

/// When a client that reaches nobody tries again, seen for that long.
async fn schedule(stage: &Virtual, client: ClientPlan, span: Duration) -> Vec<Duration> {
    // A connect that is cut off fails at once, whatever the network's latency.
    stage.cut();
    let start = stage.now().since_origin();
    let connection = client.build().closed();
    let times = note_attempts(stage, &connection);
    connection.open();
    stage.sleep(span).await;
    let times = times.lock().unwrap().clone();
    times.into_iter().map(|time| time - start).collect()
}

fn seconds(all: &[u64]) -> Vec<Duration> {
    all.iter().copied().map(Duration::from_secs).collect()
}

async fn r43_delays_double_up_to_the_cap(stage: Virtual) {
    let client = stage.client().backoff(Backoff::default().jitter(false));
    let times = schedule(&stage, client, 23 * SECOND).await;
    assert_eq!(times, seconds(&[1, 3, 7, 12, 17, 22]));
}

async fn r43_the_seed_decides_the_schedule(stage: Virtual) {
    let minutes = 120 * SECOND;
    let one = schedule(&stage, stage.client().seed(1), minutes).await;
    let again = schedule(&stage, stage.client().seed(1), minutes).await;
    let other = schedule(&stage, stage.client().seed(2), minutes).await;
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert!(one.len() > 24, "full jitter halves the delays: {}", one.len());
}

async fn r43_the_first_attempt_after_a_loss_is_spread_evenly(stage: Virtual) {
    let _server = stage.server().run().await;
    let mut clients = Vec::new();
    for _ in 0..200 {
        let connection = stage.client().connect().await;
        let times = note_attempts(&stage, &connection);
        clients.push((connection, times));
    }
    let loss = stage.now().since_origin();
    stage.reset();
    stage.sleep(6 * SECOND).await;
    let mut buckets = [0; 5];
    for (_, times) in &clients {
        let first = times.lock().unwrap()[0] - loss;
        buckets[first.as_secs() as usize] += 1;
    }
    // 40 each on the average: 15 are more than four standard deviations away.
    assert!(buckets.iter().all(|count| (15..=65).contains(count)), "{buckets:?}");
}

async fn r43_the_count_starts_again_after_an_open(stage: Virtual) {
    let _server = stage.server().run().await;
    let backoff = Backoff::default().jitter(false).spread(Duration::ZERO);
    let connection = stage.client().backoff(backoff).connect().await;
    let times = note_attempts(&stage, &connection);
    let journal = Journal::of(&connection);
    for _ in 0..2 {
        let loss = stage.now().since_origin();
        stage.cut();
        stage.sleep(Duration::from_millis(7_500)).await;
        stage.heal();
        stage.reads(&journal, "reconnect 5").await;
        let times = std::mem::take(&mut *times.lock().unwrap());
        let delays: Vec<_> = times.into_iter().map(|time| time - loss).collect();
        assert_eq!(delays, seconds(&[0, 1, 3, 7, 12]));
        journal.take();
    }
}

async fn r43_an_attempt_that_hangs_is_given_up_after_its_time_out(stage: Virtual) {
    let _server = stage.server().run().await;
    stage.partition();
    let client = stage.client().backoff(Backoff::default().jitter(false));
    let connection = client.build().closed();
    let times = note_attempts(&stage, &connection);
    let journal = Journal::of(&connection);
    let start = stage.now().since_origin();
    connection.open();
    stage.sleep(45 * SECOND).await;
    // 20 s for each attempt, and 1 s, 2 s between them.
    let expected = [21, 43].map(|second| start + second * SECOND);
    assert_eq!(*times.lock().unwrap(), expected);
    assert_eq!(journal.count("error Connect timed_out"), 2);
    stage.heal();
    stage.within("it opens", connection.opened()).await.unwrap();
    assert_eq!(stage.network.links(Virtual::PLACE), 1, "the given up ones are gone");
}

async fn r43_a_policy_of_ones_own_is_followed_and_ends(stage: Virtual) {
    let policy = Backoff::custom(|| [SECOND, 10 * SECOND, 100 * SECOND]).jitter(false);
    let times = schedule(&stage, stage.client().backoff(policy), 300 * SECOND).await;
    assert_eq!(times, seconds(&[1, 11, 111]));
}

async fn r43_an_hour_of_outage_ends_within_the_cap(stage: Virtual) {
    let _server = stage.server().run().await;
    let connection = stage.client().connect().await;
    let times = note_attempts(&stage, &connection);
    stage.cut();
    stage.sleep(3600 * SECOND).await;
    let attempts = times.lock().unwrap().len();
    assert!((1_000..2_000).contains(&attempts), "one in 2.5 s on the average: {attempts}");
    let healed = stage.now();
    stage.heal();
    stage.within("it is back", connection.opened()).await.unwrap();
    assert!(stage.since(healed) < 6 * SECOND);
}
