//! No more is on its way than the peer has room for.

use moorline_core::machine::{Input, Outgoing};
use moorline_core::wire::{Binary, Codec, PACKET_OVERHEAD, Packet, Raw};
use moorline_core::{Class, Config, Message};

use crate::support::{End, accept, ack, client_in, hello_with_window, message, ready_with_window};

/// What a message of ten letters costs in the binary codec, with its two bytes of header.
const COST: usize = 10 + 2 + PACKET_OVERHEAD;
const TEXT: &str = "0123456789";

/// A server whose peer has room for that many messages.
fn server_with_room_for(messages: usize) -> End {
    let mut server = End::server(crate::support::forgetful_server());
    server.packet(hello_with_window(messages * COST));
    server.input(accept());
    server
}

fn sent(said: &[String]) -> usize {
    said.iter().filter(|word| word.starts_with("> message")).count()
}

#[test]
fn a_sender_stops_at_the_window_and_goes_on_with_each_acknowledgement() {
    let mut server = server_with_room_for(3);
    let said: Vec<_> = (0..10).flat_map(|_| server.send(Class::AtLeastOnce, TEXT)).collect();
    assert_eq!(sent(&said), 3);
    assert_eq!(server.machine.in_flight(), 3 * COST as u64);
    assert_eq!(server.machine.queued(), 7 * COST);
    assert_eq!(sent(&server.packet(ack(1, 0))), 1);
    assert_eq!(sent(&server.packet(ack(4, 0))), 3);
    assert_eq!(server.machine.in_flight(), 3 * COST as u64);
}

#[test]
fn a_client_heeds_the_servers_window_too() {
    let mut client = End::client(crate::support::forgetful_client());
    client.input(Input::Connect);
    client.input(crate::support::link_up());
    client.packet(ready_with_window(2 * COST));
    let said: Vec<_> = (0..5).flat_map(|_| client.send(Class::AtMostOnce, TEXT)).collect();
    assert_eq!(sent(&said), 2);
    assert_eq!(sent(&client.packet(ack(0, 2))), 2);
}

#[test]
fn messages_without_a_number_use_the_window_and_are_acknowledged_apart() {
    let mut server = server_with_room_for(2);
    server.send(Class::AtLeastOnce, TEXT);
    server.send(Class::AtMostOnce, TEXT);
    server.send(Class::AtMostOnce, TEXT);
    assert_eq!(sent(&server.packet(ack(0, 1))), 1);
    assert_eq!(server.machine.in_flight(), 2 * COST as u64);
}

#[test]
fn one_message_larger_than_the_window_goes_alone() {
    let mut server = server_with_room_for(2);
    let large = "x".repeat(1000);
    assert_eq!(sent(&server.send(Class::AtLeastOnce, &large)), 1);
    assert_eq!(sent(&server.send(Class::AtLeastOnce, TEXT)), 0);
    assert_eq!(sent(&server.packet(ack(1, 0))), 1);
    assert_eq!(sent(&server.send(Class::AtLeastOnce, &large)), 0);
    assert_eq!(sent(&server.packet(ack(2, 0))), 1);
}

#[test]
fn heartbeats_and_acknowledgements_never_wait_for_the_window() {
    let mut server = server_with_room_for(1);
    server.send(Class::AtLeastOnce, TEXT);
    server.send(Class::AtLeastOnce, TEXT);
    assert_eq!(server.packet(Packet::Ping(3)), ["> pong(3)"]);
    server.packet(message(Class::AtLeastOnce, "x"));
    server.take();
    assert_eq!(server.wait(), ["> ack(1,0)"]);
}

#[test]
fn volatile_messages_over_the_window_are_dropped_and_counted() {
    let mut server = server_with_room_for(2);
    let said: Vec<_> = (0..5).flat_map(|_| server.send(Class::Volatile, TEXT)).collect();
    assert_eq!(sent(&said), 2);
    assert_eq!(server.machine.dropped_volatile(), 3);
    assert_eq!(server.machine.queued(), 0);
    assert_eq!(server.packet(ack(0, 2)), [""; 0]);
    assert_eq!(sent(&server.send(Class::Volatile, TEXT)), 1);
}

#[test]
fn volatile_messages_count_what_is_queued_as_taken_room() {
    let mut server = server_with_room_for(2);
    server.stuck = true;
    server.send(Class::AtLeastOnce, TEXT);
    server.send(Class::AtLeastOnce, TEXT);
    server.send(Class::Volatile, TEXT);
    assert_eq!(server.machine.dropped_volatile(), 1);
}

#[test]
fn a_peer_that_sends_more_than_the_window_is_closed_with_1008() {
    let mut config = crate::support::forgetful_server();
    config.window = 3 * COST;
    let mut server = End::open_server(config);
    for _ in 0..3 {
        assert_eq!(server.packet(message(Class::AtMostOnce, TEXT)), [format!("message({TEXT})")]);
    }
    assert_eq!(
        server.packet(message(Class::AtMostOnce, TEXT)),
        [
            "Error(window_exceeded)",
            "> error(window_exceeded)",
            "> close(1008)",
            "> link close(1008)"
        ]
    );
}

#[test]
fn what_was_taken_makes_room_before_it_is_acknowledged() {
    let mut config = crate::support::forgetful_server();
    config.window = 2 * COST;
    let mut server = End::open_server(config);
    for _ in 0..10 {
        server.packet(message(Class::AtLeastOnce, TEXT));
        server.packet(message(Class::AtLeastOnce, TEXT));
        server.take();
    }
    assert!(server.is_open());
}

#[test]
fn raw_has_no_window() {
    let mut client = End::open_client(client_in(Raw));
    let text = "x".repeat(Config::WINDOW);
    for _ in 0..3 {
        let frame = Raw.encode(Packet::Message(Message::from(text.as_str()))).unwrap();
        let outgoing = Outgoing::new(frame, Class::Volatile);
        assert_eq!(sent(&client.input(Input::Send(outgoing))), 1);
    }
    assert_eq!((client.machine.in_flight(), client.machine.dropped_volatile()), (0, 0));
}

#[test]
fn a_cost_is_the_frame_and_a_fixed_overhead() {
    let frame = Binary.encode(message(Class::AtLeastOnce, TEXT)).unwrap();
    assert_eq!(moorline_core::wire::cost(&frame), COST);
}
