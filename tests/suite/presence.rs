//! Who is on a channel (R30), right also when links are lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use moorline::server::{Channels, Middleware, Refusal};
use moorline::{
    Buffer, Connection, Json, MembersError, Presence, PresenceChange, ProfileError,
    ServerConnection, event,
};

use crate::stage::{A_WHILE, Journal, Pair, RETENTION, SECOND, Stage, Virtual};

behaviours![
    r30_a_list_that_was_cut_leaves_no_ghosts,
    r30_members_come_and_go,
    r30_who_joins_is_told_who_is_there,
    r30_members_are_asked_of_the_server,
    r30_only_who_is_there_may_know,
    r30_a_profile_is_seen_by_the_others,
    r30_a_profile_outlives_a_reconnect,
    r30_a_profile_has_a_limit,
    r30_a_dropped_connections_leave_is_told,
    r30_a_member_that_recovers_in_time_does_not_flicker,
    r30_a_member_that_is_away_too_long_is_seen_to_leave_and_to_come_back,
    r30_one_that_is_put_on_a_channel_while_away_is_not_seen_there,
    r30_a_restart_of_the_server_leaves_no_ghosts,
    r30_who_wants_no_presence_is_told_nothing_and_seen_all_the_same,
    r30_a_crowded_channel_tells_nobody_and_begins_again_when_half_are_gone,
    r27_its_own_comings_are_heard_with_an_echo_alone,
    r30_presence_can_be_off,
    r30_who_comes_does_not_begin_a_list_that_is_not_known,
];

in_virtual_time![
    seeds: 10;
    r30_members_are_waited_for_five_seconds,
    r30_views_agree_once_quiet_whatever_happens,
    r30_a_slow_member_is_told_of_a_gap_and_agrees_again,
    r30_what_one_misses_is_no_news_to_the_others,
];

async fn join(stage: &Stage, connection: &Connection, channel: &str) {
    stage.within("it joins", connection.channel(channel).join()).await.unwrap();
}

/// Who is there, as that end sees it.
fn view(connection: &Connection, channel: &str) -> Option<BTreeSet<String>> {
    let members = connection.channel(channel).present()?;
    Some(members.iter().map(|member| member.id.to_string()).collect())
}

fn truth(server: &moorline::Server, channel: &str) -> BTreeSet<String> {
    server.channel(channel).members().iter().map(|member| member.id.to_string()).collect()
}

/// What others do, in words: who is told by its profile, or by nothing.
fn watch(connection: &Connection, channel: &str) -> Journal {
    let journal = Journal::default();
    let pen = journal.clone();
    connection.channel(channel).on_presence(move |presence: Presence| {
        let name = |member: moorline::Member| {
            member.profile::<String>().unwrap().unwrap_or_else(|| "somebody".to_owned())
        };
        pen.write(match presence.change {
            PresenceChange::Members(all) => format!("all {}", all.len()),
            PresenceChange::Joined(member) => format!("joined {}", name(member)),
            PresenceChange::Left(member) => format!("left {}", name(member)),
            PresenceChange::Updated(member) => format!("updated {}", name(member)),
            _ => "hidden".to_owned(),
        });
    });
    journal
}

async fn r30_members_come_and_go(stage: Stage) {
    let Pair { connection: ann, .. } = stage.pair().await;
    let journal = watch(&ann, "chat");
    stage.within("ann joins", ann.channel("chat").echo(false).join()).await.unwrap();
    let ben = stage.client().connect().await;
    ben.update_profile(&"ben").unwrap();
    join(&stage, &ben, "chat").await;
    stage.reads(&journal, "joined ben").await;
    ben.channel("chat").leave();
    stage.reads(&journal, "left ben").await;
    assert_eq!(journal.words(), ["all 1", "joined ben", "left ben"]);
}

async fn r30_who_joins_is_told_who_is_there(stage: Stage) {
    let Pair { server, connection: ann, .. } = stage.pair().await;
    ann.update_profile(&"ann").unwrap();
    join(&stage, &ann, "chat").await;
    let ben = stage.client().codec(Json).connect().await;
    join(&stage, &ben, "chat").await;
    assert_eq!(view(&ben, "chat"), Some(truth(&server, "chat")));
    let members = ben.channel("chat").present().unwrap();
    let names: Vec<Option<String>> = members.iter().map(|one| one.profile().unwrap()).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&Some("ann".to_owned())) && names.contains(&None));
}

async fn r30_members_are_asked_of_the_server(stage: Stage) {
    let Pair { connection: ann, .. } = stage.pair().await;
    stage.within("ann joins", ann.channel("chat").presence(false).join()).await.unwrap();
    assert_eq!(view(&ann, "chat"), None);
    let members = stage.within("an answer", ann.channel("chat").members()).await.unwrap();
    assert_eq!(members.len(), 1);
    let two = stage.client().connect().await;
    join(&stage, &two, "chat").await;
    let ask = || ann.channel("chat");
    let (one, other) = (ask(), ask());
    let (one, other) = futures_util::future::join(one.members(), other.members()).await;
    assert_eq!((one.unwrap().len(), other.unwrap().len()), (2, 2));
}

async fn r30_members_are_waited_for_five_seconds(stage: Virtual) {
    let mut host = stage.host().await;
    let connection = stage.client().start();
    let mut link = host.accept().await;
    link.welcome().await;
    stage.within("it opens", connection.opened()).await.unwrap();
    let begun = stage.now();
    let answer = connection.channel("chat").members().await;
    assert_eq!(answer, Err(MembersError::TimedOut(5 * SECOND)));
    assert_eq!(stage.since(begun), 5 * SECOND);
    assert!(connection.is_connected());
}

async fn r30_only_who_is_there_may_know(stage: Stage) {
    let Pair { connection: ann, .. } = stage.pair().await;
    join(&stage, &ann, "secret").await;
    let ben = stage.client().connect().await;
    for channel in ["secret", "nobody is there"] {
        let answer = stage.within("an answer", ben.channel(channel).members()).await;
        assert_eq!(answer, Err(MembersError::Hidden));
    }
}

async fn r30_a_profile_is_seen_by_the_others(stage: Stage) {
    let Pair { server, connection: ann, guest } = stage.pair().await;
    let ben = stage.client().connect().await;
    let journal = watch(&ben, "chat");
    stage.within("ben joins", ben.channel("chat").echo(false).join()).await.unwrap();
    join(&stage, &ann, "chat").await;
    let own = watch(&ann, "chat");
    ann.update_profile(&"ann").unwrap();
    stage.reads(&journal, "updated ann").await;
    stage.reads(&own, "updated ann").await;
    ann.update_profile_silently(&"anna").unwrap();
    stage.reads(&journal, "updated anna").await;
    assert!(!own.has("updated anna"));
    assert_eq!(guest.member().profile::<String>().unwrap().as_deref(), Some("anna"));
    assert_eq!(server.channel("chat").members().len(), 2);
}

async fn r30_a_profile_outlives_a_reconnect(stage: Stage) {
    let Pair { server, connection, .. } = stage.pair().await;
    connection.update_profile(&"ann").unwrap();
    join(&stage, &connection, "chat").await;
    let journal = Journal::of_losses(&connection);
    stage.reset();
    stage.reads(&journal, "reconnect 1").await;
    let there = || {
        let members = server.channel("chat").members();
        let [one] = &*members else { return false };
        one.profile::<String>().unwrap().as_deref() == Some("ann")
    };
    stage.until("ann is there again", there).await;
}

async fn r30_a_profile_has_a_limit(stage: Stage) {
    let Pair { connection, .. } = stage.pair().await;
    connection.update_profile(&"x".repeat(4094)).unwrap();
    let refused = connection.update_profile(&"x".repeat(4095));
    assert_eq!(refused, Err(ProfileError::TooLarge { size: 4097, limit: 4096 }));
    assert!(stage.within("a pong", connection.ping()).await.is_ok());
}

async fn r30_a_dropped_connections_leave_is_told(stage: Stage) {
    let Pair { connection: ann, .. } = stage.pair().await;
    let journal = watch(&ann, "chat");
    stage.within("ann joins", ann.channel("chat").echo(false).join()).await.unwrap();
    let ben = stage.client().connect().await;
    join(&stage, &ben, "chat").await;
    drop(ben);
    stage.reads(&journal, "left somebody").await;
    assert_eq!(journal.words(), ["all 1", "joined somebody", "left somebody"]);
}

/// Two clients on a channel of a server that keeps sessions, with that grace; what the first sees of the second.
async fn two(
    stage: &Stage,
    channels: Channels,
) -> (moorline::Server, Connection, Connection, Journal) {
    let server = stage.server().retention(RETENTION).buffer(Buffer::default());
    let server = server.channels(channels).run().await;
    let ann = stage.client().connect().await;
    let journal = watch(&ann, "chat");
    stage.within("ann joins", ann.channel("chat").echo(false).join()).await.unwrap();
    let ben = stage.client().connect().await;
    ben.update_profile(&"ben").unwrap();
    join(stage, &ben, "chat").await;
    stage.reads(&journal, "joined ben").await;
    (server, ann, ben, journal)
}

async fn r30_a_member_that_recovers_in_time_does_not_flicker(stage: Stage) {
    let grace = Channels::default().grace(RETENTION);
    let (server, ann, ben, journal) = two(&stage, grace).await;
    let both = [Journal::of_losses(&ann), Journal::of_losses(&ben)];
    let before = (ben.id(), truth(&server, "chat"));
    stage.reset();
    for one in &both {
        stage.reads(one, "recovered").await;
    }
    ben.channel("chat").publish("here I am").await.unwrap();
    assert_eq!(stage.texts(&ann, 1).await, ["here I am"]);
    assert_eq!(journal.words(), ["all 1", "joined ben"]);
    // Its id is a new one; who it is to the others is not.
    assert_ne!(ben.id(), before.0);
    assert_eq!(truth(&server, "chat"), before.1);
}

async fn r30_a_member_that_is_away_too_long_is_seen_to_leave_and_to_come_back(stage: Stage) {
    let grace = Channels::default().grace(2 * SECOND);
    let (server, ann, ben, _) = two(&stage, grace).await;
    let (ann_lost, ben_lost) = (Journal::of_losses(&ann), Journal::of_losses(&ben));
    stage.cut();
    stage.until("nobody is seen", || server.channel("chat").members().is_empty()).await;
    // They are members all the same: what is sent waits for them.
    assert_eq!(server.channel("chat").count(), 2);
    server.channel("chat").emit("you were away").unwrap();
    stage.heal();
    stage.reads(&ann_lost, "recovered").await;
    stage.reads(&ben_lost, "recovered").await;
    assert_eq!(stage.texts(&ann, 1).await, ["you were away"]);
    assert_eq!(stage.texts(&ben, 1).await, ["you were away"]);
    stage.until("both are seen", || truth(&server, "chat").len() == 2).await;
    let agree = || [&ann, &ben].iter().all(|one| view(one, "chat") == Some(truth(&server, "chat")));
    stage.until("all agree", agree).await;
}

async fn r30_one_that_is_put_on_a_channel_while_away_is_not_seen_there(stage: Stage) {
    let grace = Channels::default().grace(SECOND);
    let (server, ann, ben, _) = two(&stage, grace).await;
    let lost = [Journal::of_losses(&ann), Journal::of_losses(&ben)];
    let guests = server.connections();
    stage.cut();
    stage.until("nobody is seen", || server.channel("chat").members().is_empty()).await;
    guests.iter().for_each(|guest| guest.join("news"));
    assert_eq!(server.channel("news").count(), 2);
    assert!(server.channel("news").members().is_empty());
    stage.heal();
    for one in &lost {
        stage.reads(one, "recovered").await;
    }
    stage.until("both are seen", || truth(&server, "news").len() == 2).await;
}

async fn r30_a_restart_of_the_server_leaves_no_ghosts(stage: Stage) {
    let Pair { server, connection: ann, .. } = stage.pair().await;
    let ben = stage.client().connect().await;
    join(&stage, &ann, "chat").await;
    join(&stage, &ben, "chat").await;
    ben.close();
    stage.within("it stops", server.stop()).await.unwrap();
    assert!(server.channels().is_empty());
    stage.run(&server).await;
    stage.until("ann is there again", || server.channel("chat").count() == 1).await;
    let alone = || view(&ann, "chat").is_some_and(|seen| seen == truth(&server, "chat"));
    stage.until("ann sees nobody else", alone).await;
}

async fn r30_who_wants_no_presence_is_told_nothing_and_seen_all_the_same(stage: Stage) {
    let Pair { connection: ann, .. } = stage.pair().await;
    let journal = watch(&ann, "chat");
    stage.within("ann joins", ann.channel("chat").presence(false).join()).await.unwrap();
    let ben = stage.client().connect().await;
    join(&stage, &ben, "chat").await;
    assert_eq!(ben.channel("chat").present().map(|all| all.len()), Some(2));
    drop(ben);
    stage.sleep(A_WHILE).await;
    assert!(journal.words().is_empty(), "{:?}", journal.words());
}

async fn r30_a_crowded_channel_tells_nobody_and_begins_again_when_half_are_gone(stage: Stage) {
    let few = Channels::default().presence_up_to(4);
    let Pair { server, connection: ann, .. } =
        stage.pair_of(stage.server().channels(few), stage.client()).await;
    let journal = watch(&ann, "chat");
    stage.within("ann joins", ann.channel("chat").echo(false).join()).await.unwrap();
    let mut crowd = Vec::new();
    for _ in 0..4 {
        let one = stage.client().connect().await;
        join(&stage, &one, "chat").await;
        crowd.push(one);
    }
    stage.reads(&journal, "hidden").await;
    assert_eq!(view(&ann, "chat"), None);
    assert_eq!(ann.channel("chat").members().await, Err(MembersError::Hidden));
    crowd.truncate(2);
    stage.until("two have gone", || server.channel("chat").count() == 3).await;
    stage.sleep(2 * SECOND).await;
    assert_eq!(view(&ann, "chat"), None, "half of the limit is not reached");
    crowd.truncate(1);
    stage.reads(&journal, "all 2").await;
    assert_eq!(view(&ann, "chat"), Some(truth(&server, "chat")));
    let seen =
        ["all 1", "joined somebody", "joined somebody", "joined somebody", "hidden", "all 2"];
    assert_eq!(journal.words(), seen);
}

async fn r27_its_own_comings_are_heard_with_an_echo_alone(stage: Stage) {
    let Pair { server, connection: ann, .. } = stage.pair().await;
    let (loud, quiet) = (watch(&ann, "loud"), watch(&ann, "quiet"));
    join(&stage, &ann, "loud").await;
    stage.within("it joins", ann.channel("quiet").echo(false).join()).await.unwrap();
    stage.reads(&loud, "joined somebody").await;
    ann.channel("loud").leave();
    ann.channel("quiet").leave();
    stage.reads(&loud, "left somebody").await;
    stage.until("it is on none", || server.channels().is_empty()).await;
    join(&stage, &ann, "loud").await;
    stage.until("it is told", || loud.count("joined somebody") == 2).await;
    ann.channel("loud").echo(false).leave();
    stage.until("it is on none", || server.channels().is_empty()).await;
    join(&stage, &ann, "last").await;
    let words = ["all 1", "joined somebody", "left somebody", "all 1", "joined somebody"];
    assert_eq!(loud.words(), words);
    assert_eq!(quiet.words(), ["all 1"]);
}

/// Refuses joins for now, as long as that holds.
struct Busy(Arc<AtomicBool>);

#[async_trait]
impl Middleware for Busy {
    async fn join(&self, _: &ServerConnection, _: &str) -> Result<(), Refusal> {
        let later = || Refusal::for_now("busy", "later", SECOND);
        if self.0.load(Ordering::SeqCst) { Err(later()) } else { Ok(()) }
    }
}

async fn r30_who_comes_does_not_begin_a_list_that_is_not_known(stage: Stage) {
    let busy = Arc::new(AtomicBool::new(false));
    let server = stage.server().middleware(Busy(busy.clone())).run().await;
    let [ann, ben, cem] = [
        stage.client().connect().await,
        stage.client().connect().await,
        stage.client().connect().await,
    ];
    join(&stage, &ann, "chat").await;
    join(&stage, &ben, "chat").await;
    let journal = watch(&ann, "chat");
    // It says its join again, and is refused: it stays, and is not told who is there.
    busy.store(true, Ordering::SeqCst);
    stage.within("an answer", ann.channel("chat").echo(false).join()).await.unwrap();
    stage.reads(&journal, "hidden").await;
    assert_eq!(view(&ann, "chat"), None);
    busy.store(false, Ordering::SeqCst);
    join(&stage, &cem, "chat").await;
    stage.reads(&journal, "joined somebody").await;
    assert_eq!(view(&ann, "chat"), None, "a list of one is no list");
    assert_eq!(view(&cem, "chat"), Some(truth(&server, "chat")));
}

async fn r30_presence_can_be_off(stage: Stage) {
    let off = Channels::default().presence(false);
    let Pair { server, connection: ann, .. } =
        stage.pair_of(stage.server().channels(off), stage.client()).await;
    join(&stage, &ann, "chat").await;
    let ben = stage.client().connect().await;
    join(&stage, &ben, "chat").await;
    assert_eq!(view(&ann, "chat"), None);
    assert_eq!(ann.channel("chat").members().await, Err(MembersError::Hidden));
    assert_eq!(server.channel("chat").members().len(), 2);
}

async fn r30_views_agree_once_quiet_whatever_happens(virtually: Virtual) {
    let (stage, sim) = (&*virtually, &virtually.sim);
    let mut rng = fastrand::Rng::with_seed(sim.seed());
    let grace = Channels::default().grace(2 * SECOND);
    let server = stage.server().retention(30 * SECOND).buffer(Buffer::default());
    let server = server.channels(grace).run().await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(stage.client().buffer(Buffer::default()).connect().await);
    }
    let channels = ["a", "b", "c"];
    for _ in 0..150 {
        let one = &clients[rng.usize(..clients.len())];
        let channel = one.channel(channels[rng.usize(..channels.len())]);
        match rng.u32(..12) {
            0..=4 => drop(channel.join()),
            5..=6 => drop(channel.leave()),
            7 => one.update_profile(&rng.u32(..)).unwrap(),
            8 => stage.reset(),
            9 => {
                stage.cut();
                stage.sleep(SECOND * rng.u32(..50)).await;
                stage.heal();
            }
            10 => {
                let at = rng.usize(..clients.len());
                clients[at] = stage.client().buffer(Buffer::default()).start();
            }
            _ => stage.sleep(SECOND * rng.u32(..10)).await,
        }
    }
    stage.sleep(600 * SECOND).await;
    for channel in channels {
        let truth = server.channel(channel).members();
        let wanted = clients.iter().filter(|one| one.channels().iter().any(|own| own == channel));
        assert_eq!(truth.len(), wanted.count(), "on {channel}: seed {}", sim.seed());
        for one in clients.iter().filter(|one| one.channel(channel).is_joined()) {
            assert_eq!(one.channel(channel).present(), Some(sorted(truth.clone())));
        }
    }
}

fn sorted(mut members: Vec<moorline::Member>) -> Vec<moorline::Member> {
    members.sort_by(|one, other| one.id.cmp(&other.id));
    members
}

async fn r30_what_one_misses_is_no_news_to_the_others(virtually: Virtual) {
    let stage = &*virtually;
    let server = stage.server().queue(4_096).run().await;
    let [ann, ben] = [stage.client().connect().await, stage.client().connect().await];
    ann.update_profile(&"ann").unwrap();
    join(stage, &ann, "chat").await;
    join(stage, &ann, "alone").await;
    let journal = watch(&ben, "chat");
    join(stage, &ben, "chat").await;
    stage.reads(&journal, "joined somebody").await;
    journal.take();
    let losses = Journal::of_losses(&ann);
    // Small ones find room between the large ones: many gaps.
    for _ in 0..200 {
        for size in [3_000, 3_000, 10] {
            server.channel("alone").emit("x".repeat(size)).unwrap();
        }
    }
    stage.sleep(60 * SECOND).await;
    let gaps = losses.words().iter().filter(|word| word.starts_with("gap")).count();
    assert!(gaps > 1, "{gaps} gaps");
    assert_eq!(journal.words(), [""; 0]);
    assert_eq!(view(&ann, "chat"), Some(truth(&server, "chat")));
}

async fn r30_a_slow_member_is_told_of_a_gap_and_agrees_again(virtually: Virtual) {
    let stage = &*virtually;
    let server = stage.server().queue(2048).retention(600 * SECOND);
    let server = server.buffer(Buffer::default().bytes(2048)).run().await;
    let slow = stage.client().connect().await;
    join(stage, &slow, "chat").await;
    let gaps = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = gaps.clone();
    slow.on(event::Recovery, move |what| {
        if matches!(what, moorline::Recovery::Gap { .. }) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let others: Vec<_> =
        futures_util::future::join_all((0..3).map(|_| stage.client().connect())).await;
    stage.partition();
    stage.sleep(SECOND).await;
    // Told to the one that is away: more than its queue holds.
    for round in 0..40 {
        for guest in server.connections() {
            if slow.id() != Some(guest.id()) {
                if round % 2 == 0 {
                    guest.join("chat");
                } else {
                    let _left = guest.leave("chat", "again");
                }
            }
        }
    }
    stage.heal();
    stage.sleep(60 * SECOND).await;
    assert!(gaps.load(Ordering::Relaxed) > 0, "nothing was lost");
    assert_eq!(view(&slow, "chat"), Some(truth(&server, "chat")));
    drop(others);
}

async fn r30_a_list_that_was_cut_leaves_no_ghosts(stage: Stage) {
    use moorline_core::wire::{Members, MembersKind, Packet};

    let mut host = stage.host().await;
    let connection = stage.client().start();
    let mut link = host.accept().await;
    link.welcome().await;
    let all = |ids: &[&'static str], more| {
        let members = ids.iter().map(|id| moorline::Member::new(*id, None)).collect();
        let (channel, kind) = ("chat".into(), MembersKind::All);
        Packet::Members(Box::new(Members { channel, id: None, kind, more, members }))
    };
    let channel = connection.channel("chat");
    let joined = channel.join();
    link.say(&all(&["ghost", "ann"], true)).await;
    // The rest of it is lost: it joins anew.
    link.say(&Packet::Gap(1)).await;
    stage.sleep(SECOND).await;
    link.say(&all(&["ann"], false)).await;
    stage.within("it joins", joined).await.unwrap();
    assert_eq!(view(&connection, "chat"), Some(BTreeSet::from(["ann".to_owned()])));
}
