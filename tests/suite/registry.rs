//! What a server knows of its connections (R34).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use moorline::{Binary, Codec, Message, Reason};
use moorline_core::Frame;
use moorline_core::wire::{DecodeError, EncodeError, Packet};

use crate::stage::{Journal, Pair, Stage};

behaviours![
    r34_the_registry_knows_who_is_there,
    r34_it_is_up_to_date_inside_the_hooks,
    r34_emit_reaches_all_that_are_alive,
    r34_emit_passes_over_what_is_too_large_for_one,
    r34_emit_encodes_once_for_all,
    r34_emit_to_some_reaches_no_others,
    r34_a_hundred_round_trips_leave_nothing,
];

async fn r34_the_registry_knows_who_is_there(stage: Stage) {
    let Pair { server, connection, guest } = stage.pair().await;
    let id = connection.id().unwrap();
    let other = stage.client().connect().await;
    assert_eq!(server.count(), 2);
    assert!(server.exists(&id) && server.exists(id.as_str()));
    assert_eq!(server.connection(&id).unwrap().id(), guest.id());
    let ids: Vec<_> = server.connections().iter().map(|own| own.id().clone()).collect();
    assert!(ids.is_sorted() && ids.contains(&id) && ids.contains(&other.id().unwrap()));
    connection.close();
    stage.until("it is gone", || server.count() == 1).await;
    assert!(!server.exists(&id) && server.connection(&id).is_none());
    assert!(!server.exists("nobody"));
    assert!(!guest.is_alive());
}

async fn r34_it_is_up_to_date_inside_the_hooks(stage: Stage) {
    let server = stage.server().build();
    let journal = Journal::default();
    let (pen, weak) = (journal.clone(), server.clone());
    server.on_connect(async move |guest| {
        pen.write(format!("connect {} {}", weak.count(), weak.exists(guest.id())));
        Ok(())
    });
    let (pen, weak) = (journal.clone(), server.clone());
    server.on_disconnect(move |guest, end| {
        assert_eq!(end.reason, Reason::ClientDisconnect);
        pen.write(format!("disconnect {} {}", weak.count(), weak.exists(guest.id())));
    });
    stage.run(&server).await;
    let connection = stage.client().connect().await;
    stage.reads(&journal, "connect 1 true").await;
    let guest = stage.guest(&server, &connection).await;
    let (pen, weak, id) = (journal.clone(), server.clone(), guest.id().clone());
    guest.on_disconnect(move |_| pen.write(format!("listener {}", weak.exists(&id))));
    connection.close();
    stage.reads(&journal, "disconnect 0 false").await;
    stage.reads(&journal, "listener false").await;
}

async fn r34_emit_reaches_all_that_are_alive(stage: Stage) {
    let server = stage.server().run().await;
    let nobody = server.emit("to nobody").unwrap();
    assert_eq!((nobody.sent, nobody.skipped), (0, 0));
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(stage.client().connect().await);
    }
    clients.pop().unwrap().close();
    stage.until("one is gone", || server.count() == 4).await;
    let emitted = server.emit(Message::from("to all").on("news")).unwrap();
    assert_eq!((emitted.sent, emitted.skipped), (4, 0));
    for client in &clients {
        assert_eq!(stage.message(client).await, Message::from("to all").on("news"));
    }
}

async fn r34_emit_passes_over_what_is_too_large_for_one(stage: Stage) {
    let server = stage.server().run().await;
    let small = stage.client().max_frame(1_000).connect().await;
    let large = stage.client().connect().await;
    let emitted = server.emit(vec![0; 2_000]).unwrap();
    assert_eq!((emitted.sent, emitted.skipped), (1, 1));
    assert_eq!(stage.message(&large).await.bytes().len(), 2_000);
    server.emit("small").unwrap();
    assert_eq!(stage.texts(&small, 1).await, ["small"]);
}

async fn r34_emit_encodes_once_for_all(stage: Stage) {
    let messages = Arc::new(AtomicUsize::new(0));
    let server = stage.server().codec(Counting(messages.clone())).run().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(stage.client().connect().await);
    }
    assert_eq!(server.emit("to all").unwrap().sent, 20);
    for client in &clients {
        assert_eq!(stage.texts(client, 1).await, ["to all"]);
    }
    assert_eq!(messages.load(Ordering::Relaxed), 1);
}

/// The codec of the defaults, which counts the messages that it writes.
#[derive(Debug)]
struct Counting(Arc<AtomicUsize>);

impl Codec for Counting {
    fn name(&self) -> &'static str {
        Binary.name()
    }

    fn protocol(&self) -> Option<&'static str> {
        Binary.protocol()
    }

    fn claims(&self, first: &Frame) -> bool {
        Binary.claims(first)
    }

    fn has_session(&self) -> bool {
        Binary.has_session()
    }

    fn encode(&self, packet: Packet) -> Result<Frame, EncodeError> {
        let is_message = matches!(packet, Packet::Message(_));
        self.0.fetch_add(usize::from(is_message), Ordering::Relaxed);
        Binary.encode(packet)
    }

    fn decode(&self, frame: Frame) -> Result<Packet, DecodeError> {
        Binary.decode(frame)
    }
}

async fn r34_emit_to_some_reaches_no_others(stage: Stage) {
    let server = stage.server().run().await;
    let (one, other) = (stage.client().connect().await, stage.client().connect().await);
    let guests = [stage.guest(&server, &one).await, stage.guest(&server, &other).await];
    assert_eq!(server.emit_to(&guests[..1], "to one").unwrap().sent, 1);
    assert_eq!(server.emit("to all").unwrap().sent, 2);
    assert_eq!(stage.texts(&one, 2).await, ["to one", "to all"]);
    assert_eq!(stage.texts(&other, 1).await, ["to all"]);
}

async fn r34_a_hundred_round_trips_leave_nothing(stage: Stage) {
    let server = stage.echo().await;
    let before = stage.tasks();
    for _ in 0..100 {
        let connection = stage.client().connect().await;
        connection.send("echo").await.unwrap();
        assert_eq!(stage.texts(&connection, 1).await, ["echo"]);
    }
    stage.until("all are gone", || server.count() == 0 && stage.links() == 0).await;
    stage.until("so are their tasks", || stage.tasks() == before).await;
}
