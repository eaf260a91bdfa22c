//! Credentials are fetched for each attempt (R43).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use moorline::server::{Admission, Visitor};

use crate::stage::{Journal, SECOND, Stage};

behaviours![
    r43_credentials_are_fetched_afresh_for_each_attempt,
    r43_credentials_that_cannot_be_fetched_are_tried_again,
    r43_credentials_that_hang_are_given_up_with_the_attempt,
    a_panic_of_the_credentials_costs_one_attempt,
];

/// A running server that writes down the credentials of each client.
async fn server(stage: &Stage) -> Journal {
    let journal = Journal::default();
    let pen = journal.clone();
    let server = stage.server().authenticator(move |visitor: Arc<Visitor>| {
        pen.write(visitor.auth::<String>().unwrap().unwrap_or_default());
        async { Ok(Admission::anonymous()) }
    });
    server.run().await;
    journal
}

async fn r43_credentials_are_fetched_afresh_for_each_attempt(stage: Stage) {
    let seen = server(&stage).await;
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = fetched.clone();
    let client = stage.client().credentials(move || {
        let token = format!("token {}", count.fetch_add(1, Ordering::SeqCst));
        async move { Ok(token) }
    });
    let connection = client.connect().await;
    let journal = Journal::of(&connection);
    stage.cut();
    stage.reads(&journal, "attempt 2").await;
    stage.heal();
    stage.until("it is back", || connection.is_connected()).await;
    let last = format!("token {}", fetched.load(Ordering::SeqCst) - 1);
    assert_eq!(seen.words(), ["token 0".to_owned(), last]);
    assert!(fetched.load(Ordering::SeqCst) >= 3, "for the failed attempts too");
}

async fn r43_credentials_that_cannot_be_fetched_are_tried_again(stage: Stage) {
    let seen = server(&stage).await;
    let count = AtomicUsize::new(0);
    let client = stage.client().credentials(move || {
        let now = count.fetch_add(1, Ordering::SeqCst);
        async move { if now < 2 { Err("signed out".to_owned()) } else { Ok("at last".to_owned()) } }
    });
    let connection = client.build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    stage.within("it opens", connection.opened()).await.unwrap();
    stage.reads(&journal, "reconnect 2").await;
    assert_eq!(journal.count("error Connect credentials"), 2);
    assert_eq!(seen.words(), ["at last"]);
}

async fn r43_credentials_that_hang_are_given_up_with_the_attempt(stage: Stage) {
    let seen = server(&stage).await;
    let count = AtomicUsize::new(0);
    let client = stage.client().credentials(move || {
        let now = count.fetch_add(1, Ordering::SeqCst);
        async move {
            if now == 0 {
                std::future::pending::<()>().await;
            }
            Ok("at last".to_owned())
        }
    });
    let connection = client.attempt_timeout(20 * SECOND).build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    stage.within("it opens", connection.opened()).await.unwrap();
    stage.reads(&journal, "reconnect 1").await;
    assert_eq!(journal.count("error Connect timed_out"), 1);
    assert_eq!(seen.words(), ["at last"]);
}

async fn a_panic_of_the_credentials_costs_one_attempt(stage: Stage) {
    let seen = server(&stage).await;
    let count = AtomicUsize::new(0);
    let client = stage.client().credentials(move || {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            assert!(!first, "the first time it panics");
            Ok("at last".to_owned())
        }
    });
    let connection = client.build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    stage.within("it opens", connection.opened()).await.unwrap();
    stage.reads(&journal, "reconnect 1").await;
    assert_eq!(journal.count("error Connect panicked"), 1);
    assert_eq!(seen.words(), ["at last"]);
}
