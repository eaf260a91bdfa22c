//! Messages wait for whoever takes them, and not for ever.

use moorline::{Config, Disconnect, event};

use crate::stage::{Journal, Pair, SECOND, Stage, Virtual};

behaviours![
    messages_before_the_first_listener_are_not_missed,
    messages_before_the_first_reader_are_not_missed,
    what_nobody_hears_is_dropped_with_one_warning_and_stalls_nobody,
    listeners_and_readers_share_without_doubling,
];

in_virtual_time![
    what_nobody_hears_waits_exactly_its_time,
    what_was_taken_is_acknowledged_soon_also_behind_a_large_batch,
];

async fn messages_before_the_first_listener_are_not_missed(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    for n in 0..5 {
        guest.send(n.to_string()).await.unwrap();
    }
    stage.sleep(10 * SECOND).await;
    let journal = Journal::of(&connection);
    guest.send("5").await.unwrap();
    stage.reads(&journal, "message 5").await;
    assert_eq!(journal.words(), (0..6).map(|n| format!("message {n}")).collect::<Vec<_>>());
}

async fn messages_before_the_first_reader_are_not_missed(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    for n in 0..5 {
        connection.send(n.to_string()).await.unwrap();
    }
    stage.sleep(10 * SECOND).await;
    assert_eq!(stage.texts(&guest, 5).await, ["0", "1", "2", "3", "4"]);
}

async fn what_nobody_hears_is_dropped_with_one_warning_and_stalls_nobody(stage: Stage) {
    let client = stage.client().window(4_096).unheard_after(30 * SECOND);
    let Pair { connection, guest, .. } = stage.pair_of(stage.server().queue(4_096), client).await;
    let warnings = Journal::default();
    let pen = warnings.clone();
    connection.on(event::Unheard, move |count| pen.write(count.to_string()));
    // Ten times the window and the queue: it must wait until the client gives up holding.
    for _ in 0..100 {
        let sent = stage.within("the peer is not stalled", guest.send(vec![0; 800])).await;
        sent.unwrap();
    }
    stage.until("all went out", || guest.queued() == 0).await;
    assert_eq!(warnings.words().len(), 1, "one warning: {:?}", warnings.words());
    // A listener that comes later hears what comes later.
    let journal = Journal::of(&connection);
    guest.send("heard").await.unwrap();
    stage.reads(&journal, "message heard").await;
}

async fn listeners_and_readers_share_without_doubling(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let reader = connection.clone();
    let (read, journal) = (Journal::default(), Journal::default());
    let pen = read.clone();
    stage.spawn(async move {
        while let Some(message) = reader.next_message().await {
            pen.write(message.to_string());
        }
    });
    for n in 0..300 {
        guest.send(n.to_string()).await.unwrap();
        if n == 150 {
            let pen = journal.clone();
            connection.on_message(move |message| pen.write(message.to_string()));
        }
    }
    let count = || read.words().len() + journal.words().len();
    stage.until("all are taken", || count() == 300).await;
    let all: Vec<_> = read.words().into_iter().chain(journal.words()).collect();
    assert_eq!(all, (0..300).map(|n| n.to_string()).collect::<Vec<_>>());
    connection.close();
}

async fn what_nobody_hears_waits_exactly_its_time(stage: Virtual) {
    let client = stage.client().unheard_after(Config::UNHEARD_AFTER);
    let Pair { connection, guest, .. } = stage.pair_of(stage.server(), client).await;
    let told = Journal::default();
    let (pen, sim) = (told.clone(), stage.sim.clone());
    let sent = stage.now();
    connection.on(event::Unheard, move |count| {
        let waited = sim.now().since(sent);
        assert!(waited >= 30 * SECOND && waited < 31 * SECOND, "{waited:?}");
        pen.write(count.to_string());
    });
    guest.send("a").await.unwrap();
    guest.send("b").await.unwrap();
    stage.sleep(29 * SECOND).await;
    assert_eq!(told.words(), [""; 0]);
    stage.until("it is told", || !told.words().is_empty()).await;
    // What comes now is not kept, and not told again.
    guest.send("c").await.unwrap();
    stage.sleep(60 * SECOND).await;
    assert_eq!(told.words().len(), 1);
}

/// An acknowledgement rides on a batch of more than 64 messages, in the very turn in which the next message comes: that one
/// is acknowledged by itself.
async fn what_was_taken_is_acknowledged_soon_also_behind_a_large_batch(stage: Virtual) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let (host, sim) = (guest.clone(), stage.sim.clone());
    guest.on_message(move |message| {
        let (host, sim) = (host.clone(), sim.clone());
        async move {
            sim.sleep(SECOND / 10).await;
            if message.text() == Some("first") {
                for _ in 0..100 {
                    host.try_send("answer").unwrap();
                }
            }
        }
    });
    let ends = Journal::default();
    let pen = ends.clone();
    connection.on_disconnect(move |end: Disconnect| pen.write(end.unconfirmed.to_string()));
    connection.send("first").await.unwrap();
    stage.sleep(SECOND / 10).await;
    connection.send("second").await.unwrap();
    stage.sleep(20 * SECOND).await;
    stage.reset();
    stage.until("it is lost", || !ends.words().is_empty()).await;
    assert_eq!(ends.words(), ["0"], "nothing is unconfirmed twenty seconds later");
}
