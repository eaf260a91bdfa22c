//! What breaks, and that nothing else does.

mod support;

use std::cell::Cell;

use futures_executor::{LocalPool, block_on};
use futures_util::FutureExt;
use futures_util::future::{join, join3};
use moorline_core::{
    Acceptor, CloseFrame, ConnectRequest, Frame, Pending, Receiver, Sender, Transport,
    TransportErrorKind,
};
use moorline_memory::Direction::{ToClient, ToServer};
use support::{BROKEN, Got, SHOP, Side, World, now, spawn};

#[test]
fn a_cut_breaks_both_ends_and_refuses_connects_until_healed() {
    let mut world = World::new();
    let (mut client, mut server) = world.link();
    client.send(1);
    world.network.cut(SHOP);
    assert_eq!(server.next(), Some(BROKEN));
    assert_eq!(client.next(), Some(BROKEN));
    assert_eq!(client.send_error(), TransportErrorKind::Broken);
    assert_eq!(world.connect().unwrap_err().kind(), TransportErrorKind::Unreachable);
    world.network.heal(SHOP);
    assert_eq!(client.next(), Some(BROKEN), "what has broken stays broken");
    let (mut client, mut server) = world.link();
    client.send(1);
    assert_eq!(server.next(), Some(Got::Number(1)));
}

#[test]
fn a_cut_wakes_whoever_waits() {
    let mut world = World::with(|builder| builder.capacity(1));
    let (mut client, _server) = world.link();
    client.send(1);
    block_on(async {
        let (sender, receiver) = (&mut client.sender, &mut client.receiver);
        let cutting = async { world.network.cut(SHOP) };
        let (sent, received, ()) =
            join3(sender.send(Frame::text("2")), receiver.receive(), cutting).await;
        assert_eq!(sent.unwrap_err().kind(), TransportErrorKind::Broken);
        assert_eq!(Got::from(received), BROKEN);
    });
}

#[test]
fn a_reset_breaks_links_and_lets_connects_through() {
    let mut world = World::new();
    let (mut client, mut server) = world.link();
    world.network.reset(SHOP);
    assert_eq!((client.next(), server.next()), (Some(BROKEN), Some(BROKEN)));
    let (mut client, mut server) = world.link();
    client.send(1);
    assert_eq!(server.next(), Some(Got::Number(1)));
}

#[test]
fn a_reset_link_that_was_not_accepted_fails_its_handshake() {
    let mut world = World::new();
    let _client = world.connect().unwrap();
    world.network.reset(SHOP);
    let pending = now(world.acceptor.accept()).unwrap();
    assert_eq!(now(pending.handshake()).unwrap_err().kind(), TransportErrorKind::Broken);
}

/// A conversation of 5 frames in each direction; gives what each end received.
fn converse(world: &mut World) -> [(Vec<usize>, Option<Got>); 2] {
    let (mut client, mut server) = world.link();
    let mut got = [(Vec::new(), None), (Vec::new(), None)];
    for number in 1..=5 {
        // A link that has broken takes no more; what matters is what arrives.
        let _ = client.try_send(number);
        extend(&mut got[0], &mut server);
        let _ = server.try_send(number);
        extend(&mut got[1], &mut client);
    }
    extend(&mut got[0], &mut server);
    got
}

fn extend(got: &mut (Vec<usize>, Option<Got>), side: &mut Side) {
    let (numbers, stop) = side.drain();
    got.0.extend(numbers);
    got.1 = stop;
}

#[test]
fn r52_a_cut_after_each_frame_in_each_direction_delivers_exactly_that_many() {
    for direction in [ToServer, ToClient] {
        for frames in 0..=5 {
            let mut world = World::new();
            world.network.cut_after(SHOP, direction, frames);
            let frames = usize::try_from(frames).unwrap();
            // A link that is broken from the start fails its handshake.
            if frames == 0 {
                let mut client = world.connect().unwrap();
                assert_eq!(client.next(), Some(BROKEN));
                let pending = now(world.acceptor.accept()).unwrap();
                assert!(now(pending.handshake()).is_err());
            } else {
                let [at_server, at_client] = converse(&mut world);
                let got = if direction == ToServer { &at_server } else { &at_client };
                assert_eq!(got.0, (1..=frames).collect::<Vec<_>>());
                assert_eq!((at_server.1, at_client.1), (Some(BROKEN), Some(BROKEN)));
            }
            assert_eq!(world.network.links(SHOP), 0);
            let whole = (vec![1, 2, 3, 4, 5], None);
            assert_eq!(converse(&mut world), [whole.clone(), whole], "it is used up");
        }
    }
}

#[test]
fn r52_a_cut_before_each_frame_loses_exactly_that_one() {
    for direction in [ToServer, ToClient] {
        for frame in 1..=5 {
            let mut world = World::new();
            world.network.cut_before(SHOP, direction, frame);
            let [at_server, at_client] = converse(&mut world);
            let got = if direction == ToServer { &at_server } else { &at_client };
            assert_eq!(got.0, (1..usize::try_from(frame).unwrap()).collect::<Vec<_>>());
            assert_eq!((at_server.1, at_client.1), (Some(BROKEN), Some(BROKEN)));
        }
    }
}

#[test]
fn a_cut_at_a_frame_counts_on_over_reconnects_and_heal_lifts_it() {
    let mut world = World::new();
    let (mut client, mut server) = world.link();
    world.network.cut_after(SHOP, ToServer, 3);
    client.send(1);
    assert_eq!(server.drain(), (vec![1], None));
    drop((client, server));
    let (mut client, mut server) = world.link();
    client.send(2);
    client.send(3);
    client.send(4);
    assert_eq!(server.drain(), (vec![2, 3], Some(BROKEN)));

    let (mut client, mut server) = world.link();
    world.network.cut_after(SHOP, ToServer, 1);
    world.network.heal(SHOP);
    client.send(1);
    client.send(2);
    assert_eq!(server.drain(), (vec![1, 2], None));
    world.network.cut_after(SHOP, ToServer, 0);
    assert_eq!((client.next(), server.next()), (Some(BROKEN), Some(BROKEN)));
}

#[test]
fn r52_a_partition_holds_everything_silently_and_delivers_it_in_order_when_healed() {
    let mut world = World::with(|builder| builder.capacity(5 * 65));
    let (mut client, mut server) = world.link();
    client.send(0);
    world.network.partition(SHOP);
    for number in 1..5 {
        client.send(number);
    }
    assert_eq!(client.try_send(5), Ok(false), "bounded");
    server.send(9);
    now(client.sender.ping()).unwrap();
    drop(client.sender);
    assert_eq!(server.next(), None);
    assert!(client.receiver.receive().now_or_never().is_none());
    world.network.heal(SHOP);
    assert_eq!(server.drain(), (vec![0, 1, 2, 3, 4], Some(Got::End)));
    assert_eq!(Got::from(now(client.receiver.receive())), Got::Activity);
    assert_eq!(Got::from(now(client.receiver.receive())), Got::Number(9));
}

#[test]
fn nobody_hears_of_a_dropped_end_during_a_partition() {
    let mut world = World::new();
    let (mut client, server) = world.link();
    world.network.partition(SHOP);
    drop(server);
    client.send(1);
    assert_eq!(client.next(), None);
    world.network.heal(SHOP);
    assert_eq!(client.send_error(), TransportErrorKind::Closed);
    assert_eq!(client.next(), Some(Got::End));
}

#[test]
fn connects_hang_during_a_partition_and_go_on_after_it() {
    let mut pool = LocalPool::new();
    let world = World::new();
    world.network.partition(SHOP);
    let transport = world.transport.clone();
    let request = ConnectRequest::default();
    let task = async move { transport.connect(&request).await };
    let connected = spawn(&pool, task);
    pool.run_until_stalled();
    assert!(connected.take().is_none());
    world.network.heal(SHOP);
    pool.run_until_stalled();
    assert!(connected.take().unwrap().is_ok());
}

#[test]
fn a_connect_that_hangs_fails_when_the_partition_becomes_a_cut() {
    let world = World::new();
    world.network.partition(SHOP);
    let request = ConnectRequest::default();
    let cutting = async { world.network.cut(SHOP) };
    let connected = block_on(join(world.transport.connect(&request), cutting)).0;
    assert_eq!(connected.unwrap_err().kind(), TransportErrorKind::Unreachable);
}

#[test]
fn r52_a_half_open_link_delivers_a_prefix_and_then_nothing_not_even_its_end() {
    for lost in [ToServer, ToClient] {
        let mut world = World::with(|builder| builder.capacity(3 * 65));
        let (client, server) = world.link();
        let (mut mute, mut deaf) =
            if lost == ToServer { (client, server) } else { (server, client) };
        mute.send(1);
        world.network.half_open(SHOP, lost);
        for number in 2..100 {
            mute.send(number);
        }
        assert_eq!(deaf.drain(), (vec![1], None));
        deaf.send(7);
        assert_eq!(mute.drain(), (vec![7], None), "the other direction works");
        now(mute.sender.ping()).unwrap();
        now(deaf.sender.ping()).unwrap();
        assert_eq!((mute.next(), deaf.next()), (None, None), "neither hears a pong");
        world.network.heal(SHOP);
        mute.send(100);
        drop(mute);
        assert_eq!(deaf.next(), None, "lost for good");
        for number in 0..100 {
            deaf.send(number);
        }
        assert_eq!(world.network.links(SHOP), 1);
        drop(deaf);
        assert_eq!(world.network.links(SHOP), 0);
        let (mut client, mut server) = world.link();
        client.send(1);
        server.send(1);
        assert_eq!((client.next(), server.next()), (Some(Got::Number(1)), Some(Got::Number(1))));
    }
}

#[test]
fn half_open_frees_a_send_that_waits_and_swallows_a_close() {
    let mut world = World::with(|builder| builder.capacity(1));
    let (mut client, mut server) = world.link();
    client.send(1);
    block_on(async {
        let losing = async { world.network.half_open(SHOP, ToServer) };
        join(client.sender.send(Frame::text("2")), losing).await.0.unwrap();
    });
    now(client.sender.close(CloseFrame::new(1000, ""))).unwrap();
    world.network.heal(SHOP);
    assert_eq!(server.drain(), (vec![1], None));
}

#[test]
fn connects_are_refused_with_the_kind_that_was_asked_for() {
    use TransportErrorKind::{Refused, TimedOut, Unavailable};
    let mut world = World::new();
    let (mut client, mut server) = world.link();
    for kind in [Refused, Unavailable, TimedOut] {
        world.network.refuse(SHOP, kind);
        assert_eq!(world.connect().unwrap_err().kind(), kind);
    }
    client.send(1);
    assert_eq!(server.next(), Some(Got::Number(1)), "links live on");
    world.network.heal(SHOP);
    assert!(world.connect().is_ok());
}

#[test]
fn a_hanging_handshake_ends_only_with_its_link() {
    let mut world = World::new();
    world.network.hang_handshakes(SHOP);
    let (first, second) = (world.connect().unwrap(), world.connect().unwrap());
    let pending = now(world.acceptor.accept()).unwrap();
    assert!(pending.handshake().now_or_never().is_none(), "and dropping it ends the link");
    let mut first = first;
    assert_eq!(first.next(), Some(Got::End));

    let pending = now(world.acceptor.accept()).unwrap();
    let ended = Cell::new(false);
    block_on(async {
        let leaving = async {
            assert!(!ended.get());
            drop(second);
        };
        let shaking = async {
            let error = pending.handshake().await.unwrap_err();
            ended.set(true);
            error
        };
        assert_eq!(join(shaking, leaving).await.0.kind(), TransportErrorKind::Closed);
    });
    world.network.heal(SHOP);
    let (mut client, mut server) = world.link();
    client.send(1);
    assert_eq!(server.next(), Some(Got::Number(1)));
}

#[test]
fn r52_a_duplicated_connect_comes_in_dead_first_and_then_alive() {
    let mut world = World::new();
    world.network.duplicate_connects(SHOP);
    let mut client = world.connect().unwrap();
    let mut dead = world.accept();
    let mut alive = world.accept();
    client.send(1);
    for number in 0..5_000 {
        dead.send(number);
    }
    assert_eq!(dead.next(), None);
    assert_eq!(alive.drain(), (vec![1], None));
    alive.send(2);
    assert_eq!(client.drain(), (vec![2], None));
    drop((client, alive));
    assert_eq!(world.network.links(SHOP), 1, "the server has to drop it");
    drop(dead);
    assert_eq!(world.network.links(SHOP), 0);
}
