//! What a stop does to the connections (R33).

use futures_util::future::{Either, select};
use moorline::Status;

use crate::closing::ends;
use crate::stage::{A_WHILE, Journal, MS, Pair, SECOND, Stage, Virtual};

behaviours![
    r33_a_stop_closes_every_client_with_1012_and_counts_them,
    r33_a_client_that_is_stopped_comes_back_when_it_runs_again,
    r33_a_stop_refuses_new_clients,
    r33_what_was_sent_before_a_stop_arrives,
    r33_a_stranger_that_says_nothing_does_not_hold_up_a_stop,
];

in_virtual_time![
    r33_a_stuck_client_is_cut_at_the_deadline_and_counted,
    r33_clients_come_back_spread_over_the_time_that_the_server_asked_for,
    r33_a_drain_closes_one_after_another_refuses_new_ones_and_cuts_who_is_late,
    r33_a_drain_that_is_dropped_closes_the_rest_at_once,
];

async fn r33_a_stop_closes_every_client_with_1012_and_counts_them(stage: Stage) {
    let server = stage.server().run().await;
    let mut told = Vec::new();
    for _ in 0..3 {
        let connection = stage.client().connect().await;
        told.push((ends(&connection), connection));
    }
    let stopped = stage.within("it stops", server.stop()).await.unwrap();
    assert_eq!((stopped.connections, stopped.cut), (3, 0));
    assert_eq!(server.count(), 0);
    for (ends, connection) in &told {
        stage.reads(ends, "TransportClose 1012 (the server stops), reconnects").await;
        assert_eq!(connection.status(), Status::Connecting);
    }
}

async fn r33_a_client_that_is_stopped_comes_back_when_it_runs_again(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    let journal = Journal::of(&connection);
    stage.within("it stops", server.stop()).await.unwrap();
    stage.sleep(A_WHILE).await;
    assert_eq!(connection.status(), Status::Connecting);
    stage.run(&server).await;
    stage.until("it is back", || connection.is_connected() && server.count() == 1).await;
    stage.reads(&journal, "connect").await;
}

async fn r33_a_stop_refuses_new_clients(stage: Stage) {
    let server = stage.server().run().await;
    stage.within("it stops", server.stop()).await.unwrap();
    let client = stage.client().retry_first(false).build();
    let failed = stage.within("it fails", client.connect()).await.unwrap_err();
    assert!(failed.is_retryable(), "{failed}");
}

async fn r33_what_was_sent_before_a_stop_arrives(stage: Stage) {
    let Pair { server, connection, guest } = stage.pair().await;
    for n in 0..300 {
        guest.send(n.to_string()).await.unwrap();
    }
    let journal = Journal::of(&connection);
    let stopped = stage.within("it stops", server.stop()).await.unwrap();
    assert_eq!(stopped.cut, 0);
    stage.reads(&journal, "message 299").await;
    let heard = journal.words().iter().filter(|word| word.starts_with("message")).count();
    assert_eq!(heard, 300);
}

async fn r33_a_stranger_that_says_nothing_does_not_hold_up_a_stop(stage: Stage) {
    let server = stage.server().run().await;
    let _silent = stage.stranger().await;
    stage.sleep(SECOND).await;
    let stopped = stage.within("it stops", server.stop()).await.unwrap();
    assert_eq!(stopped.cut, 0, "it is closed like the others");
}

async fn r33_a_stuck_client_is_cut_at_the_deadline_and_counted(stage: Virtual) {
    let plan = stage.server().drain_timeout(3 * SECOND);
    let Pair { server, connection, .. } = stage.pair_of(plan, stage.client()).await;
    stage.partition();
    let begun = stage.now();
    let stopped = stage.within("it stops", server.stop()).await.unwrap();
    assert_eq!((stopped.connections, stopped.cut), (1, 1));
    assert_eq!(stage.since(begun), 3 * SECOND);
    assert_eq!(server.count(), 0, "it is out of the registry");
    stage.heal();
    stage.until("the client has noticed", || !connection.is_connected()).await;
}

async fn r33_a_drain_closes_one_after_another_refuses_new_ones_and_cuts_who_is_late(
    stage: Virtual,
) {
    let plan = stage.server().drain_over(10 * SECOND).drain_timeout(3 * SECOND);
    let server = plan.run().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(stage.client().connect().await);
    }
    let open = || clients.iter().filter(|client| client.is_connected()).count();
    let begun = stage.now();
    let mut stop = Box::pin(server.stop());
    for second in 0..9 {
        let then = begun + (second * SECOND + 500 * MS);
        let until = Box::pin(stage.sim.sleep_until(then));
        assert!(matches!(select(&mut stop, until).await, Either::Right(_)), "it has stopped");
        assert_eq!(open(), 9 - second as usize, "after {second} s and a half");
        let late = stage.client().retry_first(false).build().connect().await;
        assert!(late.is_err(), "a new one came in");
    }
    // The last one hears nothing any more.
    stage.partition();
    let stopped = stage.within("it stops", stop).await.unwrap();
    assert_eq!((stopped.connections, stopped.cut), (10, 1));
    assert_eq!(stage.since(begun), 12 * SECOND);
    stage.heal();
}

async fn r33_a_drain_that_is_dropped_closes_the_rest_at_once(stage: Virtual) {
    let server = stage.server().drain_over(10 * SECOND).run().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(stage.client().connect().await);
    }
    let mut stop = Box::pin(server.stop());
    assert!(stage.waits(&mut stop).await);
    drop(stop);
    stage.sleep(SECOND).await;
    assert!(clients.iter().all(|client| !client.is_connected()));
}

async fn r33_clients_come_back_spread_over_the_time_that_the_server_asked_for(stage: Virtual) {
    let server = stage.server().spread(60 * SECOND).run().await;
    let mut clients = Vec::new();
    for _ in 0..120 {
        clients.push(stage.client().connect().await);
    }
    stage.within("it stops", server.stop()).await.unwrap();
    let stopped = stage.now();
    stage.run(&server).await;
    let mut back = Vec::new();
    for second in (10..=60).step_by(10) {
        stage.sim.sleep_until(stopped + second * SECOND).await;
        back.push(server.count());
    }
    stage.sleep(SECOND).await;
    assert_eq!(server.count(), 120);
    // 20 in each ten seconds on the average.
    let arrivals: Vec<_> =
        back.iter().scan(0, |last, now| Some(now - std::mem::replace(last, *now))).collect();
    assert!(arrivals.iter().all(|count| (5..=40).contains(count)), "{arrivals:?}");
}
