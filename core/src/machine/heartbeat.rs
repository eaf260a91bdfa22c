//! Whether the other end is alive.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::backoff::below;
use crate::Time;

/// How signs of life are asked for (R44).
///
/// Any frame is a sign of life. After `interval` without one a ping goes out, and after a further
/// `timeout` the peer counts as gone, so a dead peer is noticed within `interval + timeout`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub(super) interval: RangeInclusive<Duration>,
    pub(super) timeout: Duration,
}

impl Heartbeat {
    /// A client's interval by default: below the 30 s after which the strictest proxies close an idle
    /// link, and drawn anew each time, so that clients do not ping in step.
    pub const CLIENT_INTERVAL: RangeInclusive<Duration> =
        Duration::from_secs(25)..=Duration::from_secs(29);
    /// A server's interval by default: above a client's, so that the pings of live clients suffice.
    pub const SERVER_INTERVAL: Duration = Duration::from_secs(30);
    /// The time-out by default: below the interval, so that a dead peer is noticed within two.
    pub const TIMEOUT: Duration = Duration::from_secs(20);

    /// A ping after `interval` of silence. The time-out is the default one, or the interval where that
    /// is shorter. Zero is off.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Self::between(interval..=interval)
    }

    /// A ping after a silence drawn anew each time from that range.
    ///
    /// # Panics
    ///
    /// When the range is empty.
    #[must_use]
    pub fn between(interval: RangeInclusive<Duration>) -> Self {
        assert!(!interval.is_empty(), "a heartbeat's interval is a range from short to long");
        let timeout = Self::TIMEOUT.min(*interval.start());
        Self { interval, timeout }
    }

    /// No pings, and no time-out.
    #[must_use]
    pub fn off() -> Self {
        Self::every(Duration::ZERO)
    }

    /// How long to wait for a sign of life after the ping.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What a client does by default.
    #[must_use]
    pub fn client() -> Self {
        Self::between(Self::CLIENT_INTERVAL)
    }

    /// What a server does by default.
    #[must_use]
    pub fn server() -> Self {
        Self::every(Self::SERVER_INTERVAL)
    }
}

/// The pulse of one link.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Silence after which to ping; zero is off.
    interval: Duration,
    timeout: Duration,
    heard: Time,
    ping: Option<Ping>,
    /// The last ping that was sent and not answered, also where something else was heard since.
    asked: Option<(u64, Time)>,
    round_trip: Option<Duration>,
    token: u64,
    suspended: bool,
}

/// A ping on its way.
#[derive(Clone, Copy, Debug)]
struct Ping {
    token: u64,
    at: Time,
    /// Something was heard since, or silence says nothing: only the round-trip time is waited for.
    alive: bool,
    /// The application waits for its round-trip time.
    by_hand: bool,
}

/// What a look at the pulse found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// All is well.
    Alive,
    /// Send this ping.
    Ping(u64),
    /// A ping by hand was not answered, though the peer is alive.
    Unanswered,
    /// The peer is gone.
    Gone,
}

impl Pulse {
    pub(super) fn new(now: Time, config: &Heartbeat, rng: &mut fastrand::Rng) -> Self {
        let mut pulse = Self {
            interval: Duration::ZERO,
            timeout: config.timeout,
            heard: now,
            ping: None,
            asked: None,
            round_trip: None,
            token: 0,
            suspended: false,
        };
        pulse.draw_interval(config, rng);
        pulse
    }

    pub(super) fn switch_off(&mut self) {
        self.interval = Duration::ZERO;
    }

    /// Something came in.
    pub(super) fn hear(&mut self, now: Time) {
        self.heard = now;
        match &mut self.ping {
            Some(ping) if ping.by_hand => ping.alive = true,
            _ => self.ping = None,
        }
    }

    /// A pong came in; the round-trip time, if the application waits for it.
    pub(super) fn pong(&mut self, now: Time, token: Option<u64>) -> Option<Duration> {
        if let Some((_, at)) = self.asked.take_if(|asked| token.is_none_or(|own| own == asked.0)) {
            self.round_trip = Some(now.since(at));
        }
        let ping = self.ping.filter(|ping| ping.by_hand)?;
        if token.is_some_and(|token| token != ping.token) {
            return None;
        }
        self.ping = None;
        Some(now.since(ping.at))
    }

    /// The application asks for a ping; its token, unless one is on its way already. That one then
    /// serves, so that asking cannot put the time-out off.
    pub(super) fn ping_by_hand(&mut self, now: Time) -> Option<u64> {
        match &mut self.ping {
            Some(ping) => {
                ping.by_hand = true;
                None
            }
            None => Some(self.send_ping(now, true)),
        }
    }

    /// There is a reason to doubt the link: the ping that the heartbeat would send later goes now; its token, unless one is
    /// on its way or silence says nothing.
    pub(super) fn ping_early(&mut self, now: Time) -> Option<u64> {
        let doubt = self.ping.is_none() && !self.silence_says_nothing();
        doubt.then(|| self.send_ping(now, false))
    }

    /// The round-trip time that was measured last on this link.
    pub(super) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Whether the application waits for a round-trip time.
    pub(super) fn is_awaited(&self) -> bool {
        self.ping.is_some_and(|ping| ping.by_hand)
    }

    /// Reading was stopped by this end: silence says nothing until it goes on.
    pub(super) fn suspend(&mut self, now: Time, suspended: bool) {
        self.suspended = suspended;
        self.hear(now);
    }

    pub(super) fn deadline(&self) -> Time {
        match self.ping {
            Some(ping) => ping.at + self.timeout(),
            None if self.silence_says_nothing() => Time::MAX,
            None => self.heard + self.interval,
        }
    }

    /// Looks at the pulse, at or after the deadline.
    pub(super) fn beat(&mut self, now: Time, config: &Heartbeat, rng: &mut fastrand::Rng) -> Beat {
        if now < self.deadline() {
            return Beat::Alive;
        }
        match self.ping {
            Some(ping) if ping.alive => {
                self.ping = None;
                Beat::Unanswered
            }
            Some(_) => Beat::Gone,
            None => {
                self.draw_interval(config, rng);
                Beat::Ping(self.send_ping(now, false))
            }
        }
    }

    fn silence_says_nothing(&self) -> bool {
        self.suspended || self.interval.is_zero()
    }

    fn timeout(&self) -> Duration {
        if self.timeout.is_zero() { Heartbeat::TIMEOUT } else { self.timeout }
    }

    fn send_ping(&mut self, at: Time, by_hand: bool) -> u64 {
        self.token += 1;
        let alive = self.silence_says_nothing();
        self.ping = Some(Ping { token: self.token, at, alive, by_hand });
        self.asked = Some((self.token, at));
        self.token
    }

    fn draw_interval(&mut self, config: &Heartbeat, rng: &mut fastrand::Rng) {
        let (short, long) = (*config.interval.start(), *config.interval.end());
        self.interval = short + below(long - short, rng);
    }
}
