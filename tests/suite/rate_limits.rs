//! Who sends too much is refused, told when it may again, and disturbs nobody (R37).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use moorline::server::{Admission, Publishing, RateLimit, TrustedProxies, Visitor};
use moorline::{
    ConnectError, Connection, ErrorEvent, JoinError, Message, RequestError, Server, event,
};
use moorline_core::wire::{Join, Leave, Members, MembersKind, Packet, Profile, Publish, Request};

use crate::stage::stranger::{Heard, Stranger};
use crate::stage::{Journal, MS, Pair, SECOND, Stage, Virtual};

behaviours![
    r37_within_its_limit_nothing_is_refused_and_above_it_all_is,
    r37_a_request_above_the_limit_fails_with_the_code,
    r37_a_join_above_the_limit_fails_with_the_code,
    r37_bytes_are_limited_too,
    r37_an_address_is_limited_over_all_its_connections,
    r37_a_proxys_header_is_believed_only_of_trusted_proxies,
    r37_too_many_connections_of_an_address_are_refused_at_the_door,
    r37_who_comes_back_has_all_its_channels_whatever_the_limit,
    r37_a_flood_of_any_kind_is_closed_for_good,
    r37_signs_of_life_and_leaves_are_not_counted,
    r37_what_is_said_again_after_a_loss_is_not_counted,
];

in_virtual_time![
    r37_after_the_retry_after_it_passes,
    r37_who_keeps_to_the_rate_is_never_refused,
    r37_a_session_that_comes_back_has_no_fresh_limit,
    r37_an_address_that_waits_may_connect_again,
    r37_who_asks_on_and_reads_nothing_holds_no_more_than_a_queue,
];

/// So many, and then none for a time that no test waits for.
fn only(count: u32) -> RateLimit {
    RateLimit::every(1, Duration::from_secs(3_600)).burst(count)
}

/// The errors that a connection hears.
fn errors(connection: &Connection) -> Arc<Mutex<Vec<ErrorEvent>>> {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let told = errors.clone();
    connection.on(event::Error, move |error| told.lock().unwrap().push(error));
    errors
}

async fn refused(stage: &Stage, errors: &Mutex<Vec<ErrorEvent>>, count: usize) {
    stage.until("the refusals come", || errors.lock().unwrap().len() >= count).await;
    let errors = errors.lock().unwrap();
    assert_eq!(errors.len(), count, "{errors:?}");
    for error in &*errors {
        assert_eq!(error.code, "rate_limit_exceeded");
        assert!(error.retry_after().is_some_and(|wait| !wait.is_zero()), "{error:?}");
    }
}

async fn r37_within_its_limit_nothing_is_refused_and_above_it_all_is(stage: Stage) {
    let Pair { server, connection, guest } =
        stage.pair_of(stage.server().rate_limit(only(5)), stage.client()).await;
    let other = stage.client().connect().await;
    let other_guest = stage.guest(&server, &other).await;
    let (own, others) = (errors(&connection), errors(&other));
    for number in 0..8 {
        connection.send(format!("{number}")).await.unwrap();
    }
    assert_eq!(stage.texts(&guest, 5).await, ["0", "1", "2", "3", "4"]);
    refused(&stage, &own, 3).await;
    for number in 0..5 {
        other.send(format!("{number}")).await.unwrap();
    }
    assert_eq!(stage.texts(&other_guest, 5).await.len(), 5);
    refused(&stage, &others, 0).await;
    // It stays, and hears.
    guest.send("still here").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["still here"]);
    assert!(stage.within("a pong", connection.ping()).await.is_ok());
}

async fn r37_a_request_above_the_limit_fails_with_the_code(stage: Stage) {
    let Pair { connection, guest, .. } =
        stage.pair_of(stage.server().rate_limit(only(1)), stage.client()).await;
    guest.on_request(async |_| Ok::<_, String>("yes"));
    let answer = stage.within("an answer", connection.request("may I?")).await.unwrap();
    assert_eq!(answer.text(), Some("yes"));
    let refused = stage.within("an answer", connection.request("and now?")).await;
    let Err(RequestError::Failed { code, retry_after, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(code, "rate_limit_exceeded");
    assert!(retry_after.is_some_and(|wait| wait > Duration::from_secs(3_000)), "{retry_after:?}");
}

async fn r37_a_join_above_the_limit_fails_with_the_code(stage: Stage) {
    let Pair { server, connection, guest } =
        stage.pair_of(stage.server().rate_limit(only(2)), stage.client()).await;
    connection.send("hello").await.unwrap();
    stage.message(&guest).await;
    stage.within("the join", connection.channel("one").join()).await.unwrap();
    let refused = stage.within("the join", connection.channel("two").join()).await;
    let Err(JoinError::Refused { code, retry_after, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(code, "rate_limit_exceeded");
    assert!(retry_after.is_some());
    assert_eq!((server.channel("one").count(), server.channel("two").count()), (1, 0));
    // To join anew what it is on is refused, and takes nothing away.
    let own = errors(&connection);
    let again = stage.within("the join", connection.channel("one").echo(false).join()).await;
    assert_eq!(again, Ok(()));
    refused_once(&stage, &own).await;
    assert_eq!(server.channel("one").count(), 1);
}

async fn refused_once(stage: &Stage, errors: &Mutex<Vec<ErrorEvent>>) {
    refused(stage, errors, 1).await;
}

async fn r37_bytes_are_limited_too(stage: Stage) {
    let limit = RateLimit::per_second(1_000_000).bytes(1, 10_000);
    let Pair { connection, guest, .. } =
        stage.pair_of(stage.server().rate_limit(limit), stage.client()).await;
    let own = errors(&connection);
    // What is larger than the burst passes once, and is paid for.
    connection.send(vec![b'x'; 20_000]).await.unwrap();
    assert_eq!(stage.message(&guest).await.bytes().len(), 20_000);
    connection.send("small").await.unwrap();
    refused(&stage, &own, 1).await;
    let wait = own.lock().unwrap()[0].retry_after().unwrap();
    assert!(wait > Duration::from_secs(9_000), "{wait:?}");
}

/// Clients whose server sees them come from where they say.
struct Addresses(Arc<Mutex<(String, Option<String>)>>);

impl Addresses {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn dress(&self) -> impl Fn(&mut moorline_core::Peer) + Send + Sync + 'static {
        let next = self.0.clone();
        move |peer| {
            let (address, header) = next.lock().unwrap().clone();
            peer.address = Some(address);
            peer.headers.retain(|(name, _)| name != "x-forwarded-for");
            peer.headers.extend(header.map(|header| ("x-forwarded-for".to_owned(), header)));
        }
    }

    fn from(&self, address: &str, header: Option<&str>) {
        *self.0.lock().unwrap() = (address.to_owned(), header.map(str::to_owned));
    }
}

/// A client, its errors, and how many messages of `count` the server has taken.
async fn sends(stage: &Stage, server: &Server, count: usize) -> usize {
    let connection = stage.client().connect().await;
    let guest = stage.guest(server, &connection).await;
    let (own, journal) = (errors(&connection), Journal::of(&guest));
    for _ in 0..count {
        connection.send("word").await.unwrap();
    }
    let heard = || journal.count("message word");
    stage.until("all are decided", || heard() + own.lock().unwrap().len() == count).await;
    heard()
}

async fn r37_an_address_is_limited_over_all_its_connections(stage: Stage) {
    let addresses = Addresses::new();
    let server = stage.server().address_rate_limit(only(4)).dress(addresses.dress()).run().await;
    addresses.from("192.0.2.1:1000", None);
    assert_eq!(sends(&stage, &server, 3).await, 3);
    addresses.from("192.0.2.1:1001", None);
    assert_eq!(sends(&stage, &server, 3).await, 1);
    addresses.from("192.0.2.2:1000", None);
    assert_eq!(sends(&stage, &server, 3).await, 3);
    addresses.from("[2001:db8::1]:1000", None);
    assert_eq!(sends(&stage, &server, 3).await, 3);
    addresses.from("[2001:db8::ffff:1]:1000", None);
    assert_eq!(sends(&stage, &server, 3).await, 1);
    addresses.from("[2001:db8:0:1::1]:1000", None);
    assert_eq!(sends(&stage, &server, 3).await, 3);
}

async fn r37_a_proxys_header_is_believed_only_of_trusted_proxies(stage: Stage) {
    let addresses = Addresses::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let server = stage
        .server()
        .address_rate_limit(only(4))
        .trusted_proxies(TrustedProxies::new(["10.0.0.0/8"]).unwrap())
        .authenticator({
            let seen = seen.clone();
            move |visitor: Arc<Visitor>| {
                seen.lock().unwrap().extend(visitor.address());
                async { Ok(Admission::anonymous()) }
            }
        })
        .dress(addresses.dress())
        .run()
        .await;
    for (address, header, passed) in [
        ("10.0.0.1:1", Some("192.0.2.1"), 4),
        ("10.0.0.1:1", Some("192.0.2.2"), 4),
        ("10.0.0.2:1", Some("203.0.113.9, 192.0.2.1"), 0),
        // Who is no proxy may write what it likes.
        ("198.51.100.1:1", Some("203.0.113.1"), 4),
        ("198.51.100.1:1", Some("203.0.113.2"), 0),
        ("10.0.0.3:1", None, 4),
    ] {
        addresses.from(address, header);
        assert_eq!(sends(&stage, &server, 5).await, passed, "{address} {header:?}");
    }
    let seen: Vec<_> = seen.lock().unwrap().iter().map(ToString::to_string).collect();
    let expected =
        ["192.0.2.1", "192.0.2.2", "192.0.2.1", "198.51.100.1", "198.51.100.1", "10.0.0.3"];
    assert_eq!(seen, expected);
}

async fn r37_too_many_connections_of_an_address_are_refused_at_the_door(stage: Stage) {
    let addresses = Addresses::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let server = stage
        .server()
        .connection_rate_limit(only(2))
        .authenticator({
            let asked = asked.clone();
            move |_| {
                asked.fetch_add(1, Ordering::SeqCst);
                async { Ok(Admission::anonymous()) }
            }
        })
        .dress(addresses.dress())
        .run()
        .await;
    addresses.from("192.0.2.1:1", None);
    let _first = stage.client().connect().await;
    let _second = stage.client().connect().await;
    let third = stage.client().retry_first(false).build();
    let refused = stage.within("an answer", third.connect()).await.err();
    let Some(ConnectError::Failed { code, retryable: true, retry_after, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(code, "rate_limit_exceeded");
    assert!(retry_after.is_some_and(|wait| wait > Duration::from_secs(3_000)), "{retry_after:?}");
    let mut stranger = stage.stranger().await;
    stranger.say(&Packet::Hello(Box::new(hello()))).await;
    let farewell = stranger.farewell().await;
    assert_eq!(farewell.error.as_deref(), Some("rate_limit_exceeded"));
    assert_eq!(farewell.close.map(|close| close.code), Some(1013));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    addresses.from("192.0.2.2:1", None);
    let _other = stage.client().connect().await;
    assert_eq!(server.count(), 3);
}

fn hello() -> moorline_core::wire::Hello {
    moorline_core::wire::Hello {
        version: moorline_core::wire::VERSION,
        attempt: 1,
        window: 1 << 18,
        max_frame: 1 << 20,
        ..Default::default()
    }
}

async fn r37_who_comes_back_has_all_its_channels_whatever_the_limit(stage: Stage) {
    let server = stage.server().rate_limit(only(3)).run().await;
    let connection = stage.client().connect().await;
    let names: Vec<_> = (0..30).map(|number| format!("channel {number}")).collect();
    connection.update_profile(&"ann").unwrap();
    for name in &names {
        stage.within("the join", connection.channel(name.as_str()).join()).await.unwrap();
    }
    connection.send("hello").await.unwrap();
    // Sessions are not kept here: all is said anew.
    let (own, journal) = (errors(&connection), Journal::of_losses(&connection));
    stage.reset();
    let all = || names.iter().all(|name| server.channel(name.as_str()).count() == 1);
    stage.reads(&journal, "reconnect 1").await;
    stage.until("it is back on all", || connection.is_connected() && all()).await;
    let limited = |error: &ErrorEvent| error.code == "rate_limit_exceeded";
    assert!(!own.lock().unwrap().iter().any(limited));
}

async fn r37_what_is_said_again_after_a_loss_is_not_counted(stage: Stage) {
    let server = stage.server().rate_limit(only(3)).queue(4_096).run().await;
    let connection = stage.client().window(4_096).connect().await;
    for number in 0..30 {
        let channel = format!("channel {number}");
        stage.within("the join", connection.channel(channel).join()).await.unwrap();
    }
    connection.send("hello").await.unwrap();
    let (own, journal) = (errors(&connection), Journal::of_losses(&connection));
    while server.emit("x".repeat(1_000)).unwrap().sent == 1 {
        stage.sleep(MS).await;
    }
    connection.send("how are you?").await.unwrap();
    connection.on_message(|_| {});
    let gap = || journal.words().iter().any(|word| word.starts_with("gap"));
    stage.until("it knows what it has missed", gap).await;
    stage.sleep(2 * SECOND).await;
    assert_eq!(own.lock().unwrap().len(), 0, "{own:?}");
    let known = |number| connection.channel(format!("channel {number}")).present().is_some();
    assert!((0..30).all(known));
    // A profile is nothing that is said again then, and costs others something.
    for _ in 0..2 {
        connection.update_profile(&"ann").unwrap();
        stage.sleep(SECOND).await;
    }
    refused(&stage, &own, 1).await;
}

async fn greeted(stage: &Stage) -> Stranger {
    let mut stranger = stage.stranger().await;
    stranger.greet(1 << 18).await;
    stranger
}

async fn r37_a_flood_of_any_kind_is_closed_for_good(stage: Stage) {
    let mut channels = moorline::server::Channels::default().publishing(Publishing::Anybody);
    channels = channels.per_connection(1);
    let server = stage.server().rate_limit(only(2)).channels(channels).run().await;
    let message = || Message::from("word").on("tea");
    let ask = Members {
        channel: "tea".into(),
        id: Some(1),
        kind: MembersKind::Ask,
        more: false,
        members: Vec::new(),
    };
    let kinds = [
        Packet::Message(message()),
        Packet::Request(Request { id: 1, message: message() }),
        Packet::Publish(Box::new(Publish { message: message(), echo: None })),
        Packet::Join(Join { channel: "tea".into(), echo: true, presence: true }),
        Packet::Profile(Profile { data: Some(Bytes::from_static(b"1")), echo: None }),
        Packet::Query(Box::default()),
        Packet::Members(Box::new(ask)),
    ];
    for kind in kinds {
        let mut stranger = greeted(&stage).await;
        stranger.say(&Packet::Message("what follows is no restoring".into())).await;
        // One more than the burst, and ten times that.
        for _ in 0..1 + 20 + 1 {
            stranger.say(&kind).await;
        }
        let farewell = stranger.farewell().await;
        let close = farewell.close.unwrap_or_else(|| panic!("{} is closed", kind.name()));
        assert_eq!((close.code, close.reason.as_str()), (1008, "rate_limit_exceeded"));
    }
    // And of what comes first, before any message.
    let mut stranger = greeted(&stage).await;
    let join = Packet::Join(Join { channel: "tea".into(), echo: true, presence: false });
    for _ in 0..64 + 2 + 20 + 1 {
        stranger.say(&join).await;
    }
    assert_eq!(stranger.farewell().await.close.map(|close| close.code), Some(1008));
    stage.until("all are gone", || server.count() == 0).await;
    let connection = stage.client().connect().await;
    assert!(stage.within("a pong", connection.ping()).await.is_ok());
}

async fn r37_signs_of_life_and_leaves_are_not_counted(stage: Stage) {
    let _server = stage.server().rate_limit(only(1)).run().await;
    let mut stranger = greeted(&stage).await;
    stranger.say(&Packet::Message("one".into())).await;
    for token in 0..100 {
        let leave = Leave { channel: "tea".into(), echo: None, error: None };
        stranger.say(&Packet::Leave(Box::new(leave))).await;
        stranger.say(&Packet::Ping(token)).await;
    }
    loop {
        match stranger.hear().await {
            Heard::Packet(Packet::Pong(99)) => break,
            Heard::Packet(Packet::Pong(_) | Packet::Ack(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn r37_after_the_retry_after_it_passes(stage: Virtual) {
    let limit = RateLimit::per_second(2).burst(3);
    let Pair { connection, guest, .. } =
        stage.pair_of(stage.server().rate_limit(limit), stage.client()).await;
    let own = errors(&connection);
    for number in 0..4 {
        connection.send(format!("{number}")).await.unwrap();
    }
    refused(&stage, &own, 1).await;
    let wait = own.lock().unwrap()[0].retry_after().unwrap();
    assert!(wait <= 500 * MS, "{wait:?}");
    stage.sleep(wait).await;
    connection.send("again").await.unwrap();
    assert_eq!(stage.texts(&guest, 4).await, ["0", "1", "2", "again"]);
    refused(&stage, &own, 1).await;
}

async fn r37_who_keeps_to_the_rate_is_never_refused(stage: Virtual) {
    // The network holds some up by 45 ms: as many as the burst may come at once.
    let limit = RateLimit::per_second(10).burst(2);
    let Pair { connection, guest, .. } =
        stage.pair_of(stage.server().rate_limit(limit), stage.client()).await;
    let own = errors(&connection);
    for _ in 0..500 {
        connection.send("word").await.unwrap();
        stage.sleep(100 * MS).await;
        stage.message(&guest).await;
    }
    refused(&stage, &own, 0).await;
}

async fn r37_a_session_that_comes_back_has_no_fresh_limit(stage: Virtual) {
    let server = stage.server().rate_limit(only(3)).retention(60 * SECOND);
    let Pair { connection, guest, .. } = stage.pair_of(server, stage.client()).await;
    let own = errors(&connection);
    for number in 0..3 {
        connection.send(format!("{number}")).await.unwrap();
    }
    assert_eq!(stage.texts(&guest, 3).await, ["0", "1", "2"]);
    let journal = Journal::of(&connection);
    stage.reset();
    stage.reads(&journal, "recovered").await;
    own.lock().unwrap().clear();
    connection.send("one more").await.unwrap();
    refused(&stage, &own, 1).await;
}

async fn r37_an_address_that_waits_may_connect_again(stage: Virtual) {
    let addresses = Addresses::new();
    let limit = RateLimit::per_minute(6).burst(2);
    let _server = stage.server().connection_rate_limit(limit).dress(addresses.dress()).run().await;
    addresses.from("192.0.2.1:1", None);
    let start = stage.now();
    let mut clients = Vec::new();
    for _ in 0..6 {
        // Refused for a while, each tries again by itself.
        clients.push(stage.client().connect().await);
    }
    let took = stage.since(start);
    assert!(took >= 40 * SECOND - MS && took < 120 * SECOND, "{took:?}");
}

async fn r37_who_asks_on_and_reads_nothing_holds_no_more_than_a_queue(stage: Virtual) {
    // As much is refused as is let through, so that it is no flood.
    let limit = RateLimit::every(1, MS).burst(20);
    let server = stage.server().rate_limit(limit).queue(4_096).run().await;
    server.on_connect(async |connection: moorline::ServerConnection| {
        connection.on_request(async |_| Ok::<_, String>("yes"));
        Ok(())
    });
    let mut stranger = stage.stranger().await;
    stranger.greet(1_000).await;
    let mut most = 0;
    for id in 0..200 {
        for twice in 0..2 {
            let request = Request { id: id * 2 + twice, message: "may I?".into() };
            stranger.say(&Packet::Request(request)).await;
        }
        stage.sleep(MS).await;
        most = most.max(server.stats().sum.queued);
    }
    assert!(most > 4_096 && most < 2 * 4_096, "{most}");
    stage.until("it is gone", || server.count() == 0).await;
}
