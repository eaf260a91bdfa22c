//! Who is silent is noticed in time (R44).

use std::time::Duration;

use moorline_core::machine::Input;
use moorline_core::wire::{Packet, Raw};
use moorline_core::{Capabilities, Class, Heartbeat, Time};

use crate::support::{End, accept, ack, client_in, message, millis, secs, server_in};

/// Longer than any interval and time-out together.
const HOUR: Duration = Duration::from_secs(3600);

fn raw_with_pings() -> End {
    let mut client = End::client(client_in(Raw));
    client.input(Input::Connect);
    let mut capabilities = Capabilities::default();
    capabilities.ping = true;
    client.input(Input::LinkUp(capabilities, None));
    client
}

#[test]
fn an_idle_client_pings_after_25_to_29_seconds() {
    let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
    for seed in 0..300 {
        let mut client = End::seeded_client(crate::support::forgetful_client(), seed);
        client.input(Input::Connect);
        client.open_link();
        let silence = client.until_deadline();
        assert_eq!(client.wait(), ["> ping"]);
        (least, most) = (least.min(silence), most.max(silence));
    }
    assert!(least >= secs(25) && least < millis(25_500), "{least:?}");
    assert!(most <= secs(29) && most > millis(28_500), "{most:?}");
}

#[test]
fn the_interval_is_drawn_anew_for_each_ping() {
    let mut client = End::open_client(crate::support::forgetful_client());
    let mut silences = std::collections::BTreeSet::new();
    for _ in 0..10 {
        silences.insert(client.until_deadline());
        client.wait();
        client.packet(Packet::Pong(0));
    }
    assert_eq!(silences.len(), 10);
}

#[test]
fn a_server_pings_after_30_seconds() {
    let mut server = End::open_server(crate::support::forgetful_server());
    assert_eq!(server.until_deadline(), Heartbeat::SERVER_INTERVAL);
    assert_eq!(server.wait(), ["> ping"]);
}

#[test]
fn any_frame_puts_the_ping_off() {
    let mut server = End::open_server(crate::support::forgetful_server());
    for packet in [Packet::Ping(4), Packet::Pong(9), ack(0, 0), message(Class::Volatile, "x")] {
        server.pass(secs(20));
        server.packet(packet);
        server.take();
    }
    assert_eq!(server.pass(secs(29)), ["> ack(0,1)"]);
    assert_eq!(server.pass(secs(1)), ["> ping"]);
}

#[test]
fn a_sign_of_life_of_the_transport_puts_the_ping_off_too() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.pass(secs(20));
    server.input(Input::Activity);
    assert_eq!(server.until_deadline(), secs(30));
}

#[test]
fn a_frame_after_the_ping_is_as_good_as_its_pong() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.wait();
    server.pass(secs(19));
    server.packet(ack(0, 0));
    assert_eq!(server.pass(secs(29)), [""; 0]);
    assert!(server.is_open());
}

#[test]
fn a_silent_server_is_given_up_within_interval_and_time_out() {
    for seed in 0..50 {
        let mut client = End::seeded_client(crate::support::forgetful_client(), seed);
        client.input(Input::Connect);
        client.open_link();
        assert_eq!(client.wait(), ["> ping"]);
        assert_eq!(client.until_deadline(), Heartbeat::TIMEOUT);
        assert_eq!(client.wait(), ["drop link", "Disconnect(PingTimeout)", "Connecting"]);
        assert!(client.now <= Time::ZERO + secs(49));
    }
}

#[test]
fn a_silent_client_is_given_up_within_interval_and_time_out() {
    let mut server = End::open_server(crate::support::forgetful_server());
    assert_eq!(server.pass(millis(49_999)), ["> ping"]);
    assert_eq!(server.pass(millis(1)), ["drop link", "Disconnect(PingTimeout)", "closed"]);
}

#[test]
fn silence_is_noticed_though_the_link_takes_nothing() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.stuck = true;
    server.send(Class::AtLeastOnce, "the last that the link took");
    assert_eq!(server.pass(secs(50)), ["drop link", "Disconnect(PingTimeout)", "closed"]);
}

#[test]
fn a_ping_is_answered_with_its_own_number() {
    let mut server = End::open_server(crate::support::forgetful_server());
    assert_eq!(server.packet(Packet::Ping(77)), ["> pong(77)"]);
}

#[test]
fn a_flood_of_pings_is_answered_once_a_batch() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.stuck = true;
    assert_eq!(server.packet(Packet::Ping(0)), ["> pong(0)"]);
    for token in 1..1000 {
        assert!(server.packet(Packet::Ping(token)).is_empty());
    }
    assert_eq!(server.unstick(), ["> pong(999)"]);
}

#[test]
fn where_it_is_off_silence_lasts() {
    let mut config = crate::support::forgetful_server();
    config.heartbeat = Heartbeat::off();
    let mut server = End::open_server(config);
    assert_eq!(server.wakes, Time::MAX);
    assert!(server.pass(HOUR).is_empty());
    assert!(server.is_open());
}

#[test]
fn where_it_is_off_a_ping_by_hand_ends_no_connection() {
    let mut config = crate::support::forgetful_server();
    config.heartbeat = Heartbeat::off();
    let mut server = End::open_server(config);
    assert_eq!(server.input(Input::Ping), ["> ping"]);
    assert_eq!(server.pass(HOUR), ["no round trip"]);
    assert!(server.is_open());
}

#[test]
fn silence_says_nothing_while_this_end_does_not_read() {
    let mut client = raw_with_pings();
    client.input(Input::Suspended(true));
    assert_eq!(client.pass(HOUR), [""; 0]);
    client.input(Input::Suspended(false));
    assert!(client.until_deadline() >= secs(25));
    assert!(client.is_open());
}

#[test]
fn a_ping_on_its_way_is_forgotten_while_this_end_does_not_read() {
    let mut client = raw_with_pings();
    assert_eq!(client.wait(), ["> link ping"]);
    client.input(Input::Suspended(true));
    client.pass(HOUR);
    client.input(Input::Suspended(false));
    assert!(client.until_deadline() >= secs(25), "{:?}", client.until_deadline());
    assert!(client.is_open());
}

#[test]
fn raw_pings_by_its_transport() {
    let mut client = raw_with_pings();
    assert_eq!(client.wait(), ["> link ping"]);
    assert_eq!(client.input(Input::Activity), [""; 0]);
    assert_eq!(client.wait(), ["> link ping"]);
    assert_eq!(client.wait(), ["drop link", "Disconnect(PingTimeout)", "Connecting"]);
}

#[test]
fn raw_over_a_transport_without_pings_has_no_heartbeat() {
    let mut server = End::server(server_in(Raw));
    server.input(accept());
    assert_eq!(server.wakes, Time::MAX);
}
