//! Time on the network: latency, bandwidth, and that a seed repeats both.

#![allow(clippy::unwrap_used, reason = "the lint knows only functions marked #[test]")]

mod support;

use std::time::Duration;

use futures_executor::LocalPool;
use futures_util::FutureExt;
use moorline_core::{CloseFrame, ConnectRequest, Frame, Receiver, Sender, Transport};
use moorline_memory::Direction::{ToClient, ToServer};
use support::{BROKEN, Got, MS, SHOP, Side, World, now, spawn};

/// A link over which a frame takes 10 to 50 ms.
fn distant(seed: u64) -> (World, Side, Side) {
    let mut world = World::with(|builder| builder.seed(seed).latency(10 * MS..=50 * MS));
    let (client, server) = link(&mut world);
    (world, client, server)
}

fn link(world: &mut World) -> (Side, Side) {
    let transport = world.transport.clone();
    let request = ConnectRequest::default();
    let mut connecting = Box::pin(transport.connect(&request));
    assert!(connecting.as_mut().now_or_never().is_none());
    world.clock.advance(50 * MS);
    let (sender, receiver) = now(connecting).unwrap();
    (Side { sender, receiver }, world.accept())
}

/// Sends 200 frames, one each ms, and gives when each came, in ms.
fn times(seed: u64) -> Vec<(usize, usize)> {
    let (world, mut client, mut server) = distant(seed);
    let mut times = Vec::new();
    for ms in 0..400 {
        if ms < 200 {
            client.send(ms);
        }
        times.extend(server.drain().0.into_iter().map(|number| (number, ms)));
        world.clock.advance(MS);
    }
    times
}

#[test]
fn r52_latency_never_reorders_and_stays_in_its_range() {
    for seed in 0..20 {
        let times = times(seed);
        assert_eq!(times.len(), 200);
        for (index, (number, came)) in times.iter().enumerate() {
            assert_eq!(index, *number);
            assert!((10..=51).contains(&(came - number)), "{number} came at {came}");
        }
    }
}

#[test]
fn r52_the_same_seed_gives_the_same_times_and_another_one_gives_others() {
    assert_eq!(times(7), times(7));
    assert_ne!(times(7), times(8));
}

#[test]
fn what_one_link_does_shifts_no_time_on_another() {
    let run = |noise: bool| {
        let mut world = World::with(|builder| builder.latency(10 * MS..=50 * MS));
        let (mut client, mut server) = link(&mut world);
        let (mut other, _other) = link(&mut world);
        (0..100)
            .map(|number| {
                if noise {
                    other.send(number);
                }
                client.send(number);
                world.clock.advance(3 * MS);
                server.drain().0
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn a_receiver_is_woken_by_time_and_by_what_comes_earlier() {
    let (world, mut client, mut server) = distant(7);
    let mut pool = LocalPool::new();
    let task = async move {
        let first = Got::from(server.receiver.receive().await);
        let second = Got::from(server.receiver.receive().await);
        (first, second, server)
    };
    let received = spawn(&pool, task);
    pool.run_until_stalled();
    client.send(1);
    now(client.sender.close(CloseFrame::new(1000, ""))).unwrap();
    pool.run_until_stalled();
    world.clock.advance(9 * MS);
    pool.run_until_stalled();
    assert!(received.take().is_none());
    for _ in 0..100 {
        world.clock.advance(MS);
        pool.run_until_stalled();
    }
    let (first, second, _server) = received.take().unwrap();
    assert_eq!((first, second), (Got::Number(1), Got::Close(1000)));
}

#[test]
fn a_cut_wakes_a_receiver_that_waits_for_time() {
    let (world, mut client, mut server) = distant(7);
    client.send(1);
    let mut pool = LocalPool::new();
    let task = async move { Got::from(server.receiver.receive().await) };
    let received = spawn(&pool, task);
    pool.run_until_stalled();
    world.network.cut(SHOP);
    pool.run_until_stalled();
    assert_eq!(received.take(), Some(BROKEN));
}

#[test]
fn a_pong_travels_both_ways() {
    let (world, mut client, _server) = distant(7);
    now(client.sender.ping()).unwrap();
    world.clock.advance(20 * MS - Duration::from_nanos(1));
    assert_eq!(client.next(), None);
    world.clock.advance(80 * MS);
    assert_eq!(client.next(), Some(Got::Activity));
}

#[test]
fn a_one_value_latency_is_exact() {
    let mut world = World::with(|builder| builder.latency(20 * MS..=20 * MS));
    let (mut client, mut server) = link(&mut world);
    client.send(1);
    world.clock.advance(20 * MS - Duration::from_nanos(1));
    assert_eq!(server.next(), None);
    world.clock.advance(Duration::from_nanos(1));
    assert_eq!(server.next(), Some(Got::Number(1)));
}

#[test]
fn a_slow_link_delivers_at_its_bandwidth_and_heal_hurries_the_rest() {
    let mut world = World::new();
    let (mut client, mut server) = world.link();
    world.network.slow(SHOP, 1_000);
    for _ in 0..3 {
        now(client.sender.send(Frame::text("0".repeat(100)))).unwrap();
    }
    assert_eq!(server.next(), None);
    world.clock.advance(100 * MS);
    assert_eq!(server.drain().0.len(), 1);
    world.clock.advance(99 * MS);
    assert_eq!(server.next(), None);
    world.network.heal(SHOP);
    assert_eq!(server.drain().0.len(), 2);
}

#[test]
fn a_partition_during_the_flight_holds_what_is_on_its_way() {
    let (world, mut client, mut server) = distant(7);
    client.send(1);
    world.network.partition(SHOP);
    world.clock.advance(1_000 * MS);
    assert_eq!(server.next(), None);
    client.send(2);
    world.network.heal(SHOP);
    assert_eq!(server.drain(), (vec![1], None));
    world.clock.advance(50 * MS);
    assert_eq!(server.drain(), (vec![2], None));
}

/// Whatever happens, each end has received a prefix of what the other one has sent.
#[test]
fn r52_every_mixture_of_faults_leaves_a_prefix() {
    let (mut received, mut links) = (0, 0);
    for seed in 0..500 {
        let mut random = fastrand::Rng::with_seed(seed);
        let latency = if random.bool() { Duration::ZERO } else { 20 * MS };
        let mut world = World::with(|builder| {
            builder.seed(seed).latency(Duration::ZERO..=latency).capacity(500)
        });
        let mut link: Option<(Side, Side, [usize; 4])> = None;

        for _ in 0..300 {
            let Some((client, server, [sent_up, sent_down, got_up, got_down])) = &mut link else {
                link = try_link(&mut world).map(|(client, server)| (client, server, [0; 4]));
                world.network.heal(SHOP);
                continue;
            };
            let frames = random.u64(0..4);
            let direction = if random.bool() { ToServer } else { ToClient };
            match random.u32(0..40) {
                0..10 => *sent_up += usize::from(client.try_send(*sent_up).unwrap_or(false)),
                10..20 => *sent_down += usize::from(server.try_send(*sent_down).unwrap_or(false)),
                20..24 => expect_next(server, got_up, *sent_up, seed),
                24..28 => expect_next(client, got_down, *sent_down, seed),
                28..32 => world.clock.advance(random.u32(0..20) * MS),
                32 => world.network.partition(SHOP),
                33 => world.network.heal(SHOP),
                34 => world.network.slow(SHOP, random.u64(1..1_000)),
                35 => world.network.cut_after(SHOP, direction, frames),
                36 => world.network.cut_before(SHOP, direction, frames),
                37 => drop(client.sender.ping().now_or_never()),
                38 if random.u32(0..4) == 0 => world.network.half_open(SHOP, direction),
                39 if random.u32(0..4) == 0 => world.network.reset(SHOP),
                _ => {}
            }
            if client.try_send(*sent_up).map(|sent| *sent_up += usize::from(sent)).is_err() {
                received += *got_up + *got_down;
                links += 1;
                link = None;
                assert_eq!(world.network.links(SHOP), 0, "seed {seed}");
            }
        }
    }
    assert!(received > 5_000 && links > 1_000, "{received} frames on {links} links: too few");
}

fn try_link(world: &mut World) -> Option<(Side, Side)> {
    let transport = world.transport.clone();
    let request = ConnectRequest::default();
    let mut connecting = Box::pin(transport.connect(&request));
    if let Some(connected) = connecting.as_mut().now_or_never() {
        let (sender, receiver) = connected.ok()?;
        return accept(world).map(|server| (Side { sender, receiver }, server));
    }
    world.clock.advance(20 * MS);
    let (sender, receiver) = connecting.now_or_never()?.ok()?;
    accept(world).map(|server| (Side { sender, receiver }, server))
}

fn accept(world: &mut World) -> Option<Side> {
    use moorline_core::{Acceptor, Pending};
    let pending = now(world.acceptor.accept()).ok()?;
    let (sender, receiver, _) = now(pending.handshake()).ok()?;
    Some(Side { sender, receiver })
}

fn expect_next(side: &mut Side, got: &mut usize, sent: usize, seed: u64) {
    if let Some(Got::Number(number)) = side.next() {
        assert_eq!(number, *got, "seed {seed}");
        *got += 1;
        assert!(*got <= sent, "seed {seed}");
    }
}
