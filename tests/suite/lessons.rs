//! What others paid for, each under its own name: in virtual time, since hours pass.

use std::sync::{Arc, Mutex};

use moorline::{
    Binary, Class, Connection, Handle, Message, NotAcknowledged, Request, Server, Status, event,
};
use moorline_memory::Direction;

use crate::stage::{A_MINUTE, A_WHILE, Journal, Pair, SECOND, Virtual};

in_virtual_time![
    seeds: 6;
    the_two_ends_agree_about_which_packets_are_numbered,
    there_is_a_number_before_the_first_message,
    recovery_works_more_than_once,
    recovery_that_is_lost_with_the_server_is_told,
    messages_wait_until_the_listeners_are_back,
    a_stale_buffer_is_not_flushed_after_an_hour,
    a_burst_of_reconnects_throws_no_client_out_for_its_size,
    a_client_is_not_stuck_in_connecting,
    a_hung_socket_is_closed,
    two_sockets_are_never_alive_for_one_session,
    the_back_off_begins_anew_when_the_network_is_back,
    a_broadcast_is_not_held_up_by_one_stalled_reader,
];

const HOUR: std::time::Duration = SECOND.saturating_mul(3_600);

async fn pair(stage: &Virtual) -> Pair {
    let server = stage.server().retention(2 * HOUR).buffer(Default::default());
    stage.pair_of(server, stage.client().codec(Binary).buffer(Default::default())).await
}

/// What listeners hear, in order.
fn listen(connection: &Handle) -> Arc<Mutex<Vec<String>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let own = heard.clone();
    connection.on(event::Message, move |message| own.lock().unwrap().push(message.to_string()));
    heard
}

async fn lose_and_recover(stage: &Virtual, connection: &Connection) {
    let before = connection.stats().counts.recoveries;
    stage.network.reset(Virtual::PLACE);
    stage.until("it recovers", || connection.stats().counts.recoveries > before).await;
    stage.until("it is open", || connection.is_connected()).await;
}

async fn the_two_ends_agree_about_which_packets_are_numbered(stage: Virtual) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    guest.on_request(async |question: Request| Ok::<_, String>(question.message));
    connection.on_request(async |question: Request| Ok::<_, String>(question.message));
    let (at_client, at_server) = (listen(&connection), listen(&guest));
    for round in 0..6 {
        for from in [&*connection, &*guest] {
            for class in [Class::AtLeastOnce, Class::AtMostOnce, Class::Volatile] {
                from.send(Message::from(format!("{round}")).class(class)).await.unwrap();
            }
            from.request("and?").await.unwrap();
        }
        let told = |heard: &Mutex<Vec<String>>| heard.lock().unwrap().len() == 3 * (round + 1);
        stage.until("all is heard", || told(&at_client) && told(&at_server)).await;
        // Each round: one message, one request, and the answer to the other's.
        let (up, down) = (connection.stats().counts.received, guest.stats().counts.received);
        assert_eq!((up, down), (3 * (round as u64 + 1), 3 * (round as u64 + 1)));
        // An end that counts otherwise is refused when it comes back.
        lose_and_recover(&stage, &connection).await;
    }
    let counts = || [connection.stats().counts, guest.stats().counts];
    stage.until("all is counted", || counts().iter().all(|own| own.acknowledged == 18)).await;
    assert_eq!(counts().map(|own| (own.gaps, own.retained)), [(0, 0); 2]);
}

async fn there_is_a_number_before_the_first_message(stage: Virtual) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    // Nothing was sent yet, and what comes first comes while the link is lost.
    stage.cut();
    stage.until("both know", || !connection.is_connected() && !guest.is_connected()).await;
    guest.send("first").await.unwrap();
    connection.send("first").await.unwrap();
    stage.heal();
    assert_eq!(stage.texts(&connection, 1).await, ["first"]);
    assert_eq!(stage.texts(&guest, 1).await, ["first"]);
    assert_eq!(connection.stats().counts.recoveries, 1);
}

async fn recovery_works_more_than_once(stage: Virtual) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let heard = listen(&connection);
    for round in 0..20 {
        if round % 2 == 0 {
            guest.send(round.to_string()).await.unwrap();
        }
        lose_and_recover(&stage, &connection).await;
    }
    let sent: Vec<String> = (0..20).step_by(2).map(|round| round.to_string()).collect();
    stage.until("all is heard", || *heard.lock().unwrap() == sent).await;
    assert_eq!(connection.stats().counts.recoveries, 20);
}

async fn recovery_that_is_lost_with_the_server_is_told(stage: Virtual) {
    let Pair { server, connection, guest } = pair(&stage).await;
    let journal = Journal::of_losses(&connection);
    stage.cut();
    let lost = guest.send("nobody will have this").await.unwrap().into_owned();
    stage.within("it stops", server.stop()).await.unwrap();
    assert!(lost.acknowledged().await.is_err());
    stage.heal();
    stage.run(&server).await;
    stage.reads(&journal, "fresh").await;
    assert!(!journal.has("recovered"));
    let guest = stage.guest(&server, &connection).await;
    guest.send("new").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["new"]);
}

async fn messages_wait_until_the_listeners_are_back(stage: Virtual) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let before = listen(&connection);
    guest.send("0").await.unwrap();
    stage.until("it is heard", || before.lock().unwrap().len() == 1).await;
    stage.cut();
    stage.until("both know", || !connection.is_connected() && !guest.is_connected()).await;
    connection.off_all();
    for n in 1..10 {
        guest.send(n.to_string()).await.unwrap();
    }
    stage.heal();
    stage.until("they are there", || connection.stats().counts.received == 10).await;
    stage.sleep(5 * SECOND).await;
    let after = listen(&connection);
    stage.until("all are heard", || after.lock().unwrap().len() == 9).await;
    let expected: Vec<String> = (1..10).map(|n| n.to_string()).collect();
    assert_eq!(*after.lock().unwrap(), expected);
}

async fn a_stale_buffer_is_not_flushed_after_an_hour(stage: Virtual) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let heard = listen(&guest);
    stage.cut();
    stage.until("both know", || !connection.is_connected() && !guest.is_connected()).await;
    let stale = connection.send("cross the street now").await.unwrap();
    stage.sleep(HOUR).await;
    let fresh = connection.send("good morning").await.unwrap();
    stage.heal();
    assert_eq!(stale.acknowledged().await, Err(NotAcknowledged::Expired));
    assert_eq!(fresh.acknowledged().await, Ok(()));
    assert_eq!(*heard.lock().unwrap(), ["good morning"]);
}

async fn a_burst_of_reconnects_throws_no_client_out_for_its_size(stage: Virtual) {
    // Each is owed thirty times what may wait for it: its window paces the replay.
    let server = stage.server().retention(2 * HOUR).queue(4_000).buffer(Default::default());
    let server = server.run().await;
    let mut pairs = Vec::new();
    for _ in 0..30 {
        let connection = stage.client().window(200_000).connect().await;
        let guest = stage.guest(&server, &connection).await;
        pairs.push((Journal::of_losses(&guest), connection, guest));
    }
    stage.partition();
    for (_, _, guest) in &pairs {
        for n in 0..30 {
            let message = [vec![n], vec![0; 3_999]].concat();
            stage.within("there is room", guest.send(message)).await.unwrap();
        }
    }
    stage.network.heal(Virtual::PLACE);
    stage.network.reset(Virtual::PLACE);
    for (at_server, connection, guest) in &pairs {
        for n in 0..30 {
            assert_eq!(stage.message(connection).await.bytes()[0], n);
        }
        assert!(guest.is_alive() && at_server.count("recovered") == 1, "{:?}", at_server.words());
        assert!(!at_server.words().iter().any(|word| word.contains("slow_consumer")));
    }
    assert_eq!(server.count(), 30);
}

async fn a_client_is_not_stuck_in_connecting(stage: Virtual) {
    let server = stage.server().run().await;
    // Handshakes vanish, and nobody says so.
    stage.partition();
    let connection = stage.client().start();
    stage.sleep(10 * A_MINUTE).await;
    assert_eq!(connection.status(), Status::Connecting);
    // The links that hung are given up, not healed.
    stage.network.reset(Virtual::PLACE);
    stage.network.heal(Virtual::PLACE);
    stage.sleep(A_WHILE).await;
    assert!(connection.is_connected());
    assert_eq!(server.count(), 1);
}

async fn a_hung_socket_is_closed(stage: Virtual) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    for lost in [Direction::ToClient, Direction::ToServer] {
        let before = connection.stats().counts.recoveries;
        stage.network.half_open(Virtual::PLACE, lost);
        let recovered = || connection.stats().counts.recoveries > before;
        stage.until("it comes back", recovered).await;
        stage.until("the old link is gone", || stage.links() == 1).await;
    }
    guest.send("still there").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["still there"]);
}

async fn two_sockets_are_never_alive_for_one_session(stage: Virtual) {
    let Pair { server, connection, guest } = pair(&stage).await;
    stage.network.duplicate_connects(Virtual::PLACE);
    stage.network.half_open(Virtual::PLACE, Direction::ToClient);
    stage.until("it recovers", || connection.stats().counts.recoveries > 0).await;
    stage.until("one link", || stage.links() <= 2 && server.count() == 1).await;
    for n in 0..5 {
        connection.send(n.to_string()).await.unwrap();
    }
    assert_eq!(stage.texts(&guest, 5).await, ["0", "1", "2", "3", "4"]);
}

async fn the_back_off_begins_anew_when_the_network_is_back(stage: Virtual) {
    let Pair { connection, .. } = pair(&stage).await;
    // Long enough for the longest delay.
    stage.cut();
    stage.sleep(HOUR).await;
    stage.heal();
    stage.until("it is back", || connection.is_connected()).await;
    let journal = Journal::of_losses(&connection);
    for _ in 0..10 {
        stage.network.reset(Virtual::PLACE);
        stage.until("it knows", || !connection.is_connected()).await;
        let then = stage.now();
        stage.until("it is back", || connection.is_connected()).await;
        // The first delay after a loss, and the handshake's way there and back.
        assert!(stage.since(then) <= 6 * SECOND, "after {:?}", stage.since(then));
    }
    assert_eq!(journal.count("reconnect 1"), 10, "{:?}", journal.words());
}

async fn a_broadcast_is_not_held_up_by_one_stalled_reader(stage: Virtual) {
    let server = stage.server().retention(2 * HOUR).queue(10_000).run().await;
    let stalled = stage.client().window(10_000).connect().await;
    let reader = stage.client().connect().await;
    let then = stage.now();
    for n in 0..500_u32 {
        emit(&server, n);
        let message = stage.message(&reader).await;
        assert_eq!(message.bytes()[..4], n.to_be_bytes());
    }
    // A way there for each, and no waiting for who does not read.
    assert!(stage.since(then) <= 30 * SECOND, "{:?}", stage.since(then));
    assert!(stalled.is_connected());
}

fn emit(server: &Server, n: u32) {
    let message = [n.to_be_bytes().as_slice(), &[0; 996]].concat();
    server.emit(message).unwrap();
}
