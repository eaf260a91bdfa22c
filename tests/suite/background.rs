//! The application in the background, and hints of the network (R49).

use std::time::Duration;

use moorline::{
    AppState, AppStateMode, Backoff, Buffer, Config, Connection, NetworkHint, PingError, SendError,
    Status, event,
};

use crate::stage::plan::ClientPlan;
use crate::stage::{A_MINUTE, A_WHILE, Journal, Pair, SECOND, Stage, Virtual};

behaviours![
    r49_in_automatic_mode_the_background_changes_nothing,
    r49_in_manual_mode_it_is_closed_in_the_background_and_opened_in_the_foreground,
    r49_the_session_goes_on_in_the_foreground,
    r49_what_is_sent_in_the_background_waits_for_the_foreground,
    r49_readers_and_listeners_outlive_the_background,
    r49_who_disconnects_stays_closed_in_the_foreground,
    r49_a_connect_by_hand_in_the_background_opens_it,
    r49_when_the_network_is_back_it_tries_at_once,
    r49_a_hint_on_a_closed_connection_opens_nothing,
    r49_a_hint_on_a_good_connection_costs_nothing,
];

in_virtual_time![
    r49_the_grace_is_half_a_minute_and_a_ping_extends_it,
    r49_the_foreground_within_the_grace_costs_no_connection,
    r49_a_change_of_networks_finds_a_dead_link_sooner,
    r49_hints_at_any_moment_leave_one_connection,
    r49_a_lazy_connection_sleeps_through_background_and_foreground,
];

/// A client whose connections are let go in the background, soon.
fn manual(stage: &Stage) -> ClientPlan {
    patient(stage).background_grace(5 * SECOND)
}

/// A client with the default grace.
fn patient(stage: &Stage) -> ClientPlan {
    stage.client().app_state(AppStateMode::Manual)
}

/// Waits until the background has closed the connection.
async fn rests(stage: &Stage, connection: &Connection) {
    stage.until("it is let go", || !connection.is_connected()).await;
    stage.until("its link is gone", || stage.links() == 0).await;
}

async fn r49_in_automatic_mode_the_background_changes_nothing(stage: Stage) {
    let Pair { connection, .. } = stage.pair().await;
    let journal = Journal::of(&connection);
    connection.set_app_state(AppState::Background);
    stage.sleep(A_WHILE).await;
    connection.set_app_state(AppState::Foreground);
    stage.sleep(SECOND).await;
    assert!(connection.is_connected());
    assert_eq!(journal.words(), [""; 0]);
}

async fn r49_in_manual_mode_it_is_closed_in_the_background_and_opened_in_the_foreground(
    stage: Stage,
) {
    let server = stage.server().run().await;
    let connection = manual(&stage).connect().await;
    let journal = Journal::of(&connection);
    connection.set_app_state(AppState::Background);
    rests(&stage, &connection).await;
    stage.until("the server knows", || server.count() == 0).await;
    stage.sleep(A_WHILE).await;
    assert_eq!(connection.status(), Status::Connecting, "it will come back by itself");
    assert_eq!(journal.words(), ["disconnect TransportClose", "connecting"]);
    connection.set_app_state(AppState::Foreground);
    stage.within("it is back", connection.opened()).await.unwrap();
    stage.reads(&journal, "fresh").await;
    assert_eq!(journal.words()[2..], ["attempt 1", "connect", "reconnect 1", "fresh"]);
}

async fn r49_the_session_goes_on_in_the_foreground(stage: Stage) {
    let server = stage.server().retention(Config::RETENTION).buffer(Buffer::default());
    let Pair { connection, guest, .. } = stage.pair_of(server, manual(&stage)).await;
    let (session, journal) = (connection.session(), Journal::of_losses(&connection));
    connection.set_app_state(AppState::Background);
    rests(&stage, &connection).await;
    guest.send("while you were away").await.unwrap();
    connection.set_app_state(AppState::Foreground);
    assert_eq!(stage.texts(&connection, 1).await, ["while you were away"]);
    stage.reads(&journal, "recovered").await;
    assert_eq!(connection.session(), session);
}

async fn r49_what_is_sent_in_the_background_waits_for_the_foreground(stage: Stage) {
    let _server = stage.echo().await;
    let connection = manual(&stage).buffer(Buffer::default()).connect().await;
    connection.set_app_state(AppState::Background);
    rests(&stage, &connection).await;
    connection.send("later").await.unwrap();
    stage.sleep(10 * SECOND).await;
    assert_eq!(stage.links(), 0, "to send opens nothing");
    connection.set_app_state(AppState::Foreground);
    assert_eq!(stage.texts(&connection, 1).await, ["later"]);

    let connection = manual(&stage).buffer(Buffer::off()).connect().await;
    connection.set_app_state(AppState::Background);
    stage.until("it is let go", || !connection.is_connected()).await;
    assert_eq!(connection.send("never").await.unwrap_err(), SendError::NotConnected);
    assert_eq!(connection.ping().await.unwrap_err(), PingError::NoAnswer);
}

async fn r49_readers_and_listeners_outlive_the_background(stage: Stage) {
    let server = stage.server().build();
    server.on_connect(async |guest| {
        guest.send("welcome").await?;
        Ok(())
    });
    stage.run(&server).await;
    let connection = manual(&stage).connect().await;
    assert_eq!(stage.texts(&connection, 1).await, ["welcome"]);
    let mut next = Box::pin(connection.next_message());
    connection.set_app_state(AppState::Background);
    rests(&stage, &connection).await;
    assert!(stage.waits(&mut next).await, "there will be messages again");
    connection.set_app_state(AppState::Foreground);
    let message = stage.within("a message", next).await.unwrap();
    assert_eq!(message.text(), Some("welcome"));
}

async fn r49_who_disconnects_stays_closed_in_the_foreground(stage: Stage) {
    let server = stage.server().run().await;
    let connection = manual(&stage).connect().await;
    connection.set_app_state(AppState::Background);
    rests(&stage, &connection).await;
    assert!(connection.disconnect(), "it ends the coming back");
    assert_eq!(connection.status(), Status::Closed);
    connection.set_app_state(AppState::Foreground);
    connection.network(NetworkHint::Online);
    stage.sleep(10 * SECOND).await;
    assert_eq!((connection.status(), server.count()), (Status::Closed, 0));
}

async fn r49_a_connect_by_hand_in_the_background_opens_it(stage: Stage) {
    let _server = stage.server().run().await;
    let connection = manual(&stage).build().closed();
    connection.set_app_state(AppState::Background);
    stage.sleep(A_WHILE).await;
    stage.within("it opens", connection.connect()).await.unwrap();
    rests(&stage, &connection).await;
    connection.set_app_state(AppState::Foreground);
    stage.within("it is back", connection.opened()).await.unwrap();
}

async fn r49_when_the_network_is_back_it_tries_at_once(stage: Stage) {
    let _server = stage.server().run().await;
    // It would wait for an hour.
    let backoff = Backoff::custom(|| [3600 * SECOND]).jitter(false).spread(3600 * SECOND);
    let connection = stage.client().backoff(backoff).connect().await;
    let journal = Journal::of_losses(&connection);
    stage.reset();
    stage.reads(&journal, "connecting").await;
    connection.network(NetworkHint::Offline);
    stage.sleep(5 * SECOND).await;
    assert!(!connection.is_connected());
    connection.network(NetworkHint::Online);
    stage.within("it is back", connection.opened()).await.unwrap();
    stage.reset();
    stage.until("the loss is known", || journal.count("connecting") == 2).await;
    connection.network_changed();
    stage.within("it is back", connection.opened()).await.unwrap();
}

async fn r49_a_hint_on_a_closed_connection_opens_nothing(stage: Stage) {
    let server = stage.server().run().await;
    let connection = manual(&stage).build().closed();
    connection.network(NetworkHint::Online);
    connection.network_changed();
    connection.set_app_state(AppState::Background);
    connection.set_app_state(AppState::Foreground);
    stage.sleep(10 * SECOND).await;
    assert_eq!((connection.status(), server.count()), (Status::Closed, 0));
}

async fn r49_a_hint_on_a_good_connection_costs_nothing(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let journal = Journal::of(&connection);
    for hint in [NetworkHint::Offline, NetworkHint::Online, NetworkHint::Changed] {
        connection.network(hint);
        connection.network(hint);
        stage.sleep(SECOND).await;
    }
    stage.sleep(A_WHILE).await;
    assert!(connection.is_connected() && guest.is_alive());
    assert_eq!(journal.words(), [""; 0]);
}

async fn r49_the_grace_is_half_a_minute_and_a_ping_extends_it(stage: Virtual) {
    let _server = stage.server().run().await;
    let connection = patient(&stage).connect().await;
    connection.set_app_state(AppState::Background);
    for _ in 0..4 {
        stage.sleep(29 * SECOND).await;
        assert!(connection.is_connected());
        stage.within("a pong", connection.ping()).await.unwrap();
    }
    stage.sleep(29 * SECOND).await;
    assert!(connection.is_connected());
    stage.sleep(Duration::from_millis(1_001)).await;
    assert!(!connection.is_connected(), "half a minute from the last ping");
    connection.set_app_state(AppState::Foreground);
    // A round trip for the link, and one to greet.
    stage.sleep(SECOND).await;
    assert!(connection.is_connected(), "at once, and not within the spread");
}

async fn r49_the_foreground_within_the_grace_costs_no_connection(stage: Virtual) {
    let _server = stage.server().run().await;
    let connection = patient(&stage).connect().await;
    let journal = Journal::of(&connection);
    for _ in 0..10 {
        connection.set_app_state(AppState::Background);
        stage.sleep(Duration::from_millis(29_900)).await;
        connection.set_app_state(AppState::Foreground);
        stage.sleep(SECOND).await;
    }
    stage.sleep(600 * SECOND).await;
    assert_eq!(journal.words(), [""; 0]);
}

async fn r49_a_change_of_networks_finds_a_dead_link_sooner(stage: Virtual) {
    let _server = stage.server().run().await;
    for (hint, limit) in [(false, 50), (true, 21)] {
        let connection = stage.client().connect().await;
        let journal = Journal::of_losses(&connection);
        stage.partition();
        let lost = stage.now();
        if hint {
            connection.network_changed();
        }
        stage.reads(&journal, "disconnect PingTimeout").await;
        let noticed = stage.since(lost);
        assert!(noticed < limit * SECOND, "{noticed:?}");
        assert!(hint || noticed > 40 * SECOND, "{noticed:?}");
        connection.close();
        stage.heal();
    }
}

async fn r49_hints_at_any_moment_leave_one_connection(stage: Virtual) {
    let server = stage.server().run().await;
    let connection = manual(&stage).background_grace(SECOND).connect().await;
    for round in 0..60_u32 {
        let app = if round % 3 == 0 { AppState::Background } else { AppState::Foreground };
        connection.set_app_state(app);
        if round % 7 == 0 {
            stage.reset();
        }
        connection.network_changed();
        stage.sleep(Duration::from_millis(u64::from(round) * 37)).await;
    }
    connection.set_app_state(AppState::Foreground);
    stage.within("it is open", connection.opened()).await.unwrap();
    stage.sleep(A_MINUTE).await;
    assert_eq!((server.count(), stage.links()), (1, 1));
    assert_eq!(connection.listeners(event::Connect), 0);
}

async fn r49_a_lazy_connection_sleeps_through_background_and_foreground(stage: Virtual) {
    let server = stage.echo().await;
    let connection = manual(&stage).lazy(true).buffer(Buffer::default()).start();
    connection.set_app_state(AppState::Background);
    stage.sleep(A_MINUTE).await;
    connection.set_app_state(AppState::Foreground);
    stage.sleep(A_MINUTE).await;
    assert_eq!((connection.status(), server.count()), (Status::Closed, 0));
    connection.send("first").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["first"]);
}
