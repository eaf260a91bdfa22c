//! What a connection that is lost tells, and what it keeps.

use moorline::{SendError, event};

use crate::stage::{A_WHILE, Journal, Pair, Stage};

behaviours![
    r18_a_loss_tells_disconnect_connecting_attempts_connect_reconnect,
    r18_a_link_that_is_reset_comes_back_by_itself,
    r18_listeners_hear_the_first_message_after_a_reconnect,
    r10_r11_a_disconnect_handler_sees_no_connection_and_no_id,
    r11_the_id_is_new_after_a_reconnect_and_the_servers_handle_keeps_its_own,
    r28_sending_while_not_connected_fails_at_once,
    r46_the_end_counts_what_was_sent_and_not_acknowledged,
    r46_the_end_counts_what_was_never_sent,
    r43_without_reconnect_a_loss_is_final,
];

async fn r18_a_loss_tells_disconnect_connecting_attempts_connect_reconnect(stage: Stage) {
    let Pair { connection, .. } = stage.pair().await;
    let journal = Journal::of(&connection);
    stage.cut();
    stage.reads(&journal, "attempt 2").await;
    stage.heal();
    stage.reads(&journal, "fresh").await;
    let words = journal.words();
    let mut expected = vec!["error Transport broken", "disconnect TransportError", "connecting"];
    let attempts: Vec<_> = (1..words.len()).map(|n| format!("attempt {n}")).collect();
    let tried = words.iter().filter(|word| word.starts_with("attempt")).count();
    for attempt in &attempts[..tried] {
        expected.extend([attempt, "error Connect unreachable"]);
    }
    expected.pop();
    let reconnect = format!("reconnect {tried}");
    expected.extend(["connect", &reconnect, "fresh"]);
    assert_eq!(words, expected);
}

async fn r18_a_link_that_is_reset_comes_back_by_itself(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    let journal = Journal::of(&connection);
    for _ in 0..5 {
        stage.reset();
        stage.reads(&journal, "reconnect 1").await;
        journal.take();
        stage.until("one is open", || server.count() == 1).await;
    }
    assert!(connection.is_connected());
}

async fn r18_listeners_hear_the_first_message_after_a_reconnect(stage: Stage) {
    let server = stage.server().run().await;
    server.on_connect(async |guest| {
        guest.send("welcome").await?;
        Ok(())
    });
    let connection = stage.client().build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    stage.reads(&journal, "message welcome").await;
    journal.take();
    stage.reset();
    stage.reads(&journal, "message welcome").await;
    let words = journal.words();
    let expected = ["connect", "reconnect 1", "fresh", "message welcome"];
    assert_eq!(words[words.len() - 4..], expected);
}

async fn r10_r11_a_disconnect_handler_sees_no_connection_and_no_id(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let journal = Journal::default();
    let (pen, weak) = (journal.clone(), connection.downgrade());
    connection.on_disconnect(move |_| {
        let connection = weak.upgrade().unwrap();
        pen.write(format!("client {} {:?}", connection.is_connected(), connection.id()));
    });
    let (pen, seen) = (journal.clone(), guest.clone());
    guest.on_disconnect(move |_| pen.write(format!("server {}", seen.is_connected())));
    stage.cut();
    stage.reads(&journal, "client false None").await;
    stage.reads(&journal, "server false").await;
}

async fn r11_the_id_is_new_after_a_reconnect_and_the_servers_handle_keeps_its_own(stage: Stage) {
    let Pair { server, connection, guest } = stage.pair().await;
    let first = connection.id().unwrap();
    stage.reset();
    stage.until("it is back", || connection.id().is_some_and(|id| id != first)).await;
    // The server may hear of a link's end later than its client.
    stage.until("the old one is gone", || !guest.is_alive()).await;
    assert_eq!(guest.id(), first);
    assert!(!server.exists(&first));
    assert_eq!(stage.guest(&server, &connection).await.id(), connection.id().unwrap());
}

async fn r28_sending_while_not_connected_fails_at_once(stage: Stage) {
    let connection = stage.client().build().closed();
    assert_eq!(connection.send("too early").await, Err(SendError::NotConnected));
    assert_eq!(connection.try_send("too early"), Err(SendError::NotConnected));
    let Pair { server, connection, guest } = stage.pair().await;
    stage.cut();
    stage.until("it is lost", || !connection.is_connected()).await;
    assert_eq!(connection.send("in between").await, Err(SendError::NotConnected));
    stage.until("the server knows", || !guest.is_alive()).await;
    assert_eq!(guest.send("too late").await, Err(SendError::NotConnected));
    stage.heal();
    stage.within("it is back", connection.opened()).await.unwrap();
    connection.send("now").await.unwrap();
    let guest = stage.guest(&server, &connection).await;
    assert_eq!(stage.texts(&guest, 1).await, ["now"], "and nothing of before");
}

/// Writes down the two counts of the end.
fn counts(connection: &moorline::Handle) -> Journal {
    let journal = Journal::default();
    let pen = journal.clone();
    connection.on(event::Disconnect, move |end| {
        pen.write(format!("{} unsent, {} unconfirmed", end.unsent, end.unconfirmed));
    });
    journal
}

async fn r46_the_end_counts_what_was_sent_and_not_acknowledged(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let journal = counts(&connection);
    connection.send("taken").await.unwrap();
    assert_eq!(stage.texts(&guest, 1).await, ["taken"]);
    let acknowledged = || connection.stats().counts.acknowledged == 1;
    stage.until("it is acknowledged", acknowledged).await;
    for _ in 0..3 {
        connection.send("nobody takes this").await.unwrap();
    }
    stage.until("they were handed to the link", || connection.queued() == 0).await;
    stage.cut();
    stage.reads(&journal, "0 unsent, 3 unconfirmed").await;
}

async fn r46_the_end_counts_what_was_never_sent(stage: Stage) {
    // A window of one byte lets one message at a time be under way.
    let Pair { connection, .. } = stage.pair_of(stage.server().window(1), stage.client()).await;
    let journal = counts(&connection);
    for _ in 0..4 {
        connection.send("x").await.unwrap();
    }
    stage.until("one was handed to the link", || connection.queued() < 4 * 65).await;
    stage.cut();
    stage.reads(&journal, "3 unsent, 1 unconfirmed").await;
}

async fn r43_without_reconnect_a_loss_is_final(stage: Stage) {
    let client = stage.client().reconnect(false);
    let Pair { connection, .. } = stage.pair_of(stage.server(), client).await;
    let journal = Journal::of(&connection);
    stage.reset();
    stage.reads(&journal, "disconnect TransportError").await;
    stage.sleep(A_WHILE).await;
    assert_eq!(journal.words(), ["error Transport broken", "disconnect TransportError"]);
}
