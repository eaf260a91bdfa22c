//! What the application's device tells a client's connection: whether anybody looks at it, and whether there is a
//! network (R49).

use super::closing::Ending;
use super::{Machine, Output, State};
use crate::{Reason, Side, Time};

/// Whether the application is in front of its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AppState {
    /// It is.
    #[default]
    Foreground,
    /// It is not.
    Background,
}

/// What a connection does in the background (R49).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AppStateMode {
    /// It stays as it is.
    #[default]
    Automatic,
    /// It is closed after a [grace](super::Config::background_grace), unless a ping by hand extends that, and opened again
    /// in the foreground.
    Manual,
}

/// What the application knows of its network. Only ever a hint: a wrong one costs a ping or an attempt, and no
/// connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NetworkHint {
    /// There is a network, perhaps again.
    Online,
    /// There is none.
    Offline,
    /// There is another one.
    Changed,
}

/// What is known of the device.
#[derive(Debug)]
pub(super) struct Life {
    app: AppState,
    /// When the background closes the connection.
    rests_at: Time,
    /// The background has closed it.
    rests: bool,
}

impl Default for Life {
    fn default() -> Self {
        Self { app: AppState::default(), rests_at: Time::MAX, rests: false }
    }
}

impl Machine {
    pub(super) fn app_state(&mut self, now: Time, app: AppState) {
        if self.side == Side::Server || self.config.app_state == AppStateMode::Automatic {
            return;
        }
        let before = std::mem::replace(&mut self.life.app, app);
        match (before, app) {
            (AppState::Foreground, AppState::Background) => self.extend_background(now),
            (AppState::Background, AppState::Foreground) => {
                self.life.rests_at = Time::MAX;
                if std::mem::take(&mut self.life.rests) {
                    self.attempt_soon(now);
                }
            }
            (AppState::Foreground, AppState::Foreground)
            | (AppState::Background, AppState::Background) => {}
        }
    }

    /// The connection is wanted for another grace, if the application is in the background.
    pub(super) fn extend_background(&mut self, now: Time) {
        if self.life.app == AppState::Background {
            self.life.rests_at = now + self.config.background_grace;
        }
    }

    /// The application has connected by hand.
    pub(super) fn wake_up(&mut self, now: Time) {
        self.life.rests = false;
        self.extend_background(now);
    }

    pub(super) fn network(&mut self, now: Time, hint: NetworkHint) {
        if self.side == Side::Server {
            return;
        }
        match &self.state {
            State::Open => {
                if let Some(token) = self.pulse.ping_early(now) {
                    self.control.ping = Some(token);
                }
            }
            // Its next attempt is the foreground's.
            State::Waiting { .. } if self.life.rests => {}
            State::Waiting { .. } if hint != NetworkHint::Offline => self.attempt_soon(now),
            // An attempt under way may have begun on the new network: it is left alone, and the next one comes soon.
            State::Connecting { .. } | State::Greeting { .. } if hint != NetworkHint::Offline => {
                self.outage.reset();
            }
            State::Closed
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::Authenticating { .. }
            | State::Closing(_)
            | State::Waiting { .. } => {}
        }
    }

    /// Tries again at once with the back-off at its start, or as soon as the server wants to be tried.
    fn attempt_soon(&mut self, now: Time) {
        if !matches!(self.state, State::Waiting { .. }) {
            return;
        }
        self.outage.reset();
        let until = self.outage.not_before();
        if until > now {
            self.state = State::Waiting { until };
        } else {
            self.attempt(now);
        }
    }

    /// When the background closes the connection, where there is something to close.
    pub(super) const fn life_deadline(&self) -> Time {
        match &self.state {
            // What closes is waited for, and looked at anew when it comes back.
            State::Closed | State::Closing(_) => Time::MAX,
            _ => self.life.rests_at,
        }
    }

    /// Closes the connection if it has been in the background for too long. It then waits for the foreground: its server
    /// sees a lost link, and keeps the session.
    pub(super) fn tick_life(&mut self, now: Time) {
        if now < self.life_deadline() {
            return;
        }
        self.life.rests_at = Time::MAX;
        self.life.rests = true;
        match &self.state {
            State::Open => self.finish(now, Ending::resting(Reason::TransportClose)),
            State::Connecting { .. } | State::Greeting { .. } => {
                self.outputs.push_back(Output::DropLink);
                self.control = Default::default();
                self.state = State::Waiting { until: Time::MAX };
            }
            State::Waiting { .. } => self.state = State::Waiting { until: Time::MAX },
            State::Closed | State::Authenticating { .. } | State::Closing(_) => {}
        }
    }
}
