//! What was lost with a connection is counted to the message.

use moorline_core::machine::{Input, Loss};
use moorline_core::wire::{PACKET_OVERHEAD, Raw};
use moorline_core::{Class, Disconnect};

use crate::support::{End, accept, ack, client_in, hello_with_window};

fn lose(mut end: End) -> Disconnect {
    end.input(Input::LinkLost(Loss::Ended));
    end.disconnect.unwrap()
}

/// A server whose peer has room for two short messages.
fn narrow() -> End {
    let mut server = End::server(crate::support::forgetful_server());
    server.packet(hello_with_window(2 * (3 + PACKET_OVERHEAD)));
    server.input(accept());
    server
}

#[test]
fn what_never_went_out_is_unsent_and_what_was_not_acknowledged_is_unconfirmed() {
    let mut server = narrow();
    for text in ["a", "b", "c", "d", "e"] {
        server.send(Class::AtLeastOnce, text);
    }
    server.packet(ack(1, 0));
    let end = lose(server);
    assert_eq!((end.unsent, end.unconfirmed), (2, 2));
}

#[test]
fn every_class_counts() {
    let mut server = narrow();
    server.send(Class::AtLeastOnce, "a");
    server.send(Class::Volatile, "b");
    server.send(Class::AtMostOnce, "c");
    let end = lose(server);
    assert_eq!((end.unsent, end.unconfirmed), (1, 2));
}

#[test]
fn a_volatile_message_that_was_dropped_is_not_unsent() {
    let mut server = narrow();
    for _ in 0..5 {
        server.send(Class::Volatile, "a");
    }
    assert_eq!(server.machine.dropped_volatile(), 3);
    let end = lose(server);
    assert_eq!((end.unsent, end.unconfirmed), (0, 2));
}

#[test]
fn a_connection_that_lost_nothing_says_so() {
    let mut server = narrow();
    server.send(Class::AtLeastOnce, "a");
    server.packet(ack(1, 0));
    let end = lose(server);
    assert_eq!((end.unsent, end.unconfirmed), (0, 0));
}

#[test]
fn the_counts_begin_anew_with_each_link() {
    let mut client = End::open_client(crate::support::forgetful_client());
    client.send(Class::AtLeastOnce, "a");
    client.input(Input::LinkLost(Loss::Ended));
    assert_eq!(client.disconnect.as_ref().unwrap().unconfirmed, 1);
    client.wait();
    client.open_link();
    assert_eq!(lose(client).unconfirmed, 0);
}

#[test]
fn raw_knows_only_what_is_unsent() {
    let mut client = End::open_client(client_in(Raw));
    client.stuck = true;
    client.send(Class::AtMostOnce, "a");
    client.send(Class::AtMostOnce, "b");
    let end = lose(client);
    assert_eq!((end.unsent, end.unconfirmed), (1, 0));
}

#[test]
fn a_message_that_is_sent_while_not_open_is_told_as_lost() {
    let mut client = End::client(crate::support::forgetful_client());
    assert_eq!(client.send(Class::AtLeastOnce, "a"), ["Error(not_connected)"]);
    client.input(Input::Connect);
    assert_eq!(client.send(Class::AtLeastOnce, "a"), ["Error(not_connected)"]);
    assert_eq!(client.open_link(), ["> hello", "Connect"]);
}
