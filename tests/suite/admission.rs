//! Who may come in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use moorline::server::{Admission, Refusal, Visitor};
use moorline::{ConnectError, Status};

use crate::stage::{A_WHILE, Journal, SECOND, Stage, Virtual};

behaviours![
    r8_the_authenticator_sees_who_comes,
    r14_what_the_authenticator_grants_is_seen_at_both_ends,
    r43_a_refusal_for_good_is_final,
    r43_a_refusal_for_now_is_tried_again_after_the_delay_asked_for,
    r43_a_refusal_for_good_ends_the_reconnecting,
    nobody_is_there_before_the_authenticator_has_said_yes,
];

in_virtual_time![
    an_authenticator_that_panics_sends_away_for_now_and_is_told,
    an_authenticator_that_is_too_slow_sends_away_for_now,
];

async fn r8_the_authenticator_sees_who_comes(stage: Stage) {
    let journal = Journal::default();
    let pen = journal.clone();
    let server = stage.server().authenticator(move |visitor: Arc<Visitor>| {
        let pen = pen.clone();
        async move {
            let token = visitor.auth::<String>().unwrap().unwrap();
            let room = visitor.room.as_deref().unwrap();
            pen.write(format!("{token} {room} {}", visitor.query("lang").unwrap()));
            assert!(!visitor.peer.transport.is_empty());
            assert!(!format!("{visitor:?}").contains("sesame"), "secrets stay out of logs");
            Ok(Admission::anonymous())
        }
    });
    let client = stage.client().room("lobby").query("lang", "en");
    let client = client.credentials(async || Ok("sesame".to_owned()));
    let _pair = stage.pair_of(server, client).await;
    assert_eq!(journal.words(), ["sesame lobby en"]);
}

async fn r14_what_the_authenticator_grants_is_seen_at_both_ends(stage: Stage) {
    let server = stage.server().authenticator(async |_: Arc<Visitor>| {
        Ok(Admission::of("ali").property("plan", "gold").property("region", "eu"))
    });
    let pair = stage.pair_of(server, stage.client()).await;
    assert_eq!(pair.guest.identity(), Some("ali"));
    assert_eq!(pair.connection.property("plan").as_deref(), Some("gold"));
    assert_eq!(pair.connection.property("nothing"), None);
    let both = [("plan", "gold"), ("region", "eu")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(pair.connection.properties(), both);
}

/// An authenticator that gives these answers, one after the other and the last one for ever, and counts.
fn answers(
    all: Vec<Result<Admission, Refusal>>,
) -> (Arc<AtomicUsize>, impl moorline::server::Authenticator) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let answer = move |_: Arc<Visitor>| {
        let now = count.fetch_add(1, Ordering::SeqCst);
        let answer = all[now.min(all.len() - 1)].clone();
        async move { answer }
    };
    (asked, answer)
}

async fn r43_a_refusal_for_good_is_final(stage: Stage) {
    let (asked, answer) = answers(vec![Err(Refusal::for_good("unauthorized", "go away"))]);
    let server = stage.server().authenticator(answer).run().await;
    let connection = stage.client().start();
    let failed = stage.within("it fails", connection.opened()).await.unwrap_err();
    let expected = ConnectError::Failed {
        code: "unauthorized".into(),
        message: "go away".to_owned(),
        retryable: false,
        retry_after: None,
    };
    assert_eq!(failed, expected);
    assert_eq!(connection.status(), Status::Closed);
    stage.sleep(A_WHILE).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1, "it does not try again");
    assert_eq!(server.count(), 0);
}

async fn r43_a_refusal_for_now_is_tried_again_after_the_delay_asked_for(stage: Stage) {
    let refusal = Refusal::for_now("busy", "later", stage.time(20 * SECOND));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (times, clock) = (asked.clone(), stage.clone());
    let answer = move |_: Arc<Visitor>| {
        let mut times = times.lock().unwrap();
        times.push(clock.now());
        let answer =
            if times.len() == 1 { Err(refusal.clone()) } else { Ok(Admission::anonymous()) };
        async move { answer }
    };
    let _server = stage.server().authenticator(answer).run().await;
    let connection = stage.client().build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    stage.reads(&journal, "error Connect busy").await;
    stage.within("it opens", connection.opened()).await.unwrap();
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    let waited = asked[1].since(asked[0]);
    assert!(waited >= stage.time(20 * SECOND), "{waited:?}");
}

async fn r43_a_refusal_for_good_ends_the_reconnecting(stage: Stage) {
    let refusal = Refusal::for_good("unauthorized", "expired");
    let (asked, answer) = answers(vec![Ok(Admission::anonymous()), Err(refusal)]);
    let server = stage.server().authenticator(answer);
    let connection = stage.pair_of(server, stage.client()).await.connection;
    let journal = Journal::of(&connection);
    stage.reset();
    stage.reads(&journal, "reconnect failed").await;
    assert_eq!(connection.status(), Status::Closed);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let opened = connection.opened().await;
    assert!(matches!(opened, Err(ConnectError::Failed { retryable: false, .. })), "{opened:?}");
}

async fn nobody_is_there_before_the_authenticator_has_said_yes(stage: Stage) {
    let never = async |_: Arc<Visitor>| std::future::pending().await;
    let server = stage.server().authenticator(never).handshake_timeout(10 * A_WHILE).run().await;
    let journal = Journal::default();
    let pen = journal.clone();
    server.on_connect(async move |_| {
        pen.write("connect");
        Ok(())
    });
    let connection = stage.client().start();
    stage.sleep(5 * SECOND).await;
    assert_eq!(connection.status(), Status::Connecting);
    assert_eq!(server.count(), 0);
    assert!(server.connections().is_empty() && journal.words().is_empty());
}

async fn an_authenticator_that_panics_sends_away_for_now_and_is_told(stage: Virtual) {
    let asked = AtomicUsize::new(0);
    let server = stage.server().authenticator(move |_: Arc<Visitor>| {
        assert!(asked.fetch_add(1, Ordering::SeqCst) > 0, "the database is away");
        async { Ok(Admission::anonymous()) }
    });
    let server = server.run().await;
    let journal = Journal::default();
    let pen = journal.clone();
    server.on_error(move |error| pen.write(error.to_string()));
    let connection = stage.client().build().closed();
    let heard = Journal::of(&connection);
    connection.open();
    stage.within("the second attempt opens", connection.opened()).await.unwrap();
    stage.reads(&heard, "connect").await;
    let words = ["connecting", "error Connect internal", "attempt 1", "connect", "reconnect 1"];
    assert_eq!(heard.words(), words);
    assert_eq!(journal.words(), ["the authenticator: the database is away (hook_failed)"]);
}

async fn an_authenticator_that_is_too_slow_sends_away_for_now(stage: Virtual) {
    let asked = AtomicUsize::new(0);
    let sim = stage.sim.clone();
    let server = stage.server().authenticator(move |_: Arc<Visitor>| {
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        let slow = sim.sleep(if first { 11 * SECOND } else { 9 * SECOND });
        async {
            slow.await;
            Ok(Admission::anonymous())
        }
    });
    let server = server.run().await;
    let connection = stage.client().build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    stage.within("the second attempt opens", connection.opened()).await.unwrap();
    stage.reads(&journal, "connect").await;
    let words = ["connecting", "error Connect unavailable", "attempt 1", "connect", "reconnect 1"];
    assert_eq!(journal.words(), words);
    assert_eq!(server.count(), 1, "the answer that came too late let nobody in");
}
