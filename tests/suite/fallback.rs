//! Several ways to one server: what fails is passed over, what works is remembered, and the session moves along.

use std::time::Duration;

use moorline::{Connection, Fallback, Server, ServerConnection};
use moorline_core::TransportErrorKind;

use crate::stage::{Journal, RETENTION, SECOND, Virtual};

in_virtual_time![
    r48_a_refused_transport_is_passed_over_at_once,
    r48_one_that_says_nothing_costs_an_attempts_time,
    r48_an_unreachable_one_is_passed_over_by_the_next_attempt,
    r48_what_worked_is_taken_again,
    r48_a_session_moves_along_without_loss,
    r48_when_all_refuse_it_is_over,
];

const PREFERRED: &str = "preferred";
const OTHER: &str = "other";

/// A server at both places, which sends every message back.
async fn server(stage: &Virtual) -> Server {
    let server = stage
        .server()
        .retention(RETENTION)
        .add_acceptor(stage.network.acceptor(PREFERRED))
        .add_acceptor(stage.network.acceptor(OTHER))
        .build();
    server.on_connect(async |guest: ServerConnection| {
        while let Some(message) = guest.next_message().await {
            guest.send(message).await?;
        }
        Ok(())
    });
    stage.run(&server).await;
    server
}

fn fallback(stage: &Virtual) -> Fallback {
    let network = &stage.network;
    Fallback::new(network.transport(PREFERRED)).then(network.transport(OTHER))
}

async fn connect(stage: &Virtual) -> (Connection, Duration) {
    let begun = stage.now();
    let connection = stage.client().over(fallback(stage)).connect().await;
    (connection, stage.since(begun))
}

/// How many links there are over each.
fn links(stage: &Virtual) -> (usize, usize) {
    (stage.network.links(PREFERRED), stage.network.links(OTHER))
}

async fn r48_a_refused_transport_is_passed_over_at_once(stage: Virtual) {
    let _server = server(&stage).await;
    stage.network.refuse(PREFERRED, TransportErrorKind::Refused);
    let (_connection, took) = connect(&stage).await;
    assert_eq!(links(&stage), (0, 1));
    assert!(took < SECOND, "{took:?}");
}

async fn r48_one_that_says_nothing_costs_an_attempts_time(stage: Virtual) {
    let _server = server(&stage).await;
    stage.network.hang_handshakes(PREFERRED);
    let (_connection, took) = connect(&stage).await;
    assert_eq!(links(&stage).1, 1);
    // An attempt of 20 s, and a delay of 1 s at most.
    assert!(took <= 22 * SECOND, "{took:?}");
}

async fn r48_an_unreachable_one_is_passed_over_by_the_next_attempt(stage: Virtual) {
    let _server = server(&stage).await;
    stage.network.refuse(PREFERRED, TransportErrorKind::Unreachable);
    let (_connection, took) = connect(&stage).await;
    assert_eq!(links(&stage), (0, 1));
    assert!(took <= 2 * SECOND, "{took:?}");
}

async fn r48_what_worked_is_taken_again(stage: Virtual) {
    let _server = server(&stage).await;
    stage.network.refuse(PREFERRED, TransportErrorKind::Refused);
    let (connection, _) = connect(&stage).await;
    stage.network.heal(PREFERRED);
    let journal = Journal::of_losses(&connection);
    stage.network.reset(OTHER);
    stage.reads(&journal, "recovered").await;
    assert_eq!(links(&stage), (0, 1));
}

async fn r48_a_session_moves_along_without_loss(stage: Virtual) {
    let _server = server(&stage).await;
    let (connection, _) = connect(&stage).await;
    assert_eq!(links(&stage), (1, 0));
    let journal = Journal::of_losses(&connection);
    let session = connection.session();
    for n in 0..50 {
        connection.send(n.to_string()).await.unwrap();
        if n == 25 {
            stage.network.cut(PREFERRED);
        }
    }
    for n in 0..50 {
        assert_eq!(stage.message(&connection).await.to_string(), n.to_string());
    }
    stage.reads(&journal, "recovered").await;
    assert_eq!((links(&stage), connection.session()), ((0, 1), session));
}

async fn r48_when_all_refuse_it_is_over(stage: Virtual) {
    let _server = server(&stage).await;
    stage.network.refuse(PREFERRED, TransportErrorKind::Refused);
    stage.network.refuse(OTHER, TransportErrorKind::Refused);
    let connection = stage.client().over(fallback(&stage)).start();
    assert!(stage.within("it gives up", connection.opened()).await.is_err());
    stage.network.heal(PREFERRED);
    stage.network.heal(OTHER);
}
