//! Names, listening, the backlog, and many clients.

mod support;

use futures_util::FutureExt;
use moorline_core::{Acceptor, ConnectRequest, Transport, TransportErrorKind};
use moorline_memory::Network;
use support::{BROKEN, Clock, Got, SHOP, World, connect, now};

#[test]
fn nobody_at_a_name_is_unreachable() {
    let network = Network::new(Clock::default());
    let transport = network.transport("nowhere");
    assert_eq!(connect(&transport).unwrap_err().kind(), TransportErrorKind::Unreachable);
}

#[test]
fn a_name_that_is_taken_is_a_configuration_error_until_it_is_given_back() {
    let mut world = World::new();
    let mut other = world.network.acceptor(SHOP);
    assert_eq!(now(other.listen()).unwrap_err().kind(), TransportErrorKind::Configuration);
    assert_eq!(other.local_address(), None);
    other.close();
    assert!(world.connect().is_ok(), "closing one that does not listen concerns nobody else");
    world.acceptor.close();
    now(other.listen()).unwrap();
    assert_eq!(other.local_address().as_deref(), Some(SHOP));
}

#[test]
fn accept_without_listen_fails_for_good() {
    let network = Network::new(Clock::default());
    let mut acceptor = network.acceptor(SHOP);
    let error = now(acceptor.accept()).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Configuration);
    assert!(!error.is_retryable());
}

#[test]
fn r52_a_server_restarts_at_its_name_and_old_links_live_on_until_they_are_dropped() {
    let mut world = World::new();
    let (mut client, mut server) = world.link();
    let mut waiting = world.connect().unwrap();
    world.acceptor.close();
    assert_eq!(waiting.next(), Some(BROKEN));
    assert_eq!(world.connect().unwrap_err().kind(), TransportErrorKind::Unreachable);
    client.send(1);
    assert_eq!(server.drain(), (vec![1], None));

    now(world.acceptor.listen()).unwrap();
    let (mut new_client, mut new_server) = world.link();
    new_client.send(2);
    assert_eq!(new_server.drain(), (vec![2], None));
    drop(server);
    assert_eq!(client.next(), Some(Got::End));
}

#[test]
fn dropping_the_acceptor_closes_it() {
    let world = World::new();
    drop(world.acceptor);
    assert_eq!(connect(&world.transport).unwrap_err().kind(), TransportErrorKind::Unreachable);
    now(world.network.acceptor(SHOP).listen()).unwrap();
}

#[test]
fn a_dropped_accept_loses_no_link() {
    let mut world = World::new();
    assert!(world.acceptor.accept().now_or_never().is_none());
    let _client = world.connect().unwrap();
    assert!(world.acceptor.accept().now_or_never().is_some());
}

#[test]
fn a_dropped_pending_link_ends_it() {
    let mut world = World::new();
    let mut client = world.connect().unwrap();
    drop(now(world.acceptor.accept()).unwrap());
    assert_eq!(client.next(), Some(Got::End));
    assert_eq!(client.send_error(), TransportErrorKind::Closed);
}

#[test]
fn what_a_client_sends_before_it_is_accepted_arrives() {
    let mut world = World::new();
    let mut client = world.connect().unwrap();
    client.send(1);
    assert_eq!(world.accept().drain(), (vec![1], None));
}

#[test]
fn the_backlog_is_bounded() {
    let mut world = World::new();
    let clients: Vec<_> = (0..Network::BACKLOG).map(|_| world.connect().unwrap()).collect();
    assert_eq!(world.connect().unwrap_err().kind(), TransportErrorKind::Unavailable);
    world.network.duplicate_connects(SHOP);
    drop(now(world.acceptor.accept()).unwrap());
    let real = world.connect().expect("room for one: the duplicate is left out");
    world.acceptor.close();
    drop((clients, real));
    assert_eq!(world.network.links(SHOP), 0);
}

#[test]
fn endpoints_do_not_concern_each_other() {
    let mut world = World::new();
    let mut till = world.network.acceptor("till");
    now(till.listen()).unwrap();
    let (mut client, mut server) = world.link();
    for fault in [Network::cut, Network::reset, Network::partition] {
        fault(&world.network, "till");
    }
    client.send(1);
    assert_eq!(server.drain(), (vec![1], None));
    assert_eq!((world.network.links(SHOP), world.network.links("till")), (1, 0));
}

#[test]
fn r52_thousands_of_clients_at_one_endpoint_get_each_their_own_link() {
    let mut world = World::new();
    let mut sides: Vec<_> = (0..5_000).map(|_| world.link()).collect();
    for (number, (client, server)) in sides.iter_mut().enumerate() {
        client.send(number);
        server.send(number + 1);
    }
    for (number, (client, server)) in sides.iter_mut().enumerate() {
        assert_eq!(server.drain(), (vec![number], None));
        assert_eq!(client.drain(), (vec![number + 1], None));
    }
    assert_eq!(world.network.links(SHOP), 5_000);
    world.network.cut(SHOP);
    for (client, server) in &mut sides {
        assert_eq!((client.next(), server.next()), (Some(BROKEN), Some(BROKEN)));
    }
    drop(sides);
    assert_eq!(world.network.links(SHOP), 0);
}

#[test]
fn a_connect_that_hangs_and_is_dropped_leaves_nothing() {
    let world = World::new();
    world.network.partition(SHOP);
    let request = ConnectRequest::default();
    assert!(world.transport.connect(&request).now_or_never().is_none());
    world.network.heal(SHOP);
    assert_eq!(world.network.links(SHOP), 0);
}
