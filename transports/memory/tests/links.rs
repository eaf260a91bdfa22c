//! What a link does while nothing is wrong.

#![allow(clippy::unwrap_used, reason = "the lint knows only functions marked #[test]")]

mod support;

use bytes::Bytes;
use futures_executor::block_on;
use futures_util::FutureExt;
use futures_util::future::join;
use moorline_core::{
    Acceptor, CloseFrame, ConnectRequest, Frame, Incoming, Pending, Receiver, Sender, Transport,
    TransportErrorKind,
};
use moorline_memory::{MemoryReceiver, MemorySender, Network};
use support::{Got, SHOP, Side, World, now};

#[test]
fn frames_of_every_kind_arrive_unchanged_and_in_order() {
    let (mut client, mut server) = World::new().link();
    let frames = [Frame::text(""), Frame::binary(vec![0, 255]), Frame::text("é"), Frame::text("")];
    for frame in &frames {
        now(client.sender.send(frame.clone())).unwrap();
    }
    for frame in frames {
        assert_eq!(now(server.receiver.receive()).unwrap(), Some(Incoming::Frame(frame)));
    }
    assert_eq!(server.next(), None);
}

#[test]
fn both_directions_are_independent() {
    let (mut client, mut server) = World::new().link();
    for number in 0..100 {
        client.send(number);
        server.send(1_000 + number);
    }
    assert_eq!(server.drain().0, (0..100).collect::<Vec<_>>());
    assert_eq!(client.drain().0, (1_000..1_100).collect::<Vec<_>>());
}

#[test]
fn a_peer_that_does_not_read_makes_send_wait_within_the_capacity() {
    let mut world = World::with(|builder| builder.capacity(10 * (Network::FRAME_OVERHEAD + 1)));
    let (mut client, mut server) = world.link();
    let taken = (0..).take_while(|_| client.try_send(7).unwrap()).count();
    assert_eq!(taken, 10);
    assert_eq!(server.next(), Some(Got::Number(7)));
    assert_eq!(client.try_send(7), Ok(true));
    assert_eq!(client.try_send(7), Ok(false));
}

#[test]
fn empty_frames_have_a_bound_too() {
    let (mut client, _server) = World::new().link();
    let empty = || Frame::Binary(Bytes::new());
    let taken = (0..).take_while(|_| client.sender.send(empty()).now_or_never().is_some()).count();
    assert_eq!(taken, Network::CAPACITY / Network::FRAME_OVERHEAD);
}

#[test]
fn a_frame_larger_than_the_capacity_is_taken_when_nothing_else_is_there() {
    let mut world = World::with(|builder| builder.capacity(100));
    let (mut client, mut server) = world.link();
    let large = Frame::binary(vec![1; 10_000]);
    now(client.sender.send(large.clone())).unwrap();
    assert_eq!(client.try_send(1), Ok(false));
    assert_eq!(now(server.receiver.receive()).unwrap(), Some(Incoming::Frame(large)));
    client.send(1);
}

#[test]
fn a_send_that_waits_goes_on_when_there_is_room_and_a_receive_when_there_is_a_frame() {
    let mut world = World::with(|builder| builder.capacity(300));
    let (mut client, mut server) = world.link();
    let sending = async {
        for number in 0..10_000 {
            client.sender.send(Frame::text(number.to_string())).await.unwrap();
        }
        client.sender.close(CloseFrame::new(1000, "")).await.unwrap();
    };
    let receiving = async {
        for number in 0..10_000 {
            let got = Got::from(server.receiver.receive().await);
            assert_eq!(got, Got::Number(number));
        }
        assert_eq!(Got::from(server.receiver.receive().await), Got::Close(1000));
    };
    block_on(join(sending, receiving));
}

#[test]
fn a_link_works_between_threads() {
    let mut world = World::with(|builder| builder.capacity(300));
    let (mut client, mut server) = world.link();
    let thread = std::thread::spawn(move || {
        block_on(async {
            for number in 0..50_000 {
                client.sender.send(Frame::text(number.to_string())).await.unwrap();
            }
        });
    });
    block_on(async {
        for number in 0..50_000 {
            assert_eq!(Got::from(server.receiver.receive().await), Got::Number(number));
        }
        assert_eq!(Got::from(server.receiver.receive().await), Got::End);
    });
    thread.join().unwrap();
}

#[test]
fn a_close_arrives_after_all_frames_also_when_there_was_no_room_for_it() {
    let mut world = World::with(|builder| builder.capacity(1));
    let (mut client, mut server) = world.link();
    client.send(1);
    now(client.sender.close(CloseFrame::new(4001, "bye"))).unwrap();
    assert_eq!(client.send_error(), TransportErrorKind::Closed);
    assert_eq!(server.drain(), (vec![1], Some(Got::Close(4001))));
    assert_eq!(server.next(), Some(Got::End));
}

#[test]
fn a_dropped_sender_ends_its_direction_after_what_was_sent() {
    let (mut client, mut server) = World::new().link();
    client.send(1);
    drop(client.sender);
    assert_eq!(server.drain(), (vec![1], Some(Got::End)));
    server.send(2);
    let received = now(client.receiver.receive()).unwrap();
    assert_eq!(received, Some(Incoming::Frame(Frame::text("2"))));
}

#[test]
fn a_dropped_receiver_fails_the_peers_sends_also_one_that_waits() {
    let mut world = World::with(|builder| builder.capacity(1));
    let (mut client, server) = world.link();
    client.send(1);
    block_on(async {
        let waiting = client.sender.send(Frame::text("2"));
        let dropping = async { drop(server.receiver) };
        let (sent, ()) = join(waiting, dropping).await;
        assert_eq!(sent.unwrap_err().kind(), TransportErrorKind::Closed);
    });
    assert_eq!(client.send_error(), TransportErrorKind::Closed);
}

#[test]
fn dropping_the_halves_in_any_order_releases_everything() {
    let payload = Bytes::from(vec![1; 100]);
    for order in 0..4 {
        let mut world = World::new();
        let (mut client, mut server) = world.link();
        for side in [&mut client, &mut server] {
            now(side.sender.send(Frame::Binary(payload.slice(..)))).unwrap();
        }
        assert_eq!(world.network.links(SHOP), 1);
        let halves: [Box<dyn std::any::Any>; 4] = [
            Box::new(client.sender),
            Box::new(server.receiver),
            Box::new(client.receiver),
            Box::new(server.sender),
        ];
        let mut halves = Vec::from(halves);
        halves.rotate_left(order);
        for half in halves {
            assert_eq!(world.network.links(SHOP), 1);
            drop(half);
        }
        assert_eq!(world.network.links(SHOP), 0);
        assert!(payload.is_unique(), "a frame is still held");
    }
}

#[test]
fn a_ping_is_answered_though_the_peers_application_reads_nothing() {
    let mut world = World::with(|builder| builder.capacity(1));
    let (mut client, mut server) = world.link();
    client.send(1);
    assert_eq!(client.try_send(2), Ok(false));
    now(client.sender.ping()).unwrap();
    assert_eq!(client.next(), Some(Got::Activity));
    assert_eq!(client.next(), None);
    assert_eq!(server.drain(), (vec![1], None));
    now(server.sender.ping()).unwrap();
    assert_eq!(server.next(), Some(Got::Activity));
}

#[test]
fn pings_do_not_make_memory_grow() {
    let (mut client, _server) = World::new().link();
    for _ in 0..1_000 {
        now(client.sender.ping()).unwrap();
    }
    let answers = std::iter::from_fn(|| client.next()).count();
    assert!((1..=16).contains(&answers));
}

#[test]
fn a_frame_above_the_receivers_limit_fails_on_either_side() {
    let mut world = World::new();
    world.acceptor.close();
    world.acceptor = world.network.acceptor(SHOP).max_frame(10);
    now(world.acceptor.listen()).unwrap();
    let mut request = ConnectRequest::default();
    request.max_frame = 20;
    let (sender, receiver) = now(world.transport.connect(&request)).unwrap();
    let mut client = Side { sender, receiver };
    let mut server = world.accept();
    fails_above(10, &mut client.sender, &mut server.receiver);
    fails_above(20, &mut server.sender, &mut client.receiver);
}

fn fails_above(limit: usize, sender: &mut MemorySender, receiver: &mut MemoryReceiver) {
    now(sender.send(Frame::binary(vec![0; limit]))).unwrap();
    now(sender.send(Frame::binary(vec![0; limit + 1]))).unwrap();
    assert!(matches!(now(receiver.receive()), Ok(Some(Incoming::Frame(_)))));
    assert_eq!(now(receiver.receive()).unwrap_err().kind(), TransportErrorKind::TooLarge);
    assert_eq!(now(sender.send(Frame::text(""))).unwrap_err().kind(), TransportErrorKind::Closed);
}

#[test]
fn a_link_without_latency_makes_no_timer_and_never_asks_for_the_time() {
    let mut world = World::new();
    let (mut client, mut server) = world.link();
    for number in 0..100 {
        client.send(number);
        now(client.sender.ping()).unwrap();
        assert_eq!(server.next(), Some(Got::Number(number)));
        assert_eq!(client.next(), Some(Got::Activity));
    }
    drop((client, server));
    assert_eq!(world.clock.used(), (0, 0));
}

#[test]
fn a_dropped_send_has_sent_nothing_and_a_dropped_receive_has_taken_nothing() {
    let mut world = World::with(|builder| builder.capacity(1));
    let (mut client, mut server) = world.link();
    assert_eq!(server.next(), None);
    client.send(1);
    assert_eq!(client.try_send(2), Ok(false));
    assert_eq!(server.next(), Some(Got::Number(1)));
    client.send(3);
    assert_eq!(server.drain(), (vec![3], None));
}

#[test]
fn a_peer_has_its_own_address_and_the_endpoints_name() {
    let mut world = World::new();
    let _clients = [world.connect().unwrap(), world.connect().unwrap()];
    let peers = [(); 2].map(|()| now(now(world.acceptor.accept()).unwrap().handshake()).unwrap().2);
    assert_eq!(peers[0].transport, "memory");
    assert_eq!(peers[0].path.as_deref(), Some(SHOP));
    assert!(peers[0].address.as_deref().unwrap().starts_with("memory:"));
    assert_ne!(peers[0].address, peers[1].address);
}
