//! What crosses on the way: asks that are taken back and asked again, names that change, rows that come twice. The server speaks
//! by hand.

use moorline::query::QuerySet;
use moorline_core::wire::{Ask, Packet, Query};

use super::data::{View, watch};
use super::hostile::{ask, asked, by_hand, heard, named, rows};
use crate::stage::Stage;
use crate::stage::stranger::Heard;

behaviours![
    r38_rows_of_an_ask_that_was_taken_back_are_not_the_last,
    r38_rows_of_an_ask_before_a_gap_are_not_the_last,
    r38_rows_that_nobody_waits_for_are_nothing,
    r38_changes_before_the_rows_are_in_the_rows,
    r40_a_name_is_for_one_query_at_a_time,
    r40_what_another_set_asks_already_is_not_asked_again,
];

async fn r38_rows_of_an_ask_that_was_taken_back_are_not_the_last(stage: Stage) {
    let (connection, mut server) = by_hand(&stage).await;
    let set = connection.query_set();
    let _given_up = watch(&set, "numbers");
    assert_eq!(heard(&mut server).await.ask.len(), 1);
    assert!(set.unsubscribe("numbers"));
    assert_eq!(heard(&mut server).await.end, [asked("numbers")]);
    let view = watch(&set, "numbers");
    assert_eq!(heard(&mut server).await.ask.len(), 1);
    // Both asks are answered, as they were on the way before the server knew.
    server.say(&named(1, "numbers")).await;
    server.say(&rows(1, true, "[[1,10]]")).await;
    server.say(&rows(1, true, "[[2,20]]")).await;
    stage.until("the last rows are told", || view.rows() == Some([(2, 20)].into())).await;
}

async fn r38_rows_of_an_ask_before_a_gap_are_not_the_last(stage: Stage) {
    let (connection, mut server) = by_hand(&stage).await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    assert_eq!(heard(&mut server).await.ask.len(), 1);
    server.say(&Packet::Gap(1)).await;
    assert_eq!(heard(&mut server).await.ask.len(), 1);
    server.say(&named(1, "numbers")).await;
    server.say(&rows(1, true, "[[1,10]]")).await;
    server.say(&rows(1, true, "[[2,20]]")).await;
    stage.until("the last rows are told", || view.rows() == Some([(2, 20)].into())).await;
}

async fn r38_rows_that_nobody_waits_for_are_nothing(stage: Stage) {
    let (connection, mut server) = by_hand(&stage).await;
    let set = connection.query_set();
    let first = watch(&set, "numbers");
    assert_eq!(heard(&mut server).await.ask.len(), 1);
    server.say(&named(1, "numbers")).await;
    server.say(&rows(1, true, "[[1,10]]")).await;
    stage.reads(&first.journal, "rows").await;
    server.say(&Packet::Gap(1)).await;
    assert_eq!(heard(&mut server).await.ask.len(), 1);
    server.say(&named(1, "numbers")).await;
    server.say(&rows(1, true, "[[2,20]]")).await;
    server.say(&rows(1, true, "[[3,30]]")).await;
    server.say(&rows(1, false, "[[4,40]]")).await;
    stage.reads(&first.journal, "changes").await;
    assert_eq!(first.journal.take(), ["rows", "rows", "changes"]);
    // The same for what was asked, answered and ended before.
    assert!(set.unsubscribe("numbers"));
    assert_eq!(heard(&mut server).await.end, [asked("numbers")]);
    let second = watch(&set, "numbers");
    assert_eq!(heard(&mut server).await.ask.len(), 1);
    server.say(&named(2, "numbers")).await;
    server.say(&rows(2, true, "[[1,10]]")).await;
    server.say(&rows(2, true, "[[2,20]]")).await;
    server.say(&rows(2, false, "[[3,30]]")).await;
    stage.reads(&second.journal, "changes").await;
    assert_eq!(second.journal.words(), ["rows", "changes"]);
    assert!(first.journal.words().is_empty());
}

async fn r38_changes_before_the_rows_are_in_the_rows(stage: Stage) {
    let (connection, mut server) = by_hand(&stage).await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    assert_eq!(heard(&mut server).await.ask.len(), 1);
    server.say(&named(1, "numbers")).await;
    server.say(&rows(1, false, "[[1,10]]")).await;
    server.say(&rows(1, true, "[[1,10]]")).await;
    server.say(&rows(1, false, "[[2,20]]")).await;
    stage.reads(&view.journal, "changes").await;
    assert_eq!(view.journal.words(), ["rows", "changes"]);
}

async fn r40_a_name_is_for_one_query_at_a_time(stage: Stage) {
    let (connection, mut server) = by_hand(&stage).await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    assert_eq!(heard(&mut server).await.ask.len(), 1);
    server.say(&named(1, "numbers")).await;
    server.say(&named(2, "numbers")).await;
    server.say(&rows(1, true, "[[1,10]]")).await;
    server.say(&rows(2, true, "[[2,20]]")).await;
    stage.reads(&view.journal, "rows").await;
    assert_eq!(view.rows(), Some([(2, 20)].into()));
}

async fn r40_what_another_set_asks_already_is_not_asked_again(stage: Stage) {
    let (connection, mut server) = by_hand(&stage).await;
    let sets = [connection.query_set(), connection.query_set()];
    let view = View::default();
    let subscribe = |set: &QuerySet| {
        set.subscribe("numbers", view.ear(), view.errors(), Default::default());
    };
    subscribe(&sets[0]);
    let Packet::Query(once) = ask("numbers", (false, true)) else { unreachable!() };
    assert_eq!(heard(&mut server).await, *once);
    subscribe(&sets[1]);
    connection.send("behind it").await.unwrap();
    let next = server.hear().await;
    assert!(matches!(next, Heard::Packet(Packet::Message(_))), "{next:?}");
    // Rows are asked for by whoever wants them.
    sets[1].retrieve("numbers", view.ear(), view.errors(), Default::default());
    let again = Ask { asked: asked("numbers"), retrieve: true, subscribe: true };
    assert_eq!(heard(&mut server).await, Query { ask: vec![again], end: Vec::new() });
}
