//! Clients that want too much: each meets its limit with its error, and nobody else notices.

use moorline::server::{Channels, RateLimit};
use moorline::{Connection, Server};
use moorline_core::wire::{
    Ask, Asked, Binary, Codec, Join, Members, MembersKind, Packet, Profile, Publish, Query,
};
use moorline_core::{Frame, Message};

use crate::stage::stranger::{Heard, Stranger};
use crate::stage::{Journal, Stage};

behaviours![
    a_flood_of_joins_meets_its_limit,
    a_flood_of_joins_and_leaves_leaves_nothing_behind,
    names_of_a_megabyte_are_no_packets,
    a_flood_of_profiles_is_bounded_for_the_others,
    a_flood_of_questions_for_members_is_answered_or_told,
    a_publish_from_outside_reaches_nobody_however_often,
    what_only_a_server_says_is_a_bad_packet,
    a_flood_under_a_rate_limit_ends_the_flooder_alone,
];

/// A server, a client that behaves, and a stranger that is let in.
async fn scene(
    stage: &Stage,
    server: crate::stage::plan::ServerPlan,
) -> (Server, Connection, Stranger) {
    let server = server.run().await;
    let good = stage.client().connect().await;
    stage.within("it joins", good.channel("chat").join()).await.unwrap();
    let mut stranger = stage.stranger().await;
    stranger.greet(1 << 20).await;
    (server, good, stranger)
}

fn join(channel: impl Into<bytestring::ByteString>) -> Packet {
    Packet::Join(Join { channel: channel.into(), echo: true, presence: true })
}

/// The client that behaves notices nothing.
async fn is_served(stage: &Stage, good: &Connection) {
    good.channel("chat").publish("still here").await.unwrap();
    assert_eq!(stage.texts(good, 1).await, ["still here"]);
    assert!(stage.within("a pong", good.ping()).await.is_ok());
}

async fn a_flood_of_joins_meets_its_limit(stage: Stage) {
    let few = Channels::default().per_connection(50);
    let (server, good, mut stranger) = scene(&stage, stage.server().channels(few)).await;
    for name in 0..500 {
        stranger.say(&join(name.to_string())).await;
    }
    let (mut joined, mut refused) = (0, 0);
    while joined + refused < 500 {
        match stranger.hear().await {
            Heard::Packet(Packet::Members(told)) if told.kind == MembersKind::All => joined += 1,
            Heard::Packet(Packet::Leave(leave)) => {
                assert_eq!(leave.error.unwrap().code, "too_many_channels");
                refused += 1;
            }
            Heard::Packet(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((joined, refused), (50, 450));
    assert_eq!(server.channels().len(), 51);
    is_served(&stage, &good).await;
}

async fn a_flood_of_joins_and_leaves_leaves_nothing_behind(stage: Stage) {
    let (server, good, mut stranger) = scene(&stage, stage.server()).await;
    let leave = |channel: String| {
        let channel = channel.into();
        Packet::Leave(Box::new(moorline_core::wire::Leave { channel, echo: None, error: None }))
    };
    for name in 0..300 {
        stranger.say(&join(format!("x{name}"))).await;
        stranger.say(&leave(format!("x{name}"))).await;
    }
    stranger.say(&join("last")).await;
    stage.until("all is done", || server.channel("last").count() == 1).await;
    assert_eq!(server.channels(), ["chat", "last"]);
    drop(stranger);
    stage.until("it is gone", || server.channels() == ["chat"]).await;
    is_served(&stage, &good).await;
}

async fn names_of_a_megabyte_are_no_packets(stage: Stage) {
    let huge = "x".repeat(1 << 20);
    let frames = [
        Frame::text(format!(r#"{{"type":"join","channel":"{huge}"}}"#)),
        Frame::text(format!(r#"{{"type":"profile","data":"{huge}"}}"#)),
        Frame::text(format!(r#"{{"type":"query","ask":[{{"query":"{huge}"}}]}}"#)),
        Frame::text(format!(r#"{{"type":"publish","channel":"{huge}","text":"x"}}"#)),
        Frame::text(format!(r#"{{"type":"members","kind":"ask","channel":"{huge}"}}"#)),
    ];
    let server = stage.server().max_frame(2 << 20).run().await;
    let good = stage.client().connect().await;
    stage.within("it joins", good.channel("chat").join()).await.unwrap();
    for frame in frames {
        let mut stranger = stage.stranger().await;
        stranger.send(Frame::text(r#"{"type":"hello","version":1}"#)).await;
        assert!(matches!(stranger.hear().await, Heard::Packet(Packet::Ready(_))));
        stranger.send(frame).await;
        let farewell = stranger.farewell().await;
        assert_eq!(farewell.error.as_deref(), Some("bad_packet"), "{farewell:?}");
    }
    assert_eq!(server.channels(), ["chat"]);
    is_served(&stage, &good).await;
}

async fn a_flood_of_profiles_is_bounded_for_the_others(stage: Stage) {
    let (_server, good, mut stranger) = scene(&stage, stage.server()).await;
    let journal = Journal::of_losses(&good);
    stranger.say(&join("chat")).await;
    for number in 0..400 {
        let data = Some(format!("\"{number}{}\"", "x".repeat(4000)).into());
        stranger.say(&Packet::Profile(Profile { data, echo: Some(false) })).await;
    }
    let last = || {
        let members = good.channel("chat").present().unwrap_or_default();
        members.iter().any(|one| {
            one.profile::<String>().ok().flatten().is_some_and(|own| own.starts_with("399"))
        })
    };
    stage.until("the last one is seen", last).await;
    assert!(!journal.words().iter().any(|word| word.starts_with("disconnect")));
    is_served(&stage, &good).await;
}

async fn a_flood_of_questions_for_members_is_answered_or_told(stage: Stage) {
    let (_server, good, mut stranger) = scene(&stage, stage.server().queue(8 * 1024)).await;
    stranger.say(&join("chat")).await;
    for id in 0..2000 {
        let ask = Members {
            channel: "chat".into(),
            id: Some(id),
            kind: MembersKind::Ask,
            more: false,
            members: Vec::new(),
        };
        stranger.say(&Packet::Members(Box::new(ask))).await;
    }
    // It never acknowledges: what has no room in its queue it is told to be lost.
    is_served(&stage, &good).await;
    let (mut answers, mut lost) = (0, 0);
    while answers + lost < 1000 && lost == 0 {
        match stranger.hear().await {
            Heard::Packet(Packet::Members(_)) => answers += 1,
            Heard::Packet(Packet::Gap(count)) => lost += count,
            Heard::Packet(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn a_publish_from_outside_reaches_nobody_however_often(stage: Stage) {
    let (_server, good, mut stranger) = scene(&stage, stage.server()).await;
    for number in 0..500 {
        let message = Message::from(format!("spam {number}")).on("chat");
        stranger.say(&Packet::Publish(Box::new(Publish { message, echo: None }))).await;
    }
    is_served(&stage, &good).await;
    let mut errors = 0;
    while errors < 10 {
        match stranger.hear().await {
            Heard::Packet(Packet::Error(error)) => {
                assert_eq!(error.code, "not_joined");
                errors += 1;
            }
            Heard::Packet(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn what_only_a_server_says_is_a_bad_packet(stage: Stage) {
    let server = stage.server().run().await;
    for packet in [
        Packet::Properties(vec![("plan".to_owned(), "gold".to_owned())]),
        Packet::Throttle(vec!["presence".to_owned()]),
        Packet::Members(Box::new(Members {
            channel: "chat".into(),
            id: None,
            kind: MembersKind::All,
            more: false,
            members: Vec::new(),
        })),
    ] {
        let mut stranger = stage.stranger().await;
        stranger.greet(1 << 16).await;
        stranger.say(&packet).await;
        let farewell = stranger.farewell().await;
        assert_eq!(farewell.error.as_deref(), Some("bad_packet"), "{farewell:?}");
    }
    assert!(server.throttled().is_empty());
}

async fn a_flood_under_a_rate_limit_ends_the_flooder_alone(stage: Stage) {
    let limit = RateLimit::per_second(10).burst(10);
    let (server, good, mut stranger) = scene(&stage, stage.server().rate_limit(limit)).await;
    let ask = || {
        let asked = Asked { query: "SELECT 1".to_owned(), compress: false };
        let ask = vec![Ask { asked, retrieve: true, subscribe: true }];
        Packet::Query(Box::new(Query { ask, end: Vec::new() }))
    };
    let frame = Binary.encode(ask()).unwrap();
    for _ in 0..2000 {
        if !stranger.try_send(frame.clone()).await {
            break;
        }
    }
    let farewell = stranger.farewell().await;
    assert_eq!(farewell.close.as_ref().map(|close| close.code), Some(1008), "{farewell:?}");
    stage.until("it is gone", || server.count() == 1).await;
    is_served(&stage, &good).await;
}
