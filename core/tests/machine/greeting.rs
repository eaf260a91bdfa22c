//! How a server lets a client in (R35).

use moorline_core::Class;
use moorline_core::machine::{Grant, Input, Loss};
use moorline_core::wire::Raw;

use crate::support::{End, accept, closed, codecs, hello, id, link_up, message, server_in};

#[test]
fn a_client_is_in_once_the_application_has_said_so() {
    let mut server = End::server(crate::support::forgetful_server());
    assert_eq!(server.packet(hello()), ["authenticate"]);
    assert!(!server.machine.reads());
    assert_eq!(server.input(accept()), ["> ready", "Connect"]);
    assert!(server.machine.reads());
    assert_eq!(server.machine.id().unwrap().as_str(), "c1");
}

#[test]
fn the_first_frame_names_the_codec() {
    for codec in &codecs()[..2] {
        let mut server = End::server(crate::support::forgetful_server());
        let frame = codec.encode(hello()).unwrap();
        assert_eq!(server.input(Input::Frame(frame)), ["authenticate"]);
        assert_eq!(server.machine.codec().unwrap().name(), codec.name());
    }
}

#[test]
fn raw_asks_without_a_hello_and_says_nothing() {
    let mut server = End::server(server_in(Raw));
    assert!(!server.machine.reads());
    assert_eq!(server.input(accept()), ["Connect"]);
    assert_eq!(server.input(Input::Frame(moorline_core::Frame::text("hi"))), ["message(hi)"]);
}

#[test]
fn ready_is_on_its_way_before_the_application_hears_of_it() {
    let mut server = End::server(crate::support::forgetful_server());
    server.packet(hello());
    let early = Input::Frame(codecs()[0].encode(message(Class::AtLeastOnce, "x")).unwrap());
    assert_eq!(server.inputs([accept(), early]), ["> ready", "Connect", "message(x)"]);
}

#[test]
fn an_application_that_hears_of_the_end_has_heard_of_the_beginning() {
    let mut server = End::server(crate::support::forgetful_server());
    server.packet(hello());
    assert_eq!(
        server.inputs([accept(), Input::LinkLost(Loss::Ended)]),
        ["> ready", "Connect", "drop link", "Disconnect(TransportClose)", "closed"]
    );
}

#[test]
fn a_link_that_is_lost_before_ends_the_connection_in_silence() {
    let mut server = End::server(crate::support::forgetful_server());
    assert_eq!(server.input(Input::LinkLost(Loss::Ended)), ["drop link", "closed"]);

    let mut server = End::server(crate::support::forgetful_server());
    server.packet(hello());
    assert_eq!(server.input(closed(1000)), ["drop link", "closed"]);
    assert_eq!(server.input(accept()), [""; 0]);
}

#[test]
fn a_ready_that_cannot_be_written_turns_the_client_away() {
    let mut server = End::server(crate::support::forgetful_server());
    server.packet(hello());
    let properties = vec![(String::new(), String::new()); 1000];
    assert_eq!(
        server.input(Input::Accept(Grant { id: id("c1"), properties, session: None })),
        ["> error(internal)", "> close(1011)", "> link close(1011)"]
    );
}

#[test]
fn a_second_answer_of_the_application_changes_nothing() {
    let mut server = End::open_server(crate::support::forgetful_server());
    assert_eq!(server.input(accept()), [""; 0]);
    assert_eq!(server.input(link_up()), [""; 0]);
}
