//! How many a connection may ask, whose turn it is, and that what is over leaves its place (R42).

use std::time::Duration;

use moorline::query::QueryOptions;
use moorline::server::{QueryLimits, RateLimit};

use super::data::{Table, View, watch, watch_as};
use crate::stage::{Journal, Pair, SECOND, Stage};

behaviours![
    r42_what_is_over_leaves_its_place,
    r42_who_was_first_in_line_is_prepared_first,
    r42_one_that_found_no_room_is_answered_when_there_is,
    r40_each_query_has_rows_of_its_own,
    r37_each_query_of_a_batch_counts_against_the_limit,
];

async fn r42_what_is_over_leaves_its_place(stage: Stage) {
    let table = Table::of(&[(10, 10)]);
    let server = stage.server().queries(table.clone());
    let server = server.query_limits(QueryLimits::default().per_connection(3));
    let Pair { connection, .. } = stage.pair_of(server, stage.client()).await;
    let set = connection.query_set();
    let one_after_another = async |query: &str, expected: &str| {
        for n in 0..6 {
            let view = View::default();
            set.retrieve(format!("{query} {n}"), view.ear(), view.errors(), Default::default());
            stage.until("it is told", || !view.journal.words().is_empty()).await;
            assert_eq!(view.journal.words(), [expected]);
        }
    };
    one_after_another("numbers from", "rows").await;
    one_after_another("nonsense", "error query_invalid").await;
    table.break_down(true);
    one_after_another("numbers from", "error disk_on_fire").await;
    table.break_down(false);
    for n in 0..6 {
        let view = watch(&set, &format!("numbers from {n}"));
        stage.sees(&view, &table).await;
        table.break_down(true);
        stage.reads(&view.journal, "error disk_on_fire").await;
        table.break_down(false);
    }
    one_after_another("numbers from", "rows").await;
}

async fn r42_who_was_first_in_line_is_prepared_first(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone());
    let server = server.query_limits(QueryLimits::default().preparing(1));
    let Pair { connection, .. } = stage.pair_of(server, stage.client()).await;
    let set = connection.query_set();
    table.shut(true);
    let first = watch(&set, "numbers from 0");
    stage.until("it is prepared", || table.prepares() == 1).await;
    let second = watch(&set, "numbers");
    stage.sleep(SECOND).await;
    let never = watch(&set, "NEVER PREPARE");
    stage.sleep(SECOND).await;
    table.shut(false);
    stage.sees(&first, &table).await;
    stage.sees(&second, &table).await;
    assert!(never.journal.words().is_empty());
}

async fn r42_one_that_found_no_room_is_answered_when_there_is(stage: Stage) {
    let server = stage.server().queries(Table::of(&[(1, 10)])).queue(20_000);
    let Pair { server, connection, .. } = stage.pair_of(server, stage.client().window(2_000)).await;
    for _ in 0..16 {
        assert_eq!(server.emit("x".repeat(1_000)).unwrap().sent, 1);
    }
    // The first that is given takes all the room that is left, and more.
    let (journal, errors, set) = (Journal::default(), View::default(), connection.query_set());
    for size in [8_000, 8_001] {
        let pen = journal.clone();
        let write = move |_| pen.write("rows");
        set.retrieve(format!("zeros {size}"), write, errors.errors(), Default::default());
    }
    stage.sleep(2 * SECOND).await;
    assert!(journal.words().is_empty());
    stage.texts(&connection, 16).await;
    stage.until("both are given", || journal.count("rows") == 2).await;
}

async fn r40_each_query_has_rows_of_its_own(stage: Stage) {
    let table = Table::of(&[(1, 10), (3, 30), (7, 70)]);
    let server = stage.server().queries(table.clone());
    let Pair { connection, .. } = stage.pair_of(server, stage.client()).await;
    let set = connection.query_set();
    let packed = QueryOptions::default().compress(true);
    let all = watch_as(&set, "numbers", packed);
    let views = [watch(&set, "numbers from 5"), watch(&set, "numbers from 2")];
    let rows = [[(7, 70)].into(), [(3, 30), (7, 70)].into()].map(Some);
    stage.sees(&all, &table).await;
    stage.until("they are told", || views.each_ref().map(View::rows) == rows).await;
    table.set(2, Some(20));
    stage.sees(&all, &table).await;
    stage.reads(&views[1].journal, "changes").await;
    stage.sleep(SECOND).await;
    assert_eq!(views[0].journal.words(), ["rows"]);
    assert_eq!(all.journal.words(), ["rows", "changes"]);
}

async fn r37_each_query_of_a_batch_counts_against_the_limit(stage: Stage) {
    let ten = RateLimit::every(1, Duration::from_secs(3_600)).burst(10);
    let server = stage.server().queries(Table::of(&[(1, 10)])).rate_limit(ten);
    let Pair { server, connection, guest } = stage.pair_of(server, stage.client()).await;
    // What is said before the first message counts as said again.
    connection.send("hello").await.unwrap();
    stage.message(&guest).await;
    let told = Journal::of_losses(&connection);
    let (set, view) = (connection.query_set(), View::default());
    let mut batch = set.batch();
    for n in 0..9 {
        let query = format!("numbers from {n}");
        batch = batch.subscribe(query, view.ear(), view.errors(), Default::default());
    }
    batch.assemble();
    stage.until("all are asked", || server.queries().subscribers == 9).await;
    connection.send("the eleventh").await.unwrap();
    stage.reads(&told, "error Peer rate_limit_exceeded").await;
    assert!(view.journal.words().is_empty());
}
