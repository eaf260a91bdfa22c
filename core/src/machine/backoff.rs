//! How long to wait before the next attempt.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Time;

/// The delays between attempts: an iterator that ends when no further one should be made.
pub type Delays = Box<dyn Iterator<Item = Duration> + Send>;

/// When to try again (R43).
///
/// The first attempt after a loss comes within [`spread`](Self::spread), so that the clients of a
/// server that went away do not come back in one instant. The later ones, and all after a first
/// connect that failed, follow the delays. The count starts anew after each open.
///
/// ```
/// use std::time::Duration;
/// use moorline_core::Backoff;
///
/// let patient = Backoff::exponential(Duration::from_millis(200)).cap(Duration::from_secs(30));
/// let fixed = Backoff::custom(|| std::iter::repeat(Duration::from_secs(3)).take(5)).jitter(false);
/// ```
#[derive(Clone)]
pub struct Backoff {
    policy: Policy,
    jitter: bool,
    spread: Duration,
    attempts: Option<u32>,
}

#[derive(Clone)]
enum Policy {
    Exponential { first: Duration, cap: Duration },
    Custom(Arc<dyn Fn() -> Delays + Send + Sync>),
}

impl Backoff {
    /// The first delay by default: long enough not to hurt, short enough not to be noticed.
    pub const FIRST: Duration = Duration::from_secs(1);
    /// The longest delay by default: a person waits that long.
    pub const CAP: Duration = Duration::from_secs(5);
    /// The spread by default: a thousand clients come back at 200 a second.
    pub const SPREAD: Duration = Duration::from_secs(5);

    /// Delays that double from `first` up to a [`cap`](Self::cap), unlimited in number, with full
    /// jitter: each is uniform between zero and the delay.
    #[must_use]
    pub const fn exponential(first: Duration) -> Self {
        Self {
            policy: Policy::Exponential { first, cap: Self::CAP },
            jitter: true,
            spread: Self::SPREAD,
            attempts: None,
        }
    }

    /// Delays of your own: called at the start of each outage. It gives up where the iterator ends.
    pub fn custom<I>(delays: impl Fn() -> I + Send + Sync + 'static) -> Self
    where
        I: IntoIterator<Item = Duration>,
        I::IntoIter: Send + 'static,
    {
        let boxed = move || -> Delays { Box::new(delays().into_iter()) };
        Self {
            policy: Policy::Custom(Arc::new(boxed)),
            jitter: true,
            spread: Self::SPREAD,
            attempts: None,
        }
    }

    /// The longest delay of an exponential policy; nothing to a custom one.
    #[must_use]
    pub fn cap(mut self, longest: Duration) -> Self {
        if let Policy::Exponential { cap, .. } = &mut self.policy {
            *cap = longest;
        }
        self
    }

    /// Gives up after so many attempts in one outage.
    #[must_use]
    pub const fn attempts(mut self, most: u32) -> Self {
        self.attempts = Some(most);
        self
    }

    /// Whether each delay is drawn between zero and its full length (the default) or taken as it is.
    #[must_use]
    pub const fn jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }

    /// The time over which the first attempt after a loss is spread, unless the server asks for
    /// another one.
    #[must_use]
    pub const fn spread(mut self, spread: Duration) -> Self {
        self.spread = spread;
        self
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::exponential(Self::FIRST)
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Backoff");
        match &self.policy {
            Policy::Exponential { first, cap } => out.field("first", first).field("cap", cap),
            Policy::Custom(_) => out.field("custom", &"…"),
        };
        out.field("jitter", &self.jitter)
            .field("spread", &self.spread)
            .field("attempts", &self.attempts)
            .finish()
    }
}

/// The attempts of one outage, or of a first connect.
pub(super) struct Outage {
    /// It began with the loss of an open connection, not with a first connect.
    pub(super) after_loss: bool,
    delays: Option<Delays>,
    retries: u32,
    failures: u32,
    /// Until when the server has asked not to be tried.
    not_before: Time,
}

impl Outage {
    pub(super) const fn new(after_loss: bool) -> Self {
        Self { after_loss, delays: None, retries: 0, failures: 0, not_before: Time::ZERO }
    }

    /// Attempts begun again. The first attempt of a first connect is none of them.
    pub(super) const fn retries(&self) -> u32 {
        self.retries
    }

    /// Attempts begun.
    pub(super) const fn attempts(&self) -> u32 {
        if self.after_loss { self.retries } else { self.retries.saturating_add(1) }
    }

    pub(super) fn retry(&mut self) {
        self.retries = self.retries.saturating_add(1);
    }

    /// The delays begin again, as those of a new outage. The attempts are counted on.
    pub(super) fn reset(&mut self) {
        self.delays = None;
        self.failures = 0;
    }

    /// Notes the delay before the next attempt, if the server has asked for one: then nothing makes it shorter.
    pub(super) fn hold_back(&mut self, now: Time, asked: Asked, delay: Option<Duration>) {
        let wanted = asked.retry_after.is_some() || asked.spread.is_some();
        self.not_before = delay.filter(|_| wanted).map_or(Time::ZERO, |delay| now + delay);
    }

    pub(super) const fn not_before(&self) -> Time {
        self.not_before
    }

    /// The delay before the first attempt after a loss; `None` when no attempt is allowed.
    pub(super) fn first_delay(
        &mut self,
        policy: &Backoff,
        asked: Asked,
        rng: &mut fastrand::Rng,
    ) -> Option<Duration> {
        if policy.attempts == Some(0) {
            return None;
        }
        let spread = asked.spread.unwrap_or(policy.spread);
        Some(asked.retry_after.unwrap_or_default().saturating_add(below(spread, rng)))
    }

    /// The delay after an attempt that failed; `None` to give up.
    pub(super) fn next_delay(
        &mut self,
        policy: &Backoff,
        asked: Asked,
        rng: &mut fastrand::Rng,
    ) -> Option<Duration> {
        if policy.attempts.is_some_and(|most| self.retries >= most) {
            return None;
        }
        let full = match &policy.policy {
            Policy::Exponential { first, cap } => {
                let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
                first.saturating_mul(doubled).min(*cap)
            }
            Policy::Custom(make) => self.delays.get_or_insert_with(|| make()).next()?,
        };
        self.failures = self.failures.saturating_add(1);
        let delay = if policy.jitter { below(full, rng) } else { full };
        let spread = asked.spread.map_or(Duration::ZERO, |spread| below(spread, rng));
        Some(delay.max(asked.retry_after.unwrap_or_default().saturating_add(spread)))
    }
}

/// What the server asked for before the next attempt.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) retry_after: Option<Duration>,
    pub(super) spread: Option<Duration>,
}

/// A time drawn uniformly between zero and `limit`.
pub(super) fn below(limit: Duration, rng: &mut fastrand::Rng) -> Duration {
    let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(rng.u64(0..=nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(policy: &Backoff, count: usize) -> Vec<Option<Duration>> {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut outage = Outage::new(false);
        (0..count).map(|_| outage.next_delay(policy, Asked::default(), &mut rng)).collect()
    }

    #[test]
    fn delays_double_up_to_the_cap() {
        let secs = |n| Some(Duration::from_secs(n));
        let policy = Backoff::default().jitter(false);
        assert_eq!(delays(&policy, 5), [secs(1), secs(2), secs(4), secs(5), secs(5)]);
        assert_eq!(delays(&policy, 100)[99], secs(5));
    }

    #[test]
    fn full_jitter_stays_below_the_delay_and_varies() {
        let drawn = delays(&Backoff::default(), 50);
        assert!(drawn.iter().all(|delay| delay.unwrap() <= Backoff::CAP));
        let distinct: std::collections::BTreeSet<_> = drawn.iter().collect();
        assert!(distinct.len() > 40);
    }

    #[test]
    fn a_custom_policy_gives_up_where_it_ends() {
        let policy = Backoff::custom(|| vec![Duration::from_secs(7)]).jitter(false);
        assert_eq!(delays(&policy, 2), [Some(Duration::from_secs(7)), None]);
    }

    #[test]
    fn a_server_that_asks_for_a_delay_gets_at_least_that() {
        let asked = Asked { retry_after: Some(Duration::from_secs(60)), spread: None };
        let mut rng = fastrand::Rng::with_seed(1);
        let mut outage = Outage::new(false);
        let delay = outage.next_delay(&Backoff::default(), asked, &mut rng);
        assert_eq!(delay, Some(Duration::from_secs(60)));
    }
}
