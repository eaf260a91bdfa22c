//! Queries outlive links (R40), and what is missed is asked again.

use std::time::Duration;

use moorline::{Buffer, Status};

use super::data::{Table, View, errors, watch};
use crate::stage::{A_MINUTE, A_WHILE, Journal, MS, Pair, RETENTION, SECOND, Stage, Virtual};

behaviours![
    r2_a_query_opens_a_lazy_connection,
    r3_channels_and_queries_survive_a_connect_by_hand,
    r40_queries_may_be_registered_before_connecting,
    r40_nothing_is_sent_again_after_recovered,
    r40_all_are_asked_again_after_fresh,
    r40_all_are_asked_again_after_a_gap,
    r40_a_batch_that_is_made_while_the_link_is_lost_is_sent_when_it_is_back,
    r40_one_that_is_ended_while_the_link_is_lost_is_not_answered_any_more,
    r40_one_that_is_ended_twice_while_the_link_is_lost_is_not_answered_any_more,
    r40_a_server_that_is_stopped_drops_its_queries_and_answers_again_when_it_runs,
    r40_a_client_that_has_gone_leaves_no_query,
    r47_a_slow_result_listener_keeps_the_window_closed,
    r47_what_is_told_beside_large_rows_opens_no_window_for_more,
];

in_virtual_time![
    r40_a_partition_loses_no_change,
    r40_a_client_that_stays_away_leaves_no_query,
    r40_every_client_sees_the_table_in_the_end,
];

async fn kept(stage: &Stage, table: &Table) -> Pair {
    let server = stage.server().retention(RETENTION).buffer(Buffer::default());
    stage.pair_of(server.queries(table.clone()), stage.client()).await
}

async fn r2_a_query_opens_a_lazy_connection(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone()).run().await;
    let connection = stage.client().lazy(true).start();
    let set = connection.query_set();
    stage.sleep(A_WHILE).await;
    assert_eq!((connection.status(), server.count()), (Status::Closed, 0), "a set is no use yet");
    let view = watch(&set, "numbers");
    stage.sees(&view, &table).await;
    assert!(connection.is_connected());
}

async fn r3_channels_and_queries_survive_a_connect_by_hand(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone());
    let Pair { server, connection, .. } = stage.pair_of(server, stage.client()).await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    stage.sees(&view, &table).await;
    stage.within("it joins", connection.channel("chat").join()).await.unwrap();
    let journal = Journal::default();
    let pen = journal.clone();
    connection.channel("chat").on_message(move |message| pen.write(message.to_string()));
    connection.close();
    stage.until("it is closed", || connection.status() == Status::Closed).await;
    stage.until("nobody asks", || server.queries() == Default::default()).await;
    stage.until("nobody is on it", || server.channels().is_empty()).await;
    table.set(2, Some(20));
    assert_eq!(set.queries(), ["numbers"]);
    stage.within("it opens again", connection.connect()).await.unwrap();
    stage.sees(&view, &table).await;
    table.set(3, Some(30));
    stage.sees(&view, &table).await;
    assert_eq!(view.journal.words(), ["rows", "rows", "changes"]);
    stage.until("it is on it again", || server.channel("chat").count() == 1).await;
    server.channel("chat").emit("welcome back").unwrap();
    stage.reads(&journal, "welcome back").await;
}

async fn r40_queries_may_be_registered_before_connecting(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let _server = stage.server().queries(table.clone()).run().await;
    stage.cut();
    let connection = stage.client().start();
    let set = connection.query_set();
    let (view, once) = (watch(&set, "numbers"), View::default());
    set.retrieve("numbers", once.ear(), once.errors(), Default::default());
    set.subscribe("unwanted", once.ear(), once.errors(), Default::default());
    set.unsubscribe("unwanted");
    stage.sleep(SECOND).await;
    assert!(!connection.is_connected());
    stage.heal();
    stage.sees(&view, &table).await;
    stage.sees(&once, &table).await;
    assert_eq!(once.journal.words(), ["rows"]);
    assert_eq!(table.prepares(), 1);
}

async fn r40_nothing_is_sent_again_after_recovered(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = kept(&stage, &table).await;
    let losses = Journal::of_losses(&connection);
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    stage.sees(&view, &table).await;
    stage.cut();
    stage.until("it is lost", || !connection.is_connected()).await;
    table.set(2, Some(20));
    assert_eq!(server.queries().subscribers, 1);
    stage.heal();
    stage.sees(&view, &table).await;
    stage.reads(&losses, "recovered").await;
    stage.sleep(2 * SECOND).await;
    assert_eq!(view.journal.words(), ["rows", "changes"]);
    assert_eq!((table.prepares(), table.evaluations()), (1, 1));
}

async fn r40_all_are_asked_again_after_fresh(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone());
    let Pair { server, connection, .. } = stage.pair_of(server, stage.client()).await;
    let set = connection.query_set();
    let (view, changes) = (watch(&set, "numbers"), View::default());
    set.subscribe("numbers from 0", changes.ear(), changes.errors(), Default::default());
    stage.sees(&view, &table).await;
    stage.cut();
    stage.until("it is lost", || server.queries() == Default::default()).await;
    table.set(2, Some(20));
    stage.heal();
    stage.sees(&view, &table).await;
    stage.until("both are asked", || server.queries().subscribers == 2).await;
    assert_eq!(view.journal.words(), ["rows", "rows"]);
    table.set(3, Some(30));
    stage.sees(&view, &table).await;
    stage.reads(&changes.journal, "changes").await;
    assert_eq!(changes.rows().unwrap(), [(3, 30)].into());
}

async fn r40_all_are_asked_again_after_a_gap(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().retention(RETENTION).buffer(Buffer::off());
    let server = server.queries(table.clone());
    let Pair { server, connection, guest } = stage.pair_of(server, stage.client()).await;
    let losses = Journal::of_losses(&connection);
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    stage.sees(&view, &table).await;
    stage.cut();
    stage.until("both know", || !connection.is_connected() && !guest.is_connected()).await;
    // Nothing may wait for the client, and so they are lost for it.
    for n in 0..5 {
        table.set(n, Some(n));
        stage.until("it is told", || table.changes() as u64 == n + 1).await;
    }
    stage.heal();
    stage.sees(&view, &table).await;
    assert!(losses.words().iter().any(|word| word.starts_with("gap")), "{:?}", losses.words());
    table.set(9, Some(90));
    stage.sees(&view, &table).await;
    assert_eq!(view.journal.words(), ["rows", "rows", "changes"]);
    assert_eq!((server.queries().shared, server.queries().subscribers), (1, 1));
    assert_eq!(table.live(), 1);
}

async fn r40_a_batch_that_is_made_while_the_link_is_lost_is_sent_when_it_is_back(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { connection, .. } = kept(&stage, &table).await;
    stage.cut();
    stage.until("it is lost", || !connection.is_connected()).await;
    let set = connection.query_set();
    let views = [watch(&set, "numbers"), watch(&set, "numbers from 0")];
    stage.heal();
    for view in &views {
        stage.sees(view, &table).await;
        assert_eq!(view.journal.words(), ["rows"]);
    }
}

async fn r40_one_that_is_ended_while_the_link_is_lost_is_not_answered_any_more(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = kept(&stage, &table).await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    stage.sees(&view, &table).await;
    stage.cut();
    stage.until("it is lost", || !connection.is_connected()).await;
    set.unsubscribe("numbers");
    assert_eq!(server.queries().subscribers, 1);
    stage.heal();
    stage.until("it is over", || server.queries() == Default::default()).await;
    stage.until("the engine drops it", || table.live() == 0).await;
}

async fn r40_one_that_is_ended_twice_while_the_link_is_lost_is_not_answered_any_more(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = kept(&stage, &table).await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    stage.sees(&view, &table).await;
    stage.cut();
    stage.until("it is lost", || !connection.is_connected()).await;
    set.unsubscribe("numbers");
    // Asked and ended again: the server has heard of neither.
    let again = watch(&set, "numbers");
    set.unsubscribe("numbers");
    stage.heal();
    stage.until("it is over", || server.queries() == Default::default()).await;
    assert!(again.journal.words().is_empty());
    // And asked once more it is answered.
    stage.sees(&watch(&set, "numbers"), &table).await;
}

async fn r40_a_server_that_is_stopped_drops_its_queries_and_answers_again_when_it_runs(
    stage: Stage,
) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = kept(&stage, &table).await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    stage.sees(&view, &table).await;
    stage.within("it stops", server.stop()).await.unwrap();
    stage.until("the engine drops it", || table.live() == 0).await;
    assert_eq!(server.queries(), Default::default());
    table.set(2, Some(20));
    stage.run(&server).await;
    stage.sees(&view, &table).await;
    table.set(3, Some(30));
    stage.sees(&view, &table).await;
    assert_eq!(view.journal.words(), ["rows", "rows", "changes"]);
}

async fn r40_a_client_that_has_gone_leaves_no_query(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = kept(&stage, &table).await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    let never = watch(&set, "never prepare");
    stage.sees(&view, &table).await;
    connection.disconnect();
    stage.until("it is over", || server.queries() == Default::default()).await;
    stage.until("the engine drops it", || table.live() == 0).await;
    assert!(never.rows().is_none());
}

async fn r47_a_slow_result_listener_keeps_the_window_closed(stage: Stage) {
    let table = Table::of(&[(1, 10)]);
    let server = stage.server().queries(table.clone());
    let client = stage.client().window(2_000);
    let Pair { connection, .. } = stage.pair_of(server, client).await;
    let set = connection.query_set();
    let view = View::default();
    let (ear, clock) = (view.clone(), stage.clone());
    let slow = move |result| {
        let (ear, clock) = (ear.clone(), clock.clone());
        async move {
            clock.sleep(10 * MS).await;
            ear.hear(result);
        }
    };
    set.retrieve_and_subscribe("numbers", slow, view.errors(), Default::default());
    stage.until("it has rows", || view.rows().is_some()).await;
    for n in 0..200 {
        table.set(n, Some(n));
        stage.until("it is told", || table.changes() as u64 == n + 1).await;
        assert!(connection.stats().counts.held <= 2_000, "{:?}", connection.stats());
    }
    stage.sees(&view, &table).await;
}

async fn r47_what_is_told_beside_large_rows_opens_no_window_for_more(stage: Stage) {
    let heartbeat = stage.heartbeat(100 * A_MINUTE, 100 * A_MINUTE);
    let server = stage.server().queries(Table::default()).heartbeat(heartbeat.clone());
    let client = stage.client().window(50_000).heartbeat(heartbeat);
    let Pair { connection, .. } = stage.pair_of(server, client).await;
    let losses = Journal::of_losses(&connection);
    let set = connection.query_set();
    let view = View::default();
    for n in 0..10 {
        let (pen, clock) = (view.journal.clone(), stage.clone());
        let slow = move |_: moorline::QueryResult| {
            let (pen, clock) = (pen.clone(), clock.clone());
            async move {
                clock.sleep(500 * MS).await;
                pen.write("rows");
            }
        };
        set.retrieve(format!("zeros {}", 20_000 + n), slow, view.errors(), Default::default());
    }
    stage.until("all have come", || view.journal.words().len() >= 10).await;
    assert_eq!(losses.words(), Vec::<String>::new());
    assert_eq!(view.journal.count("rows"), 10);
}

async fn r40_a_partition_loses_no_change(stage: Virtual) {
    let table = Table::of(&[(1, 10)]);
    let Pair { connection, .. } = kept(&stage, &table).await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    stage.sees(&view, &table).await;
    for round in 0..5 {
        stage.partition();
        table.set(round, Some(round));
        // Noticed by silence.
        stage.sleep(A_MINUTE + A_WHILE).await;
        assert!(!connection.is_connected());
        table.set(round + 100, Some(round));
        stage.network.heal(Virtual::PLACE);
        stage.network.reset(Virtual::PLACE);
        stage.sees(&view, &table).await;
    }
    assert_eq!((view.journal.count("rows"), view.journal.count("changes")), (1, 10));
}

async fn r40_a_client_that_stays_away_leaves_no_query(stage: Virtual) {
    let table = Table::of(&[(1, 10)]);
    let Pair { server, connection, .. } = kept(&stage, &table).await;
    let set = connection.query_set();
    let view = watch(&set, "numbers");
    stage.sees(&view, &table).await;
    stage.cut();
    stage.sleep(A_MINUTE).await;
    assert_eq!((server.queries().subscribers, table.live()), (1, 1));
    stage.sleep(RETENTION).await;
    assert_eq!((server.queries(), table.live()), (Default::default(), 0));
    let failures = errors(&connection);
    table.set(2, Some(20));
    stage.heal();
    stage.sees(&view, &table).await;
    assert_eq!(failures.words().len(), 0);
}

async fn r40_every_client_sees_the_table_in_the_end(stage: Virtual) {
    let mut rng = fastrand::Rng::with_seed(stage.sim.seed());
    let table = Table::of(&[(1, 10)]);
    let retention = if rng.bool() { 2 * A_MINUTE } else { Duration::ZERO };
    let buffer = if rng.bool() { Buffer::default() } else { Buffer::off() };
    let queue = rng.usize(500..20_000);
    let server = stage.server().retention(retention).buffer(buffer).queue(queue);
    let server = server.queries(table.clone()).run().await;
    let texts = ["numbers", "numbers from 0", "NUMBERS"];
    let mut clients = Vec::new();
    for n in 0..8 {
        let client = stage.client().window(rng.usize(2_000..50_000)).connect().await;
        let sets = [client.query_set(), client.query_set()];
        let views = sets.each_ref().map(|set| watch(set, texts[n % 3]));
        clients.push((client, sets, views));
    }
    for _ in 0..60 {
        match rng.u32(0..20) {
            0 => stage.reset(),
            1 => stage.cut(),
            2 => {
                stage.partition();
                stage.sleep(rng.u32(1..90) * SECOND).await;
                stage.network.heal(Virtual::PLACE);
                stage.network.reset(Virtual::PLACE);
            }
            3 => stage.heal(),
            4 => {
                if server.is_running() {
                    stage.within("it stops", server.stop()).await.unwrap();
                    stage.run(&server).await;
                }
            }
            5..10 => {
                let (_, sets, views) = &mut clients[rng.usize(0..8)];
                let at = rng.usize(0..2);
                sets[at].unsubscribe_all();
                views[at] = watch(&sets[at], texts[rng.usize(0..3)]);
            }
            _ => {
                for _ in 0..rng.u32(1..30) {
                    let value = rng.bool().then(|| rng.u64(..));
                    table.set(rng.u64(0..50), value);
                }
            }
        }
        stage.sleep(rng.u32(0..3_000) * MS).await;
    }
    stage.heal();
    for (client, _, views) in &clients {
        for view in views {
            stage.sees(view, &table).await;
            let failed = view.journal.words().iter().any(|word| word.starts_with("error"));
            assert!(!failed, "{:?}", view.journal.words());
        }
        stage.until("it is open", || client.is_connected()).await;
    }
    // Old sessions end, and nothing of them stays.
    stage.sleep(3 * A_MINUTE).await;
    let asked = server.queries();
    assert!(asked.subscribers <= 16 && table.live() == asked.shared, "{asked:?}");
    table.set(1_000, Some(1));
    for (_, _, views) in &clients {
        for view in views {
            stage.sees(view, &table).await;
        }
    }
}
