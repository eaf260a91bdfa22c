//! What was taken is told to the peer: with traffic, soon, or at once.

use moorline_core::machine::Input;
use moorline_core::wire::Raw;
use moorline_core::{Class, Config, Frame};

use crate::support::{End, ack, client_in, message, millis};

const DELAY: std::time::Duration = millis(50);

#[test]
fn what_was_taken_is_acknowledged_after_a_short_delay() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.packet(message(Class::AtLeastOnce, "a"));
    server.packet(message(Class::AtMostOnce, "b"));
    assert_eq!(server.take(), [""; 0]);
    assert_eq!(server.until_deadline(), DELAY);
    assert_eq!(server.wait(), ["> ack(1,1)"]);
}

#[test]
fn in_a_stream_that_goes_one_way_acknowledgements_become_rare() {
    let mut server = End::open_server(crate::support::forgetful_server());
    let mut waits = Vec::new();
    for round in 1..=5 {
        server.packet(message(Class::AtLeastOnce, "a"));
        server.take();
        waits.push(server.until_deadline());
        assert_eq!(server.wait(), [format!("> ack({round},0)")]);
    }
    assert_eq!(waits, [DELAY, 2 * DELAY, 4 * DELAY, 8 * DELAY, 8 * DELAY]);
    // A pause ends the stream.
    server.pass(9 * DELAY);
    server.packet(message(Class::AtLeastOnce, "a"));
    server.take();
    assert_eq!(server.until_deadline(), DELAY);
}

#[test]
fn one_acknowledgement_counts_for_all_before_it() {
    let mut server = End::open_server(crate::support::forgetful_server());
    for round in 1..4 {
        for _ in 0..5 {
            server.packet(message(Class::AtLeastOnce, "a"));
            server.take();
        }
        assert_eq!(server.wait(), [format!("> ack({},0)", round * 5)]);
    }
}

#[test]
fn what_is_not_taken_is_not_acknowledged() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.packet(message(Class::AtLeastOnce, "a"));
    assert_eq!(server.pass(millis(1000)), [""; 0]);
    assert!(server.machine.awaits_taking());
    server.take();
    assert!(!server.machine.awaits_taking());
    assert_eq!(server.pass(DELAY), ["> ack(1,0)"]);
}

#[test]
fn a_quarter_of_the_window_is_acknowledged_at_once() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.packet(message(Class::AtLeastOnce, &"x".repeat(Config::WINDOW / 4)));
    server.take();
    assert_eq!(server.until_deadline(), millis(0));
    assert_eq!(server.wait(), ["> ack(1,0)"]);
}

#[test]
fn it_rides_on_a_message_that_goes_the_other_way() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.packet(message(Class::AtLeastOnce, "a"));
    server.take();
    assert_eq!(server.send(Class::AtLeastOnce, "b"), ["> message(b)", "> ack(1,0)"]);
    assert_eq!(server.pass(millis(1000)), [""; 0]);
}

#[test]
fn the_counts_begin_anew_with_each_link() {
    let mut client = End::open_client(crate::support::forgetful_client());
    client.packet(message(Class::AtLeastOnce, "a"));
    client.take();
    assert_eq!(client.wait(), ["> ack(1,0)"]);
    client.input(crate::support::broken());
    client.wait();
    client.open_link();
    client.packet(message(Class::AtLeastOnce, "b"));
    client.take();
    assert_eq!(client.wait(), ["> ack(1,0)"]);
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_is_closed_with_1002() {
    for bad in [ack(2, 0), ack(0, 1), ack(u64::MAX, u64::MAX)] {
        let mut server = End::open_server(crate::support::forgetful_server());
        server.send(Class::AtLeastOnce, "a");
        assert_eq!(
            server.packet(bad),
            ["Error(bad_packet)", "> error(bad_packet)", "> close(1002)", "> link close(1002)"]
        );
    }
}

#[test]
fn an_older_acknowledgement_changes_nothing() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.send(Class::AtLeastOnce, "a");
    server.send(Class::AtLeastOnce, "b");
    server.packet(ack(2, 0));
    assert_eq!(server.packet(ack(1, 0)), [""; 0]);
    assert_eq!(server.machine.in_flight(), 0);
    assert!(server.is_open());
}

#[test]
fn raw_acknowledges_nothing() {
    let mut client = End::open_client(client_in(Raw));
    client.input(Input::Frame(Frame::text("a")));
    assert_eq!(client.take(), [""; 0]);
    assert_eq!(client.pass(millis(1000)), [""; 0]);
    assert!(!client.machine.awaits_taking());
}
