//! Making a connection.

use moorline::{ConnectError, Status};
use moorline_core::TransportErrorKind;

use crate::stage::{A_WHILE, Journal, Pair, SECOND, Stage};

behaviours![
    r1_connect_awaits_until_it_is_open,
    r1_start_returns_at_once_and_opened_tells_the_outcome,
    r1_opened_and_an_event_tell_of_a_failure_for_good,
    r1_a_reader_that_begins_before_the_open_gets_the_messages,
    r4_connecting_twice_is_an_error_and_opening_twice_is_not,
    r8_the_server_sees_room_and_query,
    r11_the_id_is_equal_on_both_ends_and_unique,
    r13_the_configuration_in_force_can_be_read,
    r43_the_first_connect_is_tried_again_until_somebody_is_there,
    r43_without_retry_the_first_failure_is_final,
    r43_a_refusal_of_the_transport_is_final,
    r43_attempts_are_bounded_if_the_back_off_says_so,
];

async fn r1_connect_awaits_until_it_is_open(stage: Stage) {
    let Pair { server, connection, guest } = stage.pair().await;
    assert_eq!(connection.status(), Status::Open);
    assert!(connection.is_connected() && guest.is_alive());
    assert_eq!(server.count(), 1);
}

async fn r1_start_returns_at_once_and_opened_tells_the_outcome(stage: Stage) {
    let connection = stage.client().start();
    // Nobody is there yet: it waits through retries.
    stage.sleep(10 * SECOND).await;
    assert_eq!(connection.status(), Status::Connecting);
    let _server = stage.server().run().await;
    stage.within("it opens", connection.opened()).await.unwrap();
    assert!(connection.is_connected());
    stage.within("opened is immediate", connection.opened()).await.unwrap();
}

async fn r1_opened_and_an_event_tell_of_a_failure_for_good(stage: Stage) {
    let _server = stage.server().run().await;
    stage.refuse(TransportErrorKind::Refused);
    let client = stage.client().build();
    assert_eq!(stage.links(), 0, "a client that is built is idle");
    let connection = client.closed();
    let journal = Journal::of(&connection);
    connection.open();
    let failed = stage.within("it fails", connection.opened()).await.unwrap_err();
    assert!(matches!(&failed, ConnectError::Failed { code, .. } if code == "refused"), "{failed}");
    stage.reads(&journal, "error Connect refused").await;
    assert_eq!(connection.status(), Status::Closed);
}

async fn r1_a_reader_that_begins_before_the_open_gets_the_messages(stage: Stage) {
    let server = stage.server().run().await;
    server.on_connect(async |guest| {
        guest.send("welcome").await?;
        Ok(())
    });
    let connection = stage.client().start();
    assert_eq!(stage.texts(&connection, 1).await, ["welcome"]);
}

async fn r4_connecting_twice_is_an_error_and_opening_twice_is_not(stage: Stage) {
    let connection = stage.client().start();
    assert_eq!(connection.connect().await, Err(ConnectError::AlreadyConnecting));
    connection.open();
    let server = stage.server().run().await;
    stage.within("it opens", connection.opened()).await.unwrap();
    assert_eq!(connection.connect().await, Err(ConnectError::AlreadyConnected));
    connection.open();
    stage.sleep(A_WHILE).await;
    assert!(connection.is_connected());
    assert_eq!((server.count(), stage.links()), (1, 1), "one connection, over one link");
}

async fn r8_the_server_sees_room_and_query(stage: Stage) {
    let client = stage.client().room("lobby").query("lang", "en").query("lang", "de");
    let pair = stage.pair_of(stage.server(), client).await;
    let visitor = pair.guest.visitor();
    assert_eq!(visitor.room.as_deref(), Some("lobby"));
    assert_eq!(visitor.query("lang"), Some("en"), "the first one of that name");
    assert_eq!(visitor.query.len(), 2);
    assert_eq!(visitor.query("nothing"), None);
}

async fn r11_the_id_is_equal_on_both_ends_and_unique(stage: Stage) {
    let Pair { server, connection, guest } = stage.pair().await;
    let id = connection.id().unwrap();
    assert_eq!(id, guest.id());
    assert_eq!(id.as_str().len(), 20);
    let url_safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(id.as_str().chars().all(url_safe), "{id}");
    let other = stage.client().connect().await;
    assert_ne!(other.id().unwrap(), id);
    assert_eq!(server.count(), 2);
}

async fn r13_the_configuration_in_force_can_be_read(stage: Stage) {
    let client = stage.client().window(12_345).reconnect(false).room("lobby").build();
    assert_eq!(client.config().window, 12_345);
    let connection = client.closed();
    assert!(!connection.config().reconnect);
    assert_eq!(connection.config().room.as_deref(), Some("lobby"));
    assert_eq!(connection.config().codecs[0].name(), "binary");
    let server = stage.server().queue(777).build();
    assert_eq!(server.config().queue, 777);
}

async fn r43_the_first_connect_is_tried_again_until_somebody_is_there(stage: Stage) {
    let connection = stage.client().build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    stage.reads(&journal, "attempt 3").await;
    let _server = stage.server().run().await;
    stage.within("it opens", connection.opened()).await.unwrap();
    stage.reads(&journal, "connect").await;
    let words = journal.words();
    let start =
        ["connecting", "error Connect unreachable", "attempt 1", "error Connect unreachable"];
    assert_eq!(words[..4], start);
}

async fn r43_without_retry_the_first_failure_is_final(stage: Stage) {
    let client = stage.client().retry_first(false).build();
    let failed = stage.within("it fails", client.connect()).await.unwrap_err();
    assert!(matches!(&failed, ConnectError::Failed { code, .. } if code == "unreachable"));
    assert!(failed.is_retryable(), "another attempt by hand can help");
}

async fn r43_a_refusal_of_the_transport_is_final(stage: Stage) {
    let _server = stage.server().run().await;
    stage.refuse(TransportErrorKind::Refused);
    let failed = stage.within("it fails", stage.client().build().connect()).await.unwrap_err();
    assert!(matches!(&failed, ConnectError::Failed { code, .. } if code == "refused"));
    assert!(!failed.is_retryable());
}

async fn r43_attempts_are_bounded_if_the_back_off_says_so(stage: Stage) {
    let connection = stage.client().backoff(stage.backoff().attempts(2)).build().closed();
    let journal = Journal::of(&connection);
    let failed = stage.within("it gives up", connection.connect()).await.unwrap_err();
    assert!(failed.is_retryable());
    assert_eq!(connection.status(), Status::Closed);
    stage.reads(&journal, "reconnect failed").await;
    assert_eq!(journal.count("error Connect unreachable"), 3, "the first one and two more");
}
