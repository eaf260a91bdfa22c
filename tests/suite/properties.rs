//! Properties that the server pushes, what the application keeps with a connection, and identities that expire (R14, R15).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use moorline::server::{Admission, Refusal, RoomEvent, Visitor};
use moorline::{Buffer, Connection, PropertyError, ServerConnection, event};

use crate::stage::{Journal, Pair, RETENTION, SECOND, Stage, Virtual};

behaviours![
    r14_a_property_set_later_is_told,
    r14_a_property_is_removed,
    r14_properties_belong_to_the_session,
    r14_a_connection_has_so_many_properties,
    r14_properties_are_told_whatever_else_finds_no_room,
    r14_a_connect_listener_sees_what_was_set_at_the_open,
    r15_an_application_keeps_its_own_values_with_a_connection,
    r15_tags_are_the_servers_alone,
    r15_what_the_authenticator_gives_is_there_from_the_start,
    r15_room_query_and_credentials_are_read_in_every_hook,
    r43_expired_credentials_are_fetched_anew_and_the_session_goes_on,
];

in_virtual_time![
    r43_an_identity_expires_at_its_time_and_again_after_each_return,
    r43_an_identity_expires_also_behind_a_slow_message,
    r45_nothing_is_lost_untold_while_expired_credentials_close,
];

fn watch(connection: &Connection) -> Journal {
    let journal = Journal::default();
    let pen = journal.clone();
    connection.on(event::Properties, move |pairs: Vec<(String, String)>| {
        let all: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pen.write(all.join(" "));
    });
    journal
}

async fn r14_a_property_set_later_is_told(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let journal = watch(&connection);
    assert_eq!((connection.property("plan"), connection.properties()), (None, Vec::new()));
    guest.set_property("plan", Some("free")).unwrap();
    guest.set_property("seats", Some("2")).unwrap();
    guest.set_property("plan", Some("gold")).unwrap();
    guest.send("behind it").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["behind it"]);
    assert_eq!(connection.property("plan").as_deref(), Some("gold"));
    assert_eq!(guest.property("plan").as_deref(), Some("gold"));
    stage.reads(&journal, "plan=gold seats=2").await;
    guest.set_property("seats", Some("3")).unwrap();
    stage.reads(&journal, "plan=gold seats=3").await;
}

async fn r14_a_property_is_removed(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let journal = watch(&connection);
    guest.set_property("plan", Some("free")).unwrap();
    stage.reads(&journal, "plan=free").await;
    guest.set_property("plan", None).unwrap();
    guest.set_property("never there", None).unwrap();
    stage.reads(&journal, "").await;
    assert_eq!(journal.words(), ["plan=free", ""]);
    assert!(connection.properties().is_empty());
}

async fn r14_properties_belong_to_the_session(stage: Stage) {
    let server = stage.server().retention(RETENTION).buffer(Buffer::default());
    let server = server.authenticator(async |_: Arc<Visitor>| {
        Ok::<_, Refusal>(Admission::anonymous().property("plan", "free"))
    });
    let Pair { connection, guest, .. } = stage.pair_of(server, stage.client()).await;
    guest.set_property("plan", Some("gold")).unwrap();
    let journal = Journal::of_losses(&connection);
    stage.reset();
    stage.reads(&journal, "recovered").await;
    stage.until("it is still so", || connection.property("plan").as_deref() == Some("gold")).await;
}

async fn r14_a_connection_has_so_many_properties(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    for n in 0..64 {
        guest.set_property(n.to_string(), Some("x")).unwrap();
    }
    assert_eq!(
        guest.set_property("one more", Some("x")),
        Err(PropertyError::TooMany { limit: 64 })
    );
    let long = "x".repeat(16 * 1024);
    let too_large = PropertyError::TooLarge { size: 16_565, limit: 16 * 1024 };
    assert_eq!(guest.set_property("0", Some(&long)), Err(too_large));
    guest.set_property("0", Some("y")).unwrap();
    stage.until("all are told", || connection.property("0").as_deref() == Some("y")).await;
    assert_eq!(connection.properties().len(), 64);
}

async fn r14_properties_are_told_whatever_else_finds_no_room(stage: Stage) {
    let server = stage.server().retention(RETENTION).queue(10_000);
    let client = stage.client().window(10_000);
    let Pair { server, connection, guest } = stage.pair_of(server, client).await;
    let full = || guest.stats().counts.lost > 0;
    while !full() {
        server.emit(vec![0; 1_000]).unwrap();
        stage.sleep(SECOND / 100).await;
    }
    // The newest takes the place of those that wait.
    for n in 0..=1_000 {
        guest.set_property("seats", Some(&n.to_string())).unwrap();
        if n % 100 == 0 {
            stage.sleep(SECOND / 100).await;
        }
    }
    assert!(guest.stats().queued <= 22_000, "{:?}", guest.stats());
    connection.on_message(|_| ());
    stage.until("it is told", || connection.property("seats").as_deref() == Some("1000")).await;
}

async fn r14_a_connect_listener_sees_what_was_set_at_the_open(stage: Stage) {
    let server = stage.server().authenticator(async |_: Arc<Visitor>| {
        Ok::<_, Refusal>(Admission::anonymous().property("plan", "free"))
    });
    let _server = server.run().await;
    let connection = stage.client().build().closed();
    let (journal, weak) = (Journal::default(), connection.downgrade());
    let pen = journal.clone();
    connection.on(event::Connect, move |_| {
        let connection = weak.upgrade().unwrap();
        let (plan, has_id) = (connection.property("plan"), connection.id().is_some());
        pen.write(format!("{plan:?} {has_id}"));
    });
    connection.open();
    stage.reads(&journal, "Some(\"free\") true").await;
}

#[derive(Default)]
struct Basket {
    teas: AtomicU32,
}

async fn r15_an_application_keeps_its_own_values_with_a_connection(stage: Stage) {
    let Pair { server, connection, guest } = stage.pair().await;
    assert!(guest.props::<Basket>().is_none());
    assert!(guest.set_props(Basket::default()).is_none());
    assert!(guest.set_props(7_u32).is_none());
    guest.props::<Basket>().unwrap().teas.fetch_add(2, Ordering::Relaxed);
    let same = server.connection(connection.id().unwrap()).unwrap();
    assert_eq!(same.props::<Basket>().unwrap().teas.load(Ordering::Relaxed), 2);
    assert_eq!(same.set_props(8_u32).as_deref(), Some(&7));
}

async fn r15_tags_are_the_servers_alone(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    assert_eq!(guest.set_tag("shard", "7"), None);
    assert_eq!(guest.set_tag("shard", "8").as_deref(), Some("7"));
    guest.set_tag("beta", "yes");
    assert_eq!(guest.tag("shard").as_deref(), Some("8"));
    assert_eq!(guest.tags().len(), 2);
    assert_eq!(guest.remove_tag("beta").as_deref(), Some("yes"));
    assert_eq!(guest.tag("beta"), None);
    assert!(connection.properties().is_empty());
}

async fn r15_what_the_authenticator_gives_is_there_from_the_start(stage: Stage) {
    let server = stage.server().authenticator(async |visitor: Arc<Visitor>| {
        let name = visitor.query("name").unwrap_or_default().to_owned();
        Ok::<_, Refusal>(Admission::of("ann").props(name))
    });
    let server = server.build();
    let journal = Journal::default();
    let pen = journal.clone();
    server.on_connect(async move |connection: ServerConnection| {
        pen.write(connection.props::<String>().unwrap().to_string());
        Ok(())
    });
    stage.run(&server).await;
    let _ann = stage.client().query("name", "Ann").connect().await;
    stage.reads(&journal, "Ann").await;
}

async fn r15_room_query_and_credentials_are_read_in_every_hook(stage: Stage) {
    let server = stage.server().build();
    let journal = Journal::default();
    let note = |hook: &'static str| {
        let pen = journal.clone();
        move |guest: &ServerConnection| {
            let visitor = guest.visitor();
            let token = visitor.auth::<String>().unwrap().unwrap();
            let (room, lang) = (visitor.room.as_deref().unwrap(), visitor.query("lang").unwrap());
            pen.write(format!("{hook}: {token} {room} {lang}"));
        }
    };
    let (connect, message, end, room) =
        (note("connect"), note("message"), note("disconnect"), note("room"));
    server.on_connect(async move |guest: ServerConnection| {
        connect(&guest);
        Ok(())
    });
    server.on_message(move |guest, _| message(&guest));
    server.on_disconnect(move |guest, _| end(&guest));
    server.on_room(move |event| {
        if let RoomEvent::Entered(_, guest) = event {
            room(&guest);
        }
    });
    stage.run(&server).await;
    let client = stage.client().room("tea").query("lang", "en");
    let client = client.credentials(async || Ok("sesame".to_owned())).connect().await;
    client.send("hello").await.unwrap();
    stage.reads(&journal, "message: sesame tea en").await;
    client.close();
    for hook in ["connect", "room", "disconnect"] {
        stage.reads(&journal, &format!("{hook}: sesame tea en")).await;
    }
}

async fn r43_expired_credentials_are_fetched_anew_and_the_session_goes_on(stage: Stage) {
    let valid = stage.time(20 * SECOND);
    let seen = Journal::default();
    let pen = seen.clone();
    let server = stage.server().retention(RETENTION).buffer(Buffer::default());
    let server = server.authenticator(move |visitor: Arc<Visitor>| {
        pen.write(visitor.auth::<String>().unwrap().unwrap());
        async move { Ok::<_, Refusal>(Admission::of("ann").valid_for(valid)) }
    });
    let fetched = Arc::new(AtomicU32::new(0));
    let client = stage.client().buffer(Buffer::default()).credentials(move || {
        let number = fetched.fetch_add(1, Ordering::Relaxed);
        async move { Ok(format!("token {number}")) }
    });
    let Pair { connection, guest, .. } = stage.pair_of(server, client).await;
    let (journal, session) = (Journal::of_losses(&connection), connection.session());
    stage.reads(&journal, "recovered").await;
    guest.send("to whom I know").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["to whom I know"]);
    assert_eq!(connection.session(), session);
    assert_eq!(seen.words()[..2], ["token 0", "token 1"]);
}

async fn r43_an_identity_expires_at_its_time_and_again_after_each_return(virtually: Virtual) {
    let stage = &*virtually;
    let server = stage.server().retention(RETENTION).buffer(Buffer::default());
    let server = server.authenticator(async |_: Arc<Visitor>| {
        Ok::<_, Refusal>(Admission::of("ann").valid_for(60 * SECOND))
    });
    let connection = stage.pair_of(server, stage.client()).await.connection;
    let (journal, begun) = (Journal::of_losses(&connection), stage.now());
    stage.sleep(59 * SECOND).await;
    assert!(journal.words().is_empty());
    stage.until("it has expired five times", || journal.count("recovered") == 5).await;
    let took = stage.since(begun).as_secs();
    // Five times a minute, and up to five seconds of the spread to come back.
    assert!((5 * 60..5 * 66).contains(&took), "{took}");
}

/// Takes five seconds for each message.
struct Slow(Stage);

#[async_trait::async_trait]
impl moorline::server::Middleware for Slow {
    async fn message(&self, _: &ServerConnection, _: &moorline::Message) -> Result<(), Refusal> {
        self.0.sleep(5 * SECOND).await;
        Ok(())
    }
}

fn expiring(stage: &Stage, after: std::time::Duration) -> crate::stage::plan::ServerPlan {
    let server = stage.server().retention(RETENTION).buffer(Buffer::default());
    server.authenticator(move |_: Arc<Visitor>| async move {
        Ok::<_, Refusal>(Admission::of("ann").valid_for(after))
    })
}

async fn r43_an_identity_expires_also_behind_a_slow_message(virtually: Virtual) {
    let stage = &*virtually;
    let server = expiring(stage, 60 * SECOND).middleware(Slow(stage.clone()));
    let connection = stage.pair_of(server, stage.client()).await.connection;
    let journal = Journal::of_losses(&connection);
    connection.send("looked at for long").await.unwrap();
    stage.sleep(SECOND).await;
    stage.reset();
    stage.reads(&journal, "recovered").await;
    // The loss is told at the server behind the message, when its client is back already.
    stage.sleep(70 * SECOND).await;
    assert!(journal.count("recovered") >= 2, "{:?}", journal.words());
}

async fn r45_nothing_is_lost_untold_while_expired_credentials_close(virtually: Virtual) {
    let stage = &*virtually;
    let Pair { connection, guest, server } =
        stage.pair_of(expiring(stage, 10 * SECOND), stage.client()).await;
    let (journal, lost) = (Journal::of_losses(&connection), Arc::new(AtomicU32::new(0)));
    let count = lost.clone();
    connection.on(event::Recovery, move |what| {
        if let moorline::Recovery::Gap { from, to } = what {
            count.fetch_add((to - from) as u32, Ordering::Relaxed);
        }
    });
    let (heard, last) = (Arc::new(AtomicU32::new(0)), Journal::default());
    let (hears, pen) = (heard.clone(), last.clone());
    connection.on_message(move |message| {
        hears.fetch_add(1, Ordering::Relaxed);
        if message.text() == Some("last") {
            pen.write("last");
        }
    });
    let mut sent = 0;
    while journal.count("recovered") < 3 {
        server.emit(sent.to_string()).unwrap();
        sent += 1;
        stage.sleep(SECOND / 200).await;
    }
    server.emit("last").unwrap();
    stage.reads(&last, "last").await;
    let known = heard.load(Ordering::Relaxed) + lost.load(Ordering::Relaxed);
    assert_eq!(known, sent + 1, "some are lost untold");
    assert!(guest.is_alive());
}
