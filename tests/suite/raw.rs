//! The codec without an envelope: frames are the messages, and any endpoint can be the other end.

use moorline::{Class, Data, Message, Raw, Reason, SendError, Status};
use moorline_core::Frame;

use crate::stage::{A_MINUTE, A_WHILE, Journal, Pair, SECOND, Stage, Virtual};

behaviours![
    raw_carries_text_and_bytes_as_they_are,
    raw_is_open_without_a_word_from_the_other_end,
    raw_reconnects,
    raw_notices_a_silent_peer_by_the_transports_pings,
    raw_pings_by_hand,
    raw_tells_the_links_close_code,
    raw_stops_reading_when_nobody_takes_and_loses_nothing,
    raw_goes_on_reading_after_a_connect_by_hand_with_a_full_inbox,
    raw_says_what_it_cannot_carry,
];

in_virtual_time![raw_lives_idle_for_hours];

async fn raw_pair(stage: &Stage) -> Pair {
    stage.pair_of(stage.server().codec(Raw), stage.client().codec(Raw)).await
}

async fn raw_carries_text_and_bytes_as_they_are(stage: Stage) {
    let Pair { connection, guest, .. } = raw_pair(&stage).await;
    for message in [Message::from("text"), Message::from(""), Message::from(vec![0, 255])] {
        connection.send(message.clone()).await.unwrap();
        let up = stage.message(&guest).await;
        assert_eq!(up.data, message.data);
        assert_eq!(up.class, Class::AtMostOnce, "nothing is numbered");
        guest.send(up).await.unwrap();
        assert_eq!(stage.message(&connection).await.data, message.data);
    }
    connection.send(Message::from_json(&[1, 2]).unwrap()).await.unwrap();
    let value = stage.message(&guest).await;
    assert!(matches!(value.data, Data::Text(_)), "JSON goes out as text");
    assert_eq!(value.json::<Vec<u8>>().unwrap(), [1, 2]);
}

async fn raw_is_open_without_a_word_from_the_other_end(stage: Stage) {
    let mut host = stage.host().await;
    let connection = stage.client().codec(Raw).start();
    let mut link = host.accept().await;
    stage.within("it opens", connection.opened()).await.unwrap();
    assert_eq!(connection.id(), None, "there is nobody to give it one");
    link.send(Frame::text("any endpoint")).await;
    assert_eq!(stage.texts(&connection, 1).await, ["any endpoint"]);
}

async fn raw_reconnects(stage: Stage) {
    let Pair { server, connection, guest } = raw_pair(&stage).await;
    let journal = Journal::of(&connection);
    stage.reset();
    stage.reads(&journal, "reconnect 1").await;
    stage.until("the old one is gone", || !guest.is_alive() && server.count() == 1).await;
    server.emit("again").unwrap();
    stage.reads(&journal, "message again").await;
}

async fn raw_notices_a_silent_peer_by_the_transports_pings(stage: Stage) {
    let Pair { connection, guest, .. } = raw_pair(&stage).await;
    let (here, there) = (Journal::of(&connection), Journal::of(&guest));
    stage.partition();
    stage.reads(&here, "disconnect PingTimeout").await;
    stage.reads(&there, "disconnect PingTimeout").await;
}

async fn raw_pings_by_hand(stage: Stage) {
    let Pair { connection, guest, .. } = raw_pair(&stage).await;
    assert!(stage.within("a pong", connection.ping()).await.is_ok());
    assert!(stage.within("a pong", guest.ping()).await.is_ok());
}

async fn raw_tells_the_links_close_code(stage: Stage) {
    let Pair { connection, guest, .. } = raw_pair(&stage).await;
    let journal = Journal::default();
    let pen = journal.clone();
    connection.on_disconnect(move |end| {
        assert_eq!(end.reason, Reason::ServerDisconnect);
        pen.write(end.close.unwrap().to_string());
    });
    guest.disconnect_because(Some(4321), "enough").unwrap();
    stage.reads(&journal, "4321 (enough)").await;
    stage.sleep(A_WHILE).await;
    assert_eq!(connection.status(), Status::Closed);
}

/// Fills the client's inbox beyond its window from a task, with numbers.
async fn fill(stage: &Stage, pair: &Pair, count: usize) {
    let guest = pair.guest.clone();
    stage.spawn(async move {
        for n in 0..count {
            if guest.send(format!("{n:0>1000}")).await.is_err() {
                return;
            }
        }
    });
    let first = stage.message(&pair.connection).await;
    assert_eq!(first.to_string(), format!("{:0>1000}", 0));
    stage.sleep(5 * SECOND).await;
}

async fn raw_stops_reading_when_nobody_takes_and_loses_nothing(stage: Stage) {
    // The sender's pings wait behind what is not read.
    let patient = || stage.heartbeat(60 * A_MINUTE, 60 * A_MINUTE);
    let server = stage.server().codec(Raw).queue(4_096).heartbeat(patient());
    let client = stage.client().codec(Raw).window(4_096).heartbeat(patient());
    let pair = stage.pair_of(server, client).await;
    fill(&stage, &pair, 300).await;
    assert!(pair.guest.queued() > 0, "300 kB do not fit between the two");
    stage.sleep(20 * SECOND).await;
    for n in 1..300 {
        assert_eq!(stage.message(&pair.connection).await.to_string(), format!("{n:0>1000}"));
    }
}

async fn raw_goes_on_reading_after_a_connect_by_hand_with_a_full_inbox(stage: Stage) {
    let client = stage.client().codec(Raw).window(4_096);
    let pair = stage.pair_of(stage.server().codec(Raw), client).await;
    fill(&stage, &pair, 20).await;
    let connection = &pair.connection;
    connection.close();
    stage.until("it is closed", || connection.status() == Status::Closed).await;
    stage.until("the server knows", || pair.server.count() == 0).await;
    stage.within("it opens again", connection.connect()).await.unwrap();
    stage.until("the server knows it", || pair.server.count() == 1).await;
    pair.server.emit("new").unwrap();
    // What was in the inbox comes first, then what came over the new link.
    loop {
        let message = stage.message(connection).await;
        if message.text() == Some("new") {
            break;
        }
    }
}

async fn raw_says_what_it_cannot_carry(stage: Stage) {
    let Pair { connection, guest, .. } = raw_pair(&stage).await;
    let sent = connection.send(Message::from("x").on("news")).await;
    let Err(SendError::Encode(error)) = sent else { panic!("{sent:?}") };
    assert!(error.to_string().contains("raw"), "{error}");
    connection.send("fine").await.unwrap();
    assert_eq!(stage.texts(&guest, 1).await, ["fine"]);
}

async fn raw_lives_idle_for_hours(stage: Virtual) {
    let Pair { connection, guest, .. } = raw_pair(&stage).await;
    let journal = Journal::of(&connection);
    stage.sleep(3 * 3600 * SECOND).await;
    assert_eq!(journal.words(), [""; 0]);
    guest.send("still there").await.unwrap();
    stage.reads(&journal, "message still there").await;
}
