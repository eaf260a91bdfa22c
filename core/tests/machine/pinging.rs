//! A ping by hand ends in one answer, whatever happens meanwhile.

use moorline_core::Heartbeat;
use moorline_core::machine::{Input, Loss};
use moorline_core::wire::{Packet, Raw};

use crate::support::{End, ack, client_in, disconnect, millis, secs};

/// A server whose first ping, which has the number 1, is on its way.
fn pinging() -> End {
    let mut server = End::open_server(crate::support::forgetful_server());
    assert_eq!(server.input(Input::Ping), ["> ping"]);
    server
}

#[test]
fn its_pong_gives_the_round_trip_time() {
    let mut server = pinging();
    server.pass(millis(70));
    assert_eq!(server.packet(Packet::Pong(1)), ["round trip(70ms)"]);
    assert_eq!(server.packet(Packet::Pong(1)), [""; 0]);
}

#[test]
fn another_pong_or_frame_does_not_answer_it() {
    let mut server = pinging();
    assert_eq!(server.packet(Packet::Pong(7)), [""; 0]);
    assert_eq!(server.packet(ack(0, 0)), [""; 0]);
    server.pass(millis(5));
    assert_eq!(server.packet(Packet::Pong(1)), ["round trip(5ms)"]);
}

#[test]
fn two_at_once_share_a_ping() {
    let mut server = pinging();
    assert_eq!(server.input(Input::Ping), [""; 0]);
    assert_eq!(server.packet(Packet::Pong(1)), ["round trip(0ns)"]);
    assert_eq!(server.input(Input::Ping), ["> ping"]);
}

#[test]
fn it_shares_the_heartbeats_ping_and_puts_no_time_out_off() {
    let mut server = End::open_server(crate::support::forgetful_server());
    assert_eq!(server.wait(), ["> ping"]);
    server.pass(secs(19));
    assert_eq!(server.input(Input::Ping), [""; 0]);
    assert_eq!(
        server.pass(secs(1)),
        ["drop link", "no round trip", "Disconnect(PingTimeout)", "closed"]
    );
}

#[test]
fn the_pong_of_the_heartbeats_ping_answers_it() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.wait();
    server.pass(millis(40));
    server.input(Input::Ping);
    assert_eq!(server.packet(Packet::Pong(1)), ["round trip(40ms)"]);
}

#[test]
fn a_peer_that_lives_and_does_not_answer_costs_no_connection() {
    let mut server = pinging();
    server.pass(secs(1));
    server.packet(ack(0, 0));
    assert_eq!(server.pass(Heartbeat::TIMEOUT), ["no round trip"]);
    assert!(server.is_open());
}

#[test]
fn silence_after_it_is_a_ping_time_out() {
    let mut server = pinging();
    assert_eq!(
        server.pass(Heartbeat::TIMEOUT),
        ["drop link", "no round trip", "Disconnect(PingTimeout)", "closed"]
    );
}

#[test]
fn the_end_of_the_link_answers_it() {
    let mut server = pinging();
    assert_eq!(
        server.input(Input::LinkLost(Loss::Ended)),
        ["drop link", "no round trip", "Disconnect(TransportClose)", "closed"]
    );
}

#[test]
fn it_is_answered_at_once_where_nothing_is_open() {
    let mut client = End::client(crate::support::forgetful_client());
    assert_eq!(client.input(Input::Ping), ["no round trip"]);
    client.input(Input::Connect);
    assert_eq!(client.input(Input::Ping), ["no round trip"]);
    client.open_link();
    client.stuck = true;
    client.input(disconnect());
    assert_eq!(client.input(Input::Ping), ["no round trip"]);
}

#[test]
fn it_is_answered_though_this_end_does_not_read() {
    let mut server = pinging();
    server.input(Input::Suspended(true));
    assert_eq!(server.pass(secs(60)), ["no round trip"]);
    assert_eq!(server.input(Input::Ping), ["> ping"]);
    assert_eq!(server.pass(secs(60)), ["no round trip"]);
    assert!(server.is_open());
}

#[test]
fn raw_has_none_where_its_transport_has_none() {
    let mut client = End::open_client(client_in(Raw));
    assert_eq!(client.input(Input::Ping), ["no round trip"]);
}
