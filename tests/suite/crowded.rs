//! Channels of whose members much has to be told (R30): a long list comes in parts, and one that is too long does not come.

use moorline::server::Channels;
use moorline::{Connection, MembersError, Presence, PresenceChange};
use moorline_core::wire::{Join, MembersKind, Packet};

use crate::stage::stranger::Heard;
use crate::stage::{Journal, Pair, SECOND, Stage};

behaviours![
    r30_a_long_list_comes_in_parts,
    r30_large_profiles_are_too_much_as_many_members_are,
    r30_it_begins_again_at_half_and_not_before,
    r30_hidden_is_told_once,
    r30_joining_twice_tells_nobody_anything,
    r30_who_gave_up_asking_asks_no_more,
    r30_lists_that_fill_the_queue_come_one_after_another,
    r30_who_takes_small_frames_is_told_in_small_parts,
];

/// A client on the channel, with a profile of about so many bytes.
async fn member(stage: &Stage, profile: usize) -> Connection {
    let connection = stage.client().connect().await;
    connection.update_profile(&"x".repeat(profile)).unwrap();
    stage.within("it joins", connection.channel("chat").join()).await.unwrap();
    connection
}

/// How many are there, as that end sees it.
fn seen(connection: &Connection) -> Option<usize> {
    connection.channel("chat").present().map(|members| members.len())
}

/// What an end is told of who is there, in words.
fn watch(connection: &Connection) -> Journal {
    let journal = Journal::default();
    let pen = journal.clone();
    connection.channel("chat").on_presence(move |presence: Presence| {
        pen.write(match presence.change {
            PresenceChange::Members(all) => format!("all {}", all.len()),
            PresenceChange::Hidden => "hidden".to_owned(),
            other => format!("{other:?}"),
        });
    });
    journal
}

/// Each list is as much as the queue holds, and all are asked for at once.
async fn r30_lists_that_fill_the_queue_come_one_after_another(stage: Stage) {
    let channels = ["a", "b", "c", "d"].map(String::from);
    let server = stage.server().queue(32 * 1024).run().await;
    let mut others = Vec::new();
    for _ in 0..12 {
        let other = stage.client().connect().await;
        other.update_profile(&"x".repeat(4_000)).unwrap();
        for channel in &channels {
            let joined = other.channel(channel.as_str()).presence(false).join();
            stage.within("it joins", joined).await.unwrap();
        }
        others.push(other);
    }
    let connection = stage.client().connect().await;
    let joins = channels.iter().map(|channel| connection.channel(channel.as_str()).join());
    let joined = stage.within("it joins", futures_util::future::join_all(joins)).await;
    assert!(joined.iter().all(Result::is_ok), "{joined:?}");
    for channel in &channels {
        let channel = connection.channel(channel.as_str());
        assert_eq!(channel.present().map(|members| members.len()), Some(13));
        let members = stage.within("an answer", channel.members()).await;
        assert_eq!(members.map(|members| members.len()), Ok(13));
    }
    assert_eq!(connection.stats().counts.gaps, 0);
    drop((server, others));
}

async fn r30_who_takes_small_frames_is_told_in_small_parts(stage: Stage) {
    let _server = stage.server().run().await;
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push(member(&stage, 4_000).await);
    }
    let connection = stage.client().max_frame(16 * 1024).connect().await;
    stage.within("it joins", connection.channel("chat").join()).await.unwrap();
    assert_eq!(seen(&connection), Some(9));
    // Not even one member fits.
    let tiny = stage.client().max_frame(4_000).connect().await;
    stage.within("it joins", tiny.channel("chat").join()).await.unwrap();
    assert_eq!(seen(&tiny), None);
    assert_eq!(tiny.channel("chat").members().await, Err(MembersError::Hidden));
    assert_eq!(connection.stats().counts.gaps + tiny.stats().counts.gaps, 0);
}

async fn r30_a_long_list_comes_in_parts(stage: Stage) {
    let server = stage.server().run().await;
    let mut members = Vec::new();
    for _ in 0..12 {
        members.push(member(&stage, 4_000).await);
    }
    stage.until("all are seen", || seen(&members[11]) == Some(12)).await;
    let mut stranger = stage.stranger().await;
    stranger.greet(1 << 20).await;
    let join = Join { channel: "chat".into(), echo: false, presence: true };
    stranger.say(&Packet::Join(join)).await;
    let mut parts = Vec::new();
    loop {
        let Heard::Packet(Packet::Members(part)) = stranger.hear().await else { continue };
        assert_eq!(part.kind, MembersKind::All);
        let more = part.more;
        parts.push(part.members);
        if !more {
            break;
        }
    }
    let bytes = |part: &Vec<moorline::Member>| {
        part.iter().filter_map(|member| member.data.as_ref()).map(|data| data.len()).sum::<usize>()
    };
    assert!(parts.iter().all(|part| bytes(part) <= 32 * 1024));
    assert_eq!((parts.len(), parts.concat().len()), (2, 13));
    assert_eq!(server.channel("chat").count(), 13);
}

async fn r30_large_profiles_are_too_much_as_many_members_are(stage: Stage) {
    let mut channels = Channels::default();
    channels.presence_bytes = 16_000;
    let server = stage.server().channels(channels).run().await;
    let mut members = vec![member(&stage, 3_000).await];
    let journal = watch(&members[0]);
    for _ in 0..4 {
        members.push(member(&stage, 3_000).await);
    }
    stage.until("all are seen", || seen(&members[0]) == Some(5)).await;
    assert!(!journal.has("hidden"));
    members.push(member(&stage, 3_000).await);
    stage.reads(&journal, "hidden").await;
    assert_eq!(members[5].channel("chat").members().await, Err(MembersError::Hidden));
    members.truncate(3);
    stage.until("three have gone", || server.channel("chat").count() == 3).await;
    stage.sleep(2 * SECOND).await;
    assert_eq!(seen(&members[0]), None, "they still take more than half");
    members.truncate(2);
    stage.until("they are seen again", || seen(&members[0]) == Some(2)).await;
}

async fn r30_it_begins_again_at_half_and_not_before(stage: Stage) {
    let server = stage.server().channels(Channels::default().presence_up_to(6)).run().await;
    let mut members = Vec::new();
    for _ in 0..7 {
        members.push(member(&stage, 3).await);
    }
    stage.until("it is hidden", || seen(&members[0]).is_none()).await;
    for left in [6, 5, 4] {
        members.truncate(left);
        stage.until("one has gone", || server.channel("chat").count() == left).await;
        stage.sleep(SECOND).await;
        assert_eq!(seen(&members[0]), None, "{left} are left");
    }
    members.truncate(3);
    stage.until("they are seen again", || seen(&members[0]) == Some(3)).await;
}

async fn r30_hidden_is_told_once(stage: Stage) {
    let mut host = stage.host().await;
    let connection = stage.client().start();
    let mut link = host.accept().await;
    link.welcome().await;
    let journal = watch(&connection);
    let joined = connection.channel("chat").join();
    let told = |kind| {
        let (channel, members) = ("chat".into(), Vec::new());
        let told = moorline_core::wire::Members { channel, id: None, kind, more: false, members };
        Packet::Members(Box::new(told))
    };
    link.say(&told(MembersKind::Hidden)).await;
    stage.within("it joins", joined).await.unwrap();
    stage.reads(&journal, "hidden").await;
    for kind in [MembersKind::Hidden, MembersKind::All, MembersKind::Hidden] {
        link.say(&told(kind)).await;
    }
    stage.until("it is told", || journal.count("hidden") == 2).await;
    stage.sleep(SECOND).await;
    assert_eq!(journal.words(), ["hidden", "all 0", "hidden"]);
}

async fn r30_joining_twice_tells_nobody_anything(stage: Stage) {
    let Pair { connection, .. } = stage.pair().await;
    let journal = watch(&connection);
    let channel = connection.channel("chat").echo(false);
    for _ in 0..3 {
        stage.within("it joins", channel.join()).await.unwrap();
    }
    stage.within("a pong", connection.ping()).await.unwrap();
    stage.reads(&journal, "all 1").await;
    assert_eq!(journal.words(), ["all 1"]);
}

async fn r30_who_gave_up_asking_asks_no_more(stage: Stage) {
    let mut host = stage.host().await;
    let connection = stage.client().start();
    let mut link = host.accept().await;
    link.welcome().await;
    stage.until("it is open", || connection.is_connected()).await;
    let channel = connection.channel("chat");
    {
        let mut asked = std::pin::pin!(channel.members());
        assert!(stage.waits(&mut asked).await);
        let ask = link.hear().await;
        assert!(matches!(ask, Heard::Packet(Packet::Members(_))), "{ask:?}");
    }
    drop(link);
    let mut link = host.accept().await;
    link.welcome().await;
    stage.until("it is open again", || connection.is_connected()).await;
    connection.send("the first that is said").await.unwrap();
    let said = link.hear().await;
    assert!(matches!(said, Heard::Packet(Packet::Message(_))), "{said:?}");
}
