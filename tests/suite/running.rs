//! A server's life: it runs, stops, and runs again (R33).

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use moorline::{RunError, Status, StopError};
use moorline_core::{Acceptor, TransportError};

use crate::closing::ends;
use crate::stage::erased::AnyPending;
use crate::stage::{Journal, Pair, SECOND, Stage};

behaviours![
    r33_running_twice_is_an_error,
    r33_running_what_just_begins_to_run_is_an_error,
    r33_stopping_what_does_not_run_is_an_error,
    r33_it_runs_again_after_a_stop,
    r33_a_stop_right_after_the_start_ends_the_run,
    r33_a_stop_that_is_dropped_half_way_still_stops,
    r33_a_run_that_is_dropped_closes_the_door_and_tells_the_clients,
    r33_two_servers_at_one_place_are_refused,
    r33_the_address_is_known_while_it_runs,
];

async fn r33_running_twice_is_an_error(stage: Stage) {
    let server = stage.server().run().await;
    assert!(matches!(server.run().await, Err(RunError::AlreadyRunning)));
    assert!(server.is_running(), "the first run goes on");
}

/// An acceptor that takes its time to listen.
struct Late(Stage, Journal);

impl Acceptor for Late {
    type Pending = AnyPending;

    async fn listen(&mut self) -> Result<(), TransportError> {
        self.1.write("begins");
        self.0.reads(&self.1, "open").await;
        Ok(())
    }

    async fn accept(&mut self) -> Result<AnyPending, TransportError> {
        std::future::pending().await
    }

    fn close(&mut self) {}
}

async fn r33_running_what_just_begins_to_run_is_an_error(stage: Stage) {
    let journal = Journal::default();
    let late = Late(stage.clone(), journal.clone());
    let server = stage.server().add_acceptor(late).build();
    let first = server.clone();
    stage.spawn(async move { first.start().await.unwrap() });
    stage.reads(&journal, "begins").await;
    assert!(matches!(server.run().await, Err(RunError::AlreadyStarting)));
    assert!(!server.is_running());
    journal.write("open");
    stage.until("the first one runs", || server.is_running()).await;
    stage.within("it stops", server.stop()).await.unwrap();
}

async fn r33_stopping_what_does_not_run_is_an_error(stage: Stage) {
    let server = stage.server().build();
    assert_eq!(server.stop().await, Err(StopError::NotRunning));
    stage.run(&server).await;
    stage.within("it stops", server.stop()).await.unwrap();
    assert_eq!(server.stop().await, Err(StopError::NotRunning));
}

async fn r33_it_runs_again_after_a_stop(stage: Stage) {
    let server = stage.echo().await;
    let connection = stage.client().connect().await;
    let journal = Journal::of(&connection);
    for _ in 0..3 {
        stage.within("it stops", server.stop()).await.unwrap();
        assert!(!server.is_running());
        stage.run(&server).await;
        stage.until("the client is back", || connection.is_connected()).await;
        connection.send("echo").await.unwrap();
        stage.reads(&journal, "message echo").await;
        journal.take();
    }
}

async fn r33_a_stop_right_after_the_start_ends_the_run(stage: Stage) {
    let server = stage.server().build();
    for _ in 0..10 {
        let (running, journal) = (server.clone(), Journal::default());
        let pen = journal.clone();
        stage.spawn(async move {
            running.run().await.unwrap();
            pen.write("over");
        });
        stage.until("it runs", || server.is_running()).await;
        stage.within("it stops", server.stop()).await.unwrap();
        stage.reads(&journal, "over").await;
    }
}

async fn r33_a_stop_that_is_dropped_half_way_still_stops(stage: Stage) {
    let server = stage.server().build();
    let (running, journal) = (server.clone(), Journal::default());
    let pen = journal.clone();
    stage.spawn(async move {
        running.run().await.unwrap();
        pen.write("over");
    });
    stage.until("it runs", || server.is_running()).await;
    let connection = stage.client().connect().await;
    let ends = ends(&connection);
    let _dropped = server.stop().now_or_never();
    stage.reads(&journal, "over").await;
    stage.reads(&ends, "TransportClose 1012 (the server stops), reconnects").await;
    stage.run(&server).await;
    stage.until("the client is back", || server.count() == 1).await;
}

async fn r33_a_run_that_is_dropped_closes_the_door_and_tells_the_clients(stage: Stage) {
    let server = stage.server().build();
    let client = stage.client().build();
    let connecting = Box::pin(stage.within("a client connects", client.connect()));
    let connection = match select(connecting, Box::pin(server.run())).await {
        // The other half, the run, is dropped at the end of this.
        Either::Left((connection, _run)) => connection.unwrap(),
        Either::Right((ended, _)) => panic!("{ended:?}"),
    };
    assert!(!server.is_running());
    stage.until("the client is told", || !connection.is_connected()).await;
    stage.sleep(10 * SECOND).await;
    assert_eq!(connection.status(), Status::Connecting, "nobody is there");
    stage.run(&server).await;
    stage.until("the client is back", || connection.is_connected() && server.count() == 1).await;
}

async fn r33_two_servers_at_one_place_are_refused(stage: Stage) {
    let Pair { connection, .. } = stage.pair().await;
    let other = stage.server().build();
    assert!(matches!(other.run().await, Err(RunError::Listen(_))));
    assert!(!other.is_running());
    assert!(connection.is_connected());
}

async fn r33_the_address_is_known_while_it_runs(stage: Stage) {
    let server = stage.server().build();
    assert_eq!(server.local_address(), None);
    stage.run(&server).await;
    assert!(server.local_address().is_some());
    stage.within("it stops", server.stop()).await.unwrap();
    assert_eq!(server.local_address(), None);
}
