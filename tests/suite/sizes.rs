//! Messages that are too large, and those that just are not.

use moorline::{Handle, SendError};

use crate::stage::{Journal, Pair, Stage};

behaviours![
    r33_a_message_that_is_too_large_is_refused_with_both_sizes,
    the_largest_message_that_fits_arrives,
    a_message_larger_than_window_and_queue_arrives,
];

const LIMIT: usize = 10_000;

async fn r33_a_message_that_is_too_large_is_refused_with_both_sizes(stage: Stage) {
    let server = stage.server().max_frame(LIMIT);
    let client = stage.client().max_frame(LIMIT * 2);
    let Pair { connection, guest, .. } = stage.pair_of(server, client).await;
    let journal = Journal::of(&connection);
    // Each end's limit is the other's to keep.
    refuses(&connection, LIMIT).await;
    refuses(&guest, LIMIT * 2).await;
    connection.send("up").await.unwrap();
    guest.send("down").await.unwrap();
    assert_eq!(stage.texts(&guest, 1).await, ["up"]);
    stage.reads(&journal, "message down").await;
    assert_eq!(journal.words(), ["message down"], "nothing else is disturbed");
}

async fn refuses(sender: &Handle, expected: usize) {
    for sent in [sender.send(vec![0; expected]).await, sender.try_send(vec![0; expected])] {
        let error = sent.unwrap_err();
        let text = error.to_string();
        let SendError::TooLarge { size, limit } = error else { panic!("{error:?}") };
        assert_eq!(limit, expected);
        assert!(size > expected, "the envelope counts too: {size}");
        assert!(text.contains(&size.to_string()) && text.contains(&limit.to_string()), "{text}");
    }
}

async fn the_largest_message_that_fits_arrives(stage: Stage) {
    let server = stage.server().max_frame(LIMIT);
    let Pair { connection, guest, .. } = stage.pair_of(server, stage.client()).await;
    let Err(SendError::TooLarge { size, .. }) = connection.send(vec![0; LIMIT]).await else {
        panic!("it is too large by its envelope");
    };
    let largest = LIMIT - (size - LIMIT);
    connection.send(vec![7; largest]).await.unwrap();
    assert_eq!(stage.message(&guest).await.bytes(), &vec![7; largest]);
    assert!(connection.send(vec![7; largest + 1]).await.is_err());
}

async fn a_message_larger_than_window_and_queue_arrives(stage: Stage) {
    let server = stage.server().window(1_000);
    let client = stage.client().queue(1_000);
    let Pair { connection, guest, .. } = stage.pair_of(server, client).await;
    for n in 1..4 {
        let sent = connection.send(vec![n; 1 << 20]);
        stage.within("it is accepted", sent).await.unwrap();
        assert_eq!(stage.message(&guest).await.bytes(), &vec![n; 1 << 20]);
    }
}
