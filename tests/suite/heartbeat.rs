//! Whether the other end is alive (R44).

use futures_util::future::join;
use moorline::{Class, Heartbeat, Message, PingError, Reason};
use moorline_core::wire::Packet;
use moorline_memory::Direction;

use crate::stage::stranger::Heard;
use crate::stage::{A_WHILE, Journal, Pair, SECOND, Stage, Virtual};

behaviours![
    r44_a_client_notices_that_it_hears_nothing_any_more,
    r44_a_server_notices_that_it_hears_nothing_any_more,
    r44_a_partition_is_noticed_at_both_ends_and_survived,
    r44_a_short_partition_goes_unnoticed_and_loses_nothing,
    r44_a_ping_by_hand_measures_the_round_trip,
    r44_a_ping_by_hand_without_a_connection_fails,
    r44_a_ping_by_hand_that_is_lost_fails_with_the_connection,
];

in_virtual_time![
    r44_any_frame_is_a_sign_of_life,
    r44_an_idle_client_asks_after_25_to_29_seconds,
    r44_a_dead_peer_is_noticed_within_two_intervals,
    r44_an_idle_connection_lives_for_hours,
    r44_switched_off_it_waits_for_ever,
    r44_pings_by_hand_that_overlap_share_one,
];

async fn r44_a_client_notices_that_it_hears_nothing_any_more(stage: Stage) {
    let Pair { connection, .. } = stage.pair().await;
    let journal = Journal::of(&connection);
    stage.half_open(Direction::ToClient);
    stage.reads(&journal, "disconnect PingTimeout").await;
    stage.reads(&journal, "reconnect 1").await;
}

async fn r44_a_server_notices_that_it_hears_nothing_any_more(stage: Stage) {
    let Pair { server, connection, guest } = stage.pair().await;
    let journal = Journal::of(&guest);
    stage.half_open(Direction::ToServer);
    stage.reads(&journal, "disconnect PingTimeout").await;
    stage.until("the client is back", || server.count() == 1 && connection.is_connected()).await;
    assert_ne!(connection.id(), Some(guest.id()));
}

async fn r44_a_partition_is_noticed_at_both_ends_and_survived(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let (here, there) = (Journal::of(&connection), Journal::of(&guest));
    stage.partition();
    stage.reads(&here, "disconnect PingTimeout").await;
    stage.reads(&there, "disconnect PingTimeout").await;
    stage.heal();
    stage.within("it is back", connection.opened()).await.unwrap();
}

async fn r44_a_short_partition_goes_unnoticed_and_loses_nothing(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let (here, there) = (Journal::of(&connection), Journal::of(&guest));
    stage.partition();
    for n in 0..10 {
        connection.send(format!("up {n}")).await.unwrap();
        guest.send(format!("down {n}")).await.unwrap();
        stage.sleep(SECOND).await;
    }
    stage.heal();
    stage.reads(&here, "message down 9").await;
    stage.reads(&there, "message up 9").await;
    stage.sleep(A_WHILE).await;
    assert_eq!(here.words(), (0..10).map(|n| format!("message down {n}")).collect::<Vec<_>>());
    assert_eq!(there.words(), (0..10).map(|n| format!("message up {n}")).collect::<Vec<_>>());
}

async fn r44_a_ping_by_hand_measures_the_round_trip(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    for handle in [&*connection as &moorline::Handle, &guest] {
        let before = stage.now();
        let time = stage.within("a pong comes", handle.ping()).await.unwrap();
        assert!(time <= stage.now().since(before));
    }
}

async fn r44_a_ping_by_hand_without_a_connection_fails(stage: Stage) {
    let connection = stage.client().start();
    assert_eq!(connection.ping().await, Err(PingError::NoAnswer));
}

async fn r44_a_ping_by_hand_that_is_lost_fails_with_the_connection(stage: Stage) {
    let Pair { connection, .. } = stage.pair().await;
    stage.partition();
    let mut ping = Box::pin(connection.ping());
    assert!(stage.waits(&mut ping).await);
    stage.cut();
    assert_eq!(stage.within("it fails", ping).await, Err(PingError::NoAnswer));
}

async fn r44_any_frame_is_a_sign_of_life(stage: Virtual) {
    let mut host = stage.host().await;
    let connection = stage.client().reconnect(false).build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    let mut link = host.accept().await;
    link.welcome().await;
    // A server that answers no ping, and says something else.
    for n in 0..100 {
        stage.sleep(20 * SECOND).await;
        link.say(&Packet::Message(Message::from(n.to_string()).class(Class::AtMostOnce))).await;
    }
    stage.reads(&journal, "message 99").await;
    assert!(connection.is_connected());
    let silent = stage.now();
    stage.reads(&journal, "disconnect PingTimeout").await;
    assert!(stage.since(silent) <= 50 * SECOND, "{:?}", stage.since(silent));
}

async fn r44_an_idle_client_asks_after_25_to_29_seconds(stage: Virtual) {
    let mut host = stage.host().await;
    let connection = stage.client().start();
    let mut link = host.accept().await;
    link.welcome().await;
    let mut since = stage.now();
    for _ in 0..10 {
        let heard = link.hear().await;
        let Heard::Packet(Packet::Ping(number)) = heard else { panic!("{heard:?}") };
        // The network takes up to 50 ms each way.
        let waited = stage.since(since);
        assert!((25 * SECOND..30 * SECOND).contains(&waited), "{waited:?}");
        since = stage.now();
        link.say(&Packet::Pong(number)).await;
    }
    assert!(connection.is_connected());
}

async fn r44_a_dead_peer_is_noticed_within_two_intervals(stage: Virtual) {
    let interval = 10 * SECOND;
    let heartbeat = Heartbeat::every(interval);
    let server = stage.server().heartbeat(heartbeat.clone());
    let client = stage.client().heartbeat(heartbeat).reconnect(false);
    let Pair { connection, guest, .. } = stage.pair_of(server, client).await;
    // Somewhere inside an interval.
    stage.sleep(stage.sim.seed() as u32 * SECOND).await;
    let noticed = Journal::default();
    for end in [&*connection as &moorline::Handle, &guest] {
        let (pen, sim) = (noticed.clone(), stage.sim.clone());
        let silent = sim.now();
        end.on_disconnect(move |end| {
            assert_eq!(end.reason, Reason::PingTimeout);
            assert!(sim.now().since(silent) <= 2 * interval);
            pen.write("noticed");
        });
    }
    stage.partition();
    stage.until("both have noticed", || noticed.count("noticed") == 2).await;
}

async fn r44_an_idle_connection_lives_for_hours(stage: Virtual) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let journal = Journal::of(&connection);
    stage.sleep(5 * 3600 * SECOND).await;
    assert_eq!(journal.words(), [""; 0]);
    assert!(guest.is_alive());
}

async fn r44_switched_off_it_waits_for_ever(stage: Virtual) {
    let server = stage.server().heartbeat(Heartbeat::off());
    let client = stage.client().heartbeat(Heartbeat::off());
    let Pair { connection, guest, .. } = stage.pair_of(server, client).await;
    stage.partition();
    stage.sleep(3600 * SECOND).await;
    guest.send("still there").await.unwrap();
    stage.heal();
    assert_eq!(stage.texts(&connection, 1).await, ["still there"]);
}

async fn r44_pings_by_hand_that_overlap_share_one(stage: Virtual) {
    let Pair { connection, .. } = stage.pair().await;
    let both = join(connection.ping(), connection.ping());
    let (one, two) = stage.within("a pong comes", both).await;
    assert_eq!(one.unwrap(), two.unwrap());
}
