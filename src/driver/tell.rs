//! What the application is told, and who is woken for it.

use std::time::Duration;

use moorline_core::Status;
use moorline_core::machine::{Failure, Input};

use super::{Driver, Role};
use crate::sync::lock;
use crate::{ConnectError, Event, Recovery};

impl<R: Role> Driver<R> {
    /// Tells of a change of status before the event that goes with it.
    pub(super) fn note_status(&mut self) {
        let status = self.machine.status();
        if status == self.status || (status == Status::Closed && self.connect_after) {
            return;
        }
        self.status = status;
        if let Some(codec) = self.machine.codec() {
            self.shared.codec.get_or_init(|| codec.clone());
        }
        let mut state = lock(&self.shared.state);
        // A server's handle keeps its id while its client is away.
        if status != Status::Connecting || self.machine.id().is_none() {
            state.id = self.machine.id().cloned();
        }
        state.session = self.machine.session().map(str::to_owned);
        state.max_frame = self.machine.max_frame();
        self.wakes.extend(state.publish(status, self.machine.counts()).into_iter().flatten());
        state.returns = self.machine.can_resume();
        state.closes_to_come_back = self.machine.closes_to_come_back();
        drop(state);
        self.show_status(status);
    }

    /// Tells of an event, whatever waits.
    pub(super) fn tell_event(&mut self, mut event: Event) {
        match &mut event {
            Event::Connect(connected) => {
                let mut state = lock(&self.shared.state);
                state.opens += 1;
                // A server's own were told to the client, not by it: they may have changed meanwhile.
                if state.opens == 1 || !self.role.ends_when_closed() {
                    state.properties.clone_from(&connected.properties);
                }
                state.throttled.clear();
            }
            Event::Throttled(features) => {
                lock(&self.shared.state).throttled.clone_from(features);
            }
            // Messages that were accepted in the meantime did not reach the machine.
            Event::Disconnect(end) if !(end.reconnects && self.machine.keeps_messages()) => {
                let dropped = lock(&self.shared.state).drop_sends();
                end.unsent += dropped.len() as u64;
            }
            _ => {}
        }
        if matches!(event, Event::Disconnect(_)) {
            lock(&self.shared.state).throttled.clear();
        }
        self.role.before(&self.shared, &event);
        if let Some(hook) = self.role.take_hook() {
            self.hook = Some(hook);
            self.hook_woken = true;
        }
        if matches!(event, Event::Recovery(Recovery::Gap { .. })) {
            self.role.missed();
            self.restates = true;
        }
        lock(&self.shared.delivery).dispatch(event, &mut self.wakes);
    }

    pub(super) fn answer_pingers(&mut self, time: Option<Duration>) {
        let mut state = lock(&self.shared.state);
        state.round_trips += 1;
        state.round_trip = time;
        self.wakes.extend(state.pingers.first());
    }

    pub(super) fn closed(&mut self, failure: Option<Failure>) {
        if std::mem::take(&mut self.connect_after) {
            return self.tell(Input::Connect);
        }
        self.close_role();
        let failure = failure.map_or(ConnectError::Disconnected, ConnectError::from);
        let mut state = lock(&self.shared.state);
        state.failure = Some(failure);
        self.wakes.extend(state.openers.first());
    }

    /// Tells where the machine stands. Whether there is something new to do for it.
    pub(super) fn publish(&mut self) -> bool {
        let (status, counts) = (self.machine.status(), self.machine.counts());
        let outcomes = self.machine.take_outcomes();
        let mut state = lock(&self.shared.state);
        let wakes = state.publish(status, counts);
        state.returns = self.machine.can_resume();
        state.closes_to_come_back = self.machine.closes_to_come_back();
        if let Some(outcomes) = outcomes {
            state.outcomes.note(outcomes);
            if !state.receipts.is_empty() {
                self.wakes.extend(state.receipts.all());
            }
        }
        let asked = state.end_turn();
        drop(state);
        if counts.kept() != self.kept {
            self.kept = counts.kept();
            self.role.keeps(self.kept);
        }
        if counts.lost > self.lost {
            self.lost = counts.lost;
            self.role.lost();
        }
        for waker in wakes.into_iter().flatten().chain(self.wakes.drain(..)) {
            // The hook waits in this task, and is polled next.
            if self.hook.is_some() && waker.will_wake(&self.parts.hook) {
                self.hook_woken = true;
            } else {
                waker.wake();
            }
        }
        asked || (self.hook_woken && self.hook.is_some())
    }
}
