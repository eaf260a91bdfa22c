//! Connections that open themselves at their first use (R2).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use moorline::{Buffer, ConnectError, Connection, RequestError, SendError, Status};
use moorline_core::TransportErrorKind;

use crate::stage::{A_WHILE, Journal, SECOND, Stage, Virtual, echo};

behaviours![
    r2_a_join_opens_a_lazy_connection,
    r2_a_lazy_connection_is_closed_until_its_first_send,
    r2_try_send_opens_it_too,
    r2_a_request_opens_it_too,
    r2_what_is_sent_while_it_opens_arrives_in_order,
    r2_without_a_buffer_a_send_waits_until_it_is_open,
    r2_without_a_buffer_a_send_fails_when_it_does_not_open,
    r2_without_a_buffer_try_send_opens_it_and_says_not_connected,
    r2_after_a_disconnect_a_send_does_not_open_it,
    r2_a_disconnect_before_the_first_use_holds_too,
    r2_opened_and_readers_wait_for_the_first_use,
    r2_it_can_be_opened_by_hand,
    r2_a_message_that_cannot_be_sent_is_no_use,
    r2_once_the_server_has_ended_it_it_stays_closed,
];

in_virtual_time![r2_many_first_uses_at_once_make_one_connection];

fn lazy(stage: &Stage) -> Connection {
    stage.client().lazy(true).buffer(Buffer::default()).start()
}

fn lazy_without_buffer(stage: &Stage) -> Connection {
    stage.client().lazy(true).buffer(Buffer::off()).start()
}

async fn close(stage: &Stage, connection: &Connection) {
    assert!(connection.disconnect());
    stage.until("it is closed", || connection.status() == Status::Closed).await;
}

async fn r2_a_lazy_connection_is_closed_until_its_first_send(stage: Stage) {
    let server = stage.echo().await;
    let connection = lazy(&stage);
    let journal = Journal::of_losses(&connection);
    stage.sleep(A_WHILE).await;
    assert_eq!((connection.status(), server.count(), stage.links()), (Status::Closed, 0, 0));
    connection.send("first").await.unwrap();
    assert_ne!(connection.status(), Status::Closed);
    assert_eq!(stage.texts(&connection, 1).await, ["first"]);
    stage.reads(&journal, "connect").await;
    assert_eq!(journal.words(), ["connecting", "connect"]);
}

async fn r2_try_send_opens_it_too(stage: Stage) {
    let _server = stage.echo().await;
    let connection = lazy(&stage);
    connection.try_send("first").unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["first"]);
}

async fn r2_a_request_opens_it_too(stage: Stage) {
    let server = stage.server().build();
    server.on_connect(async |guest| {
        guest.on_request(async |request| Ok::<_, String>(format!("{}!", request.message)));
        Ok(())
    });
    stage.run(&server).await;
    for connection in [lazy(&stage), lazy_without_buffer(&stage)] {
        let answer = stage.within("an answer", connection.request("tea")).await.unwrap();
        assert_eq!(answer.to_string(), "tea!");
    }
}

async fn r2_what_is_sent_while_it_opens_arrives_in_order(stage: Stage) {
    let connection = lazy(&stage);
    for n in 0..5 {
        connection.send(n.to_string()).await.unwrap();
    }
    // Nobody is there yet.
    stage.sleep(3 * SECOND).await;
    connection.send("5").await.unwrap();
    let _server = stage.echo().await;
    assert_eq!(stage.texts(&connection, 6).await, ["0", "1", "2", "3", "4", "5"]);
}

async fn r2_without_a_buffer_a_send_waits_until_it_is_open(stage: Stage) {
    let connection = lazy_without_buffer(&stage);
    let mut first = Box::pin(connection.send("first"));
    assert!(stage.waits(&mut first).await, "nobody is there");
    let mut second = Box::pin(connection.send("second"));
    assert!(stage.waits(&mut second).await, "it waits as the first one does");
    let _server = stage.echo().await;
    stage.within("it is sent", first).await.unwrap();
    stage.within("it is sent", second).await.unwrap();
    assert_eq!(stage.texts(&connection, 2).await, ["first", "second"]);
    // From here on it is like any other.
    stage.cut();
    stage.until("the loss is known", || !connection.is_connected()).await;
    assert_eq!(connection.send("lost").await.unwrap_err(), SendError::NotConnected);
    stage.heal();
}

async fn r2_without_a_buffer_a_send_fails_when_it_does_not_open(stage: Stage) {
    let client = stage.client().lazy(true).retry_first(false);
    stage.refuse(TransportErrorKind::Refused);
    let connection = client.start();
    let sent = stage.within("the send gives up", connection.send("never")).await;
    assert_eq!(sent.unwrap_err(), SendError::NotConnected);
    stage.heal();

    let connection = lazy_without_buffer(&stage);
    let mut first = Box::pin(connection.send("first"));
    assert!(stage.waits(&mut first).await, "nobody is there");
    assert!(connection.disconnect());
    let sent = stage.within("the send gives up", first).await;
    assert_eq!(sent.unwrap_err(), SendError::NotConnected);
}

async fn r2_without_a_buffer_try_send_opens_it_and_says_not_connected(stage: Stage) {
    let connection = lazy_without_buffer(&stage);
    assert_eq!(connection.try_send("too early").unwrap_err(), SendError::NotConnected);
    let _server = stage.echo().await;
    stage.within("it opens", connection.opened()).await.unwrap();
    connection.try_send("now").unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["now"]);
}

async fn r2_after_a_disconnect_a_send_does_not_open_it(stage: Stage) {
    let server = stage.echo().await;
    let connection = lazy(&stage);
    connection.send("first").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["first"]);
    close(&stage, &connection).await;
    assert_eq!(connection.send("second").await.unwrap_err(), SendError::NotConnected);
    assert_eq!(connection.try_send("second").unwrap_err(), SendError::NotConnected);
    let asked = connection.request("second").await.unwrap_err();
    assert_eq!(asked, RequestError::Send(SendError::NotConnected));
    stage.sleep(A_WHILE).await;
    assert_eq!((connection.status(), server.count()), (Status::Closed, 0));
    stage.within("it opens by hand", connection.connect()).await.unwrap();
    connection.send("third").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["third"]);
}

async fn r2_a_disconnect_before_the_first_use_holds_too(stage: Stage) {
    let _server = stage.echo().await;
    let connection = lazy(&stage);
    let mut opened = Box::pin(connection.opened());
    let mut message = Box::pin(connection.next_message());
    assert!(stage.waits(&mut opened).await && stage.waits(&mut message).await);
    assert!(!connection.disconnect(), "there was nothing to end");
    let opened = stage.within("who waits for it is told", opened).await;
    assert_eq!(opened, Err(ConnectError::Disconnected));
    assert!(stage.within("so are readers", message).await.is_none());
    assert_eq!(connection.send("no").await.unwrap_err(), SendError::NotConnected);
    assert_eq!(connection.status(), Status::Closed);
    connection.open();
    connection.send("yes").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["yes"]);
}

async fn r2_opened_and_readers_wait_for_the_first_use(stage: Stage) {
    let server = stage.echo().await;
    let connection = lazy(&stage);
    let mut opened = Box::pin(connection.opened());
    let mut message = Box::pin(connection.next_message());
    assert!(stage.waits(&mut opened).await && stage.waits(&mut message).await);
    assert_eq!(server.count(), 0, "to wait for it is no use");
    connection.send("first").await.unwrap();
    stage.within("it opens", opened).await.unwrap();
    let message = stage.within("the answer", message).await.unwrap();
    assert_eq!(message.text(), Some("first"));
}

async fn r2_it_can_be_opened_by_hand(stage: Stage) {
    let server = stage.server().run().await;
    let connection = lazy(&stage);
    connection.open();
    stage.within("it opens", connection.opened()).await.unwrap();
    let connection = stage.client().lazy(true).build().closed();
    stage.within("it connects", connection.connect()).await.unwrap();
    let connected = stage.client().lazy(true).connect().await;
    assert!(connected.is_connected(), "who says connect wants it now");
    stage.until("the server has them", || server.count() >= 2).await;
}

async fn r2_a_message_that_cannot_be_sent_is_no_use(stage: Stage) {
    let connection = lazy(&stage);
    struct Unwritable;
    impl serde::Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    let sent = connection.send_json("news", &Unwritable).await;
    assert!(matches!(sent.unwrap_err(), SendError::Json(_)));
    // A send that is never waited for is none.
    drop(connection.send("never"));
    assert_eq!(connection.status(), Status::Closed);
}

async fn r2_once_the_server_has_ended_it_it_stays_closed(stage: Stage) {
    let server = stage.server().run().await;
    let connection = lazy(&stage);
    connection.send("first").await.unwrap();
    stage.within("it opens", connection.opened()).await.unwrap();
    stage.guest(&server, &connection).await.disconnect(None).unwrap();
    stage.until("it is closed", || connection.status() == Status::Closed).await;
    assert_eq!(connection.send("second").await.unwrap_err(), SendError::NotConnected);
}

async fn r2_many_first_uses_at_once_make_one_connection(stage: Virtual) {
    let server = stage.server().build();
    echo(&server);
    stage.run(&server).await;
    for buffer in [Buffer::default(), Buffer::off()] {
        let connection = stage.client().lazy(true).buffer(buffer).start();
        let sent = Arc::new(AtomicUsize::new(0));
        for n in 0..20 {
            let (connection, sent) = (connection.clone(), sent.clone());
            stage.spawn(async move {
                connection.send(n.to_string()).await.unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
            });
        }
        let mut texts = stage.texts(&connection, 20).await;
        texts.sort_by_key(|text| text.parse::<u32>().unwrap());
        assert_eq!(texts, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(sent.load(Ordering::Relaxed), 20);
        assert_eq!((server.count(), stage.links()), (1, 1));
        close(&stage, &connection).await;
        stage.until("the server knows", || server.count() == 0).await;
    }
}

async fn r2_a_join_opens_a_lazy_connection(stage: Stage) {
    let server = stage.server().run().await;
    let connection = lazy(&stage);
    stage.within("it joins", connection.channel("news").join()).await.unwrap();
    assert_eq!(server.channel("news").count(), 1);
    close(&stage, &connection).await;
    let joined = connection.channel("later").join().await;
    assert_eq!(joined, Err(moorline::JoinError::Closed));
    assert_eq!(connection.status(), Status::Closed);
}
