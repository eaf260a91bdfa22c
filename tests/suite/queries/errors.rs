//! What goes wrong with queries, and who is told (R41).

use std::sync::Arc;

use moorline::server::{Admission, Middleware, QueryLimits, RateLimit, Refusal, Visitor};
use moorline::{Raw, ServerConnection};

use super::data::{Table, View, errors, watch};
use crate::stage::{Journal, MS, Pair, SECOND, Stage};

behaviours![
    r41_an_error_goes_to_its_querys_listener_and_the_global_one,
    r41_an_error_of_one_that_is_live_is_told_to_all_who_ask,
    r41_a_result_listener_that_panics_is_an_error_of_its_query,
    r41_a_query_that_is_too_long_is_an_error,
    r37_r41_queries_above_the_limit_fail_each_with_the_code,
    r41_on_raw_each_query_is_an_error,
    r41_after_an_error_it_may_be_asked_again,
    r42_without_an_engine_each_query_fails,
    r42_an_engine_that_panics_harms_nobody_else,
    r42_an_engine_that_never_answers_harms_nobody_else,
    r42_an_engine_that_always_has_a_change_harms_nobody_else,
    r42_the_engine_knows_who_asks,
    r42_a_connection_asks_so_many_and_no_more,
    r42_a_server_answers_so_many_and_no_more,
    r42_so_many_are_prepared_at_once,
    r42_what_does_not_fit_fails_for_that_client_alone,
    r36_middleware_may_refuse_a_query,
];

async fn pair(stage: &Stage, table: &Table) -> Pair {
    stage.pair_of(stage.server().queries(table.clone()), stage.client()).await
}

async fn r41_an_error_goes_to_its_querys_listener_and_the_global_one(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { connection, .. } = pair(&stage, &table).await;
    let failures = errors(&connection);
    let set = connection.query_set();
    let (good, bad) = (watch(&set, "numbers"), watch(&set, "nonsense"));
    stage.reads(&failures, "nonsense: query_invalid").await;
    stage.reads(&bad.journal, "error query_invalid").await;
    stage.sees(&good, &table).await;
    assert_eq!(set.queries(), ["numbers"]);
    assert_eq!((failures.words().len(), bad.journal.words().len()), (1, 1));
    assert_eq!(good.journal.words(), ["rows"]);
    assert!(connection.is_connected());
}

async fn r41_an_error_of_one_that_is_live_is_told_to_all_who_ask(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let other = stage.client().connect().await;
    let sets = [connection.query_set(), connection.query_set(), other.query_set()];
    let views = sets.each_ref().map(|set| watch(set, "numbers"));
    for view in &views {
        stage.sees(view, &table).await;
    }
    let failures = errors(&connection);
    table.break_down(true);
    for view in &views {
        stage.reads(&view.journal, "error disk_on_fire").await;
    }
    stage.until("it is over", || server.queries() == Default::default()).await;
    stage.until("the engine drops it", || table.live() == 0).await;
    assert!(sets.iter().all(|set| set.queries().is_empty()));
    stage.reads(&failures, "numbers: disk_on_fire").await;
    assert_eq!(failures.words().len(), 1);
}

async fn r41_a_result_listener_that_panics_is_an_error_of_its_query(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { connection, .. } = pair(&stage, &table).await;
    let failures = errors(&connection);
    let set = connection.query_set();
    let (view, good) = (View::default(), watch(&set, "numbers"));
    let pen = view.journal.clone();
    let panics = move |result: moorline::QueryResult| {
        pen.write("heard");
        assert!(!result.retrieve, "on purpose");
    };
    set.retrieve_and_subscribe("numbers", panics, view.errors(), Default::default());
    stage.reads(&failures, "numbers: listener_panicked").await;
    stage.reads(&view.journal, "error listener_panicked").await;
    // It goes on.
    table.set(2, Some(20));
    stage.sees(&good, &table).await;
    stage.until("it hears on", || view.journal.count("heard") == 2).await;
    assert_eq!(failures.words().len(), 1);
}

async fn r41_a_query_that_is_too_long_is_an_error(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { connection, .. } = pair(&stage, &table).await;
    let failures = errors(&connection);
    let set = connection.query_set();
    let long = format!("numbers{}", " ".repeat(16 * 1024));
    let (good, bad) = (View::default(), View::default());
    set.batch()
        .retrieve("numbers", good.ear(), good.errors(), Default::default())
        .retrieve(long.clone(), bad.ear(), bad.errors(), Default::default())
        .assemble();
    stage.reads(&bad.journal, "error query_too_large").await;
    stage.reads(&failures, &format!("{long}: query_too_large")).await;
    stage.sees(&good, &table).await;
    assert_eq!((bad.journal.words().len(), set.queries()), (1, Vec::new()));
}

async fn r37_r41_queries_above_the_limit_fail_each_with_the_code(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let limit = RateLimit::every(1, 3_600 * SECOND).burst(2);
    let server = stage.server().queries(table.clone()).rate_limit(limit);
    let Pair { server, connection, guest } = stage.pair_of(server, stage.client()).await;
    // What a client says again at its open is not counted: it has begun.
    connection.send("begun").await.unwrap();
    stage.message(&guest).await;
    let set = connection.query_set();
    let live = watch(&set, "numbers");
    stage.sees(&live, &table).await;
    let views = [View::default(), View::default()];
    let mut batch = set.batch();
    for (name, view) in ["plus 1", "plus 2"].into_iter().zip(&views) {
        batch = batch.subscribe(name, view.ear(), view.errors(), Default::default());
    }
    batch.unsubscribe("numbers").assemble();
    for view in &views {
        stage.reads(&view.journal, "error rate_limit_exceeded").await;
    }
    assert!(set.queries().is_empty());
    stage.until("it is ended all the same", || server.queries() == Default::default()).await;
    assert!(connection.is_connected());
}

async fn r41_on_raw_each_query_is_an_error(stage: Stage) {
    let _server = stage.server().codec(Raw).queries(Table::default()).run().await;
    let connection = stage.client().codec(Raw).connect().await;
    let failures = errors(&connection);
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    stage.reads(&view.journal, "error query_unsupported").await;
    stage.reads(&failures, "numbers: query_unsupported").await;
    assert!(set.queries().is_empty() && connection.is_connected());
}

async fn r41_after_an_error_it_may_be_asked_again(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let set = connection.query_set();
    for _ in 0..5 {
        table.break_down(true);
        let bad = watch(&set, "numbers");
        stage.reads(&bad.journal, "error disk_on_fire").await;
        table.break_down(false);
        let good = watch(&set, "numbers");
        stage.sees(&good, &table).await;
        set.unsubscribe_all();
    }
    stage.until("it is over", || server.queries() == Default::default()).await;
}

async fn r42_without_an_engine_each_query_fails(stage: Stage) {
    let Pair { connection, .. } = stage.pair().await;
    let failures = errors(&connection);
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    stage.reads(&view.journal, "error no_engine").await;
    stage.reads(&failures, "numbers: no_engine").await;
    assert!(set.queries().is_empty() && connection.is_connected());
}

async fn r42_an_engine_that_panics_harms_nobody_else(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let faults = Journal::default();
    let pen = faults.clone();
    server.on_error(move |error| pen.write(error.code));
    let set = connection.query_set();
    let (at_prepare, at_rows) = (watch(&set, "panic"), watch(&set, "panics"));
    let (at_change, good) = (View::default(), watch(&set, "numbers"));
    set.subscribe("panics", at_change.ear(), at_change.errors(), Default::default());
    for bad in [&at_prepare, &at_rows] {
        stage.reads(&bad.journal, "error internal").await;
    }
    stage.sees(&good, &table).await;
    table.set(2, Some(20));
    stage.sees(&good, &table).await;
    stage.until("the rest is over", || server.queries().shared == 1 && table.live() == 1).await;
    stage.until("the application is told", || faults.count("hook_failed") >= 2).await;
}

async fn r42_an_engine_that_never_answers_harms_nobody_else(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = pair(&stage, &table).await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    let hung = ["never prepare", "never", "never again"].map(|query| watch(&set, query));
    stage.sees(&view, &table).await;
    let other = stage.client().connect().await;
    let others = other.query_set();
    let theirs = watch(&others, "numbers from 0");
    stage.sees(&theirs, &table).await;
    table.set(2, Some(20));
    stage.sees(&view, &table).await;
    // More who ask wait for the same rows, and may give up.
    let waits = watch(&others, "never");
    stage.until("all wait", || server.queries().shared == 4).await;
    assert_eq!(table.evaluations(), 4);
    set.unsubscribe("never prepare");
    set.unsubscribe("never");
    set.unsubscribe("never again");
    stage.until("two are over", || table.live() == 3 && server.queries().shared == 3).await;
    others.unsubscribe("never");
    stage.until("all are over", || table.live() == 2 && server.queries().shared == 2).await;
    let silent = hung.iter().chain([&waits]).all(|view| view.journal.words().is_empty());
    assert!(silent && connection.is_connected());
}

async fn r42_an_engine_that_always_has_a_change_harms_nobody_else(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone()).queue(10_000);
    let Pair { server, connection, .. } = stage.pair_of(server, stage.client()).await;
    let other = stage.client().connect().await;
    let (set, others) = (connection.query_set(), other.query_set());
    let flood = Journal::default();
    let pen = flood.clone();
    let many = move |_: moorline::QueryResult| pen.write("one");
    set.subscribe("always", many, |_| {}, Default::default());
    stage.until("it floods", || flood.words().len() > 100).await;
    let view = watch(&others, "numbers");
    stage.sees(&view, &table).await;
    set.unsubscribe("always");
    stage.until("it is over", || server.queries().shared == 1 && table.live() == 1).await;
}

async fn named(visitor: Arc<Visitor>) -> Result<Admission, Refusal> {
    let name = visitor.query("name").unwrap_or_default().to_owned();
    Ok(Admission::of(name))
}

async fn r42_the_engine_knows_who_asks(stage: Stage) {
    let server = stage.server().authenticator(named).queries(Table::default());
    let Pair { connection, .. } = stage.pair_of(server, stage.client().query("name", "ali")).await;
    let set = connection.query_set();
    let journal = Journal::default();
    let pen = journal.clone();
    let told = move |error: moorline::QueryError| pen.write(error.to_string());
    set.retrieve("whoami", |_| {}, told, Default::default());
    stage.reads(&journal, "ali (you_are)").await;
}

async fn r42_a_connection_asks_so_many_and_no_more(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone());
    let server = server.query_limits(QueryLimits::default().per_connection(3));
    let Pair { connection, .. } = stage.pair_of(server, stage.client()).await;
    let other = stage.client().connect().await;
    let (set, others) = (connection.query_set(), other.query_set());
    let ask = |n: u64| watch(&set, &format!("numbers from {n}"));
    let views = [0, 0, 1].map(ask);
    let more = watch(&set, "never prepare");
    for view in &views[..2] {
        stage.sees(view, &table).await;
    }
    let over = ask(4);
    stage.reads(&over.journal, "error too_many_queries").await;
    let theirs = watch(&others, "numbers from 0");
    stage.sees(&theirs, &table).await;
    set.unsubscribe("never prepare");
    let again = watch(&set, "numbers");
    stage.sees(&again, &table).await;
    assert!(more.journal.words().is_empty());
}

async fn r42_a_server_answers_so_many_and_no_more(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone());
    let server = server.query_limits(QueryLimits::default().shared(2));
    let Pair { connection, .. } = stage.pair_of(server, stage.client()).await;
    let set = connection.query_set();
    let views = [watch(&set, "numbers"), watch(&set, "NUMBERS"), watch(&set, "numbers from 0")];
    for view in &views {
        stage.sees(view, &table).await;
    }
    let over = watch(&set, "numbers from 1");
    stage.reads(&over.journal, "error queries_full").await;
    set.unsubscribe("numbers from 0");
    stage.until("it is over", || table.live() == 1).await;
    let again = watch(&set, "numbers from 1");
    stage.sees(&again, &table).await;
}

async fn r42_so_many_are_prepared_at_once(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone());
    let server = server.query_limits(QueryLimits::default().preparing(2));
    let Pair { connection, .. } = stage.pair_of(server, stage.client()).await;
    table.shut(true);
    let set = connection.query_set();
    let views: Vec<_> = (0..2).map(|n| watch(&set, &format!("numbers from {n}"))).collect();
    let gone: Vec<_> = (2..20).map(|n| watch(&set, &format!("numbers from {n}"))).collect();
    stage.until("two are prepared", || table.prepares() == 2).await;
    stage.sleep(SECOND).await;
    assert_eq!(table.prepares(), 2);
    for n in 2..20 {
        set.unsubscribe(&format!("numbers from {n}"));
    }
    table.shut(false);
    for view in &views {
        stage.sees(view, &table).await;
    }
    assert_eq!(table.most_prepared_at_once(), 2);
    assert!(gone.iter().all(|view| view.journal.words().is_empty()));
}

async fn r42_what_does_not_fit_fails_for_that_client_alone(stage: Stage) {
    let numbers: Vec<_> = (0..3_000).map(|n| (n, n)).collect();
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone());
    let Pair { server, connection, .. } = stage.pair_of(server, stage.client()).await;
    let small = stage.client().max_frame(20_000).connect().await;
    let losses = Journal::of_losses(&small);
    let (set, smalls) = (connection.query_set(), small.query_set());
    let (view, other) = (watch(&set, "numbers"), watch(&smalls, "numbers"));
    stage.sees(&view, &table).await;
    stage.sees(&other, &table).await;
    // As rows: those that come at once are one change.
    for (key, value) in numbers {
        table.set(key, Some(value));
    }
    stage.sees(&view, &table).await;
    let later = watch(&smalls, "Numbers");
    stage.reads(&later.journal, "error query_too_large").await;
    assert_eq!(view.journal.count("error query_too_large"), 0);
    stage.sleep(100 * MS).await;
    table.set(5_000, Some(1));
    stage.sees(&view, &table).await;
    assert!(small.is_connected() && server.queries().shared == 1);
    assert_eq!(losses.words().len(), 0, "{:?}", losses.words());
}

struct NoSecrets;

#[async_trait::async_trait]
impl Middleware for NoSecrets {
    async fn query(&self, _: &ServerConnection, query: &str) -> Result<(), Refusal> {
        assert!(!query.contains("3"), "on purpose");
        if query.contains('2') {
            return Err(Refusal::for_good("secret", "not this one"));
        }
        Ok(())
    }
}

async fn r36_middleware_may_refuse_a_query(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone()).middleware(NoSecrets);
    let Pair { connection, .. } = stage.pair_of(server, stage.client()).await;
    let set = connection.query_set();
    let [good, bad, panics] = [0, 2, 3].map(|n| watch(&set, &format!("numbers from {n}")));
    stage.reads(&bad.journal, "error secret").await;
    stage.reads(&panics.journal, "error internal").await;
    stage.sees(&good, &table).await;
    assert_eq!(table.prepares(), 1);
}
