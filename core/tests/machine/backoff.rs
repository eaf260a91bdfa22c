//! When a client tries again (R43).

use std::time::Duration;

use moorline_core::machine::{Failure, Input};
use moorline_core::wire::{Close, Packet};
use moorline_core::{Backoff, Config};

use crate::support::{End, SEED, broken, closed, millis, secs};

fn unreachable() -> Input {
    Input::LinkFailed(Failure::retryable("unreachable", ""))
}

/// The delay after a loss, and those after the first few attempts that fail.
fn delays(config: &Config, seed: u64, loss: Input) -> Vec<Duration> {
    let mut client = End::seeded_client(config.clone(), seed);
    client.input(Input::Connect);
    client.open_link();
    client.input(loss);
    let mut delays = vec![client.until_deadline()];
    for _ in 0..6 {
        client.wait();
        client.input(unreachable());
        delays.push(client.until_deadline());
    }
    delays
}

/// The delay after a server's close that asks for these.
fn delay_asked(seed: u64, retry_after: Option<Duration>, spread: Option<Duration>) -> Duration {
    let mut client = End::seeded_client(crate::support::forgetful_client(), seed);
    client.input(Input::Connect);
    client.open_link();
    let close = Close { code: 1012, reason: String::new(), retry_after, spread };
    client.packet(Packet::Close(close));
    client.input(closed(1012));
    client.until_deadline()
}

#[test]
fn the_seed_decides_the_schedule() {
    let config = crate::support::forgetful_client();
    assert_eq!(delays(&config, 7, broken()), delays(&config, 7, broken()));
    assert_ne!(delays(&config, 7, broken()), delays(&config, 8, broken()));
}

#[test]
fn the_first_delay_after_a_loss_is_uniform_over_the_spread() {
    let mut buckets = [0; 5];
    for seed in 0..2000 {
        let delay = delays(&crate::support::forgetful_client(), seed, broken())[0];
        assert!(delay <= Backoff::SPREAD);
        buckets[(delay.as_millis() as usize / 1000).min(4)] += 1;
    }
    assert!(buckets.iter().all(|count| (320..480).contains(count)), "{buckets:?}");
}

#[test]
fn the_spread_can_be_chosen() {
    let mut config = crate::support::forgetful_client();
    config.backoff = Backoff::default().spread(Duration::ZERO);
    assert_eq!(delays(&config, SEED, broken())[0], Duration::ZERO);
}

#[test]
fn the_later_delays_are_below_an_exponential_up_to_its_cap() {
    let limits = [1, 2, 4, 5, 5, 5].map(secs);
    let mut longest = [Duration::ZERO; 6];
    for seed in 0..500 {
        for (longest, delay) in longest
            .iter_mut()
            .zip(&delays(&crate::support::forgetful_client(), seed, broken())[1..])
        {
            *longest = (*longest).max(*delay);
        }
    }
    for (longest, limit) in longest.into_iter().zip(limits) {
        assert!(longest <= limit && longest > limit.mul_f32(0.95), "{longest:?} of {limit:?}");
    }
}

#[test]
fn without_jitter_the_delays_are_the_exponential_itself() {
    let mut config = crate::support::forgetful_client();
    config.backoff = Backoff::exponential(millis(200)).cap(secs(1)).jitter(false);
    let delays = delays(&config, SEED, broken());
    assert_eq!(delays[1..], [200, 400, 800, 1000, 1000, 1000].map(millis));
}

#[test]
fn the_delays_start_again_after_an_open() {
    let mut config = crate::support::forgetful_client();
    config.backoff = Backoff::default().jitter(false);
    let mut client = End::open_client(config);
    for _ in 0..3 {
        client.input(broken());
        client.wait();
        for limit in [1, 2, 4].map(secs) {
            client.input(unreachable());
            assert_eq!(client.until_deadline(), limit);
            client.wait();
        }
        client.open_link();
    }
}

#[test]
fn the_delays_start_again_after_a_connect_by_hand() {
    let mut config = crate::support::forgetful_client();
    config.backoff = Backoff::custom(|| [secs(3), secs(9)]).jitter(false);
    let mut client = End::client(config);
    for _ in 0..3 {
        client.input(Input::Connect);
        client.input(unreachable());
        assert_eq!(client.until_deadline(), secs(3));
        client.wait();
        client.input(unreachable());
        assert_eq!(client.until_deadline(), secs(9));
        client.wait();
        assert_eq!(client.input(unreachable()).last().unwrap(), "closed(unreachable)");
    }
}

#[test]
fn a_server_that_names_a_delay_and_a_spread_gets_both() {
    let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
    for seed in 0..500 {
        let delay = delay_asked(seed, Some(secs(10)), Some(secs(60)));
        (least, most) = (least.min(delay), most.max(delay));
    }
    assert!(least >= secs(10) && least < secs(12), "{least:?}");
    assert!(most <= secs(70) && most > secs(68), "{most:?}");
}

#[test]
fn a_server_that_names_only_a_delay_gets_it_before_the_usual_spread() {
    for seed in 0..100 {
        let delay = delay_asked(seed, Some(secs(10)), None);
        assert!((secs(10)..=secs(15)).contains(&delay), "{delay:?}");
    }
}

#[test]
fn what_a_server_asked_for_holds_for_one_attempt() {
    let mut config = crate::support::forgetful_client();
    config.backoff = Backoff::default().jitter(false);
    let mut client = End::open_client(config);
    let close = Close {
        code: 1012,
        reason: String::new(),
        retry_after: Some(secs(100)),
        spread: Some(Duration::ZERO),
    };
    client.packet(Packet::Close(close));
    client.input(closed(1012));
    assert_eq!(client.until_deadline(), secs(100));
    client.wait();
    client.input(unreachable());
    assert_eq!(client.until_deadline(), secs(1));
}
