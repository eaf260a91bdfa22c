//! Writes that fail, panic or go their own way.

mod support;

use moorline_sim::Sim;
use moorline_sqlite::rusqlite;
use support::{ask, change, engine, no_change, script};

#[test]
fn r42_what_is_rolled_back_is_no_change() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        query.rows().await.unwrap();
        let failed: Result<(), _> = engine
            .write(|transaction| {
                transaction.execute("INSERT INTO menu VALUES ('tea', 1)", [])?;
                Err(rusqlite::Error::InvalidQuery)
            })
            .await;
        assert_eq!(failed.unwrap_err().to_string(), "Query is not read-only");
        no_change(&sim, &mut query).await;
        // Nor is it kept until something else is written.
        script(&engine, "INSERT INTO menu VALUES ('pie', 1)").await;
        assert_eq!(change(&mut query).await, [r#"+{"item":"pie"}"#]);
    });
}

#[test]
fn r42_work_that_panics_is_rolled_back_and_the_next_goes_on() {
    let sim = Sim::new();
    sim.allow_task_panics();
    sim.run(async |sim| {
        let engine = engine(&sim).await;
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        query.rows().await.unwrap();
        let lost = engine.write(|transaction| {
            transaction.execute("INSERT INTO menu VALUES ('tea', 1)", [])?;
            if true {
                panic!("as a test wants it");
            }
            Ok(())
        });
        assert!(matches!(lost.await, Err(moorline_sqlite::SqliteError::Lost)));
        no_change(&sim, &mut query).await;
        script(&engine, "INSERT INTO menu VALUES ('pie', 1)").await;
        assert_eq!(change(&mut query).await, [r#"+{"item":"pie"}"#]);
    });
}

#[test]
fn r42_what_was_committed_before_a_failure_is_told() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        query.rows().await.unwrap();
        let result = engine.write(|transaction| {
            transaction.execute_batch("INSERT INTO menu VALUES ('tea', 1); COMMIT")
        });
        assert!(result.await.is_err());
        assert_eq!(change(&mut query).await, [r#"+{"item":"tea"}"#]);
    });
}

#[test]
fn r42_an_application_that_sets_its_own_authorizer_is_noticed() {
    Sim::new().run(async |sim| {
        let engine = engine(&sim).await;
        let mut query = ask(&engine, "SELECT item FROM menu").await;
        query.rows().await.unwrap();
        let work = engine.write(|transaction| {
            type Allow = fn(rusqlite::hooks::AuthContext<'_>) -> rusqlite::hooks::Authorization;
            transaction.authorizer(None::<Allow>)?;
            transaction.execute("INSERT INTO menu VALUES ('tea', 1)", [])
        });
        work.await.unwrap();
        assert_eq!(change(&mut query).await, [r#"+{"item":"tea"}"#]);
    });
}
