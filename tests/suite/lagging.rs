//! A reader that is too slow is told, and never silently (R22).

use futures_util::StreamExt;
use moorline::{Event, Handle};

use crate::stage::{A_MINUTE, Journal, Pair, Stage};

behaviours![
    r22_a_slow_event_stream_is_told_what_it_missed_and_keeps_the_newest,
    r22_an_event_stream_is_bounded_in_bytes,
    r22_the_message_stream_never_lags,
    r22_several_streams_each_get_everything,
];

/// Sends that many numbers, waiting as the peer's window asks for.
fn count_up(stage: &Stage, guest: &moorline::ServerConnection, count: usize) {
    let guest = guest.clone();
    stage.spawn(async move {
        for n in 0..count {
            guest.send(n.to_string()).await.unwrap();
        }
    });
}

/// Reads until the message `last`: how many were missed, and which were read.
async fn read(stage: &Stage, events: &mut moorline::Events, last: usize) -> (u64, Vec<usize>) {
    let (mut lagged, mut numbers) = (0, Vec::new());
    while numbers.last() != Some(&last) {
        match stage.within("an event", events.next()).await.unwrap() {
            Event::Lagged(count) => {
                assert!(numbers.is_empty(), "it stands in the place of what was missed");
                lagged += count;
            }
            Event::Message(message) => numbers.push(message.to_string().parse().unwrap()),
            _ => {}
        }
    }
    (lagged, numbers)
}

async fn r22_a_slow_event_stream_is_told_what_it_missed_and_keeps_the_newest(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let mut events = connection.events();
    let journal = Journal::of(&connection);
    count_up(&stage, &guest, 5_000);
    stage.reads(&journal, "message 4999").await;
    let (lagged, numbers) = read(&stage, &mut events, 4_999).await;
    assert_eq!(numbers.len(), 1_024);
    assert_eq!(lagged as usize + numbers.len(), 5_000);
    assert_eq!(numbers, (3_976..5_000).collect::<Vec<_>>());
}

async fn r22_an_event_stream_is_bounded_in_bytes(stage: Stage) {
    let client = stage.client().window(10_000);
    let Pair { connection, guest, .. } = stage.pair_of(stage.server(), client).await;
    let mut events = connection.events();
    let mut brisk = connection.events();
    for _ in 0..50 {
        guest.send(vec![0; 1_000]).await.unwrap();
        let next = stage.within("it comes", brisk.next()).await;
        assert!(matches!(next, Some(Event::Message(_))));
    }
    let first = stage.within("the oldest are missed", events.next()).await;
    assert!(matches!(first, Some(Event::Lagged(40))), "{first:?}");
}

async fn r22_the_message_stream_never_lags(stage: Stage) {
    let client = stage.client().window(4_096);
    let Pair { connection, guest, .. } = stage.pair_of(stage.server(), client).await;
    let mut messages = connection.messages();
    count_up(&stage, &guest, 3_000);
    let first = stage.within("a message", messages.next()).await.unwrap();
    assert_eq!(first.text(), Some("0"));
    // Nobody reads for longer than anything is kept for listeners.
    stage.sleep(A_MINUTE).await;
    for n in 1..3_000 {
        let message = stage.within("a message", messages.next()).await.unwrap();
        assert_eq!(message.to_string(), n.to_string());
    }
}

async fn r22_several_streams_each_get_everything(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let handle: &Handle = &connection;
    let mut streams = [handle.events(), handle.events(), handle.events()];
    count_up(&stage, &guest, 100);
    for events in &mut streams {
        assert_eq!(read(&stage, events, 99).await, (0, (0..100).collect()));
    }
}
