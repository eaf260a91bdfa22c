//! A slow reader harms nobody else, holds a bounded share, and is told what it misses (R47).

use moorline::{Buffer, Class, Message, Overflow, Recovery, event};

use crate::stage::{A_MINUTE, Journal, Pair, RETENTION, SECOND, Stage};

behaviours![
    r47_a_broadcast_that_finds_no_room_is_told_as_a_gap_at_its_place,
    r47_what_has_no_number_goes_first_and_is_counted,
    r47_a_stopped_reader_holds_no_more_than_its_queue,
    r47_broadcasts_to_one_that_is_away_are_bounded,
    r47_newest_values_of_many_keys_are_bounded,
    r47_a_reader_that_makes_no_progress_is_cut_and_may_come_back,
    r47_a_reader_that_makes_progress_is_not_cut,
    r47_a_direct_send_waits_and_loses_nothing,
];

/// A queue of 10,000 bytes and a message; where broadcasts push others out, as much again until the driver has its turn, and
/// again while it takes that.
const MOST: usize = 33_000;

/// 1,000 bytes that begin with that number.
fn numbered(n: u64) -> Message {
    Message::from([n.to_be_bytes().as_slice(), &[0; 992]].concat())
}

fn number(message: &Message) -> u64 {
    u64::from_be_bytes(message.bytes()[..8].try_into().unwrap())
}

async fn small(stage: &Stage) -> Pair {
    let server = stage.server().retention(RETENTION).queue(10_000);
    stage.pair_of(server, stage.client().window(10_000)).await
}

async fn r47_a_broadcast_that_finds_no_room_is_told_as_a_gap_at_its_place(stage: Stage) {
    let Pair { server, connection, guest } = small(&stage).await;
    let gaps = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let own = gaps.clone();
    connection.on(event::Recovery, move |told| own.lock().unwrap().push(told));
    let mut sent = Vec::new();
    for n in 0..100 {
        if server.emit(numbered(n)).unwrap().sent == 1 {
            sent.push(n);
        }
        stage.sleep(SECOND / 100).await;
    }
    assert!((10..40).contains(&sent.len()), "{} found room", sent.len());
    stage.until("all are counted", || guest.stats().counts.lost == 100 - sent.len() as u64).await;
    for n in &sent {
        assert_eq!(number(&stage.message(&connection).await), *n);
    }
    server.emit(numbered(1_000)).unwrap();
    assert_eq!(number(&stage.message(&connection).await), 1_000);
    let lost = || -> u64 {
        let gaps = gaps.lock().unwrap();
        let count = |told: &Recovery| match told {
            Recovery::Gap { from, to } => to - from,
            other => panic!("{other:?}"),
        };
        gaps.iter().map(count).sum()
    };
    stage.until("all is told", || lost() == 100 - sent.len() as u64).await;
    stage.until("all counts", || guest.stats().counts.acknowledged == 101).await;
}

async fn r47_what_has_no_number_goes_first_and_is_counted(stage: Stage) {
    let Pair { server, connection, .. } = small(&stage).await;
    let journal = Journal::of_losses(&connection);
    for n in 0..100 {
        server.emit(numbered(n).class(Class::AtMostOnce)).unwrap();
        stage.sleep(SECOND / 100).await;
    }
    let mut came = Vec::new();
    // The newest is there, whatever went for it.
    while came.last() != Some(&99) {
        came.push(number(&stage.message(&connection).await));
    }
    assert!(came.is_sorted(), "{came:?}");
    stage.until("it is told", || journal.words().iter().any(|w| w.starts_with("missed"))).await;
    let missed = || -> usize {
        let count = |word: &String| word.strip_prefix("missed ")?.parse::<usize>().ok();
        journal.words().iter().filter_map(count).sum()
    };
    stage.until("all is told", || missed() == 100 - came.len()).await;
}

async fn r47_a_stopped_reader_holds_no_more_than_its_queue(stage: Stage) {
    let Pair { server, connection, guest } = small(&stage).await;
    let reader = stage.client().connect().await;
    for n in 0..200 {
        server.emit(numbered(n)).unwrap();
        assert_eq!(number(&stage.message(&reader).await), n, "the other one reads on");
        let counts = guest.stats().counts;
        assert!(guest.stats().queued <= 10_000 && counts.retained <= 10_000, "{counts:?}");
    }
    drop(connection);
}

async fn r47_broadcasts_to_one_that_is_away_are_bounded(stage: Stage) {
    for overflow in [Overflow::Reject, Overflow::DropOldest, Overflow::DropNewest, Overflow::Wait] {
        let buffer = Buffer::default().count(20).bytes(10_000).overflow(overflow);
        let server = stage.server().retention(RETENTION).queue(10_000).buffer(buffer);
        let Pair { server, connection, guest } = stage.pair_of(server, stage.client()).await;
        let journal = Journal::of_losses(&connection);
        stage.cut();
        stage.until("the server knows", || !guest.is_connected()).await;
        for n in 0..60 {
            let class = if n % 3 == 0 { Class::AtLeastOnce } else { Class::AtMostOnce };
            server.emit(numbered(n).class(class)).unwrap();
            stage.sleep(SECOND / 100).await;
            let queued = guest.stats().queued;
            assert!(queued <= MOST, "{overflow:?}: {queued} bytes wait after {n}");
        }
        stage.heal();
        stage.reads(&journal, "recovered").await;
        server.stop().await.unwrap();
    }
}

async fn r47_newest_values_of_many_keys_are_bounded(stage: Stage) {
    let Pair { server, connection, guest } = small(&stage).await;
    for n in 0..100 {
        server.emit(numbered(n).on(n.to_string()).latest()).unwrap();
        stage.sleep(SECOND / 100).await;
        let queued = guest.stats().queued;
        assert!(queued <= MOST, "{queued} bytes wait after {n}");
    }
    // What is known by its key is replaced, however full it is.
    let oldest = number(&stage.message(&connection).await);
    assert_eq!(oldest, 0);
}

async fn r47_a_reader_that_makes_no_progress_is_cut_and_may_come_back(stage: Stage) {
    let server = stage.server().retention(RETENTION).queue(10_000).stalled_after(20 * SECOND);
    let client = stage.client().window(10_000);
    let Pair { server, connection, guest } = stage.pair_of(server, client).await;
    let (journal, at_server) = (Journal::of_losses(&connection), Journal::of_losses(&guest));
    let mut sent = 0;
    while server.emit(numbered(sent)).unwrap().sent == 1 {
        sent += 1;
        stage.sleep(SECOND / 100).await;
    }
    stage.reads(&at_server, "error Peer slow_consumer").await;
    stage.reads(&journal, "recovered").await;
    for n in 0..sent {
        assert_eq!(number(&stage.message(&connection).await), n);
    }
    stage.reads(&journal, &format!("gap {sent}..{}", sent + 1)).await;
}

async fn r47_a_reader_that_makes_progress_is_not_cut(stage: Stage) {
    let server = stage.server().retention(RETENTION).queue(50_000).stalled_after(A_MINUTE);
    let client = stage.client().window(10_000);
    let Pair { server, connection, guest } = stage.pair_of(server, client).await;
    let at_server = Journal::of_losses(&guest);
    let mut sent = 0;
    while server.emit(numbered(sent)).unwrap().sent == 1 {
        sent += 1;
        stage.sleep(SECOND / 100).await;
    }
    // It takes longer than the limit in all, and never that long for one.
    assert!(sent > 40, "{sent}");
    for n in 0..sent {
        assert_eq!(number(&stage.message(&connection).await), n);
        stage.sleep(2 * SECOND).await;
    }
    assert_eq!(at_server.words(), Vec::<String>::new());
}

async fn r47_a_direct_send_waits_and_loses_nothing(stage: Stage) {
    let Pair { connection, guest, .. } = small(&stage).await;
    let sender = guest.clone();
    stage.spawn(async move {
        for n in 0..100 {
            sender.send(numbered(n)).await.unwrap();
        }
    });
    stage.sleep(A_MINUTE / 4).await;
    for n in 0..100 {
        assert_eq!(number(&stage.message(&connection).await), n);
    }
    assert_eq!(guest.stats().counts.lost, 0);
}
