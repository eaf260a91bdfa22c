//! What a server does without while it has too much to do (R37).

mod control;
mod load;
mod told;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytestring::ByteString;
use moorline_core::Message;

pub(super) use self::load::{Load, watch};
use self::told::Listeners;
use super::Core;
use super::run::command;
use crate::shared::Command;
use crate::sync::lock;

/// How often the load is looked at by default: often enough to help before queues are full, seldom enough to cost nothing.
const EVERY: Duration = Duration::from_secs(1);

/// How many features may be optional: as many names as a client takes at once.
const MAX_FEATURES: usize = 64;

/// The longest name of a feature in bytes: as long as a client takes.
const MAX_NAME: usize = 256;

/// When a server has too much to do, and what it does without then (R37).
///
/// It begins when the load reaches the higher mark of any kind that is set, and ends when it is below the lower marks of all.
/// Meanwhile the optional features are held back, and every client knows: its status is
/// [`Throttled`](crate::Status::Throttled), and it has the features' names.
///
/// ```
/// use moorline::server::{HoldBack, Throttle};
///
/// let throttle = Throttle::new()
///     .queued(64 << 20, 32 << 20)
///     .connections(20_000, 18_000)
///     .optional("presence", HoldBack::Presence)
///     .optional("typing", HoldBack::event("typing"))
///     .optional("cursors", HoldBack::channels("cursors/"))
///     .optional("previews", HoldBack::Nothing);
/// ```
#[derive(Clone, Debug)]
pub struct Throttle {
    queued: Option<Marks>,
    messages: Option<Marks>,
    connections: Option<Marks>,
    every: Duration,
    features: Vec<(String, HoldBack)>,
}

/// Where throttling begins, and below what it ends.
#[derive(Clone, Copy, Debug)]
struct Marks {
    high: u64,
    low: u64,
}

/// What is held back with a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HoldBack {
    /// Who is on channels is not told: who joins is told that it is hidden, changes are told to nobody, and who asks gets
    /// [`Hidden`](crate::MembersError::Hidden). When it is over, all who miss something are told anew who is there.
    Presence,
    /// What clients publish as this event is dropped, on whatever channel. What they send to the application comes all the same.
    Event(ByteString),
    /// What clients publish on channels whose names begin so is dropped.
    Channels(ByteString),
    /// Nothing by the server itself: its application looks whether it [is held back](crate::Server::is_throttled).
    Nothing,
}

impl HoldBack {
    /// [`Event`](Self::Event) of that name.
    pub fn event(name: impl Into<ByteString>) -> Self {
        Self::Event(name.into())
    }

    /// [`Channels`](Self::Channels) whose names begin so.
    pub fn channels(prefix: impl Into<ByteString>) -> Self {
        Self::Channels(prefix.into())
    }

    fn drops(&self, message: &Message) -> bool {
        match self {
            Self::Event(event) => message.event.as_ref() == Some(event),
            Self::Channels(prefix) => {
                message.channel.as_ref().is_some_and(|channel| channel.starts_with(&**prefix))
            }
            Self::Presence | Self::Nothing => false,
        }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

impl Throttle {
    /// Without marks it begins and ends [by hand](crate::Server::throttle_now) alone.
    #[must_use]
    pub const fn new() -> Self {
        let (queued, messages, connections) = (None, None, None);
        Self { queued, messages, connections, every: EVERY, features: Vec::new() }
    }

    /// Begins when so many bytes wait to be sent to all clients together, and ends below `low`. Default: not looked at.
    #[must_use]
    pub const fn queued(mut self, high: usize, low: usize) -> Self {
        self.queued = Some(Marks { high: high as u64, low: low as u64 });
        self
    }

    /// Begins when so many messages come in a second from all clients together, and ends below `low`. Default: not looked at.
    #[must_use]
    pub const fn messages(mut self, high: u64, low: u64) -> Self {
        self.messages = Some(Marks { high, low });
        self
    }

    /// Begins when there are so many connections, with those whose clients are away, and ends below `low`. Default: not looked
    /// at.
    #[must_use]
    pub const fn connections(mut self, high: usize, low: usize) -> Self {
        self.connections = Some(Marks { high: high as u64, low: low as u64 });
        self
    }

    /// How often the load is looked at, and over what time messages are counted; at least a millisecond. Each look costs a
    /// lock for each connection. Default: 1 s.
    #[must_use]
    pub fn every(mut self, time: Duration) -> Self {
        self.every = time.max(Duration::from_millis(1));
        self
    }

    /// Names a feature that the application can do without for a while. One name may hold back several things.
    ///
    /// # Panics
    ///
    /// With more than 64 of them, or an empty name or one of more than 256 bytes: no client could be told of it.
    #[must_use]
    pub fn optional(mut self, feature: impl Into<String>, hold_back: HoldBack) -> Self {
        let feature = feature.into();
        let sayable = !feature.is_empty() && feature.len() <= MAX_NAME;
        assert!(sayable, "a feature's name has 1 to {MAX_NAME} bytes");
        assert!(self.features.len() < MAX_FEATURES, "at most {MAX_FEATURES} features are optional");
        self.features.push((feature, hold_back));
        self
    }
}

/// What is held back now.
pub(super) struct Throttling {
    settings: Throttle,
    /// For each of the features, looked at with each message.
    held: Vec<AtomicBool>,
    /// Published messages that were dropped.
    dropped: AtomicU64,
    state: Mutex<State>,
    pub(super) listeners: Listeners,
}

#[derive(Default)]
struct State {
    overloaded: bool,
    /// What the application holds back, whatever the load.
    by_hand: Option<Vec<String>>,
    features: Arc<Vec<String>>,
}

impl State {
    fn holds(&self, feature: &str) -> bool {
        match &self.by_hand {
            Some(by_hand) => by_hand.iter().any(|own| own == feature),
            None => self.overloaded,
        }
    }
}

impl Throttling {
    pub(super) fn new(settings: Throttle) -> Self {
        let held = settings.features.iter().map(|_| AtomicBool::new(false)).collect();
        let (dropped, state) = (AtomicU64::new(0), Mutex::default());
        Self { settings, held, dropped, state, listeners: Listeners::default() }
    }

    /// The names of what is held back, each once.
    pub(super) fn features(&self) -> Arc<Vec<String>> {
        lock(&self.state).features.clone()
    }

    /// Whether what a client publishes is dropped; it is counted then.
    pub(super) fn drops(&self, message: &Message) -> bool {
        let held = self.held.iter().zip(&self.settings.features);
        let mut held = held.filter(|(held, _)| held.load(Ordering::Relaxed));
        let drops = held.any(|(_, (_, what))| what.drops(message));
        if drops {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        drops
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Changes why something is held back, and has everybody told if that changes what is.
fn change(core: &Arc<Core>, change: impl FnOnce(&mut State)) {
    let throttling = &core.throttling;
    let mut presence = false;
    let lifted = {
        let mut state = lock(&throttling.state);
        change(&mut state);
        let mut features: Vec<String> = Vec::new();
        for (held, (feature, what)) in throttling.held.iter().zip(&throttling.settings.features) {
            let holds = state.holds(feature);
            held.store(holds, Ordering::Relaxed);
            presence |= holds && *what == HoldBack::Presence;
            if holds && !features.contains(feature) {
                features.push(feature.clone());
            }
        }
        if *state.features == features {
            return;
        }
        state.features = Arc::new(features);
        core.hub.hold_presence(presence)
    };
    // Each looks by itself what is held back then, so that it does not matter who tells it first.
    for shared in core.registry.links() {
        command(&shared, Command::Throttle);
    }
    if lifted {
        core.hub.catch_up();
    }
    throttling.listeners.tell(core);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_no_client_could_be_told_of_is_a_mistake() {
        let named = |name: String| {
            let add = || Throttle::new().optional(name, HoldBack::Presence);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(add)).is_ok()
        };
        assert!(named("x".to_owned()) && named("x".repeat(MAX_NAME)));
        assert!(!named(String::new()) && !named("x".repeat(MAX_NAME + 1)));
        let add = |all: Throttle, n: usize| all.optional(n.to_string(), HoldBack::Presence);
        let most = (0..MAX_FEATURES).fold(Throttle::new(), add);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| add(most, 64))).is_err());
    }
}
