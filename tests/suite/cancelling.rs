//! A future that is dropped before it is ready has done nothing, and holds up nobody.

use futures_util::FutureExt;
use moorline::Status;

use crate::stage::{Journal, Pair, SECOND, Stage};

behaviours![
    a_send_that_is_dropped_while_it_waits_has_sent_nothing,
    the_next_in_line_gets_the_turn_of_a_send_that_is_dropped,
    a_next_message_that_is_dropped_loses_nothing,
    a_connect_that_is_dropped_goes_on_connecting,
    a_clients_connect_that_is_dropped_leaves_no_connection,
    an_opened_that_is_dropped_disturbs_nobody,
    a_ping_that_is_dropped_disturbs_nobody,
];

/// A pair whose server's sends wait already: the client has stopped reading.
async fn stalled(stage: &Stage) -> (Pair, usize) {
    let server = stage.server().queue(1_000);
    let pair = stage.pair_of(server, stage.client().window(1_000)).await;
    pair.guest.send("0").await.unwrap();
    assert_eq!(stage.texts(&pair.connection, 1).await, ["0"]);
    let acknowledged = || pair.guest.stats().counts.acknowledged == 1;
    stage.until("there is room again", acknowledged).await;
    let mut sent = 1;
    loop {
        match pair.guest.try_send(sent.to_string()) {
            Ok(_) => sent += 1,
            Err(_) if pair.guest.queued() > 900 => {
                // Full, and it stays so: the driver has handed over what the window takes.
                stage.sleep(SECOND).await;
                if pair.guest.try_send(sent.to_string()).is_err() {
                    return (pair, sent);
                }
                sent += 1;
            }
            Err(_) => stage.sleep(SECOND / 10).await,
        }
    }
}

async fn a_send_that_is_dropped_while_it_waits_has_sent_nothing(stage: Stage) {
    let (Pair { connection, guest, .. }, sent) = stalled(&stage).await;
    for _ in 0..10 {
        assert!(guest.send("dropped").now_or_never().is_none(), "it waits");
    }
    let mut waiting = Box::pin(guest.send("dropped"));
    assert!(stage.waits(&mut waiting).await);
    drop(waiting);
    for n in 1..sent {
        assert_eq!(stage.texts(&connection, 1).await, [n.to_string()]);
    }
    guest.send("the end").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["the end"]);
}

async fn the_next_in_line_gets_the_turn_of_a_send_that_is_dropped(stage: Stage) {
    let (Pair { connection, guest, .. }, sent) = stalled(&stage).await;
    let mut first = Box::pin(guest.send("first"));
    assert!((&mut first).now_or_never().is_none());
    let second = guest.clone();
    stage.spawn(async move { drop(second.send("second").await.unwrap()) });
    stage.sleep(SECOND).await;
    for n in 1..sent {
        assert_eq!(stage.texts(&connection, 1).await, [n.to_string()]);
    }
    // There is room now, and it is the turn of the first one, which does not take it.
    stage.sleep(10 * SECOND).await;
    drop(first);
    assert_eq!(stage.texts(&connection, 1).await, ["second"]);
}

async fn a_next_message_that_is_dropped_loses_nothing(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let journal = Journal::default();
    for round in 0..5 {
        let text = round.to_string();
        let mut first = Box::pin(connection.next_message());
        assert!((&mut first).now_or_never().is_none());
        let (second, pen) = (connection.clone(), journal.clone());
        stage.spawn(async move { pen.write(second.next_message().await.unwrap().to_string()) });
        stage.sleep(SECOND).await;
        guest.send(&*text).await.unwrap();
        // It has come, and it is the turn of the first one, which does not take it.
        stage.sleep(SECOND).await;
        assert_eq!(journal.count(&text), 0);
        drop(first);
        stage.reads(&journal, &text).await;
    }
}

async fn a_connect_that_is_dropped_goes_on_connecting(stage: Stage) {
    let connection = stage.client().build().closed();
    assert!(connection.connect().now_or_never().is_none());
    let _server = stage.server().run().await;
    stage.within("it opens all the same", connection.opened()).await.unwrap();
}

async fn a_clients_connect_that_is_dropped_leaves_no_connection(stage: Stage) {
    let server = stage.server().run().await;
    for _ in 0..20 {
        let _dropped = stage.client().build().connect().now_or_never();
    }
    stage.sleep(5 * SECOND).await;
    stage.until("none is left", || server.count() == 0 && stage.links() == 0).await;
}

async fn an_opened_that_is_dropped_disturbs_nobody(stage: Stage) {
    let connection = stage.client().start();
    let mut dropped = Box::pin(connection.opened());
    assert!((&mut dropped).now_or_never().is_none());
    let mut waiting = Box::pin(connection.opened());
    assert!((&mut waiting).now_or_never().is_none());
    let _server = stage.server().run().await;
    drop(dropped);
    stage.within("the other one hears of it", waiting).await.unwrap();
    assert_eq!(connection.status(), Status::Open);
}

async fn a_ping_that_is_dropped_disturbs_nobody(stage: Stage) {
    let Pair { connection, .. } = stage.pair().await;
    for _ in 0..10 {
        let _dropped = connection.ping().now_or_never();
    }
    assert!(stage.within("a pong", connection.ping()).await.is_ok());
}
