//! Rooms: entered at connect, for the connection's life (R8, R31).

use moorline::server::{Admission, RoomEvent};
use moorline::{Buffer, Message, Server, Status};

use crate::stage::{Journal, RETENTION, SECOND, Stage};

behaviours![
    r8_one_client_enters_several_rooms,
    r8_a_client_enters_the_room_that_it_names,
    r8_the_room_is_the_same_after_each_reconnect,
    r31_a_broadcast_reaches_the_others_in_the_room,
    r31_a_broadcast_carries_its_type,
    r31_a_connection_without_a_room_reaches_nobody,
    r31_a_rooms_life_is_told_in_order,
    r31_a_client_that_recovers_has_never_left_its_room,
    r31_a_hook_that_panics_harms_nobody,
    r31_a_hook_that_takes_long_hears_one_event_after_the_other,
    r31_channels_and_users_are_no_rooms,
];

/// What happens to a server's rooms, in words.
fn watch(server: &Server) -> Journal {
    let journal = Journal::default();
    let pen = journal.clone();
    server.on_room(move |event| {
        pen.write(match event {
            RoomEvent::Created(room) => format!("created {room}"),
            RoomEvent::Entered(room, connection) => {
                assert_eq!(connection.room(), Some(&*room));
                format!("entered {room}")
            }
            RoomEvent::Left(room, _) => format!("left {room}"),
            RoomEvent::Destroyed(room) => format!("destroyed {room}"),
            other => format!("{other:?}"),
        });
    });
    journal
}

async fn r8_a_client_enters_the_room_that_it_names(stage: Stage) {
    let server = stage.server().run().await;
    let ann = stage.client().room("tea").connect().await;
    let guest = stage.guest(&server, &ann).await;
    assert_eq!(guest.room(), Some("tea"));
    assert_eq!(server.rooms(), ["tea"]);
    assert_eq!(server.room("tea").count(), 1);
    // A channel of that name is another thing.
    assert_eq!(server.channel("tea").count(), 0);
    server.room("tea").emit("to the room").unwrap();
    let message = stage.message(&ann).await;
    assert_eq!((message.text(), message.channel.as_ref()), (Some("to the room"), None));
}

async fn r8_the_room_is_the_same_after_each_reconnect(stage: Stage) {
    let server = stage.server().run().await;
    let ann = stage.client().room("tea").query("seat", "7").connect().await;
    let seated = async || {
        let guest = stage.guest(&server, &ann).await;
        assert_eq!((ann.room(), guest.room()), (Some("tea"), Some("tea")));
        assert_eq!(guest.visitor().query("seat"), Some("7"));
    };
    seated().await;
    let journal = Journal::of_losses(&ann);
    stage.reset();
    stage.reads(&journal, "reconnect 1").await;
    seated().await;
    ann.close();
    stage.until("the room is empty", || server.rooms().is_empty()).await;
    assert_eq!(ann.room(), Some("tea"));
    stage.until("it is closed", || ann.status() == Status::Closed).await;
    stage.within("it connects", ann.connect()).await.unwrap();
    seated().await;
}

async fn r31_a_broadcast_reaches_the_others_in_the_room(stage: Stage) {
    let server = stage.server().run().await;
    let connect = |room| stage.client().room(room).connect();
    let (ann, ben, cid) = (connect("tea").await, connect("tea").await, connect("milk").await);
    let guest = stage.guest(&server, &ann).await;
    stage.until("all are in", || server.room("tea").count() == 2).await;
    assert_eq!(guest.broadcast("to the others").unwrap().sent, 1);
    assert_eq!(guest.broadcast_with_self("to all").unwrap().sent, 2);
    assert_eq!(stage.texts(&ann, 1).await, ["to all"]);
    assert_eq!(stage.texts(&ben, 2).await, ["to the others", "to all"]);
    stage.until("cid is in", || server.room("milk").count() == 1).await;
    server.room("milk").emit("for cid").unwrap();
    assert_eq!(stage.texts(&cid, 1).await, ["for cid"]);
}

async fn r31_a_broadcast_carries_its_type(stage: Stage) {
    let server = stage.server().run().await;
    let [ann, ben] = [stage.client().room("tea"), stage.client().room("tea")];
    let (ann, ben) = (ann.connect().await, ben.connect().await);
    stage.until("both are in", || server.room("tea").count() == 2).await;
    let guest = stage.guest(&server, &ann).await;
    guest.broadcast(Message::from(vec![0, 255]).event("picture")).unwrap();
    let message = stage.message(&ben).await;
    assert_eq!((&message.bytes()[..], message.event.as_deref()), (&[0, 255][..], Some("picture")));
}

async fn r31_a_connection_without_a_room_reaches_nobody(stage: Stage) {
    let server = stage.server().run().await;
    let ann = stage.client().connect().await;
    let guest = stage.guest(&server, &ann).await;
    assert_eq!(guest.room(), None);
    assert_eq!(guest.broadcast_with_self("to nobody").unwrap().sent, 0);
    assert!(server.rooms().is_empty());
}

async fn r31_a_rooms_life_is_told_in_order(stage: Stage) {
    let server = stage.server().run().await;
    let journal = watch(&server);
    let ann = stage.client().room("tea").connect().await;
    stage.reads(&journal, "entered tea").await;
    let ben = stage.client().room("tea").connect().await;
    stage.until("ben is in", || journal.count("entered tea") == 2).await;
    drop(ann);
    stage.reads(&journal, "left tea").await;
    drop(ben);
    stage.reads(&journal, "destroyed tea").await;
    let cid = stage.client().room("tea").connect().await;
    stage.until("it is made anew", || journal.count("entered tea") == 3).await;
    assert_eq!(
        journal.words(),
        [
            "created tea",
            "entered tea",
            "entered tea",
            "left tea",
            "left tea",
            "destroyed tea",
            "created tea",
            "entered tea"
        ]
    );
    drop(cid);
}

async fn r31_a_client_that_recovers_has_never_left_its_room(stage: Stage) {
    let server = stage.server().retention(RETENTION).buffer(Buffer::default()).run().await;
    let journal = watch(&server);
    let ann = stage.client().room("tea").connect().await;
    let lost = Journal::of_losses(&ann);
    stage.cut();
    stage.until("it knows", || !ann.is_connected()).await;
    server.room("tea").emit("while away").unwrap();
    stage.heal();
    stage.reads(&lost, "recovered").await;
    assert_eq!(stage.texts(&ann, 1).await, ["while away"]);
    assert_eq!(journal.words(), ["created tea", "entered tea"]);
}

async fn r31_a_hook_that_panics_harms_nobody(stage: Stage) {
    let server = stage.server().run().await;
    server.on_room(|event| assert!(matches!(event, RoomEvent::Destroyed(_)), "on purpose"));
    let told = Journal::default();
    let pen = told.clone();
    server.on_error(move |error| pen.write(format!("{}: {}", error.code, error.message)));
    let journal = watch(&server);
    let ann = stage.client().room("tea").connect().await;
    stage.reads(&journal, "entered tea").await;
    stage.reads(&told, "hook_failed: on purpose").await;
    server.room("tea").emit("still there").unwrap();
    assert_eq!(stage.texts(&ann, 1).await, ["still there"]);
}

async fn r31_a_hook_that_takes_long_hears_one_event_after_the_other(stage: Stage) {
    let server = stage.server().run().await;
    let journal = Journal::default();
    let (pen, own) = (journal.clone(), stage.clone());
    server.on_room(move |event| {
        let (pen, own) = (pen.clone(), own.clone());
        async move {
            if let RoomEvent::Entered(room, _) = event {
                pen.write(format!("{room} begins"));
                own.sleep(SECOND).await;
                pen.write(format!("{room} ends"));
            }
        }
    });
    let tea = stage.client().room("tea").connect().await;
    stage.reads(&journal, "tea begins").await;
    let milk = stage.client().room("milk").connect().await;
    stage.reads(&journal, "milk ends").await;
    assert_eq!(journal.words(), ["tea begins", "tea ends", "milk begins", "milk ends"]);
    drop((tea, milk));
}

async fn r31_channels_and_users_are_no_rooms(stage: Stage) {
    let ann = async |_| Ok(Admission::of("ann"));
    let server = stage.server().authenticator(ann).run().await;
    let journal = watch(&server);
    let outside = stage.client().connect().await;
    stage.within("it joins", outside.channel("chat").join()).await.unwrap();
    let inside = stage.client().room("tea").connect().await;
    stage.reads(&journal, "entered tea").await;
    outside.channel("chat").leave();
    stage.until("it has left", || server.channels().is_empty()).await;
    stage.sleep(SECOND).await;
    assert_eq!(journal.words(), ["created tea", "entered tea"]);
    drop(inside);
}

async fn r8_one_client_enters_several_rooms(stage: Stage) {
    let server = stage.server().run().await;
    let client = stage.client().query("lang", "en").build();
    let tea = client.in_room("tea").with_query("seat", "7").connect().await.unwrap();
    let milk = client.in_room("milk").connect().await.unwrap();
    assert_eq!((tea.room(), milk.room()), (Some("tea"), Some("milk")));
    let guest = stage.guest(&server, &tea).await;
    assert_eq!(
        (guest.visitor().query("seat"), guest.visitor().query("lang")),
        (Some("7"), Some("en"))
    );
    stage.until("both are in", || server.rooms() == ["milk", "tea"]).await;
    assert_eq!(stage.guest(&server, &milk).await.visitor().query("seat"), None);
}
