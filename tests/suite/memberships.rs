//! Joining channels, leaving them, and joining them again (R29).

use moorline::server::Channels;
use moorline::{Buffer, Connection, JoinError, Raw, Server, Status};
use moorline_core::wire::{Join, Packet};

use crate::stage::stranger::Heard;
use crate::stage::{A_WHILE, Journal, MS, Pair, RETENTION, SECOND, Stage};

behaviours![
    r29_a_member_hears_what_is_sent_to_its_channel,
    r29_who_has_left_hears_nothing_more,
    r29_join_and_leave_are_idempotent,
    r29_a_channel_needs_a_name,
    r29_a_join_before_the_connection_is_open_waits_for_it,
    r29_rejoins_with_its_own_echo_flag,
    r29_joins_stand_before_what_waits_to_be_published,
    r29_the_list_survives_a_close_by_hand,
    r29_where_it_is_off_no_channel_outlives_its_session,
    r29_nothing_is_joined_again_after_a_recovery,
    r29_what_changed_in_an_outage_is_told_after_it,
    r29_a_channel_that_was_left_in_an_outage_is_not_joined_again,
    r29_channels_are_joined_again_in_their_order,
    r29_the_server_puts_a_client_on_a_channel_and_takes_it_off,
    r29_a_connection_may_be_on_so_many_channels,
    r29_raw_has_no_channels,
    r29_an_empty_channel_is_forgotten,
    r29_a_join_by_hand_in_json_needs_no_more_than_a_name,
    r29_who_is_gone_is_put_on_no_channel,
    r29_a_closed_connection_is_on_no_channel,
    r29_who_is_taken_off_stays_off_however_much_waits_for_it,
];

fn keeps(stage: &Stage) -> crate::stage::plan::ServerPlan {
    stage.server().retention(RETENTION).buffer(Buffer::default())
}

async fn join(stage: &Stage, connection: &Connection, channel: &str) {
    stage.within("it joins", connection.channel(channel).join()).await.unwrap();
}

async fn r29_a_member_hears_what_is_sent_to_its_channel(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    let other = stage.client().connect().await;
    join(&stage, &connection, "news").await;
    assert!(connection.channel("news").is_joined());
    let emitted = server.channel("news").emit("the shop is open").unwrap();
    assert_eq!((emitted.sent, emitted.skipped), (1, 0));
    let message = stage.message(&connection).await;
    assert_eq!(
        (message.text(), message.channel.as_deref()),
        (Some("the shop is open"), Some("news"))
    );
    server.emit("to all").unwrap();
    assert_eq!(stage.texts(&other, 1).await, ["to all"]);
}

async fn r29_who_has_left_hears_nothing_more(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    join(&stage, &connection, "news").await;
    assert!(connection.channel("news").leave());
    stage.until("nobody is on it", || server.channel("news").count() == 0).await;
    assert_eq!(server.channel("news").emit("to nobody").unwrap().sent, 0);
    server.emit("to all").unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["to all"]);
    assert!(!connection.channel("news").is_joined());
}

async fn r29_join_and_leave_are_idempotent(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    join(&stage, &connection, "news").await;
    join(&stage, &connection, "news").await;
    assert_eq!(server.channel("news").count(), 1);
    assert_eq!(connection.channels(), ["news"]);
    assert!(connection.channel("news").leave());
    assert!(!connection.channel("news").leave());
    assert!(!connection.channel("never").leave());
    assert!(connection.channels().is_empty());
    join(&stage, &connection, "news").await;
    stage.until("it is on it", || server.channel("news").count() == 1).await;
}

async fn r29_a_channel_needs_a_name(stage: Stage) {
    let Pair { connection, .. } = stage.pair().await;
    for name in [String::new(), "x".repeat(257)] {
        let refused = connection.channel(name).join().await;
        assert!(matches!(refused, Err(JoinError::Name(_))), "{refused:?}");
    }
    join(&stage, &connection, &"x".repeat(256)).await;
    assert!(stage.within("a pong", connection.ping()).await.is_ok());
}

async fn r29_a_join_before_the_connection_is_open_waits_for_it(stage: Stage) {
    let server = stage.server().run().await;
    let connection = stage.client().build().closed();
    let channel = connection.channel("news");
    let joined = channel.join();
    assert_eq!(connection.channels(), ["news"]);
    connection.open();
    stage.within("it joins", joined).await.unwrap();
    assert_eq!(server.channel("news").count(), 1);
}

async fn r29_rejoins_with_its_own_echo_flag(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    join(&stage, &connection, "loud").await;
    stage.within("it joins", connection.channel("quiet").echo(false).join()).await.unwrap();
    let journal = Journal::of_losses(&connection);
    stage.reset();
    stage.reads(&journal, "reconnect 1").await;
    let both = || ["loud", "quiet"].iter().all(|name| server.channel(*name).count() == 1);
    stage.until("it is on both again", both).await;
    connection.channel("quiet").publish("not to me").await.unwrap();
    connection.channel("loud").publish("to me too").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["to me too"]);
}

async fn r29_joins_stand_before_what_waits_to_be_published(stage: Stage) {
    // The server keeps no session: all is joined anew, and what waits comes after that.
    let server = stage.server().run().await;
    let connection = stage.client().buffer(Buffer::default()).connect().await;
    join(&stage, &connection, "chat").await;
    let journal = Journal::of(&connection);
    stage.cut();
    stage.until("it knows", || !connection.is_connected()).await;
    for text in ["one", "two", "three"] {
        connection.channel("chat").publish(text).await.unwrap();
    }
    stage.heal();
    stage.reads(&journal, "message three").await;
    let words = journal.words();
    assert!(!words.iter().any(|word| word.contains("not_joined")), "{words:?}");
    assert_eq!(server.channel("chat").count(), 1);
}

async fn r29_the_list_survives_a_close_by_hand(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    join(&stage, &connection, "a").await;
    join(&stage, &connection, "b").await;
    connection.close();
    stage.until("nobody is left", || server.channels().is_empty()).await;
    assert_eq!(connection.channels(), ["a", "b"]);
    stage.until("it is closed", || connection.status() == Status::Closed).await;
    stage.within("it connects", connection.connect()).await.unwrap();
    stage.until("it is on both again", || server.channels() == ["a", "b"]).await;
}

async fn r29_where_it_is_off_no_channel_outlives_its_session(stage: Stage) {
    let client = stage.client().rejoin(false);
    let Pair { server, connection, .. } = stage.pair_of(keeps(&stage), client).await;
    connection.update_profile(&"ann").unwrap();
    join(&stage, &connection, "chat").await;
    let journal = Journal::of_losses(&connection);
    stage.reset();
    stage.reads(&journal, "recovered").await;
    server.channel("chat").emit("the session goes on").unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["the session goes on"]);
    // The server forgets.
    stage.within("it stops", server.stop()).await.unwrap();
    stage.run(&server).await;
    stage.reads(&journal, "fresh").await;
    assert!(connection.channels().is_empty() && !connection.channel("chat").is_joined());
    connection.send("behind what would be joined").await.unwrap();
    let guest = stage.guest(&server, &connection).await;
    assert_eq!(stage.texts(&guest, 1).await, ["behind what would be joined"]);
    assert!(server.channels().is_empty());
    join(&stage, &connection, "chat").await;
    let members = server.channel("chat").members();
    assert_eq!(members[0].profile::<String>().unwrap().as_deref(), Some("ann"));
    connection.close();
    stage.until("it is closed", || connection.status() == Status::Closed).await;
    assert!(connection.channels().is_empty());
}

async fn r29_nothing_is_joined_again_after_a_recovery(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair_of(keeps(&stage), stage.client()).await;
    stage.within("it joins", connection.channel("news").echo(false).join()).await.unwrap();
    let journal = Journal::of(&connection);
    stage.reset();
    stage.reads(&journal, "recovered").await;
    server.channel("news").emit("still there").unwrap();
    stage.reads(&journal, "message still there").await;
    // Who joins is told who is there: nobody was.
    assert!(
        !journal.words().iter().any(|word| word.starts_with("Presence")),
        "{:?}",
        journal.words()
    );
}

async fn r29_what_changed_in_an_outage_is_told_after_it(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair_of(keeps(&stage), stage.client()).await;
    join(&stage, &connection, "old").await;
    let journal = Journal::of_losses(&connection);
    stage.cut();
    stage.until("both know", || !connection.is_connected()).await;
    connection.channel("old").leave();
    let channel = connection.channel("new");
    let joined = channel.join();
    server.channel("old").emit("missed by nobody").unwrap();
    stage.heal();
    stage.reads(&journal, "recovered").await;
    stage.within("it joins", joined).await.unwrap();
    assert_eq!(server.channels(), ["new"]);
}

async fn r29_a_channel_that_was_left_in_an_outage_is_not_joined_again(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    join(&stage, &connection, "left").await;
    join(&stage, &connection, "kept").await;
    stage.cut();
    stage.until("it knows", || !connection.is_connected()).await;
    connection.channel("left").leave();
    stage.heal();
    stage.until("it is on one again", || server.channel("kept").count() == 1).await;
    stage.sleep(A_WHILE).await;
    assert_eq!(server.channels(), ["kept"]);
}

async fn r29_channels_are_joined_again_in_their_order(stage: Stage) {
    let mut host = stage.host().await;
    let connection = stage.client().start();
    let mut link = host.accept().await;
    link.welcome().await;
    connection.update_profile(&"ann").unwrap();
    let names = ["c", "a", "b"];
    let joins: Vec<_> = names.map(|name| connection.channel(name)).into();
    joins.iter().for_each(|channel| drop(channel.join()));
    let mut heard = Vec::new();
    let mut hear = async |link: &mut crate::stage::stranger::Stranger| {
        let mut said = Vec::new();
        while said.len() < 4 {
            if let Heard::Packet(packet) = link.hear().await {
                match packet {
                    Packet::Profile(_) => said.push("profile".to_owned()),
                    Packet::Join(Join { channel, .. }) => said.push(channel.to_string()),
                    _ => {}
                }
            }
        }
        heard.push(said);
    };
    hear(&mut link).await;
    drop(link);
    let mut link = host.accept().await;
    link.welcome().await;
    hear(&mut link).await;
    assert_eq!(heard[0], ["profile", "c", "a", "b"]);
    assert_eq!(heard[1], heard[0]);
}

async fn r29_the_server_puts_a_client_on_a_channel_and_takes_it_off(stage: Stage) {
    let Pair { server, connection, guest } = stage.pair().await;
    guest.join("vip");
    assert_eq!(guest.channels(), ["vip"]);
    server.channel("vip").emit("welcome").unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["welcome"]);
    // It has not asked for that, and may leave.
    assert!(!connection.channel("vip").leave());
    stage.until("it has left", || server.channel("vip").count() == 0).await;
    join(&stage, &connection, "chat").await;
    let journal = Journal::of(&connection);
    assert!(guest.leave("chat", "too loud"));
    assert!(!guest.leave("chat", "twice"));
    stage.reads(&journal, "error Peer taken_off").await;
    assert!(connection.channels().is_empty());
    // It may come back, if it wants to.
    join(&stage, &connection, "chat").await;
}

async fn r29_who_is_taken_off_stays_off_however_much_waits_for_it(stage: Stage) {
    let server = stage.server().queue(4_096);
    let client = stage.client().window(4_096);
    let Pair { server, connection, guest } = stage.pair_of(server, client).await;
    let journal = Journal::of_losses(&connection);
    join(&stage, &connection, "chat").await;
    // Nobody reads, and more is sent than may wait.
    while server.channel("chat").emit("x".repeat(1_000)).unwrap().sent == 1 {
        stage.sleep(MS).await;
    }
    assert!(guest.leave("chat", "spam"));
    connection.on_message(|_| {});
    let gap = || journal.words().iter().any(|word| word.starts_with("gap"));
    stage.until("it knows what it has missed", gap).await;
    stage.reads(&journal, "error Peer taken_off").await;
    stage.sleep(SECOND).await;
    assert_eq!(server.channel("chat").count(), 0);
    assert!(connection.channels().is_empty());
}

async fn r29_a_connection_may_be_on_so_many_channels(stage: Stage) {
    let few = Channels::default().per_connection(2);
    let Pair { connection, .. } = stage.pair_of(stage.server().channels(few), stage.client()).await;
    join(&stage, &connection, "a").await;
    join(&stage, &connection, "b").await;
    let refused = stage.within("an answer", connection.channel("c").join()).await;
    let Err(JoinError::Refused { code, message, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(code, "too_many_channels");
    assert!(message.contains('2'), "{message}");
    connection.channel("a").leave();
    join(&stage, &connection, "c").await;
}

async fn r29_raw_has_no_channels(stage: Stage) {
    let server = stage.server().codec(Raw);
    let Pair { connection, .. } = stage.pair_of(server, stage.client().codec(Raw)).await;
    assert_eq!(connection.channel("a").join().await, Err(JoinError::Unsupported));
    assert!(connection.channel("a").publish("text").await.is_err());
}

async fn r29_an_empty_channel_is_forgotten(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    for name in 0..100 {
        join(&stage, &connection, &name.to_string()).await;
        connection.channel(name.to_string()).leave();
    }
    stage.until("all are forgotten", || server.channels().is_empty()).await;
    let other = stage.client().connect().await;
    join(&stage, &other, "left behind").await;
    drop(other);
    stage.until("it is forgotten with its member", || server.channels().is_empty()).await;
}

async fn r29_a_join_by_hand_in_json_needs_no_more_than_a_name(stage: Stage) {
    let server: Server = stage.server().run().await;
    let mut stranger = stage.stranger().await;
    stranger.send(moorline_core::Frame::text(r#"{"type":"hello","version":1}"#)).await;
    stranger.send(moorline_core::Frame::text(r#"{"type":"join","channel":"news"}"#)).await;
    stage.until("it is on it", || server.channel("news").count() == 1).await;
}

async fn r29_who_is_gone_is_put_on_no_channel(stage: Stage) {
    let Pair { server, connection, guest } = stage.pair().await;
    connection.close();
    stage.until("it is gone", || server.count() == 0).await;
    guest.join("news");
    assert_eq!(server.channel("news").count(), 0);
    assert!(server.channels().is_empty());
}

async fn r29_a_closed_connection_is_on_no_channel(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    let channel = connection.channel("news");
    stage.within("it joins", channel.join()).await.unwrap();
    stage.until("it is told", || channel.present().is_some()).await;
    connection.close();
    stage.until("it is on none", || !channel.is_joined()).await;
    assert_eq!(channel.present(), None);
    assert_eq!(connection.channels(), ["news"]);
    connection.open();
    stage.until("it is on it again", || channel.is_joined()).await;
    assert_eq!(server.channel("news").count(), 1);
}
