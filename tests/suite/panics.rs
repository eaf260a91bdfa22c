//! A listener or a hook that panics costs nobody else anything (R21).

use moorline::event;

use crate::stage::{Journal, Pair, SECOND, Stage};

behaviours![
    r21_a_listener_that_panics_becomes_an_error_event_and_the_others_run,
    r21_an_async_listener_that_panics_becomes_an_error_event_and_the_others_run,
    r21_a_listener_for_errors_that_panics_comes_to_an_end,
    r21_a_disconnect_hook_that_panics_leaves_the_server_running,
];

/// Panics, and has a type that a listener may return.
fn fail(message: &str) {
    panic!("{message}");
}

async fn r21_a_listener_that_panics_becomes_an_error_event_and_the_others_run(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    connection.on_message(|message| assert_eq!(message.to_string(), "good", "a bad message"));
    let journal = Journal::of(&connection);
    for text in ["bad", "good", "bad", "good"] {
        guest.send(text).await.unwrap();
    }
    let told = "error Application listener_panicked";
    stage.until("both are told", || journal.count(told) == 2).await;
    stage.until("all are heard", || journal.count("message good") == 2).await;
    assert_eq!(journal.count("message bad"), 2);
    assert!(connection.is_connected());
}

async fn r21_an_async_listener_that_panics_becomes_an_error_event_and_the_others_run(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let errors = Journal::default();
    let (pen, clock) = (errors.clone(), stage.clone());
    connection.on(event::Error, move |error| pen.write(error.message));
    connection.on_message(move |_| {
        let clock = clock.clone();
        async move {
            clock.sleep(SECOND).await;
            panic!("after a while");
        }
    });
    let journal = Journal::of(&connection);
    guest.send("1").await.unwrap();
    guest.send("2").await.unwrap();
    stage.reads(&journal, "message 2").await;
    stage.until("both are told", || errors.count("after a while") == 2).await;
}

async fn r21_a_listener_for_errors_that_panics_comes_to_an_end(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let journal = Journal::default();
    let pen = journal.clone();
    connection.on(event::Error, move |error| {
        pen.write(error.message);
        // Were it told of its own panics, it would still come to an end here.
        if pen.words().len() < 10 {
            fail("again and again");
        }
    });
    connection.on_message(|_| fail("once"));
    guest.send("go").await.unwrap();
    stage.reads(&journal, "once").await;
    stage.sleep(10 * SECOND).await;
    assert_eq!(journal.words(), ["once"]);
    assert!(stage.within("a pong", connection.ping()).await.is_ok());
}

async fn r21_a_disconnect_hook_that_panics_leaves_the_server_running(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    let journal = Journal::default();
    let pen = journal.clone();
    server.on_disconnect(|_, _| fail("a bad hook"));
    server.on_disconnect(move |connection, _| pen.write(connection.id().to_string()));
    let id = connection.id().unwrap().to_string();
    connection.close();
    stage.reads(&journal, &id).await;
    let other = stage.client().connect().await;
    assert!(other.is_connected() && server.is_running());
}
