//! Close codes and reasons, as both ends see them (R7, R16).

use moorline::{DisconnectError, Handle, Status};

use crate::stage::{A_MINUTE, A_WHILE, Journal, Pair, SECOND, Stage};

behaviours![
    r16_a_clients_close_is_seen_as_such_at_both_ends,
    r7_a_server_disconnects_with_4000_or_a_code_of_its_own,
    r7_a_code_that_is_no_applications_is_refused,
    r7_disconnecting_what_is_dead_says_so,
    r7_what_the_server_sent_before_still_arrives,
    r7_a_long_text_is_cut_at_what_a_close_holds,
    r16_a_hook_that_fails_closes_with_1011_and_the_client_comes_back,
    r16_both_ends_may_close_at_once,
    r16_each_reason_says_whether_it_comes_back,
];

/// Writes down how a connection ends: reason, close code and text, and whether it reconnects.
pub(crate) fn ends(connection: &Handle) -> Journal {
    let journal = Journal::default();
    let pen = journal.clone();
    connection.on_disconnect(move |end| {
        let close = end.close.map_or("nothing".to_owned(), |close| close.to_string());
        let then = if end.reconnects { ", reconnects" } else { "" };
        pen.write(format!("{:?} {close}{then}", end.reason));
    });
    journal
}

async fn r16_a_clients_close_is_seen_as_such_at_both_ends(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let (here, there) = (ends(&connection), ends(&guest));
    connection.close();
    stage.reads(&here, "ClientDisconnect 1000").await;
    stage.reads(&there, "ClientDisconnect 1000").await;
}

async fn r7_a_server_disconnects_with_4000_or_a_code_of_its_own(stage: Stage) {
    let server = stage.server().run().await;
    for (code, seen) in [(None, 4000), (Some(4000), 4000), (Some(4001), 4001), (Some(4999), 4999)] {
        let connection = stage.client().connect().await;
        let guest = stage.guest(&server, &connection).await;
        let (here, there) = (ends(&connection), ends(&guest));
        guest.disconnect(code).unwrap();
        assert!(!guest.is_alive(), "at once");
        stage.reads(&here, &format!("ServerDisconnect {seen}")).await;
        stage.reads(&there, &format!("ServerDisconnect {seen}")).await;
        stage.sleep(A_WHILE).await;
        assert_eq!(connection.status(), Status::Closed, "it does not come back by itself");
    }
    assert_eq!(server.count(), 0);
}

async fn r7_a_code_that_is_no_applications_is_refused(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    for code in [0, 1000, 1012, 3999, 5000, u16::MAX] {
        assert_eq!(guest.disconnect(Some(code)), Err(DisconnectError::Code(code)));
    }
    assert!(guest.is_alive() && connection.is_connected());
}

async fn r7_disconnecting_what_is_dead_says_so(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    guest.disconnect(None).unwrap();
    assert_eq!(guest.disconnect(None), Err(DisconnectError::NotAlive), "it is dying");
    stage.until("it is dead", || connection.status() == Status::Closed).await;
    assert_eq!(guest.disconnect(None), Err(DisconnectError::NotAlive));
}

async fn r7_what_the_server_sent_before_still_arrives(stage: Stage) {
    let server = stage.server().close_timeout(10 * A_MINUTE);
    let Pair { connection, guest, .. } = stage.pair_of(server, stage.client()).await;
    for n in 0..300 {
        guest.send(n.to_string()).await.unwrap();
    }
    guest.disconnect_because(None, "that was all").unwrap();
    let numbers: Vec<_> = (0..300).map(|n| n.to_string()).collect();
    assert_eq!(stage.texts(&connection, 300).await, numbers);
    assert!(stage.within("the end", connection.next_message()).await.is_none());
}

async fn r7_a_long_text_is_cut_at_what_a_close_holds(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let here = ends(&connection);
    guest.disconnect_because(Some(4002), &"é".repeat(100)).unwrap();
    stage.reads(&here, &format!("ServerDisconnect 4002 ({})", "é".repeat(61))).await;
}

async fn r16_a_hook_that_fails_closes_with_1011_and_the_client_comes_back(stage: Stage) {
    let server = stage.server().build();
    server.on_connect(async |guest| match &*stage_fright(&guest.visitor().query) {
        "error" => Err("the database is away".into()),
        "panic" => panic!("a bug"),
        _ => Ok(()),
    });
    stage.run(&server).await;
    for way in ["error", "panic"] {
        let connection = stage.client().query("way", way).build().closed();
        let (journal, here) = (Journal::of(&connection), ends(&connection));
        connection.open();
        stage.reads(&here, "TransportError 1011 (hook_failed), reconnects").await;
        stage.reads(&journal, "reconnect 1").await;
    }
    let fine = stage.client().connect().await;
    stage.sleep(2 * SECOND).await;
    assert!(fine.is_connected());
}

/// How a client wants its hook to fail.
fn stage_fright(query: &[(String, String)]) -> String {
    query.first().map(|(_, way)| way.clone()).unwrap_or_default()
}

async fn r16_both_ends_may_close_at_once(stage: Stage) {
    let Pair { server, connection, guest } = stage.pair().await;
    guest.disconnect(None).unwrap();
    connection.close();
    stage.until("the client is closed", || connection.status() == Status::Closed).await;
    stage.until("the server too", || server.count() == 0).await;
    stage.sleep(A_WHILE).await;
    assert_eq!(connection.status(), Status::Closed);
}

/// All five, on one connection.
async fn r16_each_reason_says_whether_it_comes_back(stage: Stage) {
    let server = stage.server().run().await;
    let connection = stage.client().connect().await;
    let journal = Journal::default();
    let pen = journal.clone();
    connection.on_disconnect(move |end| {
        assert_eq!(end.reconnects, end.reason.reconnects());
        pen.write(format!("{:?} {}", end.reason, end.reconnects));
    });
    let back = async || {
        stage.within("it is back", connection.opened()).await.unwrap();
        stage.until("the server knows", || server.count() == 1).await;
    };
    stage.reset();
    stage.reads(&journal, "TransportError true").await;
    back().await;
    stage.partition();
    stage.reads(&journal, "PingTimeout true").await;
    stage.heal();
    back().await;
    stage.within("it stops", server.stop()).await.unwrap();
    stage.reads(&journal, "TransportClose true").await;
    stage.run(&server).await;
    back().await;
    stage.guest(&server, &connection).await.disconnect(Some(4321)).unwrap();
    stage.reads(&journal, "ServerDisconnect false").await;
    stage.sleep(A_WHILE).await;
    assert_eq!(connection.status(), Status::Closed);
    stage.within("it connects", connection.connect()).await.unwrap();
    connection.close();
    stage.reads(&journal, "ClientDisconnect false").await;
    stage.sleep(A_WHILE).await;
    assert_eq!(connection.status(), Status::Closed);
    assert_eq!(journal.words().len(), 5, "{:?}", journal.words());
}
