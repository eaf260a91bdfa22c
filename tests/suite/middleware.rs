//! What stands between clients and the application, and what only watches (R36).

use std::sync::atomic::{AtomicBool, Ordering};

use moorline::server::{Admission, Middleware, Refusal, Visitor};
use moorline::{ConnectError, JoinError, Message, Raw, RequestError, ServerConnection, Status};

use crate::stage::{A_MINUTE, A_WHILE, Journal, Pair, SECOND, Stage};

behaviours![
    r36_a_hook_may_ask_its_own_client,
    r33_a_stop_does_not_wait_for_a_middleware_that_never_answers,
    r36_a_refused_message_is_told_to_its_sender_and_received_by_nobody,
    r36_middleware_runs_in_order_before_the_hooks,
    r36_a_refused_client_is_told_and_no_hook_runs,
    r36_a_refused_client_hears_an_error,
    r36_a_refused_publication_reaches_nobody,
    r36_a_refused_request_fails,
    r36_a_refused_join_fails,
    r36_a_join_that_is_let_in_after_a_refused_one_holds,
    r36_what_one_connection_sends_keeps_its_order,
    r36_a_slow_middleware_holds_up_nobody_else_and_no_heartbeat,
    r36_a_middleware_that_panics_refuses,
    r36_a_message_hook_sees_what_is_published,
    r36_the_last_message_comes_before_the_disconnect,
    r36_middleware_stands_before_raw_messages_too,
];

/// Writes down what it sees, takes a while, and refuses what says so.
#[derive(Clone)]
struct Door {
    name: &'static str,
    journal: Journal,
    stage: Stage,
    takes: std::time::Duration,
}

impl Door {
    fn new(stage: &Stage, name: &'static str, journal: &Journal) -> Self {
        let (journal, stage) = (journal.clone(), stage.clone());
        Self { name, journal, stage, takes: std::time::Duration::ZERO }
    }

    fn slow(mut self, takes: std::time::Duration) -> Self {
        self.takes = takes;
        self
    }

    async fn look(&self, what: &str) -> Result<(), Refusal> {
        if !self.takes.is_zero() {
            self.stage.sleep(self.takes).await;
        }
        self.journal.write(format!("{} {what}", self.name));
        assert!(!what.contains("panic"), "on purpose");
        if what.contains("bad") {
            return Err(Refusal::for_good("bad_words", format!("`{what}` is not nice")));
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Middleware for Door {
    async fn connect(&self, visitor: &Visitor, admission: &mut Admission) -> Result<(), Refusal> {
        admission.properties.push(("seen by".into(), self.name.into()));
        match visitor.query("name") {
            Some(name) => self.look(name).await,
            None => Ok(()),
        }
    }

    async fn message(&self, _: &ServerConnection, message: &Message) -> Result<(), Refusal> {
        self.look(&message.to_string()).await
    }

    async fn join(&self, _: &ServerConnection, channel: &str) -> Result<(), Refusal> {
        self.look(channel).await
    }
}

async fn guarded(stage: &Stage) -> (Pair, Journal) {
    let journal = Journal::default();
    let server = stage.server().middleware(Door::new(stage, "door", &journal));
    (stage.pair_of(server, stage.client()).await, journal)
}

async fn r36_a_refused_message_is_told_to_its_sender_and_received_by_nobody(stage: Stage) {
    let (Pair { connection, guest, .. }, _) = guarded(&stage).await;
    let errors = Journal::of_losses(&connection);
    connection.send("good").await.unwrap();
    connection.send("bad").await.unwrap();
    connection.send("better").await.unwrap();
    assert_eq!(stage.texts(&guest, 2).await, ["good", "better"]);
    stage.reads(&errors, "error Peer bad_words").await;
    stage.until("all is acknowledged", || connection.stats().counts.acknowledged == 3).await;
}

async fn r36_middleware_runs_in_order_before_the_hooks(stage: Stage) {
    let journal = Journal::default();
    let server = stage.server().middleware(Door::new(&stage, "first", &journal).slow(SECOND));
    let server = server.middleware(Door::new(&stage, "second", &journal)).build();
    let pen = journal.clone();
    server.on_message(move |_, message| pen.write(format!("hook {message}")));
    stage.run(&server).await;
    let connection = stage.client().connect().await;
    assert_eq!(connection.property("seen by").as_deref(), Some("first"));
    let guest = stage.guest(&server, &connection).await;
    connection.send("tea").await.unwrap();
    connection.send("bad").await.unwrap();
    connection.send("milk").await.unwrap();
    assert_eq!(stage.texts(&guest, 2).await, ["tea", "milk"]);
    assert_eq!(
        journal.words(),
        [
            "first tea",
            "second tea",
            "hook tea",
            "first bad",
            "first milk",
            "second milk",
            "hook milk"
        ]
    );
}

async fn r36_a_refused_client_is_told_and_no_hook_runs(stage: Stage) {
    let journal = Journal::default();
    let server = stage.server().middleware(Door::new(&stage, "door", &journal)).build();
    let hooks = Journal::default();
    let pen = hooks.clone();
    server.on_connect(async move |_| {
        pen.write("connected");
        Ok(())
    });
    stage.run(&server).await;
    let client = stage.client().query("name", "bad guy").build();
    let refused = stage.within("an answer", client.connect()).await;
    let Err(ConnectError::Failed { code, retryable, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((&*code, retryable), ("bad_words", false));
    stage.client().query("name", "ann").connect().await;
    stage.reads(&hooks, "connected").await;
    assert_eq!(hooks.words().len(), 1);
}

async fn r36_a_refused_client_hears_an_error(stage: Stage) {
    let journal = Journal::default();
    let server = stage.server().middleware(Door::new(&stage, "door", &journal));
    let _server = server.run().await;
    let connection = stage.client().query("name", "bad guy").build().closed();
    let told = Journal::of(&connection);
    connection.open();
    stage.reads(&told, "error Connect bad_words").await;
    stage.sleep(A_WHILE).await;
    assert_eq!((connection.status(), told.count("connect")), (Status::Closed, 0));
}

async fn r36_a_refused_publication_reaches_nobody(stage: Stage) {
    let (Pair { connection: ann, .. }, _) = guarded(&stage).await;
    let ben = stage.client().connect().await;
    for one in [&ann, &ben] {
        stage.within("it joins", one.channel("chat").join()).await.unwrap();
    }
    let errors = Journal::of_losses(&ann);
    ann.channel("chat").publish("bad").await.unwrap();
    ann.channel("chat").publish("good").await.unwrap();
    for one in [&ann, &ben] {
        assert_eq!(stage.texts(one, 1).await, ["good"]);
    }
    stage.reads(&errors, "error Peer bad_words").await;
}

async fn r36_a_refused_request_fails(stage: Stage) {
    let (Pair { connection, guest, .. }, _) = guarded(&stage).await;
    guest.on_request(async |request| Ok::<_, String>(request.message));
    assert_eq!(connection.request("good").await.unwrap().text(), Some("good"));
    let refused = stage.within("an answer", connection.request("bad")).await;
    let Err(RequestError::Failed { code, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(code, "bad_words");
}

async fn r36_a_refused_join_fails(stage: Stage) {
    let (Pair { server, connection, .. }, _) = guarded(&stage).await;
    let refused = stage.within("an answer", connection.channel("bad place").join()).await;
    let Err(JoinError::Refused { code, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(code, "bad_words");
    assert!(server.channels().is_empty());
    stage.within("it joins", connection.channel("place").join()).await.unwrap();
}

/// Lets nobody join at first, and takes a while to say so.
struct SecondTry(Stage, AtomicBool);

#[async_trait::async_trait]
impl Middleware for SecondTry {
    async fn join(&self, _: &ServerConnection, _: &str) -> Result<(), Refusal> {
        if self.1.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.0.sleep(SECOND).await;
        Err(Refusal::for_good("not_yet", "try again"))
    }
}

async fn r36_a_join_that_is_let_in_after_a_refused_one_holds(stage: Stage) {
    let server = stage.server().middleware(SecondTry(stage.clone(), AtomicBool::default()));
    let Pair { server, connection, .. } = stage.pair_of(server, stage.client()).await;
    let room = connection.channel("place");
    // All three are on their way before the first answer.
    drop(room.join());
    stage.sleep(SECOND / 5).await;
    room.leave();
    stage.sleep(SECOND / 5).await;
    drop(room.join());
    stage.until("the second holds", || room.is_joined()).await;
    stage.until("all know", || server.channel("place").count() == 1).await;
    server.channel("place").emit("welcome").unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["welcome"]);
}

async fn r36_what_one_connection_sends_keeps_its_order(stage: Stage) {
    let journal = Journal::default();
    let door = Door::new(&stage, "door", &journal).slow(SECOND / 20);
    let server = stage.server().middleware(door);
    let Pair { connection, guest, .. } = stage.pair_of(server, stage.client()).await;
    for n in 0..50 {
        connection.send(n.to_string()).await.unwrap();
    }
    let all: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(stage.texts(&guest, 50).await, all);
}

async fn r36_a_slow_middleware_holds_up_nobody_else_and_no_heartbeat(stage: Stage) {
    let journal = Journal::default();
    let door = Door::new(&stage, "door", &journal).slow(60 * SECOND);
    let server = stage.server().middleware(door).build();
    stage.run(&server).await;
    let slow = stage.client().connect().await;
    let lost = Journal::of_losses(&slow);
    slow.send("takes a minute").await.unwrap();
    let other = stage.client().connect().await;
    server.emit("at once").unwrap();
    assert_eq!(stage.texts(&other, 1).await, ["at once"]);
    assert_eq!(stage.texts(&slow, 1).await, ["at once"]);
    assert!(stage.within("a pong", slow.ping()).await.is_ok());
    let guest = stage.guest(&server, &slow).await;
    assert_eq!(stage.texts(&guest, 1).await, ["takes a minute"]);
    assert!(lost.words().is_empty(), "{:?}", lost.words());
}

async fn r36_a_middleware_that_panics_refuses(stage: Stage) {
    let (Pair { server, connection, guest }, _) = guarded(&stage).await;
    let (errors, told) = (Journal::of_losses(&connection), Journal::default());
    let pen = told.clone();
    server.on_error(move |error| pen.write(error.code.to_string()));
    connection.send("panic").await.unwrap();
    connection.send("calm").await.unwrap();
    assert_eq!(stage.texts(&guest, 1).await, ["calm"]);
    stage.reads(&errors, "error Peer internal").await;
    stage.reads(&told, "hook_failed").await;
}

async fn r36_a_message_hook_sees_what_is_published(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    let journal = Journal::default();
    let pen = journal.clone();
    server.on_message(move |connection: ServerConnection, message: Message| {
        let pen = pen.clone();
        async move { pen.write(format!("{} {message}", connection.channels().len())) }
    });
    stage.within("it joins", connection.channel("chat").join()).await.unwrap();
    connection.channel("chat").publish("hello").await.unwrap();
    connection.send("direct").await.unwrap();
    stage.reads(&journal, "1 direct").await;
    assert_eq!(journal.words(), ["1 hello", "1 direct"]);
}

async fn r36_the_last_message_comes_before_the_disconnect(stage: Stage) {
    let journal = Journal::default();
    let door = Door::new(&stage, "door", &journal).slow(SECOND);
    let server = stage.server().middleware(door).close_timeout(10 * A_MINUTE).build();
    let pen = journal.clone();
    server.on_connect(async move |connection: ServerConnection| {
        while let Some(message) = connection.next_message().await {
            pen.write(format!("heard {message}"));
        }
        pen.write("over");
        Ok(())
    });
    stage.run(&server).await;
    let connection = stage.client().connect().await;
    connection.send("one").await.unwrap();
    connection.send("two").await.unwrap();
    connection.close();
    stage.reads(&journal, "over").await;
    assert_eq!(journal.words(), ["door one", "heard one", "door two", "heard two", "over"]);
}

async fn r36_middleware_stands_before_raw_messages_too(stage: Stage) {
    let journal = Journal::default();
    let server = stage.server().codec(Raw).middleware(Door::new(&stage, "door", &journal));
    let Pair { connection, guest, .. } = stage.pair_of(server, stage.client().codec(Raw)).await;
    for text in ["good", "bad", "better"] {
        connection.send(text).await.unwrap();
    }
    assert_eq!(stage.texts(&guest, 2).await, ["good", "better"]);
}

async fn r36_a_hook_may_ask_its_own_client(stage: Stage) {
    let Pair { server, connection, guest } = stage.pair().await;
    connection.on_request(async |_| Ok::<_, String>("tea"));
    let journal = Journal::default();
    let pen = journal.clone();
    server.on_message(move |connection: ServerConnection, message: Message| {
        let pen = pen.clone();
        async move {
            let answer = connection.request("what do you drink?").await.unwrap();
            pen.write(format!("{message}: {answer}"));
        }
    });
    connection.send("ann").await.unwrap();
    assert_eq!(stage.texts(&guest, 1).await, ["ann"]);
    assert_eq!(journal.words(), ["ann: tea"]);
}

async fn r33_a_stop_does_not_wait_for_a_middleware_that_never_answers(stage: Stage) {
    let journal = Journal::default();
    let door = Door::new(&stage, "door", &journal).slow(100_000 * SECOND);
    let server = stage.server().middleware(door).build();
    stage.run(&server).await;
    let connection = stage.client().reconnect(false).connect().await;
    connection.send("never looked at").await.unwrap();
    stage.until("it has come", || server.stats().sum.counts.held > 0).await;
    stage.within("it stops", server.stop()).await.unwrap();
    assert_eq!(server.count(), 0);
}
