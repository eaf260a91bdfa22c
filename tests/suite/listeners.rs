//! Listening (R17, R19, R21).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use moorline::server::{HoldBack, Throttle};
use moorline::{Event, Message, QueryOptions, Status, event};
use moorline_core::wire::{ErrorPacket, Packet};

use crate::stage::journal::word;
use crate::stage::{Journal, Pair, SECOND, Stage, Virtual};

behaviours![
    r17_the_global_listener_hears_what_the_listeners_of_each_event_hear,
    r17_the_end_of_all_attempts_is_told_to_its_listeners_and_the_global_one,
    r17_an_error_has_an_origin_a_code_a_text_and_details,
    r19_once_hears_one_event_and_is_removed_before_it_runs,
    r19_once_leaves_the_messages_after_the_first_to_others,
    r19_off_removes_one_an_event_or_all,
    r19_off_leaves_what_was_not_heard_to_others,
    r21_a_listener_may_add_and_remove_listeners,
    r21_a_listener_may_send,
    r21_a_listener_may_disconnect_and_connect,
    r21_async_listeners_keep_the_order,
];

in_virtual_time![r21_a_listener_that_takes_minutes_costs_no_connection];

async fn r17_the_global_listener_hears_what_the_listeners_of_each_event_hear(stage: Stage) {
    let throttle = Throttle::new().optional("typing", HoldBack::event("typing"));
    let server = stage.server().throttle(throttle).run().await;
    let connection = stage.client().build().closed();
    let (all, each) = (Journal::of(&connection), Journal::default());
    macro_rules! listen {
        ($($kind:ident),*) => {$(
            let pen = each.clone();
            connection.on(event::$kind, move |what| pen.write(word(&Event::$kind(what))));
        )*};
    }
    listen!(Connect, Message, MessageError, Disconnect, Error, ReconnectAttempt, Reconnect);
    listen!(Recovery, Properties, Throttled, Presence, QueryError);
    let pen = each.clone();
    connection.on(event::Connecting, move |()| pen.write(word(&Event::Connecting)));
    connection.on_channel("prices", |_: u32| {});

    connection.open();
    stage.reads(&all, "connect").await;
    let guest = stage.guest(&server, &connection).await;
    guest.set_property("plan", Some("gold")).unwrap();
    guest.send("tea").await.unwrap();
    guest.send(Message::from("no number").on("prices")).await.unwrap();
    stage.within("it joins", connection.channel("chat").join()).await.unwrap();
    server.throttle_now(["typing"]).unwrap();
    let queries = connection.query_set();
    queries.retrieve("select 1", |_| {}, |_| {}, QueryOptions::default());
    stage.until("the query has failed", || heard(&all, "QueryError")).await;
    stage.reads(&all, "throttled [typing]").await;
    stage.cut();
    stage.reads(&all, "attempt 1").await;
    stage.heal();
    stage.until("it is back", || heard(&all, "reconnect")).await;
    connection.disconnect();
    stage.reads(&all, "disconnect ClientDisconnect").await;
    stage.until("both have heard it", || all.words().len() == each.words().len()).await;

    assert_eq!(all.words(), each.words());
    for begin in ["connecting", "message tea", "message error", "error", "attempt 1"] {
        assert!(heard(&all, begin), "{begin}");
    }
    assert!(heard(&all, "Properties") && heard(&all, "Presence"));
}

async fn r17_the_end_of_all_attempts_is_told_to_its_listeners_and_the_global_one(stage: Stage) {
    let client = stage.client().backoff(stage.backoff().attempts(1));
    let Pair { connection, .. } = stage.pair_of(stage.server(), client).await;
    let (all, own) = (Journal::of(&connection), Journal::default());
    let (pen, statuses) = (own.clone(), own.clone());
    connection.on(event::ReconnectFailed, move |()| pen.write("failed"));
    connection.on(event::StatusChange, move |status| statuses.write(format!("{status:?}")));
    stage.cut();
    stage.reads(&own, "failed").await;
    stage.reads(&own, "Closed").await;
    assert_eq!(connection.status(), Status::Closed);
    stage.reads(&all, "reconnect failed").await;
    assert_eq!((all.count("attempt 1"), all.count("connect")), (1, 0));
    assert_eq!((own.count("Connecting"), own.count("failed")), (1, 1));
}

async fn r17_an_error_has_an_origin_a_code_a_text_and_details(stage: Stage) {
    let mut host = stage.host().await;
    let connection = stage.client().build().closed();
    let journal = Journal::default();
    let pen = journal.clone();
    connection.on(event::Error, move |error| {
        let details = error.details.map(|json| String::from_utf8(json.to_vec()).unwrap());
        pen.write(format!("{:?} {} {} {details:?}", error.origin, error.code, error.message));
    });
    connection.open();
    let mut link = host.accept().await;
    link.welcome().await;
    let details = Some("[1]".into());
    let error = ErrorPacket { code: "odd".to_owned(), message: "hm".to_owned(), details };
    link.say(&Packet::Error(error)).await;
    stage.reads(&journal, "Peer odd hm Some(\"[1]\")").await;
    assert!(connection.is_connected());
}

fn heard(journal: &Journal, begin: &str) -> bool {
    journal.words().iter().any(|word| word.starts_with(begin))
}

async fn r19_once_hears_one_event_and_is_removed_before_it_runs(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let journal = Journal::default();
    let (pen, weak) = (journal.clone(), connection.downgrade());
    connection.once(event::Message, move |message| {
        let left = weak.upgrade().unwrap().listeners(event::Message);
        pen.write(format!("{message}, {left} left"));
    });
    assert_eq!(connection.listeners(event::Message), 1);
    guest.send("first").await.unwrap();
    stage.reads(&journal, "first, 0 left").await;
    guest.send("second").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["second"]);
    assert_eq!(journal.words().len(), 1);
}

async fn r19_once_leaves_the_messages_after_the_first_to_others(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let journal = Journal::default();
    let pen = journal.clone();
    connection.once(event::Message, move |message| pen.write(message.to_string()));
    // All in one batch: they are there before the listener has run.
    for text in ["first", "second", "third", "fourth"] {
        guest.send(text).await.unwrap();
    }
    assert_eq!(stage.texts(&connection, 3).await, ["second", "third", "fourth"]);
    stage.reads(&journal, "first").await;
    assert_eq!(journal.words().len(), 1);
}

async fn r19_off_removes_one_an_event_or_all(stage: Stage) {
    let connection = stage.client().build().closed();
    let token = connection.on_message(|_| {});
    connection.on_channel("news", |_: String| {});
    connection.on_status(|_| {});
    connection.on_any(|_| {});
    assert_eq!(connection.listeners(event::Message), 2);
    assert!(connection.off(token));
    assert!(!connection.off(token), "it is gone");
    assert_eq!(connection.off_event(event::Message), 1);
    assert_eq!(connection.off_event(event::Message), 0);
    assert_eq!(connection.off_any(), 1);
    connection.on_disconnect(|_| {});
    assert_eq!(connection.off_all(), 2);
    assert_eq!(connection.listeners(event::StatusChange), 0);
}

async fn r19_off_leaves_what_was_not_heard_to_others(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let journal = Journal::default();
    let (pen, clock) = (journal.clone(), stage.clone());
    let token = connection.on_message(move |message| {
        pen.write(message.to_string());
        let (pen, clock) = (pen.clone(), clock.clone());
        async move { clock.reads(&pen, "off").await }
    });
    for text in ["first", "second", "third"] {
        guest.send(text).await.unwrap();
    }
    stage.reads(&journal, "first").await;
    // The others wait for the listener, which is removed while it is busy.
    stage.sleep(SECOND).await;
    connection.off(token);
    journal.write("off");
    assert_eq!(stage.texts(&connection, 2).await, ["second", "third"]);
}

async fn r21_a_listener_may_add_and_remove_listeners(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let journal = Journal::default();
    let (pen, weak) = (journal.clone(), connection.downgrade());
    connection.on_message(move |message| {
        pen.write(format!("old {message}"));
        let connection = weak.upgrade().unwrap();
        connection.off_all();
        let pen = pen.clone();
        connection.on_message(move |message| pen.write(format!("new {message}")));
    });
    guest.send("1").await.unwrap();
    stage.reads(&journal, "old 1").await;
    guest.send("2").await.unwrap();
    stage.reads(&journal, "new 2").await;
    assert_eq!(journal.words(), ["old 1", "new 2"]);
}

async fn r21_a_listener_may_send(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let weak = connection.downgrade();
    connection.on_message(move |message| {
        let connection = weak.upgrade();
        async move {
            connection.unwrap().send(message).await.unwrap();
        }
    });
    let echo = guest.clone();
    guest.on_channel("ping", move |_: u32| {
        echo.try_send("pong").unwrap();
    });
    guest.send("there and back").await.unwrap();
    assert_eq!(stage.texts(&guest, 1).await, ["there and back"]);
    connection.send_json("ping", &1).await.unwrap();
    assert_eq!(stage.texts(&guest, 1).await, ["pong"], "from listener to listener and back");
    // A listener that holds its own connection keeps it; a server's ends with its link all the same.
    guest.off_all();
}

async fn r21_a_listener_may_disconnect_and_connect(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    let rounds = Arc::new(AtomicUsize::new(0));
    let (count, weak) = (rounds.clone(), connection.downgrade());
    connection.on_status(move |status| {
        let connection = weak.upgrade();
        match status {
            Status::Open if count.fetch_add(1, Ordering::SeqCst) < 3 => connection.unwrap().close(),
            Status::Closed => connection.unwrap().open(),
            _ => {}
        }
    });
    connection.close();
    stage.until("it came back each time", || rounds.load(Ordering::SeqCst) == 4).await;
    stage.until("one is open", || server.count() == 1 && connection.is_connected()).await;
    connection.off_all();
}

async fn r21_async_listeners_keep_the_order(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let journal = Journal::default();
    for name in ["a", "b"] {
        let (pen, clock) = (journal.clone(), stage.clone());
        connection.on_message(move |message| {
            let (pen, clock) = (pen.clone(), clock.clone());
            async move {
                // The earlier, the longer.
                let place: u32 = message.to_string().parse().unwrap();
                clock.sleep(SECOND / (place + 1)).await;
                pen.write(format!("{name}{place}"));
            }
        });
    }
    for n in 0..4 {
        guest.send(n.to_string()).await.unwrap();
    }
    stage.reads(&journal, "b3").await;
    assert_eq!(journal.words(), ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]);
}

async fn r21_a_listener_that_takes_minutes_costs_no_connection(stage: Virtual) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let ends = Journal::default();
    let pen = ends.clone();
    guest.on_disconnect(move |end| pen.write(end.to_string()));
    let clock = stage.sim.clone();
    connection.on_message(move |_| clock.sleep(600 * SECOND));
    guest.send("slow").await.unwrap();
    guest.send("slower").await.unwrap();
    stage.sleep(1_000 * SECOND).await;
    assert_eq!(ends.words(), [""; 0]);
    assert!(stage.within("a pong", guest.ping()).await.is_ok());
    connection.off_all();
    stage.sleep(300 * SECOND).await;
}
