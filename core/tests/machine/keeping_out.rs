//! How a server keeps a client out, before it knows it and after.

use moorline_core::machine::{Input, Loss, Refusal, Transmit};
use moorline_core::wire::{Binary, Close, Codec, MAX_HELLO, Packet};
use moorline_core::{Class, Config, Frame};

use crate::support::{End, Said, accept, closed, garbage, hello, message, secs};

/// A server whose application has been asked.
fn asked() -> End {
    let mut server = End::server(crate::support::forgetful_server());
    server.packet(hello());
    server
}

/// What is said to the peer: an error, the close, and the link's own close.
fn turned_away(name: &str, code: u16) -> [String; 3] {
    [format!("> error({name})"), format!("> close({code})"), format!("> link close({code})")]
}

#[test]
fn a_link_that_says_nothing_is_closed_in_time() {
    let mut server = End::server(crate::support::forgetful_server());
    assert_eq!(server.until_deadline(), Config::HANDSHAKE_TIMEOUT);
    assert_eq!(server.wait(), ["> link close(1002)"]);
    assert_eq!(server.pass(Config::CLOSE_TIMEOUT), ["drop link", "closed"]);
}

#[test]
fn a_first_frame_over_the_limit_is_not_even_read() {
    let mut server = End::server(crate::support::forgetful_server());
    let frame = Frame::binary(vec![1; MAX_HELLO + 1]);
    assert_eq!(server.input(Input::Frame(frame)), ["> link close(1009)"]);
}

#[test]
fn a_first_frame_of_no_codec_is_turned_away() {
    let mut server = End::server(crate::support::forgetful_server());
    assert_eq!(server.input(garbage()), ["> link close(1002)"]);
    let mut server = End::server(crate::support::forgetful_server());
    assert_eq!(server.input(Input::Frame(Frame::text("GET /"))), ["> link close(1002)"]);
}

#[test]
fn a_hello_that_cannot_be_read_is_turned_away() {
    let mut server = End::server(crate::support::forgetful_server());
    let cut = Binary.encode(hello()).unwrap().into_payload().slice(..3);
    assert_eq!(server.input(Input::Frame(Frame::Binary(cut))), turned_away("bad_packet", 1002));
}

#[test]
fn a_client_of_another_version_is_turned_away_for_good() {
    let mut server = End::server(crate::support::forgetful_server());
    let hello = Input::Frame(Frame::binary(vec![2, 0, 0, 0]));
    assert_eq!(server.input(hello), turned_away("unsupported_version", 1008));
}

#[test]
fn a_first_packet_that_is_no_hello_is_turned_away() {
    let mut config = crate::support::forgetful_server();
    config.codecs.remove(0);
    let mut server = End::server(config);
    assert_eq!(server.packet(Packet::Ping(1)), turned_away("hello_expected", 1002));
}

#[test]
fn an_application_that_does_not_answer_lets_nobody_in() {
    let mut server = asked();
    assert_eq!(server.until_deadline(), Config::HANDSHAKE_TIMEOUT);
    assert_eq!(server.wait(), turned_away("unavailable", 1013));
    assert_eq!(server.input(accept()), [""; 0]);
    assert!(!server.is_open());
}

#[test]
fn hello_and_answer_share_one_limit() {
    let mut server = End::server(crate::support::forgetful_server());
    server.pass(secs(4));
    server.packet(hello());
    assert_eq!(server.until_deadline(), Config::HANDSHAKE_TIMEOUT - secs(4));
}

#[test]
fn a_refusal_for_good_closes_with_1008() {
    let mut server = asked();
    let refusal = Refusal::for_good("unauthorized", "who are you?");
    assert_eq!(server.input(Input::Refuse(refusal)), turned_away("unauthorized", 1008));
    assert_eq!(server.input(closed(1008)), ["drop link", "closed"]);
}

#[test]
fn a_refusal_for_now_closes_with_1013_and_says_when_to_come_back() {
    let mut server = asked();
    let refusal = Refusal::for_now("busy", "too many", secs(42));
    let outputs = server.outputs(Input::Refuse(refusal));
    let told = outputs.into_iter().find_map(|output| match output {
        Said::Transmit(Transmit::Frame(frame)) => match Binary.decode(frame) {
            Ok(Packet::Close(close)) => Some((close.code, close.retry_after)),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(told, Some((1013, Some(secs(42)))));
}

#[test]
fn a_refusal_with_a_long_code_still_says_when_to_come_back() {
    let mut server = asked();
    let refusal = Refusal::for_now("x".repeat(200), "", secs(42));
    assert_eq!(server.input(Input::Refuse(refusal))[1..], ["> close(1013)", "> link close(1013)"]);
}

#[test]
fn who_is_kept_out_is_not_heard() {
    let mut server = asked();
    server.input(Input::Refuse(Refusal::for_good("unauthorized", "")));
    assert_eq!(server.packet(message(Class::AtLeastOnce, "let me in")), [""; 0]);
    assert_eq!(server.packet(Packet::Ping(1)), [""; 0]);
    assert_eq!(server.input(garbage()), [""; 0]);
    assert_eq!(server.packet(Packet::Close(Close::new(1000, ""))), [""; 0]);
    assert_eq!(server.input(Input::LinkLost(Loss::Ended)), ["drop link", "closed"]);
}

#[test]
fn who_spoke_no_codec_is_not_heard_either() {
    let mut server = End::server(crate::support::forgetful_server());
    server.input(garbage());
    assert_eq!(server.packet(hello()), [""; 0]);
    assert_eq!(server.packet(message(Class::AtLeastOnce, "let me in")), [""; 0]);
}

#[test]
fn who_is_kept_out_is_dropped_by_the_deadline() {
    let mut server = asked();
    server.stuck = true;
    server.input(Input::Refuse(Refusal::for_good("unauthorized", "")));
    assert_eq!(server.pass(Config::CLOSE_TIMEOUT), ["drop link", "closed"]);
}

#[test]
fn a_server_that_stops_closes_a_link_that_is_still_greeting() {
    let stop = || Input::Disconnect(Close::new(1012, "restart"));
    assert_eq!(
        End::server(crate::support::forgetful_server()).input(stop()),
        ["> link close(1012)"]
    );
    assert_eq!(asked().input(stop()), ["> close(1012)", "> link close(1012)"]);
}
