//! Numbers that one can watch, of a connection and of a server (R46).

use moorline::{Buffer, Class, Message};

use crate::stage::{Pair, RETENTION, SECOND, Stage};

behaviours![
    r46_what_is_dropped_is_counted_by_reason,
    r46_what_a_connection_holds_is_seen,
    r46_a_server_counts_over_all_connections,
    r46_a_heartbeat_measures_the_round_trip,
];

async fn pair(stage: &Stage) -> Pair {
    let server = stage.server().retention(RETENTION);
    stage.pair_of(server, stage.client().buffer(Buffer::default())).await
}

async fn r46_what_is_dropped_is_counted_by_reason(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    stage.cut();
    stage.until("both know", || !connection.is_connected() && !guest.is_connected()).await;
    connection.send(Message::from("old").ttl(stage.time(SECOND))).await.unwrap();
    connection.send(Message::from("first").on("key").latest()).await.unwrap();
    connection.send(Message::from("second").on("key").latest()).await.unwrap();
    let buffered = connection.send(Message::from("volatile").class(Class::Volatile)).await;
    assert!(buffered.is_ok());
    stage.sleep(5 * SECOND).await;
    stage
        .until("three are counted", || {
            let dropped = connection.stats().dropped;
            (dropped.expired, dropped.replaced, dropped.no_room) == (1, 1, 1)
        })
        .await;
    connection.close();
    stage.until("and the last", || connection.stats().dropped.disconnected == 1).await;
    assert_eq!(connection.stats().dropped.total(), 4);
}

async fn r46_what_a_connection_holds_is_seen(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    for _ in 0..5 {
        connection.send(vec![0; 1_000]).await.unwrap();
    }
    // Kept until they are acknowledged, which they are once somebody takes them.
    stage.until("they are there", || guest.stats().counts.held >= 5_000).await;
    stage.until("they are counted", || connection.stats().counts.sent == 5).await;
    let counts = connection.stats().counts;
    assert!((5_000..7_000).contains(&counts.retained), "{counts:?}");
    assert_eq!((counts.sent, counts.in_flight as usize), (5, counts.retained));
    assert_eq!(counts.acknowledged, 0);
    for _ in 0..5 {
        stage.message(&guest).await;
    }
    stage.until("all is taken", || connection.stats().counts.acknowledged == 5).await;
    assert_eq!((connection.stats().counts.retained, guest.stats().counts.held), (0, 0));
}

async fn r46_a_server_counts_over_all_connections(stage: Stage) {
    let server = stage.echo().await;
    for round in 1..=3 {
        let connection = stage.client().connect().await;
        for _ in 0..4 {
            connection.send("echo").await.unwrap();
        }
        assert_eq!(stage.texts(&connection, 4).await, ["echo"; 4]);
        stage
            .until("all is acknowledged", || server.stats().sum.counts.acknowledged == 4 * round)
            .await;
        let stats = server.stats();
        assert_eq!((stats.connections, stats.links, stats.accepted), (1, 1, round));
        drop(connection);
        stage.until("it is gone", || server.stats().links == 0).await;
    }
    let stats = server.stats();
    assert_eq!((stats.connections, stats.accepted), (0, 3));
    let counts = stats.sum.counts;
    assert_eq!((counts.sent, counts.received, counts.acknowledged), (12, 12, 12));
    assert_eq!((counts.retained, counts.held, stats.sum.queued), (0, 0, 0));
}

async fn r46_a_heartbeat_measures_the_round_trip(stage: Stage) {
    let heartbeat = stage.heartbeat(10 * SECOND, 20 * SECOND);
    let Pair { connection, .. } =
        stage.pair_of(stage.server(), stage.client().heartbeat(heartbeat)).await;
    assert_eq!(connection.stats().counts.round_trip, None);
    stage.until("it is measured", || connection.stats().counts.round_trip.is_some()).await;
}
