//! Sets and batches (R38, R39).

use moorline::Message;
use moorline_core::wire::Packet;

use super::data::{Table, View, errors, watch};
use crate::stage::stranger::Heard;
use crate::stage::{Journal, Pair, Stage};

behaviours![
    r38_rows_come_first_and_then_their_changes,
    r38_a_result_says_what_it_is,
    r38_retrieve_gives_rows_once_and_removes_itself,
    r38_subscribe_hears_changes_alone,
    r38_unsubscribe_ends_it_at_both_ends,
    r38_unsubscribe_all_ends_this_set_alone,
    r38_a_set_that_is_dropped_ends_its_queries,
    r38_a_retrieve_after_an_end_in_one_batch_leaves_nothing_subscribed,
    r39_a_batch_is_one_frame,
    r39_a_batch_that_is_too_much_for_one_frame_comes_in_several,
    r39_a_batch_that_the_server_would_not_take_in_one_frame_comes_in_several,
];

async fn pair(stage: &Stage, table: &Table) -> Pair {
    stage.pair_of(stage.server().queries(table.clone()), stage.client()).await
}

async fn r38_rows_come_first_and_then_their_changes(stage: Stage) {
    let table = Table::of(&[(1, 10), (2, 20)]);
    let Pair { connection, .. } = pair(&stage, &table).await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    stage.sees(&view, &table).await;
    table.set(3, Some(30));
    table.set(1, None);
    stage.sees(&view, &table).await;
    assert_eq!(view.journal.words()[..2], ["rows", "changes"]);
    assert!(!view.journal.words()[1..].contains(&"rows".to_owned()));
}

async fn r38_a_result_says_what_it_is(stage: Stage) {
    let table = Table::of(&[(1, 10), (7, 70)]);
    let Pair { connection, .. } = pair(&stage, &table).await;
    let set = connection.query_set();
    let view = View::default();
    let pen = view.journal.clone();
    let write = move |result: moorline::QueryResult| {
        let rows: Vec<(u64, Option<u64>)> = result.read().unwrap();
        pen.write(format!("{} {} {} {rows:?}", result.query, result.count, result.retrieve));
    };
    set.retrieve_and_subscribe("Numbers from 5", write, view.errors(), Default::default());
    stage.reads(&view.journal, "Numbers from 5 1 true [(7, Some(70))]").await;
    table.set(4, Some(40));
    table.set(7, None);
    stage.reads(&view.journal, "Numbers from 5 1 false [(7, None)]").await;
}

async fn r38_retrieve_gives_rows_once_and_removes_itself(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let set = connection.query_set();
    let view = View::default();
    set.retrieve("numbers", view.ear(), view.errors(), Default::default());
    stage.sees(&view, &table).await;
    stage.until("it is over", || set.queries().is_empty() && table.live() == 0).await;
    assert_eq!(server.queries(), Default::default());
    table.set(2, Some(20));
    let other = watch(&set, "numbers");
    stage.sees(&other, &table).await;
    assert_eq!(view.journal.words(), ["rows"]);
}

async fn r38_subscribe_hears_changes_alone(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let set = connection.query_set();
    let view = View::default();
    set.subscribe("numbers", view.ear(), view.errors(), Default::default());
    stage.until("it has subscribed", || server.queries().subscribers == 1).await;
    table.set(2, Some(20));
    stage.reads(&view.journal, "changes").await;
    assert_eq!(view.rows().unwrap(), [(2, 20)].into());
    assert_eq!((view.journal.words(), table.evaluations()), (vec!["changes".to_owned()], 0));
}

async fn r38_unsubscribe_ends_it_at_both_ends(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let set = connection.query_set();
    let (gone, stays) = (watch(&set, "numbers"), watch(&set, "numbers from 0"));
    stage.sees(&gone, &table).await;
    stage.sees(&stays, &table).await;
    assert_eq!(server.queries().shared, 2);
    assert!(set.unsubscribe("numbers"));
    assert!(!set.unsubscribe("numbers"));
    assert_eq!(set.queries(), ["numbers from 0"]);
    stage.until("the engine drops it", || table.live() == 1).await;
    table.set(2, Some(20));
    stage.sees(&stays, &table).await;
    assert_eq!(gone.journal.words(), ["rows"]);
    assert_eq!((server.queries().shared, server.queries().subscribers), (1, 1));
}

async fn r38_unsubscribe_all_ends_this_set_alone(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let (own, other) = (connection.query_set(), connection.query_set());
    let views = [watch(&own, "numbers"), watch(&own, "numbers from 1"), watch(&other, "numbers")];
    for view in &views {
        stage.sees(view, &table).await;
    }
    assert!(own.unsubscribe_all());
    assert!(!own.unsubscribe_all());
    stage.until("one is left", || server.queries().shared == 1 && table.live() == 1).await;
    table.set(2, Some(20));
    stage.sees(&views[2], &table).await;
    assert_eq!(views[0].journal.words(), ["rows"]);
}

async fn r38_a_set_that_is_dropped_ends_its_queries(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    stage.sees(&view, &table).await;
    let clone = set.clone();
    drop(set);
    table.set(2, Some(20));
    stage.sees(&view, &table).await;
    drop(clone);
    stage.until("it is over", || server.queries() == Default::default()).await;
    stage.until("the engine drops it", || table.live() == 0).await;
}

async fn r38_a_retrieve_after_an_end_in_one_batch_leaves_nothing_subscribed(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let set = connection.query_set();
    let before = watch(&set, "numbers");
    stage.sees(&before, &table).await;
    let after = View::default();
    set.batch()
        .unsubscribe("numbers")
        .retrieve("numbers", after.ear(), after.errors(), Default::default())
        .assemble();
    stage.sees(&after, &table).await;
    stage.until("it is over", || server.queries() == Default::default()).await;
    stage.until("the engine drops it", || table.live() == 0).await;
}

async fn r39_a_batch_is_one_frame(stage: Stage) {
    let mut host = stage.host().await;
    let connection = stage.client().start();
    let mut server = host.accept().await;
    server.welcome().await;
    stage.until("it is open", || connection.is_connected()).await;
    let set = connection.query_set();
    let view = watch(&set, "old");
    assert!(matches!(server.hear().await, Heard::Packet(Packet::Query(_))));
    let failures = errors(&connection);
    set.batch()
        .retrieve("rows", view.ear(), view.errors(), Default::default())
        .subscribe("changes", view.ear(), view.errors(), Default::default())
        .retrieve_and_subscribe("both", view.ear(), view.errors(), Default::default())
        .unsubscribe("old")
        .assemble();
    connection.send("behind it").await.unwrap();
    let Heard::Packet(Packet::Query(query)) = server.hear().await else { panic!("no query") };
    let asked = |name: &str| {
        let ask = query.ask.iter().find(|ask| ask.asked.query == name).unwrap();
        (ask.retrieve, ask.subscribe)
    };
    assert_eq!(query.ask.len(), 3);
    assert_eq!(asked("rows"), (true, false));
    assert_eq!(asked("changes"), (false, true));
    assert_eq!(asked("both"), (true, true));
    assert_eq!((query.end.len(), &*query.end[0].query), (1, "old"));
    let next = server.hear().await;
    assert!(matches!(next, Heard::Packet(Packet::Message(Message { .. }))), "{next:?}");
    assert_eq!(failures.words().len(), 0);
}

async fn r39_a_batch_that_is_too_much_for_one_frame_comes_in_several(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let limits = moorline::server::QueryLimits::default().per_connection(1_000);
    let server = stage.server().queries(table.clone()).query_limits(limits);
    let Pair { server, connection, .. } = stage.pair_of(server, stage.client()).await;
    let set = connection.query_set();
    let view = View::default();
    let mut batch = set.batch();
    for n in 0..600 {
        let query = format!("numbers from {n}{}", " ".repeat(4_000));
        batch = batch.subscribe(query, view.ear(), view.errors(), Default::default());
    }
    batch.assemble();
    stage.until("all are asked", || server.queries().subscribers == 600).await;
    assert_eq!(view.journal.words().len(), 0);
}

async fn r39_a_batch_that_the_server_would_not_take_in_one_frame_comes_in_several(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone()).max_frame(4_096);
    let Pair { server, connection, .. } = stage.pair_of(server, stage.client()).await;
    let losses = Journal::of_losses(&connection);
    let (set, view) = (connection.query_set(), View::default());
    let mut batch = set.batch();
    for n in 0..5 {
        let query = format!("numbers from {n}{}", " ".repeat(2_000));
        batch = batch.subscribe(query, view.ear(), view.errors(), Default::default());
    }
    batch.assemble();
    stage.until("all are asked", || server.queries().subscribers == 5).await;
    assert_eq!((losses.words(), view.journal.words()), (Vec::new(), Vec::new()));
}
