//! What stands beside the messages: memberships, profiles, queries, what is held back, errors that are reported.

use moorline_core::machine::{Grant, Input, Outcome, Outgoing, Return};
use moorline_core::wire::{
    self, Close, ErrorPacket, Join, Json, Packet, Ready, Secret, SessionGrant, VERSION,
};
use moorline_core::{Buffer, Capabilities, Class, Config, Overflow, Reason, Status, close_code};

use crate::support::{
    BESIDE, End, ack, beside_messages, broken, client_in, closed, disconnect, forgetful_client,
    forgetful_server, hello, hello_with_window, id, link_up, message, millis, server_in,
};

/// The kinds of `beside_messages` that a server may be sent; those that a client may be sent.
const TO_SERVER: std::ops::RangeInclusive<usize> = 0..=5;
const TO_CLIENT: std::ops::RangeInclusive<usize> = 5..=BESIDE - 1;

fn grant() -> SessionGrant {
    SessionGrant { id: "s1".to_owned(), secret: Secret([7; 16]) }
}

fn ready(recovery: wire::Recovery) -> Packet {
    let session = (recovery == wire::Recovery::Fresh).then(grant);
    Packet::Ready(Box::new(Ready {
        version: VERSION,
        id: id("c1"),
        window: Config::WINDOW as u64,
        max_frame: 1 << 20,
        properties: Vec::new(),
        session,
        recovery,
    }))
}

/// A client whose server keeps its session.
fn client_with_session(config: Config) -> End {
    let mut client = End::client(config);
    client.input(Input::Connect);
    client.input(link_up());
    client.packet(ready(wire::Recovery::Fresh));
    assert!(client.is_open());
    client
}

/// A server's connection that keeps its session, to a peer with that window.
fn server_with_session(window: usize) -> End {
    let mut server = End::server(Config::server());
    server.packet(hello_with_window(window));
    let session = Some(grant());
    server.input(Input::Accept(Grant { id: id("c1"), properties: Vec::new(), session }));
    assert!(server.is_open());
    server
}

fn back(received: u64) -> Input {
    Input::Resume(Box::new(Return {
        capabilities: Capabilities::default(),
        window: Config::WINDOW as u64,
        max_frame: 1 << 20,
        received,
        id: id("c2"),
        properties: Vec::new(),
    }))
}

/// The client's link is lost; it makes another one, and says hello.
fn lose_and_greet(client: &mut End) {
    client.input(broken());
    client.wait();
    assert_eq!(client.input(link_up()), ["> hello"]);
}

/// The link of a client opens, and the driver hands in at once what stands for it.
fn open_and_restore(
    client: &mut End,
    recovery: wire::Recovery,
    state: Vec<Outgoing>,
) -> Vec<String> {
    let codec = client.machine.codec().unwrap().clone();
    let frame = codec.encode(ready(recovery)).unwrap();
    let resumed = recovery != wire::Recovery::Fresh;
    let said = client.inputs([Input::Frame(frame), Input::Restore(state, resumed)]);
    said.into_iter().filter(|said| said.starts_with('>')).collect()
}

fn join(channel: &str) -> Packet {
    Packet::Join(Join { channel: channel.into(), echo: true, presence: true })
}

fn profile() -> Packet {
    beside_messages(1)
}

fn throttle(features: &[&str]) -> Input {
    Input::Throttle(features.iter().map(|&feature| feature.to_owned()).collect())
}

fn report(code: &str) -> Input {
    Input::Report(ErrorPacket::new(code, ""))
}

/// What a peer that breaks the protocol is told.
fn turned_away() -> [&'static str; 4] {
    ["Error(bad_packet)", "> error(bad_packet)", "> close(1002)", "> link close(1002)"]
}

#[test]
fn what_is_said_beside_the_messages_is_acknowledged_like_them() {
    for (mut end, which) in [
        (End::open_server(forgetful_server()), TO_SERVER),
        (End::open_server(server_in(Json)), TO_SERVER),
        (End::open_client(forgetful_client()), TO_CLIENT),
        (End::open_client(client_in(Json)), TO_CLIENT),
    ] {
        let mut numbered = 0;
        for packet in which.map(beside_messages) {
            numbered += u64::from(wire::is_numbered(&packet));
            end.packet(packet);
            end.packet(message(Class::AtLeastOnce, "a"));
            numbered += 1;
            end.take();
            // Each of a stream waits longer than the one before.
            assert_eq!(end.pass(millis(400)), [format!("> ack({numbered},0)")]);
        }
    }
}

#[test]
fn what_is_published_is_numbered_by_its_class() {
    let mut server = End::open_server(forgetful_server());
    for (class, counts) in [
        (Class::AtLeastOnce, "1,0"),
        (Class::AtMostOnce, "1,1"),
        (Class::Volatile, "1,2"),
        (Class::AtLeastOnce, "2,2"),
    ] {
        let message = moorline_core::Message::from("x").on("chat").class(class);
        let publish = wire::Publish { message, echo: None };
        server.packet(Packet::Publish(Box::new(publish)));
        server.take();
        assert_eq!(server.wait(), [format!("> ack({counts})")]);
    }
}

#[test]
fn what_is_not_for_an_end_closes_with_1002() {
    for which in 0..BESIDE {
        let packet = beside_messages(which);
        for codec in [0, 1] {
            let (mut client, mut server) = (forgetful_client(), forgetful_server());
            if codec == 1 {
                (client, server) = (client_in(Json), server_in(Json));
            }
            let mut server = End::open_server(server);
            let mut client = End::open_client(client);
            let (at_server, at_client) =
                (server.packet(packet.clone()), client.packet(packet.clone()));
            assert_eq!(at_server == turned_away(), !TO_SERVER.contains(&which), "{packet:?}");
            assert_eq!(at_client == turned_away(), !TO_CLIENT.contains(&which), "{packet:?}");
            assert_eq!(server.is_open(), TO_SERVER.contains(&which));
            assert_eq!(client.is_open(), TO_CLIENT.contains(&which));
        }
    }
}

#[test]
fn nothing_stands_beside_messages_before_hello_and_ready() {
    for packet in (0..BESIDE).map(beside_messages) {
        let mut server = End::server(server_in(Json));
        assert_eq!(
            server.packet(packet.clone()),
            ["> error(hello_expected)", "> close(1002)", "> link close(1002)"]
        );
        let mut client = End::client(forgetful_client());
        client.input(Input::Connect);
        client.input(link_up());
        assert_eq!(client.packet(packet), ["Error(bad_packet)", "drop link"]);
    }
    // In binary it is not even the hello of a codec.
    let mut server = End::server(forgetful_server());
    assert_eq!(server.packet(beside_messages(0)), ["> link close(1002)"]);
}

#[test]
fn a_client_is_told_once_what_is_held_back_and_once_that_nothing_is() {
    let mut server = End::open_server(forgetful_server());
    assert_eq!(server.input(throttle(&[])), [""; 0]);
    assert_eq!(server.input(throttle(&["presence"])), ["> throttle"]);
    assert_eq!(server.machine.status(), Status::Throttled);
    assert!(server.is_open());
    assert_eq!(server.input(throttle(&["presence"])), [""; 0]);
    assert_eq!(server.input(throttle(&["presence", "typing"])), ["> throttle"]);
    assert_eq!(server.input(throttle(&[])), ["> throttle"]);
    assert_eq!(server.machine.status(), Status::Open);

    let mut client = End::open_client(forgetful_client());
    let held_back = |features: &[&str]| {
        Packet::Throttle(features.iter().map(|&feature| feature.to_owned()).collect())
    };
    assert_eq!(client.packet(held_back(&[])), [""; 0]);
    assert_eq!(client.packet(held_back(&["presence"])), [r#"Throttled(["presence"])"#]);
    assert_eq!(client.machine.status(), Status::Throttled);
    assert_eq!(client.packet(held_back(&["presence"])), [""; 0]);
    // Messages go both ways meanwhile.
    assert_eq!(client.send(Class::AtLeastOnce, "a"), ["> message(a)"]);
    assert_eq!(client.packet(held_back(&[])), ["Throttled([])"]);
    assert_eq!(client.machine.status(), Status::Open);
}

#[test]
fn what_is_held_back_costs_nothing_and_does_not_wait_for_the_window() {
    let mut server = End::server(forgetful_server());
    server.packet(hello_with_window(1));
    server.input(crate::support::accept());
    server.send(Class::AtLeastOnce, "a");
    server.send(Class::AtLeastOnce, "b");
    let in_flight = server.machine.in_flight();
    assert_eq!(server.input(throttle(&["presence"])), ["> throttle"]);
    assert_eq!(server.machine.in_flight(), in_flight);
}

#[test]
fn what_is_held_back_before_a_client_is_let_in_is_told_behind_ready() {
    let mut server = End::server(forgetful_server());
    assert_eq!(server.input(throttle(&["presence"])), [""; 0]);
    server.packet(hello());
    assert_eq!(server.input(crate::support::accept()), ["> ready", "> throttle", "Connect"]);
    assert_eq!(server.machine.status(), Status::Throttled);
}

#[test]
fn what_is_held_back_is_told_again_after_a_resume() {
    let mut server = server_with_session(Config::WINDOW);
    server.input(throttle(&["presence"]));
    server.input(broken());
    assert_eq!(server.machine.status(), Status::Connecting);
    assert_eq!(server.input(back(0))[..2], ["> ready", "> throttle"]);
    server.input(broken());
    server.input(throttle(&[]));
    assert_eq!(server.input(back(0))[..2], ["> ready", "Connect"]);
    assert_eq!(server.machine.status(), Status::Open);
}

#[test]
fn a_link_opens_with_nothing_held_back() {
    for recovery in [wire::Recovery::Fresh, wire::Recovery::Recovered { received: 0 }] {
        let mut client = client_with_session(Config::client());
        client.packet(beside_messages(BESIDE - 1));
        assert_eq!(client.machine.status(), Status::Throttled);
        lose_and_greet(&mut client);
        client.packet(ready(recovery));
        assert_eq!(client.machine.status(), Status::Open);
        let told = client.packet(beside_messages(BESIDE - 1));
        assert_eq!(told, [r#"Throttled(["presence"])"#]);
    }
}

#[test]
fn a_client_holds_nothing_back() {
    let mut client = End::open_client(forgetful_client());
    assert_eq!(client.input(throttle(&["presence"])), [""; 0]);
    assert_eq!(client.machine.status(), Status::Open);
}

#[test]
fn an_error_is_reported_and_the_connection_stays() {
    let mut server = End::open_server(forgetful_server());
    assert_eq!(server.input(report("not_joined")), ["> error(not_joined)"]);
    assert!(server.is_open());
}

#[test]
fn of_errors_that_wait_the_first_sixteen_are_reported() {
    let mut server = End::open_server(forgetful_server());
    server.stuck = true;
    server.send(Class::AtLeastOnce, "a");
    for n in 0..100 {
        server.input(report(&n.to_string()));
    }
    let reported: Vec<_> = (0..16).map(|n| format!("> error({n})")).collect();
    assert_eq!(server.unstick(), reported);
}

#[test]
fn errors_are_reported_before_the_close_and_not_on_the_next_link() {
    let mut server = End::open_server(forgetful_server());
    server.stuck = true;
    server.send(Class::AtLeastOnce, "a");
    server.input(report("not_joined"));
    server.input(disconnect());
    assert_eq!(server.unstick(), ["> error(not_joined)", "> close(1000)", "> link close(1000)"]);

    let mut server = server_with_session(Config::WINDOW);
    server.stuck = true;
    server.send(Class::AtLeastOnce, "a");
    server.input(report("not_joined"));
    server.input(broken());
    server.stuck = false;
    assert_eq!(server.input(back(1))[..2], ["> ready", "Connect"]);
}

#[test]
fn what_is_restored_goes_before_the_messages_that_wait() {
    let mut config = Config::client();
    config.buffer = Buffer::default();
    let mut client = End::open_client(config);
    client.input(broken());
    client.send(Class::AtLeastOnce, "a");
    client.send(Class::AtMostOnce, "b");
    client.wait();
    client.input(link_up());
    let state = vec![client.state(profile()), client.state(join("chat"))];
    assert_eq!(
        open_and_restore(&mut client, wire::Recovery::Fresh, state),
        ["> profile", "> join", "> message(a)", "> message(b)"]
    );
}

#[test]
fn without_the_session_what_is_restored_takes_the_place_of_what_waited() {
    let mut client = client_with_session(Config::client());
    client.stuck = true;
    client.send(Class::AtLeastOnce, "under way");
    client.input(Input::Send(client.state(join("old"))));
    client.send(Class::AtLeastOnce, "waits");
    client.stuck = false;
    lose_and_greet(&mut client);
    let state = vec![client.state(profile())];
    assert_eq!(
        open_and_restore(&mut client, wire::Recovery::Fresh, state),
        ["> profile", "> message(waits)"]
    );
}

#[test]
fn with_the_session_what_is_restored_stands_behind_what_waited() {
    let mut client = client_with_session(Config::client());
    client.stuck = true;
    client.send(Class::AtLeastOnce, "under way");
    client.input(Input::Send(client.state(join("old"))));
    client.send(Class::AtLeastOnce, "waits");
    client.stuck = false;
    lose_and_greet(&mut client);
    let state = vec![client.state(profile())];
    assert_eq!(
        open_and_restore(&mut client, wire::Recovery::Recovered { received: 1 }, state),
        ["> join", "> profile", "> message(waits)"]
    );
}

#[test]
fn what_is_restored_waits_for_the_sessions_next_link_if_this_one_is_lost_already() {
    let mut client = client_with_session(Config::client());
    lose_and_greet(&mut client);
    let codec = client.machine.codec().unwrap().clone();
    let recovered = wire::Recovery::Recovered { received: 0 };
    let frame = codec.encode(ready(recovered)).unwrap();
    let state = vec![client.state(join("chat"))];
    client.inputs([Input::Frame(frame), broken(), Input::Restore(state, true)]);
    client.wait();
    client.input(link_up());
    assert_eq!(open_and_restore(&mut client, recovered, Vec::new()), ["> join"]);
}

#[test]
fn state_that_is_sent_again_is_sent_once() {
    let mut client = client_with_session(Config::client());
    client.input(Input::Send(client.state(join("a"))));
    client.input(Input::Send(client.state(join("b"))));
    lose_and_greet(&mut client);
    let recovered = wire::Recovery::Recovered { received: 1 };
    assert_eq!(open_and_restore(&mut client, recovered, Vec::new()), ["> join"]);
    client.packet(ack(2, 0));
    assert_eq!(client.machine.in_flight(), 0);
}

#[test]
fn state_is_never_too_old_while_its_session_goes_on() {
    let mut config = Config::client();
    config.buffer = Buffer::default().age(millis(1));
    let mut client = client_with_session(config);
    client.stuck = true;
    client.send(Class::AtLeastOnce, "under way");
    client.input(Input::Send(client.state(join("queued"))));
    client.stuck = false;
    client.input(broken());
    client.input(Input::Send(client.state(join("sent while away"))));
    client.send(Class::AtLeastOnce, "too old");
    // What is too old is dropped on the way.
    while !client.wait().contains(&"connect(1)".to_owned()) {}
    client.input(link_up());
    let recovered = wire::Recovery::Recovered { received: 1 };
    assert_eq!(open_and_restore(&mut client, recovered, Vec::new()), ["> join", "> join"]);
}

#[test]
fn a_buffer_that_overflows_drops_messages_and_no_state() {
    let mut config = Config::client();
    config.buffer = Buffer::default().count(2).overflow(Overflow::DropOldest);
    let mut client = client_with_session(config);
    client.input(broken());
    client.input(Input::Send(client.state(join("a"))));
    client.input(Input::Send(client.state(join("b"))));
    client.input(Input::Send(client.state(join("c"))));
    for text in ["1", "2", "3"] {
        client.send(Class::AtLeastOnce, text);
    }
    client.wait();
    client.input(link_up());
    let said = open_and_restore(&mut client, wire::Recovery::Recovered { received: 0 }, Vec::new());
    assert_eq!(said[..3], ["> join", "> join", "> join"]);
}

#[test]
fn state_does_not_outlive_a_session() {
    // There is none: what waits at the loss is dropped, and what is sent later.
    let mut config = Config::client();
    config.buffer = Buffer::default();
    let mut client = End::open_client(config);
    client.stuck = true;
    client.send(Class::AtLeastOnce, "under way");
    client.input(Input::Send(client.state(join("queued"))));
    client.stuck = false;
    client.input(broken());
    assert_eq!(client.machine.counts().waiting, 0);
    assert_eq!(client.input(Input::Send(client.state(join("away")))), [""; 0]);
    assert_eq!(client.machine.counts().waiting, 0);
    let end = client.disconnect.clone().unwrap();
    assert_eq!((end.unsent, end.unconfirmed), (0, 1));

    // It has ended meanwhile.
    let mut client = client_with_session(Config::client());
    client.input(broken());
    client.input(Input::Send(client.state(join("away"))));
    client.wait();
    client.input(link_up());
    let said = client.packet(ready(wire::Recovery::Fresh));
    assert!(!said.iter().any(|said| said == "> join"), "{said:?}");
    assert_eq!(client.machine.counts().queued, 0);
}

#[test]
fn state_is_not_counted_among_messages_that_were_not_confirmed() {
    let mut client = End::open_client(forgetful_client());
    client.input(Input::Send(client.state(join("chat"))));
    client.send(Class::AtLeastOnce, "a");
    client.stuck = true;
    client.send(Class::AtLeastOnce, "b");
    client.input(Input::Send(client.state(profile())));
    client.input(disconnect());
    client.input(broken());
    let end = client.disconnect.unwrap();
    assert_eq!((end.unsent, end.unconfirmed), (0, 2));
}

#[test]
fn state_moves_no_receipt_of_a_message() {
    let mut client = End::open_client(forgetful_client());
    let Input::Send(mut message) = client.outgoing(Class::AtLeastOnce, "a") else {
        panic!("it is sent");
    };
    message.ticket = 7;
    let state = client.state(join("chat"));
    client.inputs([Input::Send(message), Input::Send(state)]);
    assert_eq!(client.machine.take_outcomes().unwrap().handed_over, 7);
    client.packet(ack(2, 0));
    let outcomes = client.machine.take_outcomes().unwrap();
    assert_eq!((outcomes.handed_over, outcomes.acknowledged), (7, 7));

    client.input(Input::Send(client.state(join("chat"))));
    client.input(broken());
    let settled = client.machine.take_outcomes().map(|outcomes| outcomes.settled);
    assert!(settled.is_none_or(|settled: Vec<(u64, Outcome)>| settled.is_empty()));
}

#[test]
fn a_client_whose_credentials_have_expired_comes_back_to_its_session() {
    let expired = || Close::new(close_code::EXPIRED, "");
    let mut server = server_with_session(1);
    server.send(Class::AtLeastOnce, "sent");
    server.send(Class::AtLeastOnce, "waits");
    server.input(Input::Disconnect(expired()));
    assert!(server.machine.can_resume(), "its client may be faster than the link's end");
    server.packet(ack(1, 0));
    server.input(closed(close_code::EXPIRED));
    let end = server.disconnect.clone().unwrap();
    assert_eq!((end.reason, end.reconnects), (Reason::TransportClose, true));
    assert!(server.machine.can_resume());
    assert_eq!(server.input(back(1))[..2], ["> ready", "> message(waits)"]);
    assert_eq!((server.is_open(), server.machine.session()), (true, Some("s1")));

    let mut client = client_with_session(Config::client());
    client.packet(Packet::Close(expired()));
    client.input(closed(close_code::EXPIRED));
    let end = client.disconnect.clone().unwrap();
    assert_eq!((end.reason, end.reconnects), (Reason::TransportClose, true));
    client.wait();
    client.input(link_up());
    client.packet(ready(wire::Recovery::Recovered { received: 0 }));
    assert!(client.is_open());
    assert_eq!(client.machine.counts().recoveries, 1);
}

#[test]
fn what_waits_when_credentials_expire_waits_for_the_client() {
    let mut server = server_with_session(1);
    server.send(Class::AtLeastOnce, "sent");
    server.send(Class::AtLeastOnce, "waits");
    server.input(Input::Disconnect(Close::new(close_code::EXPIRED, "")));
    server.pass(Config::CLOSE_TIMEOUT);
    assert_eq!(server.machine.status(), Status::Connecting);
    let said = server.input(back(0));
    assert_eq!(said[0], "> ready");
    assert!(said.contains(&"> message(sent)".to_owned()), "{said:?}");
    assert!(said.contains(&"> message(waits)".to_owned()), "{said:?}");
}

#[test]
fn a_client_that_is_away_when_its_credentials_expire_still_has_its_session() {
    let mut server = server_with_session(Config::WINDOW);
    server.input(broken());
    assert_eq!(server.input(Input::Disconnect(Close::new(close_code::EXPIRED, ""))), [""; 0]);
    assert!(server.machine.can_resume());
    // Any other close ends it.
    assert_eq!(server.input(Input::Disconnect(Close::new(4000, ""))), ["drop link", "closed"]);
    assert!(!server.machine.can_resume());
}

#[test]
fn expired_credentials_save_no_session_of_a_peer_that_broke_the_protocol() {
    let mut server = server_with_session(Config::WINDOW);
    server.packet(ack(9, 9));
    assert!(!server.machine.can_resume());
    server.input(Input::Disconnect(Close::new(close_code::EXPIRED, "")));
    assert_eq!(server.input(closed(1002)).last().unwrap(), "closed");
    assert_eq!(server.machine.session(), None);
}

#[test]
fn a_server_that_means_it_ends_the_session_of_one_whose_credentials_have_expired() {
    let mut server = server_with_session(Config::WINDOW);
    server.input(Input::Disconnect(Close::new(close_code::EXPIRED, "")));
    server.input(Input::Disconnect(Close::new(4000, "")));
    assert!(!server.machine.can_resume());
    assert_eq!(server.input(closed(close_code::EXPIRED)).last().unwrap(), "closed");
}
