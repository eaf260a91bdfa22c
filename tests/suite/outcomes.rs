//! Every send has an outcome (R46), and what waits for a lost connection has bounds (R28).

use std::pin::pin;

use moorline::{
    Buffer, Class, Client, Dropped, Message, NotAcknowledged, Overflow, Raw, SendError,
    SendOutcome, Status,
};
use moorline_core::close_code;
use moorline_core::wire::{Close, Packet};

use crate::stage::stranger::Heard;
use crate::stage::{A_MINUTE, Journal, Pair, RETENTION, SECOND, Stage};

behaviours![
    r46_a_message_is_acknowledged_once_it_is_taken,
    r46_a_message_that_is_not_taken_is_not_acknowledged,
    r46_classes_without_numbers_are_sent,
    r46_raw_never_acknowledges,
    r46_what_was_sent_in_an_outage_is_acknowledged_after_it,
    r46_what_expires_in_the_queue_is_told_and_never_sent,
    r46_what_expires_before_it_can_be_sent_again_is_skipped,
    r46_a_session_that_ends_leaves_what_was_sent_unconfirmed,
    r46_what_never_left_is_dropped_when_the_connection_closes,
    r46_a_receipt_outlives_its_connection,
    r28_off_a_send_fails_at_once,
    r28_a_first_connect_is_waited_for,
    r28_the_oldest_goes_where_the_buffer_is_full,
    r28_the_newest_goes_where_the_buffer_is_full,
    r28_a_full_buffer_rejects,
    r28_a_full_buffer_makes_the_send_wait,
    r28_what_is_sent_while_the_server_closes_to_be_back_waits_too,
    r28_by_default_it_is_on,
    r28_it_is_bounded_in_bytes_too,
    r28_nothing_is_flushed_after_its_age,
    r28_a_closed_connection_takes_nothing,
    r47_only_the_latest_of_a_key_waits,
];

async fn pair(stage: &Stage, buffer: Buffer) -> Pair {
    stage.pair_of(stage.server().retention(RETENTION), stage.client().buffer(buffer)).await
}

async fn lost(stage: &Stage, pair: &Pair) {
    stage.cut();
    stage
        .until("both know", || !pair.connection.is_connected() && !pair.guest.is_connected())
        .await;
}

async fn r46_a_message_is_acknowledged_once_it_is_taken(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage, Buffer::default()).await;
    let receipt = connection.send("one").await.unwrap();
    assert_eq!(stage.texts(&guest, 1).await, ["one"]);
    assert_eq!(stage.within("it is told", receipt.acknowledged()).await, Ok(()));
    let back = guest.send("two").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["two"]);
    assert_eq!(stage.within("it is told", back.outcome()).await, SendOutcome::Acknowledged);
}

async fn r46_a_message_that_is_not_taken_is_not_acknowledged(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage, Buffer::default()).await;
    let receipt = connection.send("one").await.unwrap();
    stage.until("it is there", || guest.stats().counts.received == 1).await;
    let mut waiting = Box::pin(receipt.outcome());
    assert!(stage.waits(&mut waiting).await, "nobody has taken it");
    stage.texts(&guest, 1).await;
    assert_eq!(stage.within("it is told", waiting).await, SendOutcome::Acknowledged);
}

async fn r46_classes_without_numbers_are_sent(stage: Stage) {
    let Pair { connection, .. } = pair(&stage, Buffer::default()).await;
    for class in [Class::AtMostOnce, Class::Volatile] {
        let receipt = connection.send(Message::from("one").class(class)).await.unwrap();
        let told = stage.within("it is told", receipt.acknowledged()).await;
        assert_eq!(told, Err(NotAcknowledged::Sent));
    }
}

async fn r46_raw_never_acknowledges(stage: Stage) {
    let pair = stage.pair_of(stage.server().codec(Raw), stage.client().codec(Raw)).await;
    let receipt = pair.connection.send("one").await.unwrap();
    assert_eq!(stage.within("it is told", receipt.outcome()).await, SendOutcome::Sent);
}

async fn r46_what_was_sent_in_an_outage_is_acknowledged_after_it(stage: Stage) {
    let pair = pair(&stage, Buffer::default()).await;
    let sent = pair.connection.send("before").await.unwrap();
    lost(&stage, &pair).await;
    let meanwhile = pair.connection.send("meanwhile").await.unwrap();
    stage.heal();
    assert_eq!(stage.texts(&pair.guest, 2).await, ["before", "meanwhile"]);
    assert_eq!(stage.within("it is told", sent.acknowledged()).await, Ok(()));
    assert_eq!(stage.within("it is told", meanwhile.acknowledged()).await, Ok(()));
}

async fn r46_what_expires_in_the_queue_is_told_and_never_sent(stage: Stage) {
    let pair = pair(&stage, Buffer::default()).await;
    lost(&stage, &pair).await;
    let short = Message::from("short").ttl(stage.time(5 * SECOND));
    let receipt = pair.connection.send(short).await.unwrap();
    pair.connection.send("long").await.unwrap();
    let told = stage.within("it is told", receipt.acknowledged()).await;
    assert_eq!(told, Err(NotAcknowledged::Expired));
    assert_eq!(pair.connection.status(), Status::Connecting, "it was told in the outage");
    stage.heal();
    assert_eq!(stage.texts(&pair.guest, 1).await, ["long"]);
}

async fn r46_what_expires_before_it_can_be_sent_again_is_skipped(stage: Stage) {
    let pair = pair(&stage, Buffer::default()).await;
    let journal = Journal::of_losses(&pair.connection);
    // Sent, and lost on the way.
    stage.partition();
    let mut sent = Vec::new();
    for n in 0..10 {
        let mut message = Message::from(n.to_string());
        if n % 3 == 0 {
            message = message.ttl(stage.time(20 * SECOND));
        }
        sent.push(pair.connection.send(message).await.unwrap());
    }
    stage.until("all are handed to the link", || pair.connection.queued() == 0).await;
    lost(&stage, &pair).await;
    stage.sleep(A_MINUTE / 2).await;
    stage.heal();
    stage.reads(&journal, "recovered").await;
    pair.connection.send("last").await.unwrap();
    let expected = ["1", "2", "4", "5", "7", "8", "last"];
    assert_eq!(stage.texts(&pair.guest, expected.len()).await, expected);
    for (n, receipt) in sent.into_iter().enumerate() {
        let told = stage.within("it is told", receipt.acknowledged()).await;
        let expected = if n % 3 == 0 { Err(NotAcknowledged::Expired) } else { Ok(()) };
        assert_eq!(told, expected, "{n}");
    }
    let counts = || pair.connection.stats().counts;
    stage.until("all is acknowledged", || counts().acknowledged == 11).await;
    assert_eq!((counts().retained, counts().in_flight), (0, 0));
}

async fn r46_a_session_that_ends_leaves_what_was_sent_unconfirmed(stage: Stage) {
    let server = stage.server().retention(10 * SECOND);
    let pair = stage.pair_of(server, stage.client()).await;
    let journal = Journal::of_losses(&pair.connection);
    let receipt = pair.connection.send("was it taken?").await.unwrap();
    stage.until("it is there, and nobody takes it", || pair.guest.stats().counts.held > 0).await;
    lost(&stage, &pair).await;
    stage.until("the session is over", || pair.server.count() == 0).await;
    stage.heal();
    stage.reads(&journal, "fresh").await;
    let told = stage.within("it is told", receipt.acknowledged()).await;
    assert_eq!(told, Err(NotAcknowledged::Unconfirmed));
    // Nobody knows, so it is the application's to say it again.
    pair.connection.send("something else").await.unwrap();
    let guest = stage.guest(&pair.server, &pair.connection).await;
    assert_eq!(stage.texts(&guest, 1).await, ["something else"]);
}

async fn r46_what_never_left_is_dropped_when_the_connection_closes(stage: Stage) {
    let pair = pair(&stage, Buffer::default()).await;
    lost(&stage, &pair).await;
    let receipt = pair.connection.send("in vain").await.unwrap();
    pair.connection.disconnect();
    let told = stage.within("it is told", receipt.acknowledged()).await;
    assert_eq!(told, Err(NotAcknowledged::Dropped(Dropped::Disconnected)));
}

async fn r46_a_receipt_outlives_its_connection(stage: Stage) {
    let pair = pair(&stage, Buffer::default()).await;
    lost(&stage, &pair).await;
    let receipt = pair.connection.send("in vain").await.unwrap().into_owned();
    drop(pair.connection);
    let told = stage.within("it is told", receipt.acknowledged()).await;
    assert_eq!(told, Err(NotAcknowledged::Dropped(Dropped::Disconnected)));
}

async fn r28_off_a_send_fails_at_once(stage: Stage) {
    let pair = pair(&stage, Buffer::off()).await;
    lost(&stage, &pair).await;
    assert_eq!(pair.connection.send("in vain").await, Err(SendError::NotConnected));
}

async fn r28_a_first_connect_is_waited_for(stage: Stage) {
    stage.cut();
    let server = stage.echo().await;
    let connection = stage.client().buffer(Buffer::default()).start();
    connection.send("early").await.unwrap();
    assert_eq!(server.count(), 0);
    stage.heal();
    assert_eq!(stage.texts(&connection, 1).await, ["early"]);
}

/// Five sends into a buffer of three; what arrived, and what became of each.
async fn five_into_three(stage: &Stage, overflow: Overflow) -> (Vec<String>, Vec<bool>) {
    let pair = pair(stage, Buffer::default().count(3).overflow(overflow)).await;
    lost(stage, &pair).await;
    let mut receipts = Vec::new();
    for n in 0..5 {
        receipts.push(pair.connection.send(n.to_string()).await.unwrap());
        // The connection's own task has seen each before the next.
        stage.sleep(SECOND).await;
    }
    stage.heal();
    let texts = stage.texts(&pair.guest, 3).await;
    let mut kept = Vec::new();
    for receipt in receipts {
        let told = stage.within("it is told", receipt.acknowledged()).await;
        if let Err(error) = told {
            assert_eq!(error, NotAcknowledged::Dropped(Dropped::NoRoom));
        }
        kept.push(told.is_ok());
    }
    (texts, kept)
}

async fn r28_the_oldest_goes_where_the_buffer_is_full(stage: Stage) {
    let (texts, kept) = five_into_three(&stage, Overflow::DropOldest).await;
    assert_eq!(texts, ["2", "3", "4"]);
    assert_eq!(kept, [false, false, true, true, true]);
}

async fn r28_the_newest_goes_where_the_buffer_is_full(stage: Stage) {
    let (texts, kept) = five_into_three(&stage, Overflow::DropNewest).await;
    assert_eq!(texts, ["0", "1", "2"]);
    assert_eq!(kept, [true, true, true, false, false]);
}

async fn r28_a_full_buffer_rejects(stage: Stage) {
    let buffer = Buffer::default().count(3).overflow(Overflow::Reject);
    let pair = pair(&stage, buffer).await;
    lost(&stage, &pair).await;
    for n in 0..3 {
        pair.connection.send(n.to_string()).await.unwrap();
    }
    let refused = pair.connection.send("3").await;
    assert!(matches!(refused, Err(SendError::Full { .. })), "{refused:?}");
    stage.heal();
    assert_eq!(stage.texts(&pair.guest, 3).await, ["0", "1", "2"]);
}

async fn r28_a_full_buffer_makes_the_send_wait(stage: Stage) {
    let pair = pair(&stage, Buffer::default().count(3)).await;
    lost(&stage, &pair).await;
    for n in 0..3 {
        pair.connection.send(n.to_string()).await.unwrap();
    }
    let mut fourth = Box::pin(pair.connection.send("3"));
    assert!(stage.waits(&mut fourth).await, "there is no room");
    stage.heal();
    stage.within("there is room", fourth).await.unwrap();
    assert_eq!(stage.texts(&pair.guest, 4).await, ["0", "1", "2", "3"]);
}

/// The server's close has come and its link has not ended yet: a moment that a slow network makes long.
async fn r28_what_is_sent_while_the_server_closes_to_be_back_waits_too(stage: Stage) {
    for buffer in [Buffer::default(), Buffer::off()] {
        let is_kept = buffer != Buffer::off();
        let mut host = stage.host().await;
        let client = stage.client().buffer(buffer).close_timeout(10 * A_MINUTE);
        let connection = client.start();
        let mut link = host.accept().await;
        link.welcome().await;
        stage.within("it opens", connection.opened()).await.unwrap();
        link.say(&Packet::Close(Close::new(close_code::RESTART, "soon back"))).await;
        stage.until("the close has come", || connection.status() == Status::Closing).await;
        let sent = connection.send("meanwhile").await;
        drop(link);
        let mut link = host.accept().await;
        link.welcome().await;
        if is_kept {
            sent.unwrap();
            let heard = link.hear().await;
            let Heard::Packet(Packet::Message(message)) = heard else { panic!("{heard:?}") };
            assert_eq!(message.text(), Some("meanwhile"));
        } else {
            assert_eq!(sent, Err(SendError::NotConnected));
        }
        link.say(&Packet::Close(Close::new(close_code::RESTART, "soon back"))).await;
        stage.until("the close has come", || connection.status() == Status::Closing).await;
        connection.disconnect();
        assert_eq!(connection.send("after the end").await, Err(SendError::NotConnected));
    }
}

async fn r28_by_default_it_is_on(stage: Stage) {
    let client = Client::builder().transport(stage.transport()).runtime(stage.runtime()).build();
    assert_eq!(client.config().buffer, Buffer::default());
    assert_ne!(Buffer::default(), Buffer::off());
}

async fn r28_it_is_bounded_in_bytes_too(stage: Stage) {
    let buffer = Buffer::default().bytes(3_500).overflow(Overflow::Reject);
    let pair = pair(&stage, buffer).await;
    lost(&stage, &pair).await;
    for n in 0..3 {
        pair.connection.send(vec![n; 1_000]).await.unwrap();
    }
    let refused = pair.connection.send(vec![3; 1_000]).await;
    assert!(matches!(refused, Err(SendError::Full { limit: 3_500, .. })), "{refused:?}");
    stage.heal();
    for n in 0..3 {
        assert_eq!(stage.message(&pair.guest).await.bytes()[..], [n; 1_000]);
    }
}

async fn r28_nothing_is_flushed_after_its_age(stage: Stage) {
    let pair = pair(&stage, Buffer::default().age(A_MINUTE)).await;
    lost(&stage, &pair).await;
    let old = pair.connection.send("old").await.unwrap();
    stage.sleep(A_MINUTE * 3 / 2).await;
    pair.connection.send("young").await.unwrap();
    stage.heal();
    assert_eq!(stage.texts(&pair.guest, 1).await, ["young"]);
    assert_eq!(old.acknowledged().await, Err(NotAcknowledged::Expired));
}

async fn r28_a_closed_connection_takes_nothing(stage: Stage) {
    let Pair { connection, .. } = pair(&stage, Buffer::default()).await;
    connection.disconnect();
    assert_eq!(connection.send("in vain").await, Err(SendError::NotConnected));
    let never_opened = stage.client().buffer(Buffer::default()).build().closed();
    assert_eq!(never_opened.send("in vain").await, Err(SendError::NotConnected));
}

async fn r47_only_the_latest_of_a_key_waits(stage: Stage) {
    let pair = pair(&stage, Buffer::default()).await;
    lost(&stage, &pair).await;
    let price = |channel: &'static str, n: u32| Message::from(n.to_string()).on(channel).latest();
    let first = pair.connection.send(price("tea", 1)).await.unwrap();
    pair.connection.send(price("salt", 7)).await.unwrap();
    for n in 2..10 {
        pair.connection.send(price("tea", n)).await.unwrap();
    }
    stage.heal();
    assert_eq!(stage.texts(&pair.guest, 2).await, ["7", "9"]);
    let mut told = pin!(first.outcome());
    let told = stage.within("it is told", &mut told).await;
    assert_eq!(told, SendOutcome::Dropped(Dropped::Replaced));
}
