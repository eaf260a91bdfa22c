//! Waiting for a state behind a mutex, first come, first served.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Locks, also after a panic: no code of the user's runs under a lock of moorline's, so the state is
/// whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes whoever is to be woken, once the lock is released.
pub(crate) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Who waits, in order.
#[derive(Default)]
pub(crate) struct WaitList {
    next_ticket: u64,
    /// Without a waker: woken already, and to look by itself.
    waiting: VecDeque<(u64, Option<Waker>)>,
}

impl WaitList {
    /// All who wait, to be woken once the lock is released: for those of [`wait_for`].
    pub(crate) fn all(&mut self) -> Vec<Waker> {
        self.waiting.iter_mut().filter_map(|(_, waker)| waker.take()).collect()
    }

    /// The first in line, to be woken once the lock is released. It passes the turn on by itself.
    pub(crate) fn first(&mut self) -> Option<Waker> {
        self.waiting.front_mut().and_then(|(_, waker)| waker.take())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn join(&mut self, waker: &Waker) -> u64 {
        self.next_ticket += 1;
        self.waiting.push_back((self.next_ticket, Some(waker.clone())));
        self.next_ticket
    }

    /// Goes on waiting.
    fn stay(&mut self, ticket: u64, waker: &Waker) {
        let own = self.waiting.iter_mut().find(|(other, _)| *other == ticket);
        match own {
            Some((_, Some(known))) => known.clone_from(waker),
            Some((_, woken)) => *woken = Some(waker.clone()),
            None => {}
        }
    }

    /// Leaves the line; who is first now, if that changed.
    fn leave(&mut self, ticket: u64) -> Option<Waker> {
        let at = self.waiting.iter().position(|(other, _)| *other == ticket)?;
        self.waiting.remove(at);
        if self.waiting.is_empty() {
            // Not to nothing: who waits once will wait again.
            self.waiting.shrink_to(4);
        }
        if at == 0 { self.first() } else { None }
    }
}

/// Waits in line until `ready` gives a value; who came first is asked first. Whoever changes the state so
/// that it might wakes [`WaitList::first`].
///
/// # Cancel safety
///
/// A future that is dropped leaves the line and passes its turn on.
pub(crate) fn wait_until<S, T, L, R>(
    mutex: &Mutex<S>,
    list: L,
    mut ready: R,
) -> impl Future<Output = T>
where
    L: Fn(&mut S) -> &mut WaitList,
    R: FnMut(&mut S) -> Option<T>,
{
    let mut place = Place::in_line(mutex, list);
    poll_fn(move |context| place.poll(context, &mut ready))
}

/// [`wait_until`] without a line, for waits for different things. Whoever changes the state wakes
/// [`WaitList::all`].
pub(crate) fn wait_for<S, T, L, R>(
    mutex: &Mutex<S>,
    list: L,
    mut ready: R,
) -> impl Future<Output = T>
where
    L: Fn(&mut S) -> &mut WaitList,
    R: FnMut(&mut S) -> Option<T>,
{
    let mut place = Place { mutex, list, ticket: None, in_line: false };
    poll_fn(move |context| place.poll(context, &mut ready))
}

/// A place in a [`WaitList`], which is left when this is dropped.
pub(crate) struct Place<'a, S, L: Fn(&mut S) -> &mut WaitList> {
    mutex: &'a Mutex<S>,
    list: L,
    ticket: Option<u64>,
    in_line: bool,
}

impl<'a, S, L: Fn(&mut S) -> &mut WaitList> Place<'a, S, L> {
    /// For what [`wait_until`] is too general for. Nobody is in the line before the first poll.
    pub(crate) const fn in_line(mutex: &'a Mutex<S>, list: L) -> Self {
        Self { mutex, list, ticket: None, in_line: true }
    }

    /// What `ready` gives, once it is this place's turn and there is something.
    #[inline]
    pub(crate) fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        ready: impl FnOnce(&mut S) -> Option<T>,
    ) -> Poll<T> {
        let mut state = lock(self.mutex);
        if self.is_first(&mut state) {
            if let Some(value) = ready(&mut state) {
                if let Some(ticket) = self.ticket.take() {
                    let next = (self.list)(&mut state).leave(ticket);
                    drop(state);
                    wake(next);
                }
                return Poll::Ready(value);
            }
        }
        let list = (self.list)(&mut state);
        match self.ticket {
            None => self.ticket = Some(list.join(context.waker())),
            Some(ticket) => list.stay(ticket, context.waker()),
        }
        Poll::Pending
    }

    #[cold]
    fn leave(&self, ticket: u64) {
        let next = (self.list)(&mut lock(self.mutex)).leave(ticket);
        wake(next);
    }

    fn is_first(&self, state: &mut S) -> bool {
        let list = (self.list)(state);
        match self.ticket {
            _ if !self.in_line => true,
            None => list.is_empty(),
            Some(ticket) => list.waiting.front().is_some_and(|(front, _)| *front == ticket),
        }
    }
}

impl<S, L: Fn(&mut S) -> &mut WaitList> Drop for Place<'_, S, L> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.leave(ticket);
        }
    }
}
