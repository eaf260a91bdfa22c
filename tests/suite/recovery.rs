//! Sessions that outlive their links: exactly once, in order, or told (R12, R45).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{join_all, join4};
use moorline::server::Admission;
use moorline::{
    Binary, Class, Codec, Connection, Handle, Json, Message, Network, Raw, SendOutcome, Server,
    ServerConnection, Status, event,
};
use moorline_core::{
    BoxReceiver, BoxSender, BoxTransport, ConnectRequest, Transport, TransportError,
};
use moorline_memory::Direction;

use crate::stage::pairs::Sockets;
use crate::stage::scissors::Scissors;
use crate::stage::{A_MINUTE, Journal, Pair, RETENTION, SECOND, Stage, Virtual};

behaviours![
    r45_what_was_sent_in_an_outage_arrives_after_it_in_order,
    r45_a_session_recovers_any_number_of_times,
    r12_the_session_stays_and_the_id_changes,
    r45_the_hook_goes_on_and_hears_of_the_loss,
    r45_after_the_retention_a_new_session_begins_and_the_hook_hears_of_the_end,
    r45_a_server_that_restarts_begins_a_new_session_and_says_so,
    r45_raw_says_that_it_has_no_session,
    r45_a_close_in_order_ends_the_session,
    r45_a_session_of_another_identity_is_refused_and_a_new_one_begins,
    r45_what_waits_in_the_inbox_is_not_sent_again,
    r45_at_most_once_is_not_sent_again,
    r47_a_broadcast_reaches_who_is_away,
];

in_virtual_time![
    seeds: 2;
    r45_a_cut_after_any_frame_loses_and_doubles_nothing_in_binary,
    r45_a_cut_after_any_frame_loses_and_doubles_nothing_in_json,
    r45_a_cut_in_place_of_any_frame_loses_and_doubles_nothing_in_binary,
    r45_a_cut_in_place_of_any_frame_loses_and_doubles_nothing_in_json,
    r45_unread_frames_of_the_old_link_are_discarded_before_the_count_is_answered,
    a_hung_link_is_dropped_when_its_client_comes_back,
];

on_sockets![
    r45_a_cut_at_any_frame_of_a_socket_loses_and_doubles_nothing_in_binary,
    r45_a_cut_at_any_frame_of_a_socket_loses_and_doubles_nothing_in_json,
    r45_a_session_moves_between_two_transports_in_binary,
    r45_a_session_moves_between_two_transports_in_json,
];

/// Retention in the tests, long against all their outages.
/// A pair whose session is kept.
async fn pair(stage: &Stage) -> Pair {
    pair_in(stage, Binary).await
}

async fn pair_in(stage: &Stage, codec: impl Codec) -> Pair {
    let server = stage.server().retention(RETENTION).buffer(Default::default());
    let client = stage.client().codec(codec).buffer(Default::default());
    stage.pair_of(server, client).await
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

async fn say(from: &Handle, range: std::ops::Range<usize>) {
    for n in range {
        from.send(n.to_string()).await.unwrap();
    }
}

async fn r45_what_was_sent_in_an_outage_arrives_after_it_in_order(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let journal = Journal::of_losses(&connection);
    say(&connection, 0..10).await;
    say(&guest, 0..10).await;
    stage.cut();
    stage.until("both know", || !connection.is_connected() && !guest.is_connected()).await;
    say(&connection, 10..20).await;
    say(&guest, 10..20).await;
    stage.heal();
    stage.reads(&journal, "recovered").await;
    say(&connection, 20..30).await;
    say(&guest, 20..30).await;
    assert_eq!(stage.texts(&guest, 30).await, numbers(0..30));
    assert_eq!(stage.texts(&connection, 30).await, numbers(0..30));
    let words = journal.words();
    let at = words.iter().position(|word| word == "recovered").unwrap();
    assert!(words[at - 1].starts_with("reconnect"), "{words:?}");
}

async fn r45_a_session_recovers_any_number_of_times(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let session = connection.session();
    for round in 0..8 {
        let journal = Journal::of_losses(&connection);
        say(&connection, round * 5..round * 5 + 5).await;
        say(&guest, round * 5..round * 5 + 5).await;
        stage.reset();
        stage.reads(&journal, "recovered").await;
        assert_eq!(connection.session(), session);
    }
    assert_eq!(stage.texts(&guest, 40).await, numbers(0..40));
    assert_eq!(stage.texts(&connection, 40).await, numbers(0..40));
    let counted = |end: &Handle| end.stats().counts.recoveries == 8;
    stage.until("all are counted", || counted(&connection) && counted(&guest)).await;
}

async fn r12_the_session_stays_and_the_id_changes(stage: Stage) {
    let Pair { server, connection, guest } = pair(&stage).await;
    let (id, session) = (connection.id().unwrap(), connection.session().unwrap());
    assert_eq!(guest.session(), Some(session.clone()));
    let journal = Journal::of_losses(&connection);
    stage.reset();
    stage.reads(&journal, "recovered").await;
    assert_eq!(connection.session(), Some(session));
    assert_ne!(connection.id(), Some(id.clone()));
    assert_eq!(connection.id(), Some(guest.id()));
    assert_eq!(server.connection(guest.id()).map(|guest| guest.id()), Some(guest.id()));
    assert!(!server.exists(id), "the old id is nobody's");
    assert_eq!(server.count(), 1);
}

async fn r45_the_hook_goes_on_and_hears_of_the_loss(stage: Stage) {
    let server = stage.server().retention(RETENTION).build();
    let (hooks, ends) = (Journal::default(), Journal::default());
    let (said, over) = (hooks.clone(), ends.clone());
    server.on_connect(async move |guest| {
        said.write("hook begins");
        let heard = said.clone();
        guest.on(event::Recovery, move |_| heard.write("hook has heard of the recovery"));
        while let Some(message) = guest.next_message().await {
            guest.send(message).await?;
        }
        said.write("hook ends");
        Ok(())
    });
    server.on_disconnect(move |_, end| over.write(format!("{:?}", end.reason)));
    stage.run(&server).await;
    let connection = stage.client().connect().await;
    connection.send("one").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["one"]);
    let journal = Journal::of_losses(&connection);
    stage.reset();
    stage.reads(&journal, "recovered").await;
    connection.send("two").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["two"]);
    stage.reads(&hooks, "hook has heard of the recovery").await;
    assert_eq!(ends.words(), Vec::<String>::new(), "it is not over");
    connection.disconnect();
    stage.reads(&hooks, "hook ends").await;
    stage.reads(&ends, "ClientDisconnect").await;
    assert_eq!(hooks.words()[0], "hook begins");
    assert_eq!(hooks.words().iter().filter(|word| *word == "hook begins").count(), 1);
}

async fn r45_after_the_retention_a_new_session_begins_and_the_hook_hears_of_the_end(stage: Stage) {
    let server = stage.server().retention(A_MINUTE).build();
    let ends = Journal::default();
    let over = ends.clone();
    server.on_disconnect(move |guest, end| {
        over.write(format!("{:?} {} {:?}", end.reason, end.reconnects, guest.status()));
    });
    stage.run(&server).await;
    let connection = stage.client().connect().await;
    let guest = stage.guest(&server, &connection).await;
    let (journal, session) = (Journal::of_losses(&connection), connection.session());
    let sent = guest.send("is anybody there?").await.unwrap().into_owned();
    stage.message(&connection).await;
    stage.cut();
    stage.until("it knows", || !guest.is_connected()).await;
    assert_eq!(server.count(), 1, "it may come back");
    stage.reads(&ends, "TransportError false Closed").await;
    assert_eq!(server.count(), 0);
    let _either = sent.outcome().await;
    stage.heal();
    stage.reads(&journal, "fresh").await;
    assert_ne!(connection.session(), session);
    assert!(connection.session().is_some());
    assert_eq!(guest.next_message().await, None);
}

async fn r45_a_server_that_restarts_begins_a_new_session_and_says_so(stage: Stage) {
    let Pair { server, connection, .. } = pair(&stage).await;
    let journal = Journal::of_losses(&connection);
    stage.within("it stops", server.stop()).await.unwrap();
    stage.until("it knows", || connection.status() == Status::Connecting).await;
    connection.send("in between").await.unwrap();
    stage.run(&server).await;
    stage.reads(&journal, "fresh").await;
    let guest = stage.guest(&server, &connection).await;
    assert_eq!(stage.texts(&guest, 1).await, ["in between"]);
}

async fn r45_raw_says_that_it_has_no_session(stage: Stage) {
    let server = stage.server().codec(Raw).retention(RETENTION);
    let client = stage.client().codec(Raw).buffer(Default::default());
    let Pair { server, connection, .. } = stage.pair_of(server, client).await;
    assert_eq!(connection.session(), None);
    let journal = Journal::of_losses(&connection);
    stage.cut();
    stage.until("it knows", || !connection.is_connected()).await;
    connection.send("it waits all the same").await.unwrap();
    stage.heal();
    stage.reads(&journal, "fresh").await;
    stage.until("there is one", || server.count() == 1).await;
    let guest = stage.guest(&server, &connection).await;
    assert_eq!(stage.texts(&guest, 1).await, ["it waits all the same"]);
}

async fn r45_a_close_in_order_ends_the_session(stage: Stage) {
    let Pair { server, connection, .. } = pair(&stage).await;
    let session = connection.session();
    connection.disconnect();
    stage.until("it is over", || server.count() == 0).await;
    stage.until("it is closed", || connection.status() == Status::Closed).await;
    stage.within("it opens", connection.connect()).await.unwrap();
    assert_ne!(connection.session(), session);
}

async fn r45_a_session_of_another_identity_is_refused_and_a_new_one_begins(stage: Stage) {
    let name = Arc::new(std::sync::Mutex::new("ann".to_owned()));
    let own = name.clone();
    let server = stage.server().retention(RETENTION).authenticator(
        async |visitor: Arc<moorline::server::Visitor>| {
            Ok(Admission::of(visitor.auth::<String>().unwrap().unwrap()))
        },
    );
    let client = stage.client().credentials(move || {
        let name = own.lock().unwrap().clone();
        async move { Ok(name) }
    });
    let Pair { connection, guest, .. } = stage.pair_of(server, client).await;
    guest.send("for ann").await.unwrap();
    let journal = Journal::of_losses(&connection);
    stage.cut();
    stage.until("it knows", || !guest.is_connected()).await;
    "bob".clone_into(&mut name.lock().unwrap());
    stage.heal();
    stage.reads(&journal, "fresh").await;
    assert!(journal.words().iter().any(|word| word == "error Connect session_identity"));
    assert!(guest.is_alive(), "ann's session waits for her");
}

async fn r45_what_waits_in_the_inbox_is_not_sent_again(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let journal = Journal::of_losses(&connection);
    say(&connection, 0..10).await;
    stage.until("it is there", || guest.stats().counts.received == 10).await;
    stage.reset();
    stage.reads(&journal, "recovered").await;
    assert_eq!(connection.stats().counts.replayed, 0);
    assert_eq!(stage.texts(&guest, 10).await, numbers(0..10));
    stage.until("all is acknowledged", || connection.stats().counts.acknowledged == 10).await;
    assert_eq!(connection.stats().counts.retained, 0);
}

async fn r45_at_most_once_is_not_sent_again(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let journal = Journal::of_losses(&connection);
    let once = |text: &str| Message::from(text).class(Class::AtMostOnce);
    let sent = connection.send(once("before")).await.unwrap();
    assert_eq!(sent.outcome().await, SendOutcome::Sent);
    assert_eq!(stage.texts(&guest, 1).await, ["before"]);
    stage.cut();
    stage.until("it knows", || !connection.is_connected()).await;
    connection.send(once("meanwhile")).await.unwrap();
    connection.send(Message::from("volatile").class(Class::Volatile)).await.unwrap();
    stage.heal();
    stage.reads(&journal, "recovered").await;
    connection.send(once("after")).await.unwrap();
    assert_eq!(stage.texts(&guest, 2).await, ["meanwhile", "after"]);
}

async fn r47_a_broadcast_reaches_who_is_away(stage: Stage) {
    let Pair { server, connection, guest } = pair(&stage).await;
    let journal = Journal::of_losses(&connection);
    stage.cut();
    stage.until("both know", || !connection.is_connected() && !guest.is_connected()).await;
    assert_eq!(server.emit("news").unwrap().sent, 1);
    stage.heal();
    stage.reads(&journal, "recovered").await;
    assert_eq!(stage.texts(&connection, 1).await, ["news"]);
}

/// Messages of the conversation, one way.
const COUNT: usize = 8;

async fn r45_a_cut_after_any_frame_loses_and_doubles_nothing_in_binary(stage: Virtual) {
    cut_everywhere(&stage, false, || Binary).await;
}

async fn r45_a_cut_after_any_frame_loses_and_doubles_nothing_in_json(stage: Virtual) {
    cut_everywhere(&stage, false, || Json).await;
}

async fn r45_a_cut_in_place_of_any_frame_loses_and_doubles_nothing_in_binary(stage: Virtual) {
    cut_everywhere(&stage, true, || Binary).await;
}

async fn r45_a_cut_in_place_of_any_frame_loses_and_doubles_nothing_in_json(stage: Virtual) {
    cut_everywhere(&stage, true, || Json).await;
}

/// The conversation has some forty frames each way, acknowledgements and two handshakes included: each is the last one, or
/// the first one lost, of a link.
async fn cut_everywhere<C: Codec>(stage: &Virtual, before: bool, codec: impl Fn() -> C) {
    for frames in 1..=40 {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let Pair { server, connection, guest } = pair_in(stage, codec()).await;
            if before {
                stage.network.cut_before(Virtual::PLACE, direction, frames);
            } else {
                stage.network.cut_after(Virtual::PLACE, direction, frames);
            }
            converse(stage, &server, &connection, &guest).await;
            stage.heal();
            drop(connection);
            // Where the last words were lost the server waits for it.
            stage.sleep(RETENTION).await;
            stage.until("it is gone", || stage.links() == 0 && server.count() == 0).await;
            stage.within("the server stops", server.stop()).await.unwrap();
        }
    }
}

async fn converse(stage: &Virtual, server: &Server, connection: &Connection, guest: &Handle) {
    for n in 0..COUNT {
        connection.send(n.to_string()).await.unwrap();
        guest.send(n.to_string()).await.unwrap();
        // Some are taken at once, and some wait while the link is cut.
        if n % 3 == 0 {
            stage.sleep(SECOND / 10).await;
        }
        if n == COUNT / 2 {
            assert_eq!(stage.texts(guest, 2).await, numbers(0..2));
            assert_eq!(stage.texts(connection, 2).await, numbers(0..2));
        }
    }
    stage.sleep(SECOND).await;
    // One more loss, which the other cut may meet on its way back.
    stage.network.reset(Virtual::PLACE);
    assert_eq!(stage.texts(guest, COUNT - 2).await, numbers(2..COUNT));
    assert_eq!(stage.texts(connection, COUNT - 2).await, numbers(2..COUNT));
    let all = COUNT as u64;
    stage
        .until("all is acknowledged", || {
            connection.stats().counts.acknowledged == all
                && guest.stats().counts.acknowledged == all
        })
        .await;
    assert_eq!(server.count(), 1);
    assert_eq!((connection.stats().counts.received, guest.stats().counts.received), (all, all));
}

async fn r45_a_cut_at_any_frame_of_a_socket_loses_and_doubles_nothing_in_binary(stage: Sockets) {
    cut_sockets_everywhere(&stage, || Binary).await;
}

async fn r45_a_cut_at_any_frame_of_a_socket_loses_and_doubles_nothing_in_json(stage: Sockets) {
    cut_sockets_everywhere(&stage, || Json).await;
}

/// All at once, since the time is real: each client's links are cut at one frame, and again some frames later.
async fn cut_sockets_everywhere<C: Codec>(stage: &Stage, codec: impl Fn() -> C) {
    let server = stage.server().retention(RETENTION).buffer(Default::default()).run().await;
    let mut conversations = Vec::new();
    for frame in 1..=16 {
        for way in [Direction::ToServer, Direction::ToClient] {
            for before in [false, true] {
                let scissors =
                    Scissors::new(stage.transport(), way, before, vec![frame, frame + 5]);
                let client = stage.client().codec(codec()).buffer(Default::default());
                let client = client.over(scissors.clone());
                let server = &server;
                conversations.push(async move {
                    let connection = client.connect().await;
                    let guest = other_end(stage, server, &connection).await;
                    talk(stage, &connection, &guest).await;
                    (frame, scissors.left())
                });
            }
        }
    }
    for (frame, left) in join_all(conversations).await {
        // The conversation has seventeen frames each way at least, a second handshake included.
        assert!(left == 0 || frame > 12, "not cut at {frame} and after");
    }
}

/// By its session: the id is another one after each cut.
async fn other_end(stage: &Stage, server: &Server, connection: &Handle) -> ServerConnection {
    let find = || {
        let session = connection.session()?;
        server.connections().into_iter().find(|guest| guest.session().as_ref() == Some(&session))
    };
    stage.until("the server has the session", || find().is_some()).await;
    find().unwrap()
}

/// Numbers both ways, over whatever happens.
async fn talk(stage: &Stage, connection: &Handle, guest: &Handle) {
    let talk = async |from: &Handle| {
        for n in 0..2 * COUNT {
            from.send(n.to_string()).await.unwrap();
            stage.sleep(SECOND / 5).await;
        }
    };
    let hear =
        async |at: &Handle| assert_eq!(stage.texts(at, 2 * COUNT).await, numbers(0..2 * COUNT));
    join4(talk(connection), talk(guest), hear(connection), hear(guest)).await;
    let all = 2 * COUNT as u64;
    let counts = || [connection.stats().counts, guest.stats().counts];
    stage
        .until("all is acknowledged", || counts().iter().all(|counts| counts.acknowledged == all))
        .await;
    assert_eq!(counts().map(|counts| (counts.received, counts.gaps)), [(all, 0); 2]);
}

async fn r45_a_session_moves_between_two_transports_in_binary(stage: Sockets) {
    move_between_transports(&stage, Binary).await;
}

async fn r45_a_session_moves_between_two_transports_in_json(stage: Sockets) {
    move_between_transports(&stage, Json).await;
}

/// Each link of the client's is over another transport than the one before, and ends after a few frames.
async fn move_between_transports(stage: &Stage, codec: impl Codec) {
    let network = Network::builder(stage.runtime()).build();
    let server = stage.server().retention(RETENTION).buffer(Default::default());
    let server = server.add_acceptor(network.acceptor("aside")).run().await;
    let transport = Alternating {
        transports: [stage.transport(), BoxTransport::new(network.transport("aside"))],
        links: Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]),
    };
    let links = transport.links.clone();
    let transport = BoxTransport::new(transport);
    let cuts = vec![5, 9, 13, 17];
    let scissors = Scissors::new(transport, Direction::ToServer, false, cuts);
    let client = stage.client().codec(codec).buffer(Default::default()).over(scissors.clone());
    let connection = client.connect().await;
    let (session, journal) = (connection.session(), Journal::of_losses(&connection));
    let guest = stage.guest(&server, &connection).await;
    talk(stage, &connection, &guest).await;
    assert_eq!(scissors.left(), 0);
    stage.until("all are told", || journal.count("recovered") == 4).await;
    assert_eq!(connection.session(), session);
    assert_eq!(connection.stats().counts.recoveries, 4);
    let links = [0, 1].map(|at| links[at].load(Ordering::Relaxed));
    assert!(links[0] >= 2 && links[1] >= 2, "both carried it: {links:?}");
}

/// One transport after the other, in turn.
struct Alternating {
    transports: [BoxTransport; 2],
    links: Arc<[AtomicUsize; 2]>,
}

impl Transport for Alternating {
    type Sender = BoxSender;
    type Receiver = BoxReceiver;

    async fn connect(
        &self,
        request: &ConnectRequest,
    ) -> Result<(BoxSender, BoxReceiver), TransportError> {
        let at = usize::from(
            self.links[0].load(Ordering::Relaxed) > self.links[1].load(Ordering::Relaxed),
        );
        let link = self.transports[at].connect(request).await?;
        self.links[at].fetch_add(1, Ordering::Relaxed);
        Ok(link)
    }
}

async fn r45_unread_frames_of_the_old_link_are_discarded_before_the_count_is_answered(
    stage: Virtual,
) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let journal = Journal::of_losses(&connection);
    // The client's frames are on their way when its end of the link goes, and arrive at the server after it has
    // come back.
    stage.network.partition(Virtual::PLACE);
    say(&connection, 0..10).await;
    stage.sleep(A_MINUTE).await;
    assert!(!connection.is_connected(), "it has noticed");
    stage.heal();
    stage.reads(&journal, "recovered").await;
    say(&connection, 10..20).await;
    assert_eq!(stage.texts(&guest, 20).await, numbers(0..20));
    assert!(stage.waits(&mut Box::pin(guest.next_message())).await, "and nothing twice");
}

async fn a_hung_link_is_dropped_when_its_client_comes_back(stage: Virtual) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let (journal, at_server) = (Journal::of_losses(&connection), Journal::of_losses(&guest));
    // The server hears nothing of the loss; its client does, by its own heartbeat.
    stage.network.half_open(Virtual::PLACE, Direction::ToClient);
    say(&guest, 0..5).await;
    stage.reads(&journal, "recovered").await;
    stage.until("the old link is gone", || stage.links() == 1).await;
    assert_eq!(stage.texts(&connection, 5).await, numbers(0..5));
    let words = at_server.words();
    let expected = ["disconnect TransportClose", "connecting", "connect", "recovered"];
    assert_eq!(words, expected);
}
