//! What clients send to each other by way of the server: on channels, and to everybody (R26, R27, R32).

use std::sync::Arc;

use moorline::server::{Admission, Channels, Publishing, Refusal, UserEvent, Visitor};
use moorline::{Buffer, Class, Connection, Json, Message};

use crate::stage::{Journal, Pair, RETENTION, Stage};

behaviours![
    r32_a_user_event_cannot_be_forged,
    r26_a_message_reaches_all_on_its_channel_with_its_event,
    r26_bytes_and_json_travel,
    r26_a_broadcast_has_no_channel,
    r26_a_broadcast_has_its_event_and_may_be_binary,
    r26_a_broadcast_needs_leave,
    r26_only_members_publish_unless_the_server_says_so,
    r26_all_hear_the_same_order,
    r27_the_sender_hears_itself_unless_it_does_not_want_to,
    r27_a_connection_may_be_without_an_echo_and_a_call_with_one,
    r27_the_echo_of_a_message_that_waited_is_honoured,
    r32_a_user_is_reached_on_every_connection,
    r32_a_user_event_has_a_name_a_session_and_a_user,
    r29_a_codec_each_and_one_channel,
];

async fn join(stage: &Stage, connection: &Connection, channel: &str) {
    stage.within("it joins", connection.channel(channel).join()).await.unwrap();
}

async fn r26_a_message_reaches_all_on_its_channel_with_its_event(stage: Stage) {
    let Pair { connection: ann, .. } = stage.pair().await;
    let (ben, cid) = (stage.client().connect().await, stage.client().connect().await);
    for one in [&ann, &ben] {
        join(&stage, one, "chat").await;
    }
    join(&stage, &cid, "other").await;
    ann.channel("chat").publish(Message::from("hi").event("greeting")).await.unwrap();
    for one in [&ann, &ben] {
        let message = stage.message(one).await;
        assert_eq!((message.text(), message.event.as_deref()), (Some("hi"), Some("greeting")));
        assert_eq!(message.channel.as_deref(), Some("chat"));
    }
    cid.channel("other").publish("only this").await.unwrap();
    assert_eq!(stage.texts(&cid, 1).await, ["only this"]);
}

async fn r26_bytes_and_json_travel(stage: Stage) {
    let Pair { connection: ann, .. } = stage.pair().await;
    join(&stage, &ann, "chat").await;
    ann.channel("chat").publish(vec![0, 255, 7]).await.unwrap();
    ann.channel("chat").publish(Message::from_json(&[1, 2]).unwrap()).await.unwrap();
    ann.channel("chat").publish(Message::from("x").class(Class::AtMostOnce)).await.unwrap();
    assert_eq!(stage.message(&ann).await.bytes()[..], [0, 255, 7]);
    assert_eq!(stage.message(&ann).await.json::<Vec<u8>>().unwrap(), [1, 2]);
    assert_eq!(stage.message(&ann).await.class, Class::AtMostOnce);
}

fn open() -> Channels {
    Channels::default().broadcasts(true)
}

async fn r26_a_broadcast_has_no_channel(stage: Stage) {
    let Pair { connection: ann, .. } =
        stage.pair_of(stage.server().channels(open()), stage.client()).await;
    let ben = stage.client().connect().await;
    ann.broadcast(Message::from("to all").event("news")).await.unwrap();
    for one in [&ann, &ben] {
        let message = stage.message(one).await;
        assert_eq!((message.text(), message.channel.as_ref()), (Some("to all"), None));
    }
    ben.broadcast_to_others("not to me").await.unwrap();
    ben.broadcast("me too").await.unwrap();
    assert_eq!(stage.texts(&ann, 2).await, ["not to me", "me too"]);
    assert_eq!(stage.texts(&ben, 1).await, ["me too"]);
}

async fn r26_a_broadcast_has_its_event_and_may_be_binary(stage: Stage) {
    let Pair { connection: ann, .. } =
        stage.pair_of(stage.server().channels(open()), stage.client()).await;
    let ben = stage.client().codec(Json).connect().await;
    ann.broadcast(Message::from(vec![0, 255, 7]).event("picture")).await.unwrap();
    for one in [&ann, &ben] {
        let message = stage.message(one).await;
        assert_eq!((&message.bytes()[..], message.channel.as_ref()), (&[0, 255, 7][..], None));
        assert_eq!(message.event.as_deref(), Some("picture"));
    }
}

async fn r26_a_broadcast_needs_leave(stage: Stage) {
    let Pair { connection: ann, .. } = stage.pair().await;
    let ben = stage.client().connect().await;
    let journal = Journal::of_losses(&ann);
    ann.broadcast("to all").await.unwrap();
    stage.reads(&journal, "error Peer not_published").await;
    join(&stage, &ben, "chat").await;
    ben.channel("chat").publish("the first that comes").await.unwrap();
    assert_eq!(stage.texts(&ben, 1).await, ["the first that comes"]);
}

async fn r26_only_members_publish_unless_the_server_says_so(stage: Stage) {
    for (publishing, told) in [
        (Publishing::Members, Some("error Peer not_joined")),
        (Publishing::Nobody, Some("error Peer not_published")),
        (Publishing::Anybody, None),
    ] {
        let channels = Channels::default().publishing(publishing);
        let Pair { server, connection: ann, .. } =
            stage.pair_of(stage.server().channels(channels), stage.client()).await;
        let ben = stage.client().connect().await;
        join(&stage, &ben, "chat").await;
        let journal = Journal::of_losses(&ann);
        ann.channel("chat").publish("from outside").await.unwrap();
        match told {
            Some(told) => stage.reads(&journal, told).await,
            None => {
                assert_eq!(stage.texts(&ben, 1).await, ["from outside"]);
                assert_eq!(stage.texts(&ann, 1).await, ["from outside"]);
            }
        }
        stage.within("it stops", server.stop()).await.unwrap();
        stage.heal();
    }
}

async fn r26_all_hear_the_same_order(stage: Stage) {
    let server = stage.server().run().await;
    let mut all = Vec::new();
    for _ in 0..4 {
        let one = stage.client().connect().await;
        join(&stage, &one, "chat").await;
        all.push(one);
    }
    for n in 0..25 {
        for (who, one) in all.iter().enumerate() {
            one.channel("chat").publish(format!("{who}: {n}")).await.unwrap();
        }
        server.channel("chat").emit(format!("server: {n}")).unwrap();
    }
    let first = stage.texts(&all[0], 125).await;
    for one in &all[1..] {
        assert_eq!(stage.texts(one, 125).await, first);
    }
}

async fn r27_the_sender_hears_itself_unless_it_does_not_want_to(stage: Stage) {
    let Pair { connection: ann, .. } = stage.pair().await;
    let ben = stage.client().connect().await;
    stage.within("it joins", ann.channel("quiet").echo(false).join()).await.unwrap();
    for channel in ["loud", "quiet"] {
        join(&stage, &ben, channel).await;
    }
    join(&stage, &ann, "loud").await;
    ann.channel("quiet").publish("1: by the membership").await.unwrap();
    ann.channel("loud").echo(false).publish("2: this one alone").await.unwrap();
    ann.channel("loud").publish("3: heard").await.unwrap();
    let heard = stage.texts(&ben, 3).await;
    assert_eq!(heard, ["1: by the membership", "2: this one alone", "3: heard"]);
    assert_eq!(stage.texts(&ann, 1).await, ["3: heard"]);
}

async fn r27_a_connection_may_be_without_an_echo_and_a_call_with_one(stage: Stage) {
    let Pair { connection: ann, .. } = stage.pair().await;
    let ben = stage.client().echo(false).connect().await;
    for one in [&ann, &ben] {
        join(&stage, one, "chat").await;
    }
    stage.within("it joins", ben.channel("loud").echo(true).join()).await.unwrap();
    ben.channel("chat").publish("1: by the connection").await.unwrap();
    ben.channel("chat").echo(true).publish("2: by the call").await.unwrap();
    ben.channel("loud").publish("3: by the membership").await.unwrap();
    assert_eq!(stage.texts(&ann, 2).await, ["1: by the connection", "2: by the call"]);
    assert_eq!(stage.texts(&ben, 2).await, ["2: by the call", "3: by the membership"]);
}

async fn r27_the_echo_of_a_message_that_waited_is_honoured(stage: Stage) {
    let server = stage.server().retention(RETENTION).buffer(Buffer::default());
    let client = stage.client().buffer(Buffer::default());
    let Pair { connection: ann, .. } = stage.pair_of(server, client).await;
    join(&stage, &ann, "chat").await;
    stage.cut();
    stage.until("it knows", || !ann.is_connected()).await;
    ann.channel("chat").echo(false).publish("unheard").await.unwrap();
    ann.channel("chat").publish("heard").await.unwrap();
    stage.heal();
    assert_eq!(stage.texts(&ann, 1).await, ["heard"]);
}

async fn named(visitor: Arc<Visitor>) -> Result<Admission, Refusal> {
    Ok(Admission::of(visitor.query("name").unwrap_or("nobody")))
}

async fn r32_a_user_is_reached_on_every_connection(stage: Stage) {
    let server = stage.server().authenticator(named).run().await;
    let client = |name| stage.client().query("name", name).connect();
    let (phone, desk, ben) = (client("ann").await, client("ann").await, client("ben").await);
    stage.until("all are in", || server.count() == 3).await;
    assert_eq!(server.user("ann").count(), 2);
    assert_eq!(server.user("ann").emit("for ann").unwrap().sent, 2);
    assert_eq!(server.user("nobody").emit("for nobody").unwrap().sent, 0);
    server.user("ben").emit("for ben").unwrap();
    assert_eq!(stage.texts(&phone, 1).await, ["for ann"]);
    assert_eq!(stage.texts(&desk, 1).await, ["for ann"]);
    assert_eq!(stage.texts(&ben, 1).await, ["for ben"]);
    desk.close();
    stage.until("one is left", || server.user("ann").count() == 1).await;
}

async fn r32_a_user_event_has_a_name_a_session_and_a_user(stage: Stage) {
    let server = stage.server().authenticator(named).run().await;
    let ann = stage.client().query("name", "ann").codec(Json).connect().await;
    let journal = Journal::default();
    let pen = journal.clone();
    ann.on_user_event(move |event: UserEvent| {
        pen.write(format!("{} {:?} {:?}", event.name, event.session, event.user));
    });
    let event = UserEvent::new("signed-out").session("s1").user(serde_json::json!({"id": 7}));
    stage.until("ann is in", || server.user("ann").count() == 1).await;
    server.user("ann").emit("a message").unwrap();
    server.user("ann").emit_event(&event).unwrap();
    stage.until("it is told", || !journal.words().is_empty()).await;
    let told = r#"signed-out Some(String("s1")) Some(Object {"id": Number(7)})"#;
    assert_eq!(journal.words(), [told]);
    assert_eq!(stage.texts(&ann, 1).await, ["a message"]);
}

async fn r29_a_codec_each_and_one_channel(stage: Stage) {
    let Pair { connection: binary, .. } = stage.pair().await;
    let json = stage.client().codec(Json).connect().await;
    for one in [&binary, &json] {
        join(&stage, one, "chat").await;
    }
    json.channel("chat").publish("from json").await.unwrap();
    binary.channel("chat").publish(vec![1, 2, 3]).await.unwrap();
    for one in [&binary, &json] {
        let mut seen = [stage.message(one).await, stage.message(one).await];
        seen.sort_by_key(|message| message.bytes().len());
        assert_eq!(seen[0].bytes()[..], [1, 2, 3]);
        assert_eq!(seen[1].text(), Some("from json"));
    }
}

async fn r32_a_user_event_cannot_be_forged(stage: Stage) {
    let channels = Channels::default().broadcasts(true).publishing(Publishing::Anybody);
    let Pair { connection: ann, .. } =
        stage.pair_of(stage.server().channels(channels), stage.client()).await;
    let ben = stage.client().connect().await;
    join(&stage, &ben, "chat").await;
    let (told, errors) = (Journal::default(), Journal::of_losses(&ann));
    let pen = told.clone();
    ben.on_user_event(move |event: UserEvent| pen.write(event.name));
    let forged =
        || Message::from_json(&UserEvent::new("signed-out")).unwrap().event("moorline:user");
    ann.channel("chat").publish(forged()).await.unwrap();
    ann.broadcast(forged()).await.unwrap();
    stage.until("both are refused", || errors.count("error Peer not_published") == 2).await;
    ann.channel("chat").publish("behind it").await.unwrap();
    assert_eq!(stage.texts(&ben, 1).await, ["behind it"]);
    assert!(told.words().is_empty());
}
