//! Slow handshakes hold up nobody, and have a limit.

use crate::stage::{A_MINUTE, Journal, SECOND, Stage, Virtual, echo};

behaviours![
    a_silent_link_blocks_nobody_and_is_closed_in_time,
    r33_over_the_limit_links_wait_for_a_place,
];

in_virtual_time![
    handshakes_of_the_transport_that_hang_block_nobody,
    r52_a_connect_that_comes_in_twice_makes_one_connection,
    links_that_break_in_the_handshake_free_their_places,
];

/// Longer than a busy machine needs for an echo.
const LIMIT: std::time::Duration = A_MINUTE;

async fn a_silent_link_blocks_nobody_and_is_closed_in_time(stage: Stage) {
    let server = stage.server().handshake_timeout(LIMIT).build();
    echo(&server);
    stage.run(&server).await;
    let begun = stage.now();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(stage.stranger().await);
    }
    let connection = stage.client().connect().await;
    connection.send("echo").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["echo"]);
    assert!(stage.since(begun) < LIMIT, "before the others were given up");
    for stranger in &mut silent {
        let farewell = stranger.farewell().await;
        let close = farewell.link.unwrap();
        assert_eq!((close.code, &*close.reason), (1002, "hello_timeout"));
    }
    assert!(stage.since(begun) >= LIMIT);
    assert_eq!(server.count(), 1);
}

async fn r33_over_the_limit_links_wait_for_a_place(stage: Stage) {
    let limit = 10 * SECOND;
    let _server = stage.server().handshakes(2).handshake_timeout(limit).run().await;
    let begun = stage.now();
    let _silent = [stage.stranger().await, stage.stranger().await];
    stage.sleep(SECOND).await;
    let connection = stage.client().connect().await;
    assert!(stage.since(begun) >= limit, "the places were taken");
    // Those who are in take no place.
    let others = [stage.client().connect().await, stage.client().connect().await];
    assert!(others.iter().chain([&connection]).all(|own| own.is_connected()));
}

async fn handshakes_of_the_transport_that_hang_block_nobody(stage: Virtual) {
    let server = stage.server().run().await;
    stage.network.hang_handshakes(Virtual::PLACE);
    let mut hanging = Vec::new();
    for _ in 0..50 {
        hanging.push(stage.client().start());
    }
    stage.sleep(SECOND).await;
    stage.network.heal(Virtual::PLACE);
    let begun = stage.now();
    let connection = stage.client().connect().await;
    assert!(stage.since(begun) < SECOND);
    assert!(connection.is_connected());
    // The others are given up by the server after 10 s, and come again.
    stage.until("all are in", || server.count() == 51).await;
    let waited = stage.since(begun);
    assert!(waited >= 9 * SECOND && waited < 15 * SECOND, "{waited:?}");
}

async fn r52_a_connect_that_comes_in_twice_makes_one_connection(stage: Virtual) {
    let server = stage.server().build();
    let journal = Journal::default();
    let pen = journal.clone();
    server.on_connect(async move |_| {
        pen.write("connect");
        Ok(())
    });
    stage.run(&server).await;
    stage.network.duplicate_connects(Virtual::PLACE);
    let connection = stage.client().connect().await;
    stage.sleep(30 * SECOND).await;
    assert_eq!(journal.words(), ["connect"]);
    assert_eq!((server.count(), stage.links()), (1, 1), "the dead twin was given up");
    assert!(connection.is_connected());
}

async fn links_that_break_in_the_handshake_free_their_places(stage: Virtual) {
    let _server = stage.server().handshakes(1).run().await;
    for _ in 0..20 {
        let stranger = stage.stranger().await;
        stage.sleep(SECOND / 10).await;
        drop(stranger);
    }
    let begun = stage.now();
    let mut stranger = stage.stranger().await;
    stranger.greet(1 << 18).await;
    assert!(stage.since(begun) < 2 * SECOND, "no place was lost");
}
