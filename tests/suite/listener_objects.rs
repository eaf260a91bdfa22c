//! Listener objects by id (R20).

use std::sync::{Arc, Mutex};

use moorline::server::{HoldBack, Throttle};
use moorline::{
    Backoff, Connected, Connection, ConnectionListener, Disconnect, ErrorEvent, Handle,
    WeakConnection, event,
};

use crate::stage::{Journal, Pair, Stage};

behaviours![
    r20_an_object_hears_of_a_connection_what_it_has_methods_for,
    r20_an_object_hears_which_features_are_held_back,
    r20_several_are_called_in_the_order_of_adding,
    r20_a_second_listener_of_that_id_is_refused,
    r20_one_that_panics_becomes_an_error_and_the_others_still_run,
    r20_one_may_remove_and_add_others_while_it_runs,
    r20_they_are_kept_over_losses_and_a_connect_by_hand,
    r20_off_all_removes_them_and_off_for_an_event_does_not,
    r20_a_server_connection_has_them_too,
];

/// Writes down what it hears, with its name in front.
struct Scribe {
    name: &'static str,
    pen: Journal,
}

impl Scribe {
    fn new(name: &'static str, pen: &Journal) -> Self {
        Self { name, pen: pen.clone() }
    }

    fn write(&self, word: &str) {
        self.pen.write(format!("{} {word}", self.name));
    }
}

impl ConnectionListener for Scribe {
    fn on_connecting(&self) {
        self.write("connecting");
    }

    fn on_connected(&self, connected: &Connected) {
        self.write(if connected.id.is_some() { "connected" } else { "connected, without an id" });
    }

    fn on_disconnected(&self, end: &Disconnect) {
        self.write(&format!("disconnected {:?}", end.reason));
    }

    fn on_feature_throttled(&self, features: &[String]) {
        self.write(&format!("throttled [{}]", features.join(" ")));
    }

    fn on_connection_error(&self, error: &ErrorEvent) {
        self.write(&format!("error {}", error.code));
    }
}

async fn r20_an_object_hears_of_a_connection_what_it_has_methods_for(stage: Stage) {
    let journal = Journal::default();
    let connection = stage.client().build().closed();
    connection.add_connection_listener("scribe", Scribe::new("a", &journal)).unwrap();
    connection.open();
    stage.reads(&journal, "a error unreachable").await;
    let server = stage.server().run().await;
    stage.reads(&journal, "a connected").await;
    stage.guest(&server, &connection).await.send("no method is for this").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["no method is for this"]);
    connection.close();
    stage.reads(&journal, "a disconnected ClientDisconnect").await;
    let mut words = journal.words();
    words.dedup();
    let heard =
        ["a connecting", "a error unreachable", "a connected", "a disconnected ClientDisconnect"];
    assert_eq!(words, heard);
}

async fn r20_an_object_hears_which_features_are_held_back(stage: Stage) {
    let throttle = Throttle::new().optional("typing", HoldBack::event("typing"));
    let server = stage.server().throttle(throttle);
    let Pair { server, connection, .. } = stage.pair_of(server, stage.client()).await;
    let journal = Journal::default();
    connection.add_connection_listener("scribe", Scribe::new("a", &journal)).unwrap();
    server.throttle_now(["typing"]).unwrap();
    stage.reads(&journal, "a throttled [typing]").await;
    server.throttle_now([""; 0]).unwrap();
    stage.reads(&journal, "a throttled []").await;
    assert_eq!(journal.words(), ["a throttled [typing]", "a throttled []"]);
}

async fn r20_several_are_called_in_the_order_of_adding(stage: Stage) {
    let _server = stage.server().run().await;
    let journal = Journal::default();
    let connection = stage.client().build().closed();
    for name in ["c", "a", "b"] {
        connection.add_connection_listener(name, Scribe::new(name, &journal)).unwrap();
    }
    connection.open();
    stage.reads(&journal, "b connected").await;
    let words = ["c connecting", "a connecting", "b connecting", "c connected", "a connected"];
    assert_eq!(journal.words()[..5], words);
}

async fn r20_a_second_listener_of_that_id_is_refused(stage: Stage) {
    let _server = stage.server().run().await;
    let journal = Journal::default();
    let connection = stage.client().build().closed();
    let add = |name| connection.add_connection_listener("one", Scribe::new(name, &journal));
    add("first").unwrap();
    let refused = add("second").unwrap_err();
    assert_eq!(refused.id, "one");
    connection.open();
    stage.reads(&journal, "first connected").await;
    assert_eq!(journal.words(), ["first connecting", "first connected"], "the first one stays");
    assert!(connection.remove_connection_listener("one"));
    assert!(!connection.remove_connection_listener("one"), "it is gone");
    add("third").unwrap();
    connection.close();
    stage.reads(&journal, "third disconnected ClientDisconnect").await;
    assert!(!journal.has("first disconnected ClientDisconnect"));
}

struct Clumsy;

impl ConnectionListener for Clumsy {
    fn on_connected(&self, _: &Connected) {
        panic!("it fell");
    }

    fn on_connection_error(&self, _: &ErrorEvent) {
        panic!("and fell again");
    }
}

async fn r20_one_that_panics_becomes_an_error_and_the_others_still_run(stage: Stage) {
    let _server = stage.server().run().await;
    let journal = Journal::default();
    let connection = stage.client().build().closed();
    connection.add_connection_listener("clumsy", Clumsy).unwrap();
    connection.add_connection_listener("scribe", Scribe::new("a", &journal)).unwrap();
    connection.open();
    stage.reads(&journal, "a error listener_panicked").await;
    assert_eq!(journal.words(), ["a connecting", "a connected", "a error listener_panicked"]);
}

/// Replaces itself by a scribe when it is connected.
struct Gate {
    connection: WeakConnection,
    pen: Journal,
}

impl ConnectionListener for Gate {
    fn on_connected(&self, _: &Connected) {
        let connection = self.connection.upgrade().unwrap();
        assert!(connection.remove_connection_listener("gate"));
        assert!(connection.remove_connection_listener("other"));
        connection.add_connection_listener("gate", Scribe::new("new", &self.pen)).unwrap();
        self.pen.write("replaced");
    }
}

async fn r20_one_may_remove_and_add_others_while_it_runs(stage: Stage) {
    let _server = stage.server().run().await;
    let journal = Journal::default();
    let connection = stage.client().build().closed();
    let gate = Gate { connection: connection.downgrade(), pen: journal.clone() };
    connection.add_connection_listener("gate", gate).unwrap();
    connection.add_connection_listener("other", Scribe::new("other", &journal)).unwrap();
    connection.open();
    stage.reads(&journal, "replaced").await;
    connection.close();
    stage.reads(&journal, "new disconnected ClientDisconnect").await;
    assert!(!journal.has("other disconnected ClientDisconnect"));
}

async fn r20_they_are_kept_over_losses_and_a_connect_by_hand(stage: Stage) {
    let server = stage.server().run().await;
    let journal = Journal::default();
    let connection = stage.client().backoff(at_once(&stage)).build().closed();
    let scribe = Arc::new(Scribe::new("a", &journal));
    connection.add_connection_listener("scribe", scribe.clone()).unwrap();
    stage.within("it opens", connection.connect()).await.unwrap();
    stage.reads(&journal, "a connected").await;
    stage.reset();
    stage.until("it hears of the next open", || journal.count("a connected") == 2).await;
    close(&stage, &connection).await;
    stage.within("it opens again", connection.connect()).await.unwrap();
    stage.until("it hears of that too", || journal.count("a connected") == 3).await;
    assert_eq!(journal.count("a connecting"), 3);
    assert!(Arc::strong_count(&scribe) == 2, "it is kept once");
    stage.until("one connection is left", || server.count() == 1).await;
}

async fn r20_off_all_removes_them_and_off_for_an_event_does_not(stage: Stage) {
    let journal = Journal::default();
    let connection = stage.client().build().closed();
    connection.add_connection_listener("a", Scribe::new("a", &journal)).unwrap();
    connection.add_connection_listener("b", Scribe::new("b", &journal)).unwrap();
    assert_eq!(connection.listeners(event::Connect), 0, "these are the ones of `on`");
    assert_eq!(connection.off_event(event::Connect), 0);
    assert_eq!(connection.off_any(), 0);
    assert!(connection.remove_connection_listener("a"));
    assert_eq!(connection.off_all(), 1);
    assert!(!connection.remove_connection_listener("b"));
    connection.add_connection_listener("b", Scribe::new("b", &journal)).unwrap();
}

async fn r20_a_server_connection_has_them_too(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    struct End(Arc<Mutex<Vec<String>>>);
    impl ConnectionListener for End {
        fn on_disconnected(&self, end: &Disconnect) {
            self.0.lock().unwrap().push(format!("{:?}", end.reason));
        }
    }
    let handle: &Handle = &guest;
    handle.add_connection_listener("end", End(heard.clone())).unwrap();
    connection.close();
    stage.until("it hears of the end", || !heard.lock().unwrap().is_empty()).await;
    assert_eq!(*heard.lock().unwrap(), ["ClientDisconnect"]);
}

/// The first attempt after a loss is made at once.
fn at_once(stage: &Stage) -> Backoff {
    stage.backoff().spread(std::time::Duration::ZERO)
}

async fn close(stage: &Stage, connection: &Connection) {
    connection.close();
    stage.until("it is closed", || connection.status() == moorline::Status::Closed).await;
}
