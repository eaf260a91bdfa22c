//! What several ask is asked once (R40).

use futures_util::future::join_all;
use moorline::query::QueryOptions;
use moorline::server::QueryLimits;
use moorline::{Binary, Json, Network};

use super::data::{Table, View, watch, watch_as};
use crate::stage::{A_MINUTE, Journal, MS, Pair, SECOND, Stage, Virtual};

behaviours![
    r40_sets_share_one_query_until_the_last_one_leaves,
    r40_connections_share_one_query,
    r40_rows_are_asked_for_if_any_set_wants_them,
    r40_one_that_comes_later_gets_rows_that_its_changes_follow,
    r40_two_texts_of_one_query_are_both_told,
    r40_packed_or_not_is_one_evaluation,
    r40_much_is_given_as_there_is_room,
    r40_one_that_nobody_wants_once_its_rows_have_come_is_ended,
    r38_what_is_taken_back_holds_no_place,
];

in_virtual_time![
    seeds: 2;
    r40_a_thousand_subscribers_cost_one_evaluation,
    r40_rows_that_another_set_has_asked_for_hide_no_change,
];

async fn pair(stage: &Stage, table: &Table) -> Pair {
    stage.pair_of(stage.server().queries(table.clone()), stage.client()).await
}

fn packed() -> QueryOptions {
    QueryOptions::default().compress(true)
}

async fn r40_sets_share_one_query_until_the_last_one_leaves(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let sets: Vec<_> = (0..3).map(|_| connection.query_set()).collect();
    let views: Vec<_> = sets.iter().map(|set| watch(set, "numbers")).collect();
    for view in &views {
        stage.sees(view, &table).await;
    }
    assert_eq!((server.queries().shared, server.queries().subscribers), (1, 1));
    assert_eq!((table.prepares() <= 3, table.evaluations()), (true, 1));
    for (gone, set) in sets.iter().enumerate() {
        table.set(gone as u64, Some(1));
        for view in &views[gone..] {
            stage.sees(view, &table).await;
        }
        assert_eq!(table.live(), 1);
        set.unsubscribe("numbers");
    }
    stage.until("the engine drops it", || table.live() == 0).await;
}

async fn r40_one_that_nobody_wants_once_its_rows_have_come_is_ended(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let (stays, comes) = (connection.query_set(), connection.query_set());
    let (changes, rows) = (View::default(), View::default());
    stays.subscribe("numbers", changes.ear(), changes.errors(), Default::default());
    stage.until("it is live", || table.live() == 1).await;
    table.shut(true);
    comes.retrieve("numbers", rows.ear(), rows.errors(), Default::default());
    stage.sleep(SECOND).await;
    assert!(stays.unsubscribe("numbers"));
    table.shut(false);
    stage.sees(&rows, &table).await;
    stage.until("it is over", || server.queries() == Default::default()).await;
    stage.until("the engine drops it", || table.live() == 0).await;
}

async fn r38_what_is_taken_back_holds_no_place(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let limits = QueryLimits::default().per_connection(3);
    let server = stage.server().queries(table.clone()).query_limits(limits);
    let Pair { server, connection, .. } = stage.pair_of(server, stage.client()).await;
    let set = connection.query_set();
    for typed in 0..20 {
        let (query, view) = (format!("never {typed}"), View::default());
        set.retrieve(&*query, view.ear(), view.errors(), Default::default());
        stage.until("it is asked", || server.queries().shared == 1).await;
        assert!(set.unsubscribe(&query));
        stage.until("it is over", || server.queries().shared == 0).await;
    }
    stage.sees(&watch(&set, "numbers"), &table).await;
}

/// Rows that were asked for before a write come to a set that has asked after it.
async fn r40_rows_that_another_set_has_asked_for_hide_no_change(stage: Virtual) {
    let network = Network::builder(stage.runtime()).latency(100 * MS..=100 * MS).build();
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone()).add_acceptor(network.acceptor("far"));
    let _server = server.run().await;
    let connection = stage.client().over(network.transport("far")).connect().await;
    let (first, second) = (connection.query_set(), connection.query_set());
    let rows = View::default();
    first.retrieve("numbers", rows.ear(), rows.errors(), Default::default());
    stage.sleep(150 * MS).await;
    let view = watch(&second, "numbers");
    stage.sleep(80 * MS).await;
    table.set(2, Some(20));
    stage.sees(&view, &table).await;
    table.set(3, Some(30));
    stage.sees(&view, &table).await;
}

async fn r40_connections_share_one_query(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone()).run().await;
    let clients = [
        stage.client().codec(Binary).connect().await,
        stage.client().codec(Json).connect().await,
        stage.client().codec(Json).connect().await,
    ];
    let sets = clients.each_ref().map(|client| client.query_set());
    let views = sets.each_ref().map(|set| watch(set, "numbers"));
    for n in 2..5 {
        for view in &views {
            stage.sees(view, &table).await;
        }
        table.set(n, Some(n));
    }
    for view in &views {
        stage.sees(view, &table).await;
    }
    assert_eq!((server.queries().shared, server.queries().subscribers), (1, 3));
    assert_eq!((table.live(), table.changes()), (1, 3));
    let [first, ..] = clients;
    first.disconnect();
    stage.until("one has gone", || server.queries().subscribers == 2).await;
}

async fn r40_rows_are_asked_for_if_any_set_wants_them(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let (one, other) = (connection.query_set(), connection.query_set());
    let changes = View::default();
    one.subscribe("numbers", changes.ear(), changes.errors(), Default::default());
    stage.until("it is asked", || server.queries().subscribers == 1).await;
    let rows = watch(&other, "numbers");
    stage.sees(&rows, &table).await;
    assert_eq!(changes.journal.words().len(), 0);
    table.set(2, Some(20));
    stage.sees(&rows, &table).await;
    stage.reads(&changes.journal, "changes").await;
    assert_eq!((changes.journal.words().len(), server.queries().shared), (1, 1));
}

async fn r40_one_that_comes_later_gets_rows_that_its_changes_follow(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let first = connection.query_set();
    let early = watch(&first, "numbers");
    let mut others = Vec::new();
    for n in 0..5 {
        table.set(n, Some(n));
        let client = stage.client().connect().await;
        let set = client.query_set();
        let view = watch(&set, "numbers");
        table.set(n, Some(n + 100));
        others.push((client, set, view));
    }
    stage.sees(&early, &table).await;
    for (_, _, view) in &others {
        stage.sees(view, &table).await;
        assert_eq!(view.journal.count("rows"), 1);
    }
    assert_eq!((server.queries().shared, server.queries().subscribers), (1, 6));
}

async fn r40_two_texts_of_one_query_are_both_told(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let set = connection.query_set();
    let views = [watch(&set, "numbers"), watch(&set, "NUMBERS"), watch(&set, "Numbers")];
    for view in &views {
        stage.sees(view, &table).await;
    }
    table.set(2, Some(20));
    for view in &views {
        stage.sees(view, &table).await;
        assert_eq!(view.journal.words(), ["rows", "changes"]);
    }
    assert_eq!((server.queries().shared, server.queries().subscribers), (1, 3));
    set.unsubscribe("numbers");
    set.unsubscribe("NUMBERS");
    stage.until("one is left", || server.queries().subscribers == 1).await;
    table.set(3, Some(30));
    stage.sees(&views[2], &table).await;
    assert_eq!(views[0].journal.words().len(), 2);
}

async fn r40_packed_or_not_is_one_evaluation(stage: Stage) {
    let numbers: Vec<_> = (0..1_000).map(|n| (n, n % 3)).collect();
    let table = Table::of(&numbers);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let json = stage.client().codec(Json).connect().await;
    let (own, other) = (connection.query_set(), json.query_set());
    let views = [
        watch_as(&own, "numbers", packed()),
        watch(&own, "numbers"),
        watch_as(&other, "numbers", packed()),
    ];
    for view in &views {
        stage.sees(view, &table).await;
    }
    table.set(5, None);
    for view in &views {
        stage.sees(view, &table).await;
        assert_eq!(view.journal.words(), ["rows", "changes"]);
    }
    assert_eq!((server.queries().shared, server.queries().subscribers), (1, 3));
    assert_eq!((table.live(), table.evaluations(), table.changes()), (1, 1, 1));
}

async fn r40_much_is_given_as_there_is_room(stage: Stage) {
    let table = Table::default();
    let server = stage.server().queries(table.clone()).queue(50_000);
    // On a busy machine it takes a while.
    let heartbeat = stage.heartbeat(100 * A_MINUTE, 100 * A_MINUTE);
    let (server, client) =
        (server.heartbeat(heartbeat.clone()), stage.client().heartbeat(heartbeat));
    let Pair { connection, guest, .. } = stage.pair_of(server, client).await;
    let losses = Journal::of_losses(&connection);
    let set = connection.query_set();
    let view = View::default();
    let mut batch = set.batch();
    for n in 0..30 {
        let pen = view.journal.clone();
        let write = move |result: moorline::QueryResult| {
            pen.write(format!("{}", result.read::<String>().unwrap()[0].len()));
        };
        let query = format!("zeros {}", 40_000 + n);
        batch = batch.retrieve_and_subscribe(query, write, view.errors(), Default::default());
    }
    batch.assemble();
    stage.until("all have come", || view.journal.words().len() >= 30).await;
    assert_eq!(losses.words(), Vec::<String>::new());
    let mut words = view.journal.words();
    words.sort();
    let sizes: Vec<_> = (0..30).map(|n| (40_000 + n).to_string()).collect();
    assert_eq!(words, sizes);
    assert_eq!((guest.stats().counts.lost, connection.stats().counts.gaps), (0, 0));
}

async fn r40_a_thousand_subscribers_cost_one_evaluation(stage: Virtual) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone()).run().await;
    let clients = join_all((0..1_000).map(|_| stage.client().connect())).await;
    let sets: Vec<_> = clients.iter().map(|client| client.query_set()).collect();
    let views: Vec<_> = sets.iter().map(|set| watch(set, "numbers")).collect();
    for view in &views {
        stage.sees(view, &table).await;
    }
    assert_eq!(table.evaluations(), 1);
    for n in 0..10 {
        table.set(n, Some(n));
        for view in &views {
            stage.sees(view, &table).await;
        }
    }
    assert_eq!((table.live(), table.evaluations(), table.changes()), (1, 1, 10));
    assert_eq!((server.queries().shared, server.queries().subscribers), (1, 1_000));
    for view in &views {
        assert_eq!(view.journal.words().len(), 11);
    }
}
