//! A connection that opens itself at its first use (R2).

use std::task::Waker;

use crate::Handle;
use crate::shared::{Command, State};
use crate::sync::lock;

/// How far a lazy connection is on the way to its first open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lazy {
    /// It is not lazy, or not any more: it was opened, or disconnected, by hand.
    #[default]
    No,
    /// It is closed until it is used.
    Asleep,
    /// A first use opens it. What is sent waits for that, also where nothing is buffered.
    Opening,
}

impl Handle {
    /// Opens the connection if it is a lazy one that has not been used. Whatever uses a connection calls this first, and
    /// then does what it would do while it connects.
    #[inline]
    pub(crate) fn open_if_lazy(&self) {
        // Others do not pay for it with a lock.
        if self.config().lazy {
            self.open_asleep();
        }
    }

    fn open_asleep(&self) {
        let mut state = lock(&self.shared.state);
        if state.lazy != Lazy::Asleep || state.driver_gone {
            return;
        }
        let waker = state.command(Command::Connect);
        state.lazy = Lazy::Opening;
        lock(&self.shared.delivery).begin_connecting();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// A connection that was never used is disconnected: it stays closed (R6).
    pub(super) fn stay_closed(&self) {
        let mut wakes = Vec::new();
        let mut state = lock(&self.shared.state);
        if state.lazy != Lazy::Asleep {
            return;
        }
        state.lazy = Lazy::No;
        wakes.extend(state.openers.first());
        lock(&self.shared.delivery).stay_closed(&mut wakes);
        drop(state);
        wakes.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Whether a message that is sent now waits until the first use has opened the connection.
    pub(crate) fn opens_lazily(&self) -> bool {
        let on_the_way = self.status == crate::Status::Connecting && !self.driver_gone;
        self.lazy == Lazy::Opening && on_the_way
    }
}
