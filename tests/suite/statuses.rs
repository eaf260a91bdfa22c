//! Where a connection stands (R9).

use futures_util::StreamExt;
use moorline::{Handle, Status};

use crate::stage::journal::word;
use crate::stage::{Journal, Pair, SECOND, Stage};

behaviours![
    r9_the_status_is_known_at_once,
    r9_waiting_to_retry_counts_as_connecting,
    r9_listeners_hear_each_change_in_order,
    r9_what_is_open_for_a_moment_only_has_been_open,
    r9_the_stream_begins_with_the_present_and_never_misses_the_newest,
];

async fn r9_the_status_is_known_at_once(stage: Stage) {
    let _server = stage.server().run().await;
    let connection = stage.client().build().closed();
    assert_eq!(connection.status(), Status::Closed);
    connection.open();
    assert_ne!(connection.status(), Status::Closed);
    stage.within("it opens", connection.opened()).await.unwrap();
    assert_eq!(connection.status(), Status::Open);
    connection.close();
    assert_ne!(connection.status(), Status::Open);
    stage.until("it is closed", || connection.status() == Status::Closed).await;
}

async fn r9_waiting_to_retry_counts_as_connecting(stage: Stage) {
    let Pair { connection, .. } = stage.pair().await;
    stage.cut();
    stage.until("it is lost", || !connection.is_connected()).await;
    for _ in 0..20 {
        assert_eq!(connection.status(), Status::Connecting);
        stage.sleep(SECOND).await;
    }
}

fn journal_of_statuses(connection: &Handle) -> Journal {
    let journal = Journal::default();
    let pen = journal.clone();
    connection.on_status(move |status| pen.write(format!("{status:?}")));
    journal
}

async fn r9_listeners_hear_each_change_in_order(stage: Stage) {
    let _server = stage.server().run().await;
    let connection = stage.client().build().closed();
    let journal = journal_of_statuses(&connection);
    connection.open();
    stage.reads(&journal, "Open").await;
    stage.reset();
    stage.until("it is back", || journal.count("Open") == 2).await;
    connection.close();
    stage.reads(&journal, "Closed").await;
    let words = ["Connecting", "Open", "Connecting", "Open", "Closing", "Closed"];
    assert_eq!(journal.words(), words);
}

/// The link's end comes right behind the packet that opens it.
async fn r9_what_is_open_for_a_moment_only_has_been_open(stage: Stage) {
    let mut host = stage.host().await;
    let connection = stage.client().reconnect(false).build().closed();
    let journal = Journal::default();
    let pen = journal.clone();
    connection.on_any(move |event| pen.write(word(&event)));
    connection.open();
    let mut link = host.accept().await;
    link.welcome().await;
    drop(link);
    stage.reads(&journal, "disconnect TransportClose").await;
    let words = ["status Connecting", "connecting", "status Open", "connect", "status Closed"];
    assert_eq!(journal.words()[..words.len()], words);
}

async fn r9_the_stream_begins_with_the_present_and_never_misses_the_newest(stage: Stage) {
    let _server = stage.server().run().await;
    let connection = stage.client().build().closed();
    let mut statuses = connection.statuses();
    assert_eq!(stage.within("the present", statuses.next()).await, Some(Status::Closed));
    connection.open();
    stage.within("it opens", connection.opened()).await.unwrap();
    // Nobody has read meanwhile: what lies between is gone, the newest is not.
    let mut newest = stage.within("a change", statuses.next()).await;
    while newest != Some(Status::Open) {
        newest = stage.within("the newest", statuses.next()).await;
    }
    stage.cut();
    assert_eq!(stage.within("the loss", statuses.next()).await, Some(Status::Connecting));
    connection.close();
    assert_eq!(stage.within("the end", statuses.next()).await, Some(Status::Closed));
}
