//! How often a query is evaluated, and that nothing stays of one that has gone.

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use moorline_core::{Asker, QueryEngine, Runtime};
use moorline_sim::Sim;
use support::{ask, at_once, builder, change, engine, no_change, rows, script, with_schema};

#[test]
fn r42_a_thousand_askers_of_one_query_cost_one_evaluation() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        let ways = [
            "SELECT item FROM menu",
            " SELECT  item\nFROM menu; ",
            "SELECT item /**/ FROM menu -- !",
        ];
        let mut prepared = Vec::new();
        for number in 0..1000 {
            prepared.push(engine.prepare(ways[number % 3], &Asker::default()).await.unwrap());
        }
        let mut first = prepared.pop().unwrap();
        assert!(prepared.iter().all(|other| other.key == first.key));
        assert_ne!(
            engine.prepare("SELECT Item FROM menu", &Asker::default()).await.unwrap().key,
            first.key
        );
        drop(prepared);
        assert_eq!(engine.stats().evaluations, 0);
        first.live.rows().await.unwrap();
        assert_eq!((engine.stats().evaluations, engine.stats().queries), (1, 1));
        script(&engine, "INSERT INTO menu VALUES ('tea', 1)").await;
        first.live.change().await.unwrap();
        assert_eq!(engine.stats().evaluations, 2);
    });
}

#[test]
fn r42_a_burst_of_writes_is_one_evaluation_and_one_change() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        let mut query = ask(&engine, "SELECT count(*) AS n FROM orders").await;
        query.rows().await.unwrap();
        let start = sim.now();
        for number in 0..100 {
            engine.execute("INSERT INTO orders VALUES (?1, 'tea', 1, '')", [number]).await.unwrap();
        }
        assert_eq!(change(&mut query).await, [r#"-{"n":0}"#, r#"+{"n":100}"#]);
        assert_eq!(sim.now() - start, Duration::from_millis(20));
        no_change(&sim, &mut query).await;
        assert_eq!(engine.stats().evaluations, 2);
    });
}

#[test]
fn r42_writes_during_the_pause_belong_to_the_same_change() {
    Sim::new().run(async |sim| {
        let engine = with_schema(builder(&sim).pause(Duration::from_millis(100))).await;
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        query.rows().await.unwrap();
        let writer = engine.clone();
        let runtime = sim.runtime();
        let clock = sim.clone();
        runtime.spawn(
            "writer",
            Box::pin(async move {
                for item in ["a", "b", "c"] {
                    writer.execute("INSERT INTO menu VALUES (?1, 1)", [item]).await.unwrap();
                    clock.sleep(Duration::from_millis(60)).await;
                }
            }),
        );
        assert_eq!(change(&mut query).await, [r#"+{"item":"a"}"#, r#"+{"item":"b"}"#]);
        assert_eq!(sim.now().since_origin(), Duration::from_millis(100));
        assert_eq!(change(&mut query).await, [r#"+{"item":"c"}"#]);
    });
}

#[test]
fn r42_only_what_reads_a_table_is_evaluated_when_it_is_written() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        let mut orders = ask(&engine, "SELECT item FROM orders").await;
        let mut large = ask(&engine, "SELECT item FROM large").await;
        let mut nothing = ask(&engine, "SELECT 1 AS one").await;
        for query in [&mut orders, &mut large, &mut nothing] {
            query.rows().await.unwrap();
        }
        script(&engine, "INSERT INTO menu VALUES ('tea', 1)").await;
        for query in [&mut orders, &mut large, &mut nothing] {
            no_change(&sim, query).await;
        }
        assert_eq!(engine.stats().evaluations, 3);
        script(&engine, "INSERT INTO orders VALUES (1, 'tea', 1, '')").await;
        no_change(&sim, &mut large).await;
        no_change(&sim, &mut nothing).await;
        assert_eq!(change(&mut orders).await, [r#"+{"item":"tea"}"#]);
        assert_eq!(engine.stats().evaluations, 5);
    });
}

#[test]
fn r42_queries_that_are_dropped_are_forgotten() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        let mut queries: Vec<_> =
            join_all((0..50).map(|_| ask(&engine, "SELECT item FROM menu"))).await;
        assert_eq!(engine.stats().queries, 0);
        for query in &mut queries {
            query.rows().await.unwrap();
        }
        assert_eq!(engine.stats().queries, 50);
        queries.truncate(1);
        assert_eq!(engine.stats().queries, 1);
        script(&engine, "INSERT INTO menu VALUES ('tea', 1)").await;
        assert_eq!(change(&mut queries[0]).await, [r#"+{"item":"tea"}"#]);
        assert_eq!(engine.stats().evaluations, 51);
        drop(queries);
        script(&engine, "INSERT INTO menu VALUES ('pie', 1)").await;
        sim.settle().await;
        assert_eq!((engine.stats().evaluations, engine.stats().queries), (51, 0));
        assert_eq!(sim.tasks(), 0);
    });
}

#[test]
fn r42_a_query_outlives_its_engine() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        let mut query = ask(&engine, "SELECT count(*) AS n FROM menu").await;
        drop(engine);
        assert_eq!(rows(&mut query).await, [r#"{"n":0}"#]);
        // In memory there are no others to be looked for.
        assert_eq!(sim.tasks(), 0);
        no_change(&sim, &mut query).await;
    });
}

#[test]
fn r42_a_call_that_is_dropped_and_made_again_misses_nothing() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        assert_eq!(at_once(&mut query), None);
        script(&engine, "INSERT INTO menu VALUES ('tea', 1)").await;
        // Each call lasts a millisecond; the pause of 20 ms ends all the same.
        let (start, mut calls) = (sim.now(), 0);
        let change = loop {
            calls += 1;
            if let Ok(change) = sim.timeout(Duration::from_millis(1), query.change()).await {
                break support::signed(&change.unwrap());
            }
        };
        assert_eq!(change, [r#"+{"item":"tea"}"#]);
        assert!(calls > 10, "{calls}");
        assert!(sim.now() - start <= Duration::from_millis(21), "{:?}", sim.now() - start);
        // The same of rows: what was under way is what they give.
        assert_eq!(rows(&mut query).await, [r#"{"item":"tea"}"#]);
        no_change(&sim, &mut query).await;
        assert_eq!(engine.stats().evaluations, 2);
    });
}

#[test]
fn r42_evaluations_wait_their_turn_and_none_is_lost() {
    Sim::new().run(async |sim| {
        let engine = with_schema(builder(&sim).readers(1)).await;
        let queries: Vec<_> =
            join_all((0..20).map(|_| ask(&engine, "SELECT item FROM menu"))).await;
        let each = queries.into_iter().map(async |mut query| {
            query.rows().await.unwrap();
            query
        });
        let mut queries: Vec<_> = join_all(each).await;
        script(&engine, "INSERT INTO menu VALUES ('tea', 1)").await;
        for (number, query) in queries.iter_mut().enumerate() {
            // Every other one is looked at once, and then not for a while.
            if number % 2 == 0 {
                assert_eq!(at_once(query), None);
            }
        }
        for query in &mut queries {
            assert_eq!(change(query).await, [r#"+{"item":"tea"}"#]);
        }
    });
}
