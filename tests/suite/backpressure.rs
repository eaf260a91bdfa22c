//! A peer that stops reading makes the other end wait, within bounds, and is not taken for dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use moorline::{Buffer, Class, Handle, Message, Overflow, SendError, ServerConnection};

use crate::stage::{A_MINUTE, Journal, Pair, RETENTION, SECOND, Stage};

behaviours![
    a_stopped_reader_makes_the_sender_wait_within_bounds_and_loses_nothing,
    a_stopped_listener_makes_the_sender_wait_as_well,
    both_ends_may_stop_reading_at_once,
    r47_a_stalled_reader_delays_nobody_else,
    a_hook_that_waits_for_room_keeps_nobody_busy,
    try_send_says_when_there_is_no_room,
    try_send_does_not_overtake_those_who_wait,
    r46_a_volatile_message_is_dropped_where_another_would_wait,
];

const WINDOW: usize = 16 * 1024;
const QUEUE: usize = 8 * 1024;
const SIZE: usize = 1_000;
const COUNT: usize = 200;

/// A pair whose windows and queues are small.
async fn small_pair(stage: &Stage) -> Pair {
    let server = stage.server().window(WINDOW).queue(QUEUE);
    stage.pair_of(server, stage.client().window(WINDOW).queue(QUEUE)).await
}

fn payload(n: usize) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
    bytes
}

fn number(message: &Message) -> usize {
    u64::from_be_bytes(message.bytes()[..8].try_into().unwrap()) as usize
}

/// Sends [`COUNT`] payloads in a task; how many were accepted so far.
macro_rules! flood {
    ($stage:expr, $from:expr) => {{
        let (accepted, from) = (Arc::new(AtomicUsize::new(0)), $from.clone());
        let count = accepted.clone();
        $stage.spawn(async move {
            for n in 0..COUNT {
                from.send(payload(n)).await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        accepted
    }};
}

/// In virtual time a connection that polls itself over and over is a failure of its own.
async fn a_hook_that_waits_for_room_keeps_nobody_busy(stage: Stage) {
    let buffer = Buffer::default().bytes(QUEUE).overflow(Overflow::Wait);
    let server = stage.server().queue(QUEUE).retention(RETENTION).buffer(buffer).build();
    let journal = Journal::default();
    let pen = journal.clone();
    server.on_connect(async move |guest: ServerConnection| {
        for n in 0..COUNT {
            guest.send(payload(n)).await?;
        }
        pen.write("all sent");
        Ok(())
    });
    stage.run(&server).await;
    let client = stage.client().window(WINDOW);
    let connection = client.connect().await;
    assert_eq!(number(&stage.message(&connection).await), 0);
    // First its client does not read, then it is away.
    stage.sleep(5 * SECOND).await;
    stage.cut();
    stage.sleep(A_MINUTE).await;
    assert_eq!(journal.words(), [""; 0]);
    stage.heal();
    arrives(&stage, &connection, 1).await;
    stage.reads(&journal, "all sent").await;
}

/// Waits until nothing moves any more, and sees that what waits is bounded.
async fn settles(stage: &Stage, sender: &Handle, accepted: &AtomicUsize) -> usize {
    let under_way = || accepted.load(Ordering::SeqCst) * SIZE;
    stage.until("the room is used", || under_way() >= (WINDOW + QUEUE) * 3 / 4).await;
    stage.sleep(5 * SECOND).await;
    let before = accepted.load(Ordering::SeqCst);
    assert!(before * SIZE <= WINDOW + QUEUE, "{before} messages are under way");
    assert!(sender.queued() <= QUEUE, "{} bytes wait", sender.queued());
    before
}

async fn arrives(stage: &Stage, reader: &Handle, from: usize) {
    for n in from..COUNT {
        assert_eq!(number(&stage.message(reader).await), n);
    }
}

async fn a_stopped_reader_makes_the_sender_wait_within_bounds_and_loses_nothing(stage: Stage) {
    let Pair { connection, guest, .. } = small_pair(&stage).await;
    let journal = Journal::default();
    let pen = journal.clone();
    guest.on_disconnect(move |end| pen.write(end.to_string()));
    let accepted = flood!(stage, guest);
    assert_eq!(number(&stage.message(&connection).await), 0);
    // One more may go out in its place.
    stage.until("it is known", || guest.stats().counts.acknowledged == 1).await;
    let before = settles(&stage, &guest, &accepted).await;
    // Heartbeats go on behind the full window, in both directions.
    stage.sleep(A_MINUTE).await;
    assert_eq!(accepted.load(Ordering::SeqCst), before, "nothing moves");
    assert!(stage.within("a pong", guest.ping()).await.is_ok());
    assert!(stage.within("a pong", connection.ping()).await.is_ok());
    arrives(&stage, &connection, 1).await;
    assert_eq!(journal.words(), [""; 0]);
}

async fn a_stopped_listener_makes_the_sender_wait_as_well(stage: Stage) {
    let Pair { connection, guest, .. } = small_pair(&stage).await;
    let (heard, gate) = (Journal::default(), Journal::default());
    let (pen, door, clock) = (heard.clone(), gate.clone(), stage.clone());
    guest.on_message(move |message| {
        let (pen, door, clock) = (pen.clone(), door.clone(), clock.clone());
        async move {
            if number(&message) == 0 {
                clock.reads(&door, "open").await;
            }
            pen.write(number(&message).to_string());
        }
    });
    let accepted = flood!(stage, connection);
    settles(&stage, &connection, &accepted).await;
    gate.write("open");
    stage.reads(&heard, &(COUNT - 1).to_string()).await;
    assert_eq!(heard.words(), (0..COUNT).map(|n| n.to_string()).collect::<Vec<_>>());
}

async fn both_ends_may_stop_reading_at_once(stage: Stage) {
    let Pair { connection, guest, .. } = small_pair(&stage).await;
    let (up, down) = (flood!(stage, connection), flood!(stage, guest));
    assert_eq!(number(&stage.message(&connection).await), 0);
    assert_eq!(number(&stage.message(&guest).await), 0);
    settles(&stage, &connection, &up).await;
    settles(&stage, &guest, &down).await;
    arrives(&stage, &connection, 1).await;
    arrives(&stage, &guest, 1).await;
}

async fn r47_a_stalled_reader_delays_nobody_else(stage: Stage) {
    let Pair { server, connection: stalled, guest } = small_pair(&stage).await;
    let brisk = stage.client().connect().await;
    let other = stage.guest(&server, &brisk).await;
    let accepted = flood!(stage, guest);
    assert_eq!(number(&stage.message(&stalled).await), 0);
    settles(&stage, &guest, &accepted).await;
    for n in 0..100 {
        other.send(n.to_string()).await.unwrap();
        assert_eq!(stage.texts(&brisk, 1).await, [n.to_string()]);
    }
    // A broadcast passes over it, and says so.
    let emitted = server.emit(vec![0; SIZE]).unwrap();
    assert_eq!((emitted.sent, emitted.skipped), (1, 1));
    arrives(&stage, &stalled, 1).await;
}

async fn try_send_says_when_there_is_no_room(stage: Stage) {
    let Pair { connection, guest, .. } = small_pair(&stage).await;
    let mut accepted = 0;
    let full = loop {
        match guest.try_send(payload(accepted)) {
            Ok(_) => accepted += 1,
            // The driver may be about to take some of it.
            Err(full) if accepted * SIZE > WINDOW => break full,
            Err(_) => stage.sleep(SECOND).await,
        }
    };
    assert!(matches!(full, SendError::Full { limit: QUEUE, .. }), "{full:?}");
    for n in 0..accepted {
        assert_eq!(number(&stage.message(&connection).await), n);
    }
    stage.until("there is room again", || guest.try_send("more").is_ok()).await;
}

async fn try_send_does_not_overtake_those_who_wait(stage: Stage) {
    let Pair { connection, guest, .. } = small_pair(&stage).await;
    let accepted = flood!(stage, guest);
    assert_eq!(number(&stage.message(&connection).await), 0);
    settles(&stage, &guest, &accepted).await;
    // There is room for so small a message, and none for the next one in line.
    assert!(guest.queued() + 100 < QUEUE);
    assert!(matches!(guest.try_send("tiny"), Err(SendError::Full { .. })));
    arrives(&stage, &connection, 1).await;
}

async fn r46_a_volatile_message_is_dropped_where_another_would_wait(stage: Stage) {
    let Pair { connection, guest, .. } = small_pair(&stage).await;
    let volatile = |n| Message::from(payload(n)).class(Class::Volatile);
    for n in 0..COUNT {
        stage.within("it never waits for long", guest.send(volatile(n))).await.unwrap();
        stage.sleep(crate::stage::MS).await;
    }
    guest.send("the end").await.unwrap();
    let mut numbers = Vec::new();
    loop {
        let message = stage.message(&connection).await;
        if message.text() == Some("the end") {
            break;
        }
        numbers.push(number(&message));
    }
    let expected: Vec<_> = (0..numbers.len()).collect();
    assert_eq!(numbers, expected, "the first ones, which found room, in order");
    assert!((8..COUNT / 2).contains(&numbers.len()), "{} arrived", numbers.len());
}
