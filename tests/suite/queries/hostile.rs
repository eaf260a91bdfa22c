//! Peers that ask what no client of moorline's would.

use moorline::Connection;
use moorline::query::QueryOptions;
use moorline_core::Frame;
use moorline_core::wire::{
    Answer, AnswerBody, Ask, Asked, Binary, Codec, ErrorPacket, Packet, Query,
};

use super::data::{Table, View, errors, watch, watch_as};
use crate::stage::stranger::{Heard, Stranger};
use crate::stage::{A_MINUTE, Stage};

behaviours![
    r42_ends_of_what_was_never_asked_are_nothing,
    r42_a_query_a_frame_costs_nobody_else_anything,
    r42_asks_and_ends_by_turns_leave_nothing,
    r42_a_query_of_a_megabyte_is_a_bad_packet,
    r42_an_ask_for_nothing_ends_it,
    r40_what_a_client_does_not_know_of_is_ended,
    r40_a_bomb_is_an_error_and_ends_its_query,
    r40_answers_to_nothing_are_nothing,
    r41_an_error_of_no_query_goes_to_the_global_listener_alone,
];

pub(super) fn asked(query: &str) -> Asked {
    Asked { query: query.to_owned(), compress: false }
}

pub(super) fn ask(query: &str, (retrieve, subscribe): (bool, bool)) -> Packet {
    let ask = vec![Ask { asked: asked(query), retrieve, subscribe }];
    Packet::Query(Box::new(Query { ask, end: Vec::new() }))
}

fn end(query: &str) -> Packet {
    Packet::Query(Box::new(Query { ask: Vec::new(), end: vec![asked(query)] }))
}

fn answer(id: Option<u64>, query: Option<&str>, body: AnswerBody) -> Packet {
    Packet::Answer(Box::new(Answer { id, asked: query.map(asked), body }))
}

/// Names a query.
pub(super) fn named(id: u64, query: &str) -> Packet {
    answer(Some(id), Some(query), AnswerBody::Named)
}

/// Rows of the query of that name, or changes.
pub(super) fn rows(id: u64, retrieve: bool, rows: &'static str) -> Packet {
    let body = AnswerBody::Rows { retrieve, count: 1, rows: rows.into(), packed: false };
    answer(Some(id), None, body)
}

/// What a stranger hears of a query; acknowledges it.
async fn hears(stranger: &mut Stranger, count: &mut u64) -> Answer {
    loop {
        match stranger.hear().await {
            Heard::Packet(Packet::Answer(answer)) => {
                *count += 1;
                stranger.acknowledge(*count).await;
                return *answer;
            }
            Heard::Packet(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn still_answers(stage: &Stage, table: &Table) {
    let connection = stage.client().connect().await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    stage.sees(&view, table).await;
}

async fn r42_ends_of_what_was_never_asked_are_nothing(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let _server = stage.server().queries(table.clone()).run().await;
    let (mut stranger, mut count) = (stage.stranger().await, 0);
    stranger.greet(1 << 18).await;
    for _ in 0..100 {
        stranger.say(&end("numbers")).await;
        stranger.say(&end("nothing")).await;
    }
    stranger.say(&ask("numbers", (true, false))).await;
    let named = hears(&mut stranger, &mut count).await;
    assert_eq!((named.asked, named.body), (Some(asked("numbers")), AnswerBody::Named));
    let rows = hears(&mut stranger, &mut count).await;
    assert_eq!((rows.id, rows.asked), (named.id, None));
    stranger.say(&end("numbers")).await;
    still_answers(&stage, &table).await;
}

async fn r42_a_query_a_frame_costs_nobody_else_anything(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone()).run().await;
    let mut stranger = stage.stranger().await;
    stranger.greet(1 << 18).await;
    for n in 0..500 {
        stranger.say(&ask(&format!("numbers from {n}"), (true, true))).await;
    }
    stage.until("it has what it may", || server.queries().subscribers == 100).await;
    still_answers(&stage, &table).await;
    assert!(table.most_prepared_at_once() <= 9, "{}", table.most_prepared_at_once());
    drop(stranger);
    stage.until("it is over", || server.queries() == Default::default()).await;
    stage.until("the engine drops them", || table.live() == 0).await;
}

async fn r42_asks_and_ends_by_turns_leave_nothing(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone()).run().await;
    let mut stranger = stage.stranger().await;
    stranger.greet(1 << 18).await;
    let kinds = ["numbers", "never", "never prepare", "nonsense", "panics", "numbers from 3"];
    for n in 0..600 {
        let query = kinds[n % kinds.len()];
        stranger.say(&ask(query, (n % 2 == 0, n % 3 == 0))).await;
        if n % 7 != 0 {
            stranger.say(&end(query)).await;
        }
    }
    still_answers(&stage, &table).await;
    for query in kinds {
        stranger.say(&end(query)).await;
    }
    stage.until("nothing is left", || server.queries() == Default::default()).await;
    stage.until("the engine drops them", || table.live() == 0).await;
}

async fn r42_a_query_of_a_megabyte_is_a_bad_packet(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let _server = stage.server().queries(table.clone()).run().await;
    let mut stranger = stage.stranger().await;
    stranger.greet(1 << 18).await;
    let Frame::Binary(frame) = Binary.encode(ask("QUERY", (true, true))).unwrap() else { panic!() };
    let at = frame.windows(5).position(|part| part == b"QUERY").unwrap();
    let frame = [&frame[..at], &[b'x'; 1_000_000], &frame[at + 5..]].concat();
    stranger.send(Frame::binary(frame)).await;
    let farewell = stranger.farewell().await;
    assert!(farewell.error.is_some(), "{farewell:?}");
    assert_eq!(table.prepares(), 0);
    still_answers(&stage, &table).await;
}

async fn r42_an_ask_for_nothing_ends_it(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone()).run().await;
    let (mut stranger, mut count) = (stage.stranger().await, 0);
    stranger.greet(1 << 18).await;
    stranger.say(&ask("numbers", (false, false))).await;
    stranger.say(&ask("numbers", (true, true))).await;
    let named = hears(&mut stranger, &mut count).await;
    hears(&mut stranger, &mut count).await;
    // For what it has already it gets its id and rows again.
    stranger.say(&ask("numbers", (true, true))).await;
    assert_eq!(hears(&mut stranger, &mut count).await, named);
    let rows = hears(&mut stranger, &mut count).await;
    assert!(matches!(rows.body, AnswerBody::Rows { retrieve: true, .. }), "{rows:?}");
    assert_eq!(server.queries().subscribers, 1);
    stranger.say(&ask("numbers", (false, false))).await;
    stage.until("it is over", || server.queries() == Default::default()).await;
    assert_eq!(table.evaluations(), 1);
}

/// A client, and a server that speaks by hand.
pub(super) async fn by_hand(stage: &Stage) -> (Connection, Stranger) {
    let mut host = stage.host().await;
    // Without tests' optimizations a bomb takes longer than a heartbeat.
    let heartbeat = stage.heartbeat(100 * A_MINUTE, 100 * A_MINUTE);
    let connection = stage.client().heartbeat(heartbeat).start();
    let mut server = host.accept().await;
    server.welcome().await;
    stage.until("it is open", || connection.is_connected()).await;
    (connection, server)
}

pub(super) async fn heard(server: &mut Stranger) -> Query {
    loop {
        match server.hear().await {
            Heard::Packet(Packet::Query(query)) => return *query,
            Heard::Packet(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn r40_what_a_client_does_not_know_of_is_ended(stage: Stage) {
    let (connection, mut server) = by_hand(&stage).await;
    server.say(&answer(Some(1), Some("forgotten"), AnswerBody::Named)).await;
    assert_eq!(heard(&mut server).await, Query { ask: Vec::new(), end: vec![asked("forgotten")] });
    assert!(connection.is_connected());
}

async fn r40_a_bomb_is_an_error_and_ends_its_query(stage: Stage) {
    let (connection, mut server) = by_hand(&stage).await;
    let failures = errors(&connection);
    let set = connection.query_set();
    let view = watch_as(&set, "numbers", QueryOptions::default().compress(true));
    let asked = heard(&mut server).await.ask[0].asked.clone();
    assert!(asked.compress);
    let named = Answer { id: Some(1), asked: Some(asked.clone()), body: AnswerBody::Named };
    server.say(&Packet::Answer(Box::new(named))).await;
    let rows = bomb(17 << 20).into();
    let body = AnswerBody::Rows { retrieve: true, count: 1, rows, packed: true };
    server.say(&answer(Some(1), None, body)).await;
    stage.reads(&view.journal, "error query_too_large").await;
    stage.reads(&failures, "numbers: query_too_large").await;
    assert_eq!(heard(&mut server).await.end, [asked]);
    assert!(set.queries().is_empty() && connection.is_connected());
}

fn bomb(size: usize) -> Vec<u8> {
    use std::io::Write;

    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&vec![b' '; size]).unwrap();
    packer.finish().unwrap()
}

async fn r40_answers_to_nothing_are_nothing(stage: Stage) {
    let (connection, mut server) = by_hand(&stage).await;
    let failures = errors(&connection);
    let rows = || AnswerBody::Rows { retrieve: false, count: 1, rows: "[1]".into(), packed: false };
    let error = || AnswerBody::Failed(ErrorPacket::new("disk_on_fire", ""));
    for packet in [
        answer(Some(9), None, rows()),
        answer(None, Some("nothing"), rows()),
        answer(Some(9), None, error()),
        answer(None, Some("nothing"), error()),
    ] {
        server.say(&packet).await;
    }
    let set = connection.query_set();
    let view = View::default();
    set.subscribe("numbers", view.ear(), view.errors(), Default::default());
    let Packet::Query(nothing_else) = ask("numbers", (false, true)) else { unreachable!() };
    assert_eq!(heard(&mut server).await, *nothing_else);
    server.say(&answer(None, Some("numbers"), error())).await;
    stage.reads(&failures, "numbers: disk_on_fire").await;
    assert_eq!((failures.words().len(), view.journal.words().len()), (1, 1));
    connection.send("and nothing else").await.unwrap();
    let next = loop {
        match server.hear().await {
            Heard::Packet(Packet::Ack(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(next, Heard::Packet(Packet::Message(_))), "{next:?}");
}

async fn r41_an_error_of_no_query_goes_to_the_global_listener_alone(stage: Stage) {
    let (connection, mut server) = by_hand(&stage).await;
    let failures = errors(&connection);
    let set = connection.query_set();
    let view = View::default();
    set.subscribe("numbers", view.ear(), view.errors(), Default::default());
    assert_eq!(heard(&mut server).await.ask.len(), 1);
    let error = ErrorPacket::new("disk_on_fire", "");
    server.say(&answer(None, None, AnswerBody::Failed(error))).await;
    stage.reads(&failures, ": disk_on_fire").await;
    assert_eq!((view.journal.words().len(), set.queries().len()), (0, 1));
}
