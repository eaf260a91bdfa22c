//! Nothing may be read but what is named.

mod support;

use moorline_core::{Asker, QueryEngine};
use moorline_sim::Sim;
use moorline_sqlite::{Rights, SqliteEngine};
use support::{ask, guarded, refusal, rows, script};

/// A waiter: no cards, no secrets, and of large orders only those.
fn waiter(_: &Asker) -> Rights {
    Rights::none().table("Orders", ["ID", "item"]).table_all("menu").table("pins", ["id"])
}

#[test]
fn r42_what_is_named_is_answered() {
    Sim::new().run(async |sim| {
        let engine = guarded(&sim, waiter).await;
        for (query, expected) in [
            ("SELECT id, item FROM orders", r#"{"id":1,"item":"tea"}"#),
            ("SELECT rowid FROM orders", r#"{"id":1}"#),
            ("SELECT ID FROM main.ORDERS", r#"{"id":1}"#),
            ("SELECT * FROM menu", r#"{"item":"tea","price":2.0}"#),
            ("SELECT count(*) AS n FROM orders", r#"{"n":1}"#),
            ("SELECT upper(item) AS i FROM menu WHERE item LIKE 't%'", r#"{"i":"TEA"}"#),
            ("SELECT id FROM pins", r#"{"id":101}"#),
            ("SELECT count(*) AS n FROM pins", r#"{"n":1}"#),
            ("WITH cheap AS (SELECT item FROM menu) SELECT item FROM cheap", r#"{"item":"tea"}"#),
            ("WITH cheap AS (SELECT item FROM menu) SELECT count(*) AS n FROM cheap", r#"{"n":1}"#),
            (
                "SELECT menu.price FROM menu JOIN orders ON menu.item = orders.item",
                r#"{"price":2.0}"#,
            ),
            ("SELECT price FROM menu NATURAL JOIN (SELECT 'tea' AS item)", r#"{"price":2.0}"#),
            ("VALUES (1);", r#"{"column1":1}"#),
            ("SELECT a FROM (SELECT 1 AS a UNION SELECT 1)", r#"{"a":1}"#),
        ] {
            println!("{query}");
            assert_eq!(rows(&mut ask(&engine, query).await).await, [expected]);
        }
    });
}

#[test]
fn r42_what_is_not_named_is_refused() {
    Sim::new().run(async |sim| {
        let engine = guarded(&sim, waiter).await;
        for query in [
            "SELECT pin FROM secret",
            "SELECT count(*) FROM secret",
            "SELECT 1 FROM secret",
            "SELECT 1 FROM menu, secret",
            "SELECT (SELECT pin FROM secret)",
            "SELECT 1 WHERE 1 IN (SELECT id FROM secret)",
            "SELECT 1 WHERE 1 IN secret",
            "SELECT id FROM orders UNION SELECT pin FROM secret",
            "SELECT * FROM orders",
            "SELECT card FROM orders",
            "SELECT id FROM orders WHERE card = '4111'",
            "SELECT id FROM orders ORDER BY card",
            "SELECT count(card) FROM orders",
            "SELECT max(id) OVER (ORDER BY card) FROM orders",
            "SELECT orders.id FROM orders JOIN (SELECT '4111' AS card) USING (card)",
            "SELECT 1 FROM (SELECT '4111' AS card) NATURAL JOIN orders",
            "SELECT menu.item FROM menu JOIN plain USING (item)",
            "SELECT id FROM orders JOIN secret USING (id)",
            "SELECT pin FROM pins",
            "SELECT id FROM large",
            "SELECT id FROM pins, (SELECT count(*) FROM secret)",
            "SELECT pins.id FROM pins, main.'Secret' AS s",
            "SELECT id, (SELECT count(*) FROM [SECRET]) AS n FROM pins",
            // A part of the query with a view's name is not the view.
            "WITH pins AS (SELECT id, pin FROM secret) SELECT id FROM pins",
            "WITH pins AS (SELECT pin AS id FROM secret) SELECT id FROM pins, (SELECT id AS x FROM main.pins)",
            "WITH secret AS (SELECT 1) SELECT count(*) FROM main.secret",
            // SQLite takes a byte order mark for a blank, wherever it stands.
            "\u{feff}WITH pins AS (SELECT pin AS id FROM secret) SELECT id FROM pins",
            "SELECT id FROM (\u{feff}WITH pins AS (SELECT pin AS id FROM secret) SELECT id FROM pins)",
            "SELECT orders.id FROM orders JOIN (SELECT '4111' AS card)\u{feff}USING (card)",
            "SELECT 1 FROM (SELECT '4111' AS card) \u{feff}NATURAL JOIN orders",
            "WITH x AS (SELECT 1) SELECT count(*) FROM pragma_table_list",
            "WITH x AS (SELECT 1) SELECT 1 FROM pragma_module_list, dbstat",
            "WITH x AS (SELECT 1) SELECT count(*) FROM json_each",
            "SELECT name FROM sqlite_master",
            "SELECT count(*) FROM sqlite_schema",
            "SELECT 1 FROM sqlite_temp_master",
            "SELECT * FROM pragma_table_info('secret')",
            "SELECT count(*) FROM pragma_table_list",
            "SELECT value FROM json_each('[1]')",
            "SELECT text FROM search",
            "SELECT id FROM orders LIMIT (SELECT pin FROM secret)",
            "SELECT nobody FROM menu",
            "SELECT 1 FROM nowhere",
            "SELECT \"tea\" FROM menu",
        ] {
            let error = refusal(&engine, query).await;
            assert_eq!(error.code, "query_refused", "{query}: {error}");
            assert!(!error.message.contains("secret"), "{query}: {error}");
        }
    });
}

#[test]
fn r42_missing_and_forbidden_are_one_message() {
    Sim::new().run(async |sim| {
        let engine = guarded(&sim, waiter).await;
        let missing = refusal(&engine, "SELECT 1 FROM nowhere").await;
        assert_eq!(missing, refusal(&engine, "SELECT 1 FROM secret").await);
        assert_eq!(missing, refusal(&engine, "SELECT card FROM orders").await);
        assert_eq!(missing, refusal(&engine, "SELECT curd FROM orders").await);
        assert_eq!(
            missing.message,
            "the query reads something that does not exist or that may not be read: \
             menu, orders (id, item), pins (id) may be read"
        );
    });
}

#[test]
fn r42_only_one_select_is_answered() {
    Sim::new().run(async |sim| {
        let engine = guarded(&sim, waiter).await;
        for query in [
            "INSERT INTO menu VALUES ('x', 1)",
            "UPDATE menu SET price = 0",
            "DELETE FROM menu",
            "DELETE FROM menu RETURNING item",
            "CREATE TABLE x (a)",
            "CREATE TEMP TABLE x (a)",
            "CREATE TEMP VIEW v AS SELECT 1",
            "DROP TABLE menu",
            "PRAGMA table_list",
            "PRAGMA query_only = 0",
            "ATTACH ':memory:' AS other",
            "DETACH main",
            "BEGIN",
            "COMMIT",
            "ROLLBACK",
            "SAVEPOINT a",
            "VACUUM",
            "VACUUM INTO 'copy'",
            "ANALYZE",
            "REINDEX",
            "EXPLAIN SELECT 1",
            "EXPLAIN QUERY PLAN SELECT 1",
            "WITH a AS (SELECT 1) DELETE FROM menu",
            "SELECT 1; DELETE FROM menu",
        ] {
            let error = refusal(&engine, query).await;
            assert_eq!(error.code, "query_refused", "{query}: {error}");
        }
        for query in [
            "",
            "  ; -- nothing",
            "SELECT",
            "SELEKT 1",
            "SELECT 1; SELECT 2",
            ";SELECT 1; SELECT 2",
            "SELECT 'open",
            "SELECT ?1",
            "SELECT :name",
            "SELECT $a(')')",
            "SELECT 1 AS a, 2 AS a",
            "SELECT sum(1, 2)",
            "SELECT 1\0",
        ] {
            let error = refusal(&engine, query).await;
            assert_eq!(error.code, "query_invalid", "{query}: {error}");
        }
        // And nothing has come of it.
        assert_eq!(
            rows(&mut ask(&engine, "SELECT price FROM menu").await).await,
            [r#"{"price":2.0}"#]
        );
    });
}

#[test]
fn r42_functions_are_refused_but_for_harmless_ones() {
    Sim::new().run(async |sim| {
        let engine = guarded(&sim, waiter).await;
        for call in [
            "load_extension('x')",
            "readfile('x')",
            "random()",
            "randomblob(9)",
            "zeroblob(9)",
            "printf('%9999d', 1)",
            "format('%9999d', 1)",
            "sqlite_version()",
            "date('now')",
            "current_timestamp",
            "hex('a')",
            "replace('a', 'a', 'b')",
            "group_concat(1)",
            "json('1')",
            "'{}' -> 'a'",
            "total_changes()",
            "likelihood(1, 0.5)",
        ] {
            for query in
                [format!("SELECT {call} AS x"), format!("SELECT item FROM menu WHERE {call}")]
            {
                // An aggregate in WHERE is wrong for another reason; a function that SQLite has not, too.
                let error = refusal(&engine, &query).await;
                assert!(error.code == "query_refused" || !call.contains("ran"), "{query}: {error}");
            }
        }
        let error = refusal(&engine, "SELECT random()").await;
        assert_eq!(error.message, "the function random() is not allowed");
        let engine = engine.rights(|_| Rights::none().table_all("menu").function("HEX"));
        assert_eq!(rows(&mut ask(&engine, "SELECT Hex('a') AS h").await).await, [r#"{"h":"61"}"#]);
    });
}

#[test]
fn r42_recursion_must_be_allowed() {
    Sim::new().run(async |sim| {
        let engine = guarded(&sim, waiter).await;
        let query = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3) SELECT max(i) AS m FROM n";
        assert_eq!(refusal(&engine, query).await.message, "recursive queries are not allowed");
        let engine = engine.rights(|_| Rights::none().table_all("menu").recursive());
        assert_eq!(rows(&mut ask(&engine, query).await).await, [r#"{"m":3}"#]);
    });
}

#[test]
fn r42_without_rights_nothing_is_answered() {
    Sim::new().run(async |sim| {
        let engine = SqliteEngine::in_memory(sim.runtime()).unwrap();
        let error = refusal(&engine, "SELECT 1").await;
        assert_eq!(
            (error.code.as_ref(), error.message.as_str()),
            ("query_refused", "nothing may be read")
        );
    });
}

#[test]
fn r42_rights_are_the_askers() {
    Sim::new().run(async |sim| {
        let engine = guarded(&sim, |asker| match asker.identity.as_deref() {
            Some("cook") => Rights::none().table_all("menu"),
            _ => Rights::none().table_all("orders"),
        })
        .await;
        let (cook, other) = (Asker::of("cook"), Asker::default());
        let menu = "SELECT item FROM menu";
        assert!(engine.prepare(menu, &cook).await.is_ok());
        assert_eq!(engine.prepare(menu, &other).await.unwrap_err().code, "query_refused");
        // What both may ask is still not shared.
        let (first, second) =
            (engine.prepare("SELECT 1", &cook).await, engine.prepare("SELECT 1", &other).await);
        assert_ne!(first.unwrap().key, second.unwrap().key);
    });
}

#[test]
fn r42_a_live_query_is_judged_anew_by_each_schema() {
    Sim::new().run(async |sim| {
        let engine = guarded(&sim, waiter).await;
        let mut query = ask(&engine, "SELECT id, item FROM orders").await;
        query.rows().await.unwrap();
        script(&engine, "DROP TABLE orders; CREATE VIRTUAL TABLE orders USING fts5 (id, item)")
            .await;
        let error = query.change().await.unwrap_err();
        assert_eq!(error.code, "query_refused");
        assert_eq!(query.change().await.unwrap_err(), error);
        assert_eq!(query.rows().await.unwrap_err(), error);
        assert_eq!(engine.stats().queries, 0);
    });
}
