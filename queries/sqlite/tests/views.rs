//! Views: their rows are for whom they are named, and what is beneath them is not.

mod support;

use moorline_sim::Sim;
use moorline_sqlite::Rights;
use support::{ask, change, guarded, refusal, rows, script};

#[test]
fn r42_views_show_what_they_give_and_no_more() {
    Sim::new().run(async |sim| {
        let engine =
            guarded(&sim, |_| Rights::none().table("top", ["id"]).table_all("recent")).await;
        script(
            &engine,
            "CREATE VIEW deep AS SELECT id, hex(pin) AS pin FROM secret JOIN plain USING (id);
             CREATE VIEW top AS SELECT id, pin FROM deep WHERE id > 100;
             CREATE VIEW bare AS SELECT 1 FROM secret;
             CREATE VIEW named AS WITH part AS (SELECT pin FROM secret) SELECT pin FROM part;
             INSERT INTO plain VALUES (101, '')",
        )
        .await;
        let mut query = ask(&engine, "SELECT id FROM top").await;
        assert_eq!(rows(&mut query).await, [r#"{"id":101}"#]);
        for refused in [
            "SELECT pin FROM top",
            "SELECT id FROM deep",
            "SELECT top.id FROM top, deep",
            "SELECT top.id FROM top, (SELECT pin FROM secret)",
            "SELECT id, (SELECT max(pin) FROM secret) AS pin FROM top",
            "SELECT id, hex(id) AS h FROM top",
            "SELECT pin FROM named",
            "SELECT count(*) FROM bare",
            "SELECT top.id FROM top, bare",
            "SELECT top.id FROM top, json_each",
            "WITH a AS (SELECT 1) SELECT id FROM top",
            "SELECT top.id FROM top JOIN (SELECT '35363738' AS pin) USING (pin)",
        ] {
            assert_eq!(refusal(&engine, refused).await.code, "query_refused", "{refused}");
        }
        // Each table beneath is watched.
        script(&engine, "DELETE FROM plain").await;
        assert_eq!(change(&mut query).await, [r#"-{"id":101}"#]);
    });
}

#[test]
fn r42_a_view_over_a_virtual_table_changes_with_all_that_is_written() {
    Sim::new().run(async |sim| {
        let engine = guarded(&sim, |_| Rights::none().table_all("found").table_all("full")).await;
        script(
            &engine,
            "CREATE TABLE lists (list);
             CREATE VIEW found AS SELECT value FROM lists, json_each(lists.list);
             CREATE VIEW full AS SELECT text FROM search",
        )
        .await;
        let mut query = ask(&engine, "SELECT value FROM found").await;
        assert!(rows(&mut query).await.is_empty());
        script(&engine, "INSERT INTO lists VALUES ('[5]')").await;
        assert_eq!(change(&mut query).await, [r#"+{"value":5}"#]);
        // One with tables of its own is not to be read at all.
        let mut full = ask(&engine, "SELECT text FROM full").await;
        assert_eq!(full.rows().await.unwrap_err().code, "query_refused");
    });
}

#[test]
fn r42_a_view_may_recurse_where_the_asker_may_not() {
    Sim::new().run(async |sim| {
        let engine = guarded(&sim, |_| Rights::none().table_all("numbers")).await;
        let recursive = "CREATE VIEW numbers AS
             WITH RECURSIVE part (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM part WHERE n < 3)
             SELECT n FROM part";
        script(&engine, recursive).await;
        let mut query = ask(&engine, "SELECT n FROM numbers").await;
        assert_eq!(rows(&mut query).await, [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
    });
}

#[test]
fn r42_a_virtual_table_is_not_read_by_its_name() {
    Sim::new().run(async |sim| {
        let engine = guarded(&sim, |_| Rights::none().table_all("search")).await;
        for query in ["SELECT text FROM search", "SELECT count(*) AS n FROM search"] {
            assert_eq!(refusal(&engine, query).await.code, "query_refused", "{query}");
        }
    });
}
