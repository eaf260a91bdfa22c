//! What a server does with a group of connections: a channel, a room, or a user's (R29, R31, R32).

use moorline::server::Group;
use moorline::{Json, Message, SendError};
use moorline_core::Data;

use crate::stage::{Pair, Stage};

behaviours![
    r31_a_group_has_a_name_and_connections,
    r31_a_message_goes_to_all_but_one,
    r31_what_no_codec_can_write_is_an_error,
    r31_what_one_codec_can_write_reaches_those_who_speak_it,
];

fn ids(group: &Group) -> Vec<String> {
    let connections = group.connections();
    let mut ids: Vec<_> = connections.iter().map(|one| one.id().to_string()).collect();
    ids.sort();
    ids
}

async fn r31_a_group_has_a_name_and_connections(stage: Stage) {
    let server = stage.server().run().await;
    let [ann, ben] = [(); 2].map(|()| stage.client().room("tea").connect());
    let (ann, ben) = (ann.await, ben.await);
    let guests = [stage.guest(&server, &ann).await, stage.guest(&server, &ben).await];
    stage.within("ann joins", ann.channel("chat").join()).await.unwrap();
    assert_eq!(ann.channel("chat").name(), "chat");
    let (room, channel) = (server.room("tea"), server.channel("chat"));
    assert_eq!((&**room.name(), &**channel.name()), ("tea", "chat"));
    let mut both: Vec<_> = guests.iter().map(|guest| guest.id().to_string()).collect();
    both.sort();
    stage.until("both are in", || room.count() == 2).await;
    assert_eq!(ids(&room), both);
    assert_eq!(ids(&channel), [guests[0].id().to_string()]);
    assert!(server.room("milk").connections().is_empty());
}

async fn r31_a_message_goes_to_all_but_one(stage: Stage) {
    let server = stage.server().run().await;
    let [ann, ben] = [(); 2].map(|()| stage.client().room("tea").connect());
    let (ann, ben) = (ann.await, ben.await);
    let guest = stage.guest(&server, &ann).await;
    for one in [&ann, &ben] {
        stage.within("it joins", one.channel("chat").join()).await.unwrap();
    }
    stage.until("both are in", || server.room("tea").count() == 2).await;
    for group in [server.room("tea"), server.channel("chat")] {
        let emitted = group.emit_except(&guest, format!("{}: the others", group.name())).unwrap();
        assert_eq!((emitted.sent, emitted.skipped), (1, 0));
        group.emit(format!("{}: all", group.name())).unwrap();
    }
    assert_eq!(stage.texts(&ann, 2).await, ["tea: all", "chat: all"]);
    let all = ["tea: the others", "tea: all", "chat: the others", "chat: all"];
    assert_eq!(stage.texts(&ben, 4).await, all);
}

/// What says that it is JSON, and is not.
fn broken() -> Message {
    Message::new(Data::Json("no JSON".into()))
}

async fn r31_what_no_codec_can_write_is_an_error(stage: Stage) {
    let client = stage.client().codec(Json).room("tea");
    let Pair { server, connection, .. } = stage.pair_of(stage.server(), client).await;
    stage.until("it is in", || server.room("tea").count() == 1).await;
    for failed in [server.emit(broken()), server.room("tea").emit(broken())] {
        assert!(matches!(failed, Err(SendError::Encode(_))), "{failed:?}");
    }
    assert_eq!(server.room("tea").emit("better").unwrap().sent, 1);
    assert_eq!(stage.texts(&connection, 1).await, ["better"]);
}

async fn r31_what_one_codec_can_write_reaches_those_who_speak_it(stage: Stage) {
    let server = stage.server().run().await;
    let binary = stage.client().room("tea").connect().await;
    let json = stage.client().room("tea").codec(Json).connect().await;
    stage.until("both are in", || server.room("tea").count() == 2).await;
    let emitted = server.room("tea").emit(broken()).unwrap();
    assert_eq!((emitted.sent, emitted.skipped), (1, 1));
    assert_eq!(stage.message(&binary).await.bytes()[..], *b"no JSON");
    drop(json);
}
