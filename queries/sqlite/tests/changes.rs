//! Rows, then changes: whichever way a table is written.

mod support;

use moorline_sim::Sim;
use support::{ask, builder, change, engine, no_change, rows, script};

#[test]
fn r42_first_the_rows_then_what_changes() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        script(&engine, "INSERT INTO orders VALUES (1, 'tea', 2, 'x')").await;
        let mut query = ask(&engine, "SELECT id, item FROM orders ORDER BY id").await;
        assert_eq!(rows(&mut query).await, [r#"{"id":1,"item":"tea"}"#]);

        let changed = engine.execute("INSERT INTO orders VALUES (2, ?1, 1, 'y')", ["cake"]).await;
        assert_eq!(changed.unwrap(), 1);
        assert_eq!(change(&mut query).await, [r#"+{"id":2,"item":"cake"}"#]);
        engine.execute("UPDATE orders SET item = 'pie' WHERE id = 2", []).await.unwrap();
        assert_eq!(
            change(&mut query).await,
            [r#"-{"id":2,"item":"cake"}"#, r#"+{"id":2,"item":"pie"}"#,]
        );
        engine.execute("DELETE FROM orders WHERE id = 1", []).await.unwrap();
        assert_eq!(change(&mut query).await, [r#"-{"id":1,"item":"tea"}"#]);
        assert_eq!(rows(&mut query).await, [r#"{"id":2,"item":"pie"}"#]);
        no_change(&sim, &mut query).await;
    });
}

#[test]
fn r42_a_change_counts_from_the_first_call_of_either() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        script(&engine, "INSERT INTO menu VALUES ('tea', 2)").await;
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        no_change(&sim, &mut query).await;
        script(&engine, "INSERT INTO menu VALUES ('pie', 3)").await;
        assert_eq!(change(&mut query).await, [r#"+{"item":"pie"}"#]);
        assert_eq!(rows(&mut query).await, [r#"{"item":"pie"}"#, r#"{"item":"tea"}"#]);
    });
}

#[test]
fn r42_rows_stand_as_of_the_last_change_that_was_given() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        assert!(rows(&mut query).await.is_empty());
        script(&engine, "INSERT INTO menu VALUES ('pie', 3)").await;
        assert!(rows(&mut query).await.is_empty());
        assert_eq!(change(&mut query).await, [r#"+{"item":"pie"}"#]);
    });
}

/// Writes that SQLite's update hook says nothing of, or not everything.
#[test]
fn r42_no_way_of_writing_is_missed() {
    const ITEMS: &str = "SELECT item FROM orders";
    for (query, before, write, expected) in [
        // The whole table at once.
        (ITEMS, "INSERT INTO orders VALUES (1, 'tea', 1, '')", "DELETE FROM orders", [
            r#"-{"item":"tea"}"#,
        ]
        .as_slice()),
        // A table without a rowid.
        ("SELECT item FROM menu", "", "INSERT INTO menu VALUES ('tea', 1)", &[r#"+{"item":"tea"}"#]),
        // A row that another one replaces.
        (
            ITEMS,
            "CREATE UNIQUE INDEX one ON orders (count); INSERT INTO orders VALUES (1, 'tea', 1, '')",
            "REPLACE INTO orders VALUES (2, 'pie', 1, '')",
            &[r#"-{"item":"tea"}"#, r#"+{"item":"pie"}"#],
        ),
        (
            ITEMS,
            "INSERT INTO orders VALUES (1, 'tea', 1, '')",
            "INSERT INTO orders VALUES (1, 'x', 1, '') ON CONFLICT DO UPDATE SET item = 'new'",
            &[r#"-{"item":"tea"}"#, r#"+{"item":"new"}"#],
        ),
        // A trigger.
        (
            "SELECT text FROM log",
            "CREATE TABLE log (text);
             CREATE TRIGGER noted AFTER INSERT ON orders BEGIN INSERT INTO log VALUES (new.item); END",
            "INSERT INTO orders VALUES (1, 'tea', 1, '')",
            &[r#"+{"text":"tea"}"#],
        ),
        // A foreign key, twice over.
        (
            "SELECT id FROM child",
            "CREATE TABLE grand (id INTEGER PRIMARY KEY);
             CREATE TABLE parent (id INTEGER PRIMARY KEY REFERENCES grand ON DELETE CASCADE);
             CREATE TABLE child (id INTEGER PRIMARY KEY REFERENCES parent ON DELETE CASCADE);
             INSERT INTO grand VALUES (7); INSERT INTO parent VALUES (7); INSERT INTO child VALUES (7)",
            "DELETE FROM grand",
            &[r#"-{"id":7}"#],
        ),
        (
            "SELECT up FROM child",
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (up REFERENCES parent ON UPDATE CASCADE);
             INSERT INTO parent VALUES (7); INSERT INTO child VALUES (7)",
            "UPDATE parent SET id = 8",
            &[r#"-{"up":7}"#, r#"+{"up":8}"#],
        ),
        // A view, read and written.
        ("SELECT item FROM large", "", "INSERT INTO orders VALUES (1, 'tea', 10, '')", &[
            r#"+{"item":"tea"}"#,
        ]),
        (
            ITEMS,
            "CREATE VIEW v AS SELECT 1 AS x;
             CREATE TRIGGER instead INSTEAD OF INSERT ON v
             BEGIN INSERT INTO orders VALUES (1, new.x, 1, ''); END",
            "INSERT INTO v VALUES ('tea')",
            &[r#"+{"item":"tea"}"#],
        ),
        // Tables that appear in the query where nothing of them is to be seen.
        ("SELECT count(*) AS n FROM orders", "", "INSERT INTO orders VALUES (1, 'tea', 1, '')", &[
            r#"-{"n":0}"#,
            r#"+{"n":1}"#,
        ]),
        (
            "SELECT menu.price FROM menu JOIN orders USING (item)",
            "INSERT INTO menu VALUES ('tea', 2.5)",
            "INSERT INTO orders VALUES (1, 'tea', 1, '')",
            &[r#"+{"price":2.5}"#],
        ),
        (
            "SELECT 'tea' IN (SELECT item FROM orders) AS there, EXISTS (SELECT 1 FROM menu) AS some",
            "",
            "INSERT INTO orders VALUES (1, 'tea', 1, '')",
            &[r#"-{"some":0,"there":0}"#, r#"+{"some":0,"there":1}"#],
        ),
        // Another schema.
        (
            "SELECT item FROM large",
            "INSERT INTO orders VALUES (1, 'tea', 1, '')",
            "DROP VIEW large; CREATE VIEW large AS SELECT * FROM orders",
            &[r#"+{"item":"tea"}"#],
        ),
        ("SELECT * FROM t", "CREATE TABLE t (a); INSERT INTO t VALUES (1)", "ALTER TABLE t ADD b", &[
            r#"-{"a":1}"#,
            r#"+{"a":1,"b":null}"#,
        ]),
        ("SELECT a FROM t", "CREATE TABLE t (a)", "DROP TABLE t; CREATE TABLE t AS SELECT 5 AS a", &[
            r#"+{"a":5}"#,
        ]),
        // Savepoints.
        (
            ITEMS,
            "",
            "INSERT INTO orders VALUES (1, 'tea', 1, '');
             SAVEPOINT s; INSERT INTO orders VALUES (2, 'pie', 1, ''); ROLLBACK TO s; RELEASE s",
            &[r#"+{"item":"tea"}"#],
        ),
    ] {
        Sim::new().run(async |sim| {
            let engine = engine(&sim).await;
            script(&engine, before).await;
            let mut query = ask(&engine, query).await;
            query.rows().await.unwrap();
            script(&engine, write).await;
            assert_eq!(change(&mut query).await, expected, "{write}");
        });
    }
}

#[test]
fn r42_statements_that_are_kept_compiled_are_noted_each_time() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        script(&engine, "CREATE TABLE t (a)").await;
        let mut query = ask(&engine, "SELECT a FROM t").await;
        query.rows().await.unwrap();
        for number in 0..3 {
            let work = engine.write(move |transaction| {
                transaction.prepare_cached("INSERT INTO t VALUES (?1)")?.execute([number])
            });
            work.await.unwrap();
            assert_eq!(change(&mut query).await, [format!(r#"+{{"a":{number}}}"#)]);
        }
    });
}

#[test]
fn r42_values_are_exact() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        let sql = "SELECT 9007199254740993 AS i, -9223372036854775808 AS least, 1.0 AS whole, 0.1 AS tenth,
            1e999 AS infinite, NULL AS none, 'é\"\n' AS text, x'00ff10' AS blob, CAST(x'ff61' AS TEXT) AS odd,
            '' AS \"a \"\"name\"\"\"";
        let mut query = ask(&engine, sql).await;
        let json = query.rows().await.unwrap().json;
        assert_eq!(std::str::from_utf8(&json).unwrap(), concat!(
            r#"[{"i":9007199254740993,"least":-9223372036854775808,"whole":1.0,"tenth":0.1,"infinite":null,"#,
            r#""none":null,"text":"é\"\n","blob":"AP8Q","odd":""#,
            "\u{fffd}a",
            r#"","a \"name\"":""}]"#
        ));
    });
}

#[test]
fn r42_a_change_of_order_alone_is_none_and_the_next_rows_have_it() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        script(&engine, "INSERT INTO menu VALUES ('pie', 1), ('tea', 2)").await;
        let mut query = ask(&engine, "SELECT item FROM menu ORDER BY price").await;
        assert_eq!(rows(&mut query).await, [r#"{"item":"pie"}"#, r#"{"item":"tea"}"#]);
        script(&engine, "UPDATE menu SET price = 3 WHERE item = 'pie'").await;
        no_change(&sim, &mut query).await;
        assert_eq!(rows(&mut query).await, [r#"{"item":"tea"}"#, r#"{"item":"pie"}"#]);
    });
}

#[test]
fn r42_a_change_that_fits_in_no_frame_comes_in_parts() {
    Sim::new().run(async |sim| {
        let engine = support::with_schema(builder(&sim).max_bytes(200)).await;
        script(
            &engine,
            "CREATE TABLE t (a); INSERT INTO t VALUES (10), (11), (12), (13), (14), (15), (16)",
        )
        .await;
        let mut query = ask(&engine, "SELECT a FROM t").await;
        let mut model = rows(&mut query).await;
        script(&engine, "UPDATE t SET a = a + 10").await;
        let mut parts = 0;
        while let Ok(change) = sim.timeout(std::time::Duration::from_secs(9), query.change()).await
        {
            let change = change.unwrap();
            assert!(change.json.len() <= 200);
            support::apply(&mut model, &support::signed(&change));
            let mut now = rows(&mut query).await;
            now.sort();
            assert_eq!(now, model);
            parts += 1;
        }
        assert!(parts > 2, "{parts}");
        assert_eq!((model.len(), model[0].as_str()), (7, r#"{"a":20}"#));
    });
}
