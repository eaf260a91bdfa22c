//! Under load the server does without what is optional, and says so (R37).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use moorline::server::{HoldBack, Throttle};
use moorline::{
    Connection, MembersError, Message, Server, ServerConnection, Status, ThrottleError,
};

use crate::stage::{A_WHILE, Journal, MS, Pair, RETENTION, SECOND, Stage, Virtual};

behaviours![
    r37_many_connections_hold_features_back_until_few_are_left,
    r37_bytes_that_wait_hold_features_back_until_they_are_read,
    r37_presence_is_held_back_and_told_anew_when_it_is_over,
    r37_published_events_and_channels_are_held_back_and_counted,
    r37_who_comes_while_throttled_knows_before_the_first_message,
    r37_who_comes_back_to_its_session_knows,
    r37_what_was_lifted_meanwhile_is_told_to_who_comes_back,
    r37_the_status_is_throttled_and_then_open_again,
    r37_by_hand_goes_before_the_load,
    r37_hooks_hear_what_is_held_back_and_one_that_panics_harms_nobody,
    r37_a_hook_that_takes_long_hears_one_change_after_the_other,
    r37_a_server_that_was_stopped_is_not_overloaded,
    r37_raw_is_throttled_without_a_word,
    r37_who_asks_while_presence_is_held_back_is_told_when_it_is_over,
    r37_who_leaves_while_presence_is_held_back_is_gone_when_it_is_over,
];

in_virtual_time![
    r37_many_messages_hold_features_back_and_between_the_marks_nothing_flaps,
    r37_presence_agrees_whatever_happens_while_it_is_held_back,
];

fn typing(stage: &Stage) -> Throttle {
    Throttle::new().optional("typing", HoldBack::event("typing")).every(stage.time(SECOND))
}

async fn is_told(stage: &Stage, connection: &Connection, features: &[&str]) {
    stage.until(&format!("told of {features:?}"), || connection.throttled() == features).await;
}

fn ids(connection: &Connection, channel: &str) -> Option<Vec<String>> {
    let present = connection.channel(channel).present()?;
    Some(present.iter().map(|member| member.id.to_string()).collect())
}

async fn r37_many_connections_hold_features_back_until_few_are_left(stage: Stage) {
    let server = stage.server().throttle(typing(&stage).connections(3, 2)).run().await;
    let first = stage.client().connect().await;
    let journal = Journal::of(&first);
    let second = stage.client().connect().await;
    stage.sleep(3 * SECOND).await;
    assert!(server.throttled().is_empty());
    let third = stage.client().connect().await;
    stage.until("it is throttled", || server.is_throttled("typing")).await;
    is_told(&stage, &first, &["typing"]).await;
    is_told(&stage, &third, &["typing"]).await;
    assert_eq!(first.status(), Status::Throttled);
    third.close();
    stage.until("two are left", || server.count() == 2).await;
    stage.sleep(3 * SECOND).await;
    assert_eq!(server.throttled(), ["typing"]);
    second.close();
    stage.until("it is over", || server.throttled().is_empty()).await;
    is_told(&stage, &first, &[]).await;
    stage.reads(&journal, "throttled []").await;
    assert_eq!(journal.words(), ["throttled [typing]", "throttled []"]);
    assert_eq!(first.status(), Status::Open);
}

async fn r37_bytes_that_wait_hold_features_back_until_they_are_read(stage: Stage) {
    let server = stage.server().throttle(typing(&stage).queued(20_000, 5_000));
    let Pair { server, connection, guest } =
        stage.pair_of(server, stage.client().window(4_096)).await;
    for _ in 0..50 {
        guest.send(vec![b'x'; 1_000]).await.unwrap();
    }
    stage.until("it is throttled", || server.is_throttled("typing")).await;
    is_told(&stage, &connection, &["typing"]).await;
    for _ in 0..50 {
        stage.message(&connection).await;
    }
    stage.until("it is over", || !server.is_throttled("typing")).await;
    is_told(&stage, &connection, &[]).await;
}

async fn r37_presence_is_held_back_and_told_anew_when_it_is_over(stage: Stage) {
    let throttle = Throttle::new().optional("presence", HoldBack::Presence);
    let server = stage.server().throttle(throttle).run().await;
    let [ann, ben] = [stage.client().connect().await, stage.client().connect().await];
    for one in [&ann, &ben] {
        stage.within("the join", one.channel("tea").join()).await.unwrap();
    }
    stage.until("both are seen", || ids(&ann, "tea").is_some_and(|ids| ids.len() == 2)).await;

    let journal = Journal::of(&ann);
    server.throttle_now(["presence"]).unwrap();
    stage.reads(&journal, "throttled [presence]").await;
    journal.take();
    let cem = stage.client().connect().await;
    stage.within("the join", cem.channel("tea").join()).await.unwrap();
    ben.close();
    stage.until("ben has left", || server.channel("tea").count() == 2).await;
    cem.update_profile(&"cem").unwrap();
    stage.sleep(2 * SECOND).await;
    assert_eq!(journal.words(), [""; 0]);
    assert_eq!(ids(&cem, "tea"), None);
    let members = stage.within("an answer", ann.channel("tea").members()).await;
    assert_eq!(members, Err(MembersError::Hidden));
    // Messages come all the same.
    cem.channel("tea").publish("hot").await.unwrap();
    stage.reads(&journal, "message hot").await;

    server.throttle_now([""; 0]).unwrap();
    stage.until("all is known", || ids(&cem, "tea").is_some()).await;
    let expected = ids(&cem, "tea");
    assert_eq!(expected.as_ref().map(Vec::len), Some(2));
    stage.until("and the same", || ids(&ann, "tea") == expected).await;
    let seen = ann.channel("tea").present().unwrap();
    assert!(
        seen.iter().any(|member| member.profile::<String>().unwrap().as_deref() == Some("cem"))
    );
    let asked = stage.within("an answer", ann.channel("tea").members()).await.unwrap();
    assert_eq!(asked.len(), 2);
}

async fn r37_published_events_and_channels_are_held_back_and_counted(stage: Stage) {
    let throttle = typing(&stage).optional("cursors", HoldBack::channels("cursor/"));
    let server = stage.server().throttle(throttle).run().await;
    let [ann, ben] = [stage.client().connect().await, stage.client().connect().await];
    for one in [&ann, &ben] {
        for channel in ["tea", "cursor/1"] {
            stage.within("the join", one.channel(channel).echo(false).join()).await.unwrap();
        }
    }
    let said = |text: &str, event: &str| Message::from(text.to_owned()).event(event.to_owned());
    server.throttle_now(["typing", "cursors"]).unwrap();
    is_told(&stage, &ann, &["typing", "cursors"]).await;
    ann.channel("tea").publish(said("dropped", "typing")).await.unwrap();
    ann.channel("cursor/1").publish("dropped too").await.unwrap();
    ann.channel("tea").publish(said("heard", "word")).await.unwrap();
    assert_eq!(stage.texts(&ben, 1).await, ["heard"]);
    assert_eq!(server.stats().held_back, 2);
    // What is for the application comes, and what the application says goes out.
    let guest = stage.guest(&server, &ann).await;
    ann.send(said("to you", "typing")).await.unwrap();
    assert_eq!(stage.texts(&guest, 1).await, ["to you"]);
    server.channel("cursor/1").emit("from above").unwrap();
    assert_eq!(stage.texts(&ben, 1).await, ["from above"]);

    server.throttle_now(["cursors"]).unwrap();
    is_told(&stage, &ann, &["cursors"]).await;
    ann.channel("tea").publish(said("heard again", "typing")).await.unwrap();
    assert_eq!(stage.texts(&ben, 1).await, ["heard again"]);
    assert_eq!(server.stats().held_back, 2);
}

async fn r37_who_comes_while_throttled_knows_before_the_first_message(stage: Stage) {
    let server = stage.server().throttle(typing(&stage)).build();
    server.on_connect(async |connection: ServerConnection| {
        assert_eq!(connection.status(), Status::Throttled);
        connection.send("welcome").await?;
        Ok(())
    });
    server.throttle_now(["typing"]).unwrap();
    stage.run(&server).await;
    let connection = stage.client().build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    stage.reads(&journal, "message welcome").await;
    let words = journal.words();
    let at = |word: &str| words.iter().position(|own| own == word);
    assert!(at("throttled [typing]") < at("message welcome"), "{words:?}");
    assert!(at("throttled [typing]").is_some(), "{words:?}");
    assert_eq!(connection.throttled(), ["typing"]);
}

async fn r37_who_comes_back_to_its_session_knows(stage: Stage) {
    let server = stage.server().throttle(typing(&stage)).retention(RETENTION);
    let Pair { server, connection, guest } = stage.pair_of(server, stage.client()).await;
    let journal = Journal::of(&connection);
    stage.cut();
    stage.until("the server knows", || guest.status() == Status::Connecting).await;
    server.throttle_now(["typing"]).unwrap();
    guest.send("while you were away").await.ok();
    assert!(connection.throttled().is_empty());
    stage.heal();
    is_told(&stage, &connection, &["typing"]).await;
    stage.reads(&journal, "recovered").await;
    stage.until("it is throttled", || connection.status() == Status::Throttled).await;
}

async fn r37_what_was_lifted_meanwhile_is_told_to_who_comes_back(stage: Stage) {
    let server = stage.server().throttle(typing(&stage)).retention(RETENTION);
    let Pair { server, connection, guest } = stage.pair_of(server, stage.client()).await;
    server.throttle_now(["typing"]).unwrap();
    is_told(&stage, &connection, &["typing"]).await;
    let journal = Journal::of(&connection);
    stage.cut();
    stage.until("the server knows", || guest.status() == Status::Connecting).await;
    stage.until("so does the client", || connection.status() == Status::Connecting).await;
    is_told(&stage, &connection, &[]).await;
    server.throttle_now([""; 0]).unwrap();
    stage.heal();
    stage.reads(&journal, "throttled []").await;
    let words = journal.words();
    let at = |word: &str| words.iter().position(|own| own == word);
    assert!(at("connect") < at("throttled []"), "{words:?}");
    assert_eq!(connection.status(), Status::Open);
}

async fn r37_the_status_is_throttled_and_then_open_again(stage: Stage) {
    let server = stage.server().throttle(typing(&stage));
    let Pair { server, connection, guest } = stage.pair_of(server, stage.client()).await;
    let mut statuses = connection.statuses();
    let open = stage.within("the status now", statuses.next()).await;
    assert_eq!(open, Some(Status::Open));
    server.throttle_now(["typing"]).unwrap();
    let throttled = stage.within("the next status", statuses.next()).await;
    assert_eq!(throttled, Some(Status::Throttled));
    assert!(connection.is_connected());
    connection.send("still here").await.unwrap();
    assert_eq!(stage.texts(&guest, 1).await, ["still here"]);
    assert!(guest.is_alive() && guest.is_connected());
    server.throttle_now([""; 0]).unwrap();
    let open = stage.within("the last status", statuses.next()).await;
    assert_eq!(open, Some(Status::Open));
}

async fn r37_by_hand_goes_before_the_load(stage: Stage) {
    let throttle = typing(&stage).optional("previews", HoldBack::Nothing).connections(1, 1);
    let server = stage.server().throttle(throttle).run().await;
    let unknown = server.throttle_now(["previews", "nonsense"]);
    assert_eq!(unknown, Err(ThrottleError::Unknown("nonsense".into())));
    server.throttle_now([""; 0]).unwrap();
    let connection = stage.client().connect().await;
    stage.sleep(3 * SECOND).await;
    assert!(server.throttled().is_empty());
    server.throttle_now(["previews"]).unwrap();
    assert!(server.is_throttled("previews") && !server.is_throttled("typing"));
    is_told(&stage, &connection, &["previews"]).await;
    server.throttle_by_load();
    is_told(&stage, &connection, &["typing", "previews"]).await;
}

async fn r37_hooks_hear_what_is_held_back_and_one_that_panics_harms_nobody(stage: Stage) {
    let server = stage.server().throttle(typing(&stage)).run().await;
    let journal = Journal::default();
    let (pen, errors) = (journal.clone(), Arc::new(AtomicBool::new(false)));
    server.on_throttle(|_| -> () { panic!("on purpose") });
    server.on_throttle(move |features| pen.write(features.join(" ") + "."));
    server.on_error({
        let errors = errors.clone();
        move |_| errors.store(true, Ordering::SeqCst)
    });
    server.throttle_now(["typing"]).unwrap();
    stage.reads(&journal, "typing.").await;
    server.throttle_now(["typing"]).unwrap();
    server.throttle_by_load();
    stage.reads(&journal, ".").await;
    assert_eq!(journal.words(), ["typing.", "."]);
    stage.until("the panic is told", || errors.load(Ordering::SeqCst)).await;
}

async fn r37_a_hook_that_takes_long_hears_one_change_after_the_other(stage: Stage) {
    let server = stage.server().throttle(typing(&stage)).run().await;
    let journal = Journal::default();
    let (pen, own) = (journal.clone(), stage.clone());
    server.on_throttle(move |features| {
        let (pen, own) = (pen.clone(), own.clone());
        async move {
            pen.write(format!("{} begins", features.len()));
            own.sleep(SECOND).await;
            pen.write(format!("{} ends", features.len()));
        }
    });
    server.throttle_now(["typing"]).unwrap();
    stage.reads(&journal, "1 begins").await;
    server.throttle_now([""; 0]).unwrap();
    stage.reads(&journal, "0 ends").await;
    assert_eq!(journal.words(), ["1 begins", "1 ends", "0 begins", "0 ends"]);
}

async fn r37_a_server_that_was_stopped_is_not_overloaded(stage: Stage) {
    let server = stage.server().throttle(typing(&stage).connections(1, 1)).run().await;
    let connection = stage.client().connect().await;
    is_told(&stage, &connection, &["typing"]).await;
    stage.within("the stop", server.stop()).await.unwrap();
    assert!(server.throttled().is_empty());
    connection.close();
    stage.run(&server).await;
    stage.sleep(3 * SECOND).await;
    assert!(server.throttled().is_empty());
}

async fn r37_raw_is_throttled_without_a_word(stage: Stage) {
    let server = stage.server().codec(moorline::Raw).throttle(typing(&stage)).run().await;
    server.throttle_now(["typing"]).unwrap();
    let connection = stage.client().codec(moorline::Raw).connect().await;
    let guest = stage.guest(&server, &connection).await;
    guest.send("hello").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["hello"]);
    assert_eq!(connection.status(), Status::Open);
}

async fn r37_many_messages_hold_features_back_and_between_the_marks_nothing_flaps(stage: Virtual) {
    let server = stage.server().throttle(typing(&stage).messages(150, 50));
    let Pair { server, connection, guest } = stage.pair_of(server, stage.client()).await;
    let journal = Journal::of(&connection);
    // Two or three times in each second that is looked at.
    let talk = async |count: usize| {
        for _ in 0..count {
            connection.send("word").await.unwrap();
        }
        stage.texts(&guest, count).await;
        stage.sleep(350 * MS).await;
    };
    for _ in 0..10 {
        talk(35).await;
        assert!(server.throttled().is_empty());
    }
    talk(200).await;
    stage.reads(&journal, "throttled [typing]").await;
    for _ in 0..30 {
        talk(35).await;
        assert_eq!(server.throttled(), ["typing"]);
    }
    for _ in 0..10 {
        talk(10).await;
    }
    stage.reads(&journal, "throttled []").await;
    assert_eq!(journal.words(), ["throttled [typing]", "throttled []"]);
}

/// Throws clients in and out while presence is held back and let go, by a seed.
async fn r37_presence_agrees_whatever_happens_while_it_is_held_back(stage: Virtual) {
    let throttle = Throttle::new().optional("presence", HoldBack::Presence);
    let server = stage.server().throttle(throttle).retention(60 * SECOND).run().await;
    let mut dice = fastrand::Rng::with_seed(stage.sim.seed());
    let mut all: Vec<Connection> = Vec::new();
    for step in 0..60 {
        match dice.u32(0..8) {
            0 | 1 => {
                let one = stage.client().connect().await;
                stage.within("the join", one.channel("tea").join()).await.unwrap();
                all.push(one);
            }
            2 if !all.is_empty() => all.swap_remove(dice.usize(0..all.len())).close(),
            3 if !all.is_empty() => {
                all[dice.usize(0..all.len())].update_profile(&step).unwrap();
            }
            4 => server.throttle_now(["presence"]).unwrap(),
            5 => server.throttle_now([""; 0]).unwrap(),
            6 => stage.reset(),
            _ => stage.sleep(dice.u32(0..500) * MS).await,
        }
    }
    settle(&stage, &server, &all).await;
    server.throttle_now([""; 0]).unwrap();
    let expected = |server: &Server| server.channel("tea").count();
    stage.until("the left are gone", || expected(&server) == all.len()).await;
    let agree = || {
        let mut views = all.iter().map(|one| one.channel("tea").present());
        let first = views.next().flatten();
        all.is_empty()
            || (first.as_ref().is_some_and(|first| first.len() == all.len())
                && views.all(|view| view == first))
    };
    stage.until("all see the same", agree).await;
}

fn no_presence(stage: &Stage) -> crate::stage::plan::ServerPlan {
    stage.server().throttle(Throttle::new().optional("presence", HoldBack::Presence))
}

async fn r37_who_asks_while_presence_is_held_back_is_told_when_it_is_over(stage: Stage) {
    let Pair { server, connection: ann, .. } =
        stage.pair_of(no_presence(&stage), stage.client()).await;
    stage.within("the join", ann.channel("tea").presence(false).join()).await.unwrap();
    server.throttle_now(["presence"]).unwrap();
    stage.within("the join", ann.channel("tea").join()).await.unwrap();
    assert_eq!(ids(&ann, "tea"), None);
    server.throttle_now([""; 0]).unwrap();
    stage.until("she is told", || ids(&ann, "tea").is_some_and(|ids| ids.len() == 1)).await;
}

async fn r37_who_leaves_while_presence_is_held_back_is_gone_when_it_is_over(stage: Stage) {
    let server = no_presence(&stage).run().await;
    let [ann, ben] = [stage.client().connect().await, stage.client().connect().await];
    for one in [&ann, &ben] {
        stage.within("the join", one.channel("tea").join()).await.unwrap();
    }
    stage.until("both are seen", || ids(&ann, "tea").is_some_and(|ids| ids.len() == 2)).await;
    server.throttle_now(["presence"]).unwrap();
    ben.close();
    stage.until("ben has left", || server.channel("tea").count() == 1).await;
    server.throttle_now([""; 0]).unwrap();
    stage.until("he is gone", || ids(&ann, "tea").is_some_and(|ids| ids.len() == 1)).await;
}

async fn settle(stage: &Virtual, server: &Server, all: &[Connection]) {
    stage.sleep(A_WHILE).await;
    stage.until("all are back", || all.iter().all(|one| one.is_connected())).await;
    stage.until("all are joined", || all.iter().all(|one| one.channel("tea").is_joined())).await;
    assert!(server.count() >= all.len());
}
