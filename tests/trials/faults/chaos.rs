//! Faults at random.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use moorline::Direction;
use tokio::time::sleep;

use crate::proxy::Proxy;

/// Does to one proxy's links what it likes.
pub(crate) struct Chaos {
    proxy: Arc<Proxy>,
    rng: Rng,
    done: Faults,
}

/// How many faults of each kind there were.
#[derive(Default)]
pub(crate) struct Faults(BTreeMap<&'static str, usize>);

type Fault = (&'static str, fn(&Proxy));

/// Those that hold until they are healed, or break what there is.
const FAULTS: &[Fault] = &[
    ("reset", Proxy::reset),
    ("cut", Proxy::cut),
    ("refuse", Proxy::refuse),
    ("answer 503", |proxy| proxy.answer(503)),
    ("half-close to the server", |proxy| proxy.half_close(Direction::ToServer)),
    ("half-close to the client", |proxy| proxy.half_close(Direction::ToClient)),
    ("half-open to the server", |proxy| proxy.half_open(Direction::ToServer)),
    ("half-open to the client", |proxy| proxy.half_open(Direction::ToClient)),
    ("stall", Proxy::stall),
    ("blackhole", Proxy::blackhole),
    ("slow", |proxy| proxy.slow(20_000)),
    ("1-byte writes", Proxy::one_byte),
];

impl Chaos {
    pub(crate) fn new(proxy: Arc<Proxy>, rng: Rng) -> Self {
        Self { proxy, rng, done: Faults::default() }
    }

    /// Goes on for that long, and heals.
    pub(crate) async fn play(mut self, span: Duration) -> Faults {
        let begun = Instant::now();
        self.rest(500).await;
        while begun.elapsed() < span {
            let (name, strike) = FAULTS[self.rng.usize(..FAULTS.len())];
            strike(&self.proxy);
            *self.done.0.entry(name).or_default() += 1;
            // Some are over before anybody notices, some last for several heartbeats.
            let longest = if self.rng.bool() { 300 } else { 3_000 };
            self.rest(longest).await;
            // Two faults at once, now and then.
            if self.rng.u8(..4) > 0 {
                self.proxy.heal();
                self.rest(1_500).await;
            }
        }
        self.proxy.heal();
        self.done
    }

    async fn rest(&mut self, longest: u64) {
        sleep(Duration::from_millis(self.rng.u64(1..=longest))).await;
    }
}

impl Faults {
    pub(crate) fn add(&mut self, other: Self) {
        for (name, count) in other.0 {
            *self.0.entry(name).or_default() += count;
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} faults", self.0.values().sum::<usize>())?;
        for (at, (name, count)) in self.0.iter().enumerate() {
            write!(f, "{} {count} {name}", if at == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}
