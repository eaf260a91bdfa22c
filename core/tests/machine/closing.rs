//! How an open connection ends by itself: in order, and by its deadline.

use moorline_core::machine::{Input, Loss};
use moorline_core::wire::{Close, Packet, Raw};
use moorline_core::{Class, Config, Reason, Status};

use crate::support::{
    End, ack, client_in, closed, disconnect, garbage, hello_with_window, message, millis, secs,
};

const HALF: std::time::Duration = millis(2500);

fn close(code: u16) -> Packet {
    Packet::Close(Close::new(code, ""))
}

/// A server whose peer takes one message at a time.
fn server_to_a_narrow_peer() -> End {
    let mut server = End::server(crate::support::forgetful_server());
    server.packet(hello_with_window(1));
    server.input(crate::support::accept());
    server
}

#[test]
fn what_is_queued_goes_out_before_the_close() {
    let mut client = End::open_client(crate::support::forgetful_client());
    client.stuck = true;
    client.send(Class::AtLeastOnce, "a");
    client.send(Class::Volatile, "b");
    client.send(Class::AtMostOnce, "c");
    assert_eq!(client.input(disconnect()), [""; 0]);
    assert_eq!(client.machine.status(), Status::Closing);
    assert_eq!(
        client.unstick(),
        ["> message(b)", "> message(c)", "> close(1000)", "> link close(1000)"]
    );
    assert_eq!(client.input(closed(1000)), ["drop link", "Disconnect(ClientDisconnect)", "closed"]);
    assert_eq!(client.disconnect.unwrap().unsent, 0);
}

#[test]
fn a_close_waits_for_the_peers_window_while_the_peer_takes() {
    let mut server = server_to_a_narrow_peer();
    for text in ["a", "b", "c"] {
        server.send(Class::AtLeastOnce, text);
    }
    assert_eq!(server.input(disconnect()), [""; 0]);
    assert_eq!(server.packet(ack(1, 0)), ["> message(b)"]);
    assert_eq!(server.packet(ack(2, 0)), ["> message(c)", "> close(1000)", "> link close(1000)"]);
}

#[test]
fn a_peer_that_takes_nothing_holds_the_close_up_for_half_of_the_time() {
    let mut server = server_to_a_narrow_peer();
    server.send(Class::AtLeastOnce, "a");
    server.send(Class::AtLeastOnce, "b");
    server.input(disconnect());
    assert_eq!(server.until_deadline(), HALF);
    assert_eq!(server.wait(), ["> close(1000)", "> link close(1000)"]);
    assert_eq!(server.until_deadline(), HALF);
    assert_eq!(server.wait(), ["drop link", "Disconnect(ServerDisconnect)", "closed"]);
    let end = server.disconnect.unwrap();
    assert_eq!((end.unsent, end.unconfirmed), (1, 1));
}

#[test]
fn a_stuck_link_holds_nothing_up_beyond_the_deadline() {
    let mut client = End::open_client(crate::support::forgetful_client());
    client.stuck = true;
    client.send(Class::AtLeastOnce, "a");
    client.send(Class::AtLeastOnce, "b");
    client.input(disconnect());
    assert_eq!(
        client.pass(Config::CLOSE_TIMEOUT),
        ["drop link", "Disconnect(ClientDisconnect)", "closed"]
    );
}

#[test]
fn a_peer_that_never_hangs_up_holds_nothing_up_beyond_the_deadline() {
    let mut client = End::open_client(crate::support::forgetful_client());
    assert_eq!(client.input(disconnect()), ["> close(1000)", "> link close(1000)"]);
    assert_eq!(client.pass(Config::CLOSE_TIMEOUT - millis(1)), [""; 0]);
    assert_eq!(client.pass(millis(1)), ["drop link", "Disconnect(ClientDisconnect)", "closed"]);
}

#[test]
fn a_peer_that_talks_on_holds_nothing_up_beyond_the_deadline() {
    let mut client = End::open_client(crate::support::forgetful_client());
    client.input(disconnect());
    for _ in 0..50 {
        client.packet(Packet::Ping(1));
        client.packet(message(Class::Volatile, "x"));
        client.pass(millis(100));
    }
    assert_eq!(client.machine.status(), Status::Closed);
}

#[test]
fn nothing_follows_the_close() {
    let mut client = End::open_client(crate::support::forgetful_client());
    client.input(disconnect());
    assert_eq!(client.packet(Packet::Ping(5)), [""; 0]);
    assert_eq!(client.send(Class::AtLeastOnce, "late"), [""; 0]);
    client.packet(message(Class::AtLeastOnce, "x"));
    assert_eq!(client.take(), [""; 0]);
    client.input(closed(1000));
    assert_eq!(client.disconnect.unwrap().unsent, 1);
}

#[test]
fn what_was_taken_is_acknowledged_with_the_close() {
    let mut client = End::open_client(crate::support::forgetful_client());
    client.packet(message(Class::AtLeastOnce, "x"));
    client.take();
    assert_eq!(client.input(disconnect()), ["> ack(1,0)", "> close(1000)", "> link close(1000)"]);
}

#[test]
fn messages_that_come_before_the_links_end_are_still_delivered() {
    let mut client = End::open_client(crate::support::forgetful_client());
    client.input(disconnect());
    assert_eq!(client.packet(message(Class::AtLeastOnce, "x")), ["message(x)"]);
}

#[test]
fn a_peer_that_closes_first_is_waited_for_and_nothing_more_is_said() {
    let mut client = End::open_client(crate::support::forgetful_client());
    assert_eq!(client.packet(close(1001)), [""; 0]);
    assert_eq!(client.machine.status(), Status::Closing);
    assert_eq!(
        client.input(Input::LinkLost(Loss::Ended)),
        ["drop link", "Disconnect(TransportClose)", "Connecting"]
    );
    assert_eq!(client.disconnect.unwrap().close.unwrap().code, 1001);
}

#[test]
fn a_peer_that_closes_and_does_not_hang_up_is_dropped_at_the_deadline() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.packet(close(1000));
    assert_eq!(
        server.pass(Config::CLOSE_TIMEOUT),
        ["drop link", "Disconnect(ClientDisconnect)", "closed"]
    );
}

#[test]
fn what_follows_a_peers_close_is_not_heard() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.packet(close(1000));
    assert_eq!(server.packet(message(Class::AtLeastOnce, "x")), [""; 0]);
    assert_eq!(server.packet(Packet::Ping(1)), [""; 0]);
}

#[test]
fn two_closes_that_cross_end_as_each_end_wanted() {
    let mut client = End::open_client(crate::support::forgetful_client());
    client.input(disconnect());
    assert_eq!(client.packet(close(1012)), [""; 0]);
    assert_eq!(client.input(closed(1012)), ["drop link", "Disconnect(ClientDisconnect)", "closed"]);

    let mut server = End::open_server(crate::support::forgetful_server());
    server.input(Input::Disconnect(Close::new(4001, "")));
    server.packet(close(1000));
    server.input(closed(1000));
    assert_eq!(server.disconnect.unwrap().reason, Reason::ServerDisconnect);
}

#[test]
fn a_disconnect_after_the_servers_close_keeps_the_client_from_coming_back() {
    let mut client = End::open_client(crate::support::forgetful_client());
    client.packet(close(1012));
    client.input(disconnect());
    assert_eq!(client.input(closed(1012)), ["drop link", "Disconnect(ClientDisconnect)", "closed"]);
}

#[test]
fn a_server_that_stops_says_when_to_come_back() {
    let mut server = End::open_server(crate::support::forgetful_server());
    let stop = Close {
        code: 1012,
        reason: "restart".to_owned(),
        retry_after: Some(secs(1)),
        spread: Some(secs(30)),
    };
    assert_eq!(server.input(Input::Disconnect(stop)), ["> close(1012)", "> link close(1012)"]);
    server.input(closed(1012));
    assert_eq!(server.disconnect.unwrap().reason, Reason::ServerDisconnect);
}

#[test]
fn a_long_reason_is_cut_and_the_rest_of_the_close_arrives() {
    let mut server = End::open_server(crate::support::forgetful_server());
    let mut stop = Close::new(1012, "é".repeat(100));
    stop.retry_after = Some(secs(1));
    assert_eq!(server.input(Input::Disconnect(stop)), ["> close(1012)", "> link close(1012)"]);
}

#[test]
fn raw_says_only_the_links_own_close() {
    let mut client = End::open_client(client_in(Raw));
    client.stuck = true;
    client.send(Class::AtMostOnce, "a");
    client.send(Class::AtMostOnce, "b");
    client.input(disconnect());
    assert_eq!(client.unstick(), ["> message(b)", "> link close(1000)"]);
}

#[test]
fn a_peer_that_broke_the_protocol_is_not_heard_any_more() {
    let mut server = End::open_server(crate::support::forgetful_server());
    assert_eq!(
        server.input(garbage()),
        ["Error(bad_packet)", "> error(bad_packet)", "> close(1002)", "> link close(1002)"]
    );
    assert_eq!(server.packet(message(Class::AtLeastOnce, "x")), [""; 0]);
    assert_eq!(server.input(garbage()), [""; 0]);
    assert_eq!(server.input(closed(1002)), ["drop link", "Disconnect(TransportError)", "closed"]);
}

#[test]
fn a_client_comes_back_after_a_server_that_broke_the_protocol() {
    let mut client = End::open_client(crate::support::forgetful_client());
    client.packet(crate::support::ready());
    assert_eq!(
        client.input(Input::LinkLost(Loss::Ended)),
        ["drop link", "Disconnect(TransportError)", "Connecting"]
    );
}
