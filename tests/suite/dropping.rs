//! Dropping the last handle. That nothing is left behind, neither task nor link, the stage sees after each test.

use std::sync::Arc;

use futures_util::StreamExt;
use moorline::{Event, Status};

use crate::stage::{A_MINUTE, Journal, MS, Pair, SECOND, Stage};

behaviours![
    dropping_the_last_handle_closes_cleanly,
    dropping_a_clone_closes_nothing,
    what_send_accepted_still_goes_out_after_the_drop,
    a_weak_handle_keeps_nothing_open,
    dropping_while_connecting_ends_the_attempt,
    dropping_while_waiting_to_retry_ends_the_wait,
    dropping_with_a_silent_peer_ends_by_the_closing_time_out,
    listeners_and_what_they_hold_are_dropped_with_the_connection,
    streams_end_with_the_connection,
];

async fn dropping_the_last_handle_closes_cleanly(stage: Stage) {
    let Pair { server, connection, guest } = stage.pair().await;
    let ends = Journal::default();
    let pen = ends.clone();
    guest.on_disconnect(move |end| pen.write(format!("{:?} {}", end.reason, end)));
    drop(connection);
    stage.until("the server has heard of it", || !ends.words().is_empty()).await;
    assert_eq!(ends.words(), ["ClientDisconnect the client disconnected: 1000"]);
    assert_eq!(server.count(), 0);
}

async fn dropping_a_clone_closes_nothing(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    drop(connection.clone());
    stage.sleep(10 * SECOND).await;
    assert!(guest.is_alive());
    assert!(connection.is_connected());
}

async fn what_send_accepted_still_goes_out_after_the_drop(stage: Stage) {
    let client = stage.client().close_timeout(10 * A_MINUTE);
    let Pair { connection, guest, .. } = stage.pair_of(stage.server(), client).await;
    for n in 0..500 {
        connection.send(n.to_string()).await.unwrap();
    }
    drop(connection);
    let expected: Vec<_> = (0..500).map(|n| n.to_string()).collect();
    assert_eq!(stage.texts(&guest, 500).await, expected);
    assert!(stage.within("the end", guest.next_message()).await.is_none());
}

async fn a_weak_handle_keeps_nothing_open(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let weak = connection.downgrade();
    assert_eq!(weak.upgrade().unwrap().id(), connection.id());
    drop(connection);
    assert!(weak.upgrade().is_none());
    stage.until("the server knows", || !guest.is_alive()).await;
}

async fn dropping_while_connecting_ends_the_attempt(stage: Stage) {
    stage.partition();
    let connection = stage.client().start();
    stage.sleep(MS).await;
    assert_eq!(connection.status(), Status::Connecting);
    drop(connection);
    stage.until("no task is left", || stage.tasks() == 0).await;
}

async fn dropping_while_waiting_to_retry_ends_the_wait(stage: Stage) {
    let connection = stage.client().build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    stage.reads(&journal, "error Connect unreachable").await;
    drop(connection);
    stage.until("no task is left", || stage.tasks() == 0).await;
}

async fn dropping_with_a_silent_peer_ends_by_the_closing_time_out(stage: Stage) {
    let client = stage.client().close_timeout(5 * SECOND);
    let Pair { server, connection, .. } = stage.pair_of(stage.server(), client).await;
    stage.partition();
    connection.send("into the void").await.unwrap();
    let dropped = stage.now();
    drop(connection);
    stage.sleep(7 * SECOND).await;
    // The server's end is still there: it has heard nothing. Of the client's nothing is left, so
    // that after the partition there is nobody to come back.
    assert!(stage.since(dropped) >= 7 * SECOND);
    stage.heal();
    stage.until("the server knows", || server.count() == 0).await;
}

async fn listeners_and_what_they_hold_are_dropped_with_the_connection(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let (ours, theirs) = (Arc::new(()), Arc::new(()));
    let (held, kept) = (ours.clone(), theirs.clone());
    connection.on_message(move |_| drop(held.clone()));
    guest.on_message(move |_| drop(kept.clone()));
    drop((connection, guest));
    stage.until("the client's are dropped", || Arc::strong_count(&ours) == 1).await;
    stage.until("the server's are dropped", || Arc::strong_count(&theirs) == 1).await;
}

async fn streams_end_with_the_connection(stage: Stage) {
    let Pair { connection, .. } = stage.pair().await;
    let (events, statuses) = (connection.events(), connection.statuses());
    drop(connection);
    let statuses: Vec<_> = stage.within("statuses end", statuses.collect()).await;
    assert_eq!(statuses.last(), Some(&Status::Closed));
    let events: Vec<_> = stage.within("events end", events.collect()).await;
    assert!(matches!(events.last(), Some(Event::Disconnect(_))), "{events:?}");
}
