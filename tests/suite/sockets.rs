//! What only real sockets do: hold megabytes between two ends, bring a frame byte by byte, end in one direction.

use moorline::{Direction, Raw, Reason};
use moorline_core::TransportErrorKind;

use crate::stage::pairs::Sockets;
use crate::stage::{A_MINUTE, Journal, Pair, SECOND, Stage};

on_sockets![
    raw_stops_reading_when_nobody_takes_and_loses_nothing_of_many_megabytes,
    a_link_that_comes_byte_by_byte_works,
    a_slow_link_works,
    a_link_that_ends_in_either_direction_is_lost_and_comes_back,
    a_handshake_that_is_swallowed_is_given_up_and_made_again,
    a_server_that_answers_503_is_tried_again,
];

/// Larger than most pieces that anything reads or writes at once.
const LARGE: usize = 64 * 1024;

/// Five times what the buffers of two sockets, the proxy and both ends hold at most here.
const MANY: usize = 1_000;

async fn raw_stops_reading_when_nobody_takes_and_loses_nothing_of_many_megabytes(stage: Sockets) {
    // The sender's pings wait behind what is not read, and reading all of it takes a busy machine longer than a heartbeat.
    let patient = || stage.heartbeat(60 * A_MINUTE, 60 * A_MINUTE);
    let server = stage.server().codec(Raw).queue(LARGE).heartbeat(patient());
    let client = stage.client().codec(Raw).window(LARGE).heartbeat(patient());
    let Pair { connection, guest, .. } = stage.pair_of(server, client).await;
    let sender = guest.clone();
    stage.spawn(async move {
        for n in 0..MANY {
            sender.send(payload(n)).await.unwrap();
        }
    });
    assert_eq!(*stage.message(&connection).await.bytes(), payload(0));
    stage.until("nothing more fits between the two", || guest.queued() > 0).await;
    stage.sleep(5 * SECOND).await;
    assert!(guest.queued() > 0, "it still waits");
    for n in 1..MANY {
        assert_eq!(*stage.message(&connection).await.bytes(), payload(n));
    }
}

/// The number in every byte's place.
fn payload(n: usize) -> Vec<u8> {
    (n as u64).to_be_bytes().repeat(LARGE / 8)
}

async fn a_link_that_comes_byte_by_byte_works(stage: Sockets) {
    stage.proxy.one_byte();
    echoes(&stage, 300).await;
}

async fn a_slow_link_works(stage: Sockets) {
    stage.proxy.slow(20_000);
    echoes(&stage, 3_000).await;
}

/// A connection, a few echoes, and its end.
async fn echoes(stage: &Stage, size: usize) {
    let _server = stage.echo().await;
    let connection = stage.client().connect().await;
    for n in 0..3 {
        connection.send(payload(n)[..size].to_vec()).await.unwrap();
        assert_eq!(*stage.message(&connection).await.bytes(), payload(n)[..size]);
    }
}

async fn a_link_that_ends_in_either_direction_is_lost_and_comes_back(stage: Sockets) {
    let Pair { server, connection, .. } = stage.pair().await;
    for direction in [Direction::ToServer, Direction::ToClient] {
        let journal = Journal::of(&connection);
        stage.proxy.half_close(direction);
        stage.reads(&journal, &format!("disconnect {:?}", Reason::TransportClose)).await;
        stage.reads(&journal, "reconnect 1").await;
        stage.until("the server has one", || server.count() == 1 && stage.links() == 1).await;
    }
}

async fn a_handshake_that_is_swallowed_is_given_up_and_made_again(stage: Sockets) {
    let _server = stage.server().run().await;
    stage.proxy.blackhole();
    let connection = stage.client().build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    stage.reads(&journal, "error Connect timed_out").await;
    stage.heal();
    stage.within("it opens", connection.opened()).await.unwrap();
}

async fn a_server_that_answers_503_is_tried_again(stage: Sockets) {
    let _server = stage.server().run().await;
    stage.refuse(TransportErrorKind::Unavailable);
    let connection = stage.client().build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    stage.reads(&journal, "error Connect unavailable").await;
    stage.heal();
    stage.within("it opens", connection.opened()).await.unwrap();
}
