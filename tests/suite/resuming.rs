//! A session is its client's alone: whoever else wants it is refused, and nobody is disturbed.

use moorline::server::SessionLimits;
use moorline::{Buffer, Message, Server};
use moorline_core::wire::{Hello, Packet, Ready, Recovery, Resume, Secret, SessionGrant, VERSION};

use crate::stage::stranger::{Heard, Stranger};
use crate::stage::{RETENTION, Stage};

behaviours![
    a_resume_gives_the_session_back,
    a_forged_resume_is_refused_and_the_session_stays,
    a_repeated_resume_is_refused_and_the_session_stays,
    a_delayed_resume_of_an_older_attempt_is_refused,
    a_resume_of_an_unknown_session_begins_a_new_one,
    a_resume_that_counts_more_than_was_sent_is_a_bad_packet,
    an_initial_message_before_any_of_the_client_is_numbered,
    a_flood_of_sessions_ends_the_oldest_and_nobody_else,
    sessions_that_wait_are_bounded_in_bytes,
    a_session_that_waits_ends_with_the_server,
];

/// A client by hand: hello, and what the server says to it.
async fn hello(stage: &Stage, attempt: u64, resume: Option<Resume>) -> (Stranger, Heard) {
    let mut stranger = stage.stranger().await;
    let hello = Hello {
        version: VERSION,
        attempt,
        window: 1 << 18,
        max_frame: 1 << 20,
        resume,
        ..Hello::default()
    };
    stranger.say(&Packet::Hello(Box::new(hello))).await;
    let answer = stranger.hear().await;
    (stranger, answer)
}

fn ready(heard: Heard) -> Ready {
    let Heard::Packet(Packet::Ready(ready)) = heard else { panic!("{heard:?}") };
    *ready
}

fn resume(session: &SessionGrant, received: u64) -> Option<Resume> {
    Some(Resume { session: session.id.clone(), secret: session.secret, received })
}

/// A server with one session, whose link is still there.
async fn session(stage: &Stage) -> (Server, Stranger, SessionGrant) {
    let server = stage.server().retention(RETENTION).buffer(Buffer::default()).run().await;
    let (stranger, answer) = hello(stage, 1, None).await;
    let session = ready(answer).session.expect("the server keeps sessions");
    (server, stranger, session)
}

async fn message(stranger: &mut Stranger) -> String {
    loop {
        match stranger.hear().await {
            Heard::Packet(Packet::Message(message)) => return message.to_string(),
            Heard::Packet(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn a_resume_gives_the_session_back(stage: Stage) {
    let (server, mut old, session) = session(&stage).await;
    server.emit("one").unwrap();
    server.emit("two").unwrap();
    assert_eq!(message(&mut old).await, "one");
    // The old link still seems open; it goes.
    let (mut new, answer) = hello(&stage, 2, resume(&session, 1)).await;
    assert_eq!(ready(answer).recovery, Recovery::Recovered { received: 0 });
    assert_eq!(message(&mut new).await, "two");
    assert!(old.farewell().await.link.is_none());
    assert_eq!(server.count(), 1);
}

async fn a_forged_resume_is_refused_and_the_session_stays(stage: Stage) {
    let (server, mut own, session) = session(&stage).await;
    let mut forged = session.clone();
    forged.secret = Secret([7; 16]);
    let (mut thief, answer) = hello(&stage, 9, resume(&forged, 0)).await;
    refused(&mut thief, answer, "session_forged").await;
    server.emit("for its owner").unwrap();
    assert_eq!(message(&mut own).await, "for its owner");
    assert_eq!(server.count(), 1);
}

async fn refused(stranger: &mut Stranger, answer: Heard, code: &str) {
    let Heard::Packet(Packet::Error(error)) = answer else { panic!("{answer:?}") };
    assert_eq!(error.code, code);
    let farewell = stranger.farewell().await;
    assert_eq!(farewell.close.map(|close| close.code), Some(1013));
}

async fn a_repeated_resume_is_refused_and_the_session_stays(stage: Stage) {
    let (server, _old, session) = session(&stage).await;
    let (mut own, answer) = hello(&stage, 2, resume(&session, 0)).await;
    assert_eq!(ready(answer).recovery, Recovery::Recovered { received: 0 });
    let (mut again, answer) = hello(&stage, 2, resume(&session, 0)).await;
    refused(&mut again, answer, "session_superseded").await;
    server.emit("for its owner").unwrap();
    assert_eq!(message(&mut own).await, "for its owner");
}

async fn a_delayed_resume_of_an_older_attempt_is_refused(stage: Stage) {
    let (server, _old, session) = session(&stage).await;
    let (mut own, answer) = hello(&stage, 7, resume(&session, 0)).await;
    assert_eq!(ready(answer).recovery, Recovery::Recovered { received: 0 });
    let (mut delayed, answer) = hello(&stage, 3, resume(&session, 0)).await;
    refused(&mut delayed, answer, "session_superseded").await;
    server.emit("for its owner").unwrap();
    assert_eq!(message(&mut own).await, "for its owner");
}

async fn a_resume_of_an_unknown_session_begins_a_new_one(stage: Stage) {
    let (server, _own, session) = session(&stage).await;
    let mut unknown = session.clone();
    unknown.id = "nobody's".to_owned();
    let (_stranger, answer) = hello(&stage, 2, resume(&unknown, 5)).await;
    let ready = ready(answer);
    assert_eq!(ready.recovery, Recovery::Fresh);
    assert!(ready.session.is_some_and(|new| new.id != session.id && new.id != unknown.id));
    stage.until("there are two", || server.count() == 2).await;
}

async fn a_resume_that_counts_more_than_was_sent_is_a_bad_packet(stage: Stage) {
    let (server, _old, session) = session(&stage).await;
    server.emit("one").unwrap();
    let (mut liar, answer) = hello(&stage, 2, resume(&session, 2)).await;
    let Heard::Packet(Packet::Error(error)) = answer else { panic!("{answer:?}") };
    assert_eq!(error.code, "bad_packet");
    assert_eq!(liar.farewell().await.close.map(|close| close.code), Some(1002));
    stage.until("it is over", || server.count() == 0).await;
}

/// A client that has sent nothing has a session whose count is 0, and that is enough to resume.
async fn an_initial_message_before_any_of_the_client_is_numbered(stage: Stage) {
    let (server, old, session) = session(&stage).await;
    drop(old);
    stage.until("it knows", || server.connections().iter().all(|one| !one.is_connected())).await;
    server.emit("first").unwrap();
    let (mut new, answer) = hello(&stage, 2, resume(&session, 0)).await;
    assert_eq!(ready(answer).recovery, Recovery::Recovered { received: 0 });
    assert_eq!(message(&mut new).await, "first");
}

async fn a_flood_of_sessions_ends_the_oldest_and_nobody_else(stage: Stage) {
    let limits = SessionLimits::default().count(5);
    let server = stage.server().retention(RETENTION).sessions(limits).run().await;
    let (mut stays, answer) = hello(&stage, 1, None).await;
    ready(answer);
    let mut sessions = Vec::new();
    for n in 1..=20_usize {
        let (gone, answer) = hello(&stage, 1, None).await;
        sessions.push(ready(answer).session.unwrap());
        drop(gone);
        let kept = n.min(5) + 1;
        let waiting = || server.connections().iter().filter(|one| !one.is_connected()).count();
        stage.until("it waits", || server.count() == kept && waiting() == kept - 1).await;
    }
    let (_first, answer) = hello(&stage, 2, resume(&sessions[0], 0)).await;
    assert_eq!(ready(answer).recovery, Recovery::Fresh);
    let (_last, answer) = hello(&stage, 2, resume(&sessions[19], 0)).await;
    assert_eq!(ready(answer).recovery, Recovery::Recovered { received: 0 });
    server.emit("news").unwrap();
    assert_eq!(message(&mut stays).await, "news");
}

async fn sessions_that_wait_are_bounded_in_bytes(stage: Stage) {
    let limits = SessionLimits::default().bytes(100_000);
    let buffer = Buffer::default();
    let server = stage.server().retention(RETENTION).sessions(limits).buffer(buffer).run().await;
    for _ in 0..10 {
        let (gone, answer) = hello(&stage, 1, None).await;
        ready(answer);
        drop(gone);
    }
    let connections = server.connections();
    stage.until("all wait", || connections.iter().all(|one| !one.is_connected())).await;
    for _ in 0..20 {
        // 2,000 bytes for each: 20 of them for 10 sessions would be 400,000.
        server.emit(Message::from(vec![0; 2_000])).unwrap();
        let held = || server.connections().iter().map(|one| one.stats().queued).sum::<usize>();
        stage.until("it is bounded", || held() <= 100_000).await;
    }
    assert!((1..10).contains(&server.count()), "{} are left", server.count());
}

async fn a_session_that_waits_ends_with_the_server(stage: Stage) {
    let (server, own, _session) = session(&stage).await;
    let guest = server.connections().pop().unwrap();
    drop(own);
    stage.until("it waits", || !guest.is_connected()).await;
    stage.within("it stops", server.stop()).await.unwrap();
    assert_eq!(server.count(), 0);
    assert_eq!(stage.within("it ends", guest.next_message()).await, None);
}
