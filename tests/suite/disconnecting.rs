//! Ending a connection by hand, and making it again.

use moorline::{ConnectError, Message, Reason, Status, event};
use moorline_core::close_code;
use moorline_core::wire::{Close, Packet};

use crate::stage::{A_MINUTE, A_WHILE, Journal, Pair, SECOND, Stage, Virtual};

behaviours![
    r5_disconnect_ends_an_open_connection_once,
    r5_disconnect_ends_an_attempt,
    r5_disconnect_ends_the_wait_before_a_retry,
    r5_disconnect_of_a_closed_connection_gives_false,
    r5_disconnect_holds_although_the_server_has_asked_to_come_back,
    r6_a_manual_close_stays_closed,
    r3_connect_by_hand_afterwards_keeps_the_listeners,
    r3_the_next_reader_after_a_connect_by_hand_gets_messages,
    disconnecting_and_connecting_at_once_leaves_one_connection,
];

in_virtual_time![connecting_again_right_after_a_disconnect_works_at_any_moment];

async fn r5_disconnect_ends_an_open_connection_once(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    assert!(connection.disconnect());
    assert!(!connection.disconnect(), "it ends already");
    assert!(!connection.is_connected(), "at once, not only when the peer has answered");
    stage.until("it is closed", || connection.status() == Status::Closed).await;
    stage.until("the server knows", || server.count() == 0).await;
}

async fn r5_disconnect_ends_an_attempt(stage: Stage) {
    stage.partition();
    let connection = stage.client().start();
    stage.sleep(2 * SECOND).await;
    assert!(connection.disconnect());
    assert_eq!(connection.status(), Status::Closed);
    let opened = stage.within("opened gives up", connection.opened()).await;
    assert_eq!(opened, Err(ConnectError::Disconnected));
    stage.until("the attempt is dropped", || stage.links() == 0).await;
}

async fn r5_disconnect_ends_the_wait_before_a_retry(stage: Stage) {
    let connection = stage.client().build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    stage.reads(&journal, "error Connect unreachable").await;
    assert!(connection.disconnect());
    stage.until("it is closed", || connection.status() == Status::Closed).await;
    let _server = stage.server().run().await;
    // What happened before may be on its way to the journal.
    stage.sleep(SECOND).await;
    journal.take();
    stage.sleep(A_WHILE).await;
    assert_eq!(journal.words(), [""; 0], "the timer is cancelled");
    assert_eq!(connection.status(), Status::Closed);
}

async fn r5_disconnect_of_a_closed_connection_gives_false(stage: Stage) {
    let connection = stage.client().build().closed();
    assert!(!connection.disconnect());
    let Pair { connection, guest, .. } = stage.pair().await;
    guest.disconnect(None).unwrap();
    stage.until("it is closed", || connection.status() == Status::Closed).await;
    assert!(!connection.disconnect());
}

/// The server's close has come and its link has not ended yet: a moment that a slow network makes long.
async fn r5_disconnect_holds_although_the_server_has_asked_to_come_back(stage: Stage) {
    let mut host = stage.host().await;
    let connection = stage.client().close_timeout(10 * A_MINUTE).start();
    let mut link = host.accept().await;
    link.welcome().await;
    stage.within("it opens", connection.opened()).await.unwrap();
    link.say(&Packet::Close(Close::new(close_code::RESTART, "soon back"))).await;
    stage.until("the close has come", || connection.status() == Status::Closing).await;
    assert!(connection.disconnect(), "it ends the coming back");
    drop(link);
    stage.sleep(A_WHILE).await;
    assert_eq!(connection.status(), Status::Closed);
}

async fn r6_a_manual_close_stays_closed(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    let ends = Journal::default();
    let pen = ends.clone();
    connection.on_disconnect(move |end| {
        pen.write(format!("{:?} {}", end.reason, end.reconnects));
    });
    connection.close();
    stage.sleep(A_WHILE).await;
    assert_eq!(connection.status(), Status::Closed);
    assert_eq!(server.count(), 0);
    assert_eq!(ends.words(), [format!("{:?} false", Reason::ClientDisconnect)]);
}

async fn r3_connect_by_hand_afterwards_keeps_the_listeners(stage: Stage) {
    let _server = stage.echo().await;
    let connection = stage.client().connect().await;
    let journal = Journal::of(&connection);
    let first = connection.id();
    connection.close();
    stage.reads(&journal, "disconnect ClientDisconnect").await;
    stage.within("it opens again", connection.connect()).await.unwrap();
    assert_ne!(connection.id(), first);
    connection.send("again").await.unwrap();
    stage.reads(&journal, "message again").await;
    let words = ["disconnect ClientDisconnect", "connecting", "connect", "message again"];
    assert_eq!(journal.words(), words, "no attempt, no reconnect: it was asked for");
    assert_eq!(connection.listeners(event::Connect), 0);
}

async fn r3_the_next_reader_after_a_connect_by_hand_gets_messages(stage: Stage) {
    let server = stage.server().run().await;
    server.on_connect(async |guest| {
        guest.send("welcome").await?;
        Ok(())
    });
    let connection = stage.client().connect().await;
    assert_eq!(stage.texts(&connection, 1).await, ["welcome"]);
    connection.close();
    let end = stage.within("the messages end", connection.next_message()).await;
    assert_eq!(end, None::<Message>);
    stage.until("it is closed", || connection.status() == Status::Closed).await;
    connection.open();
    assert_eq!(stage.texts(&connection, 1).await, ["welcome"]);
}

async fn disconnecting_and_connecting_at_once_leaves_one_connection(stage: Stage) {
    let connection = stage.client().start();
    for _ in 0..50 {
        assert!(connection.disconnect());
        connection.open();
    }
    let server = stage.echo().await;
    stage.within("it opens", connection.opened()).await.unwrap();
    connection.send("there").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["there"]);
    stage.until("one link is left", || (server.count(), stage.links()) == (1, 1)).await;
}

/// Before, while and after it opens: between two polls of any task.
async fn connecting_again_right_after_a_disconnect_works_at_any_moment(stage: Virtual) {
    let _server = stage.server().run().await;
    for moment in 0..40 {
        let connection = stage.client().build().closed();
        connection.open();
        for _ in 0..moment {
            stage.sim.yield_now().await;
        }
        connection.disconnect();
        let again = async {
            loop {
                match connection.connect().await {
                    Err(ConnectError::Closing) => stage.sim.yield_now().await,
                    other => break other,
                }
            }
        };
        stage.within("it connects again", again).await.unwrap();
    }
}
