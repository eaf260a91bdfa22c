//! Waiting for a state behind a mutex, first come, first served.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Locks, also after a panic: no code of the user's runs under a lock of moorline's, so the state is
/// whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who waits, in order.
#[derive(Default)]
pub(crate) struct WaitList {
    next_ticket: u64,
    waiting: VecDeque<(u64, Waker)>,
}

impl WaitList {
    /// All who wait, to be woken once the lock is released: for those of [`wait_for`].
    pub(crate) fn all(&self) -> Vec<Waker> {
        self.waiting.iter().map(|(_, waker)| waker.clone()).collect()
    }

    /// The first in line, to be woken once the lock is released. It passes the turn on by itself.
    pub(crate) fn first(&self) -> Option<Waker> {
        self.waiting.front().map(|(_, waker)| waker.clone())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn join(&mut self, waker: &Waker) -> u64 {
        self.next_ticket += 1;
        self.waiting.push_back((self.next_ticket, waker.clone()));
        self.next_ticket
    }

    /// Leaves the line; who is first now, if that changed.
    fn leave(&mut self, ticket: u64) -> Option<Waker> {
        let at = self.waiting.iter().position(|(other, _)| *other == ticket)?;
        self.waiting.remove(at);
        if self.waiting.is_empty() {
            self.waiting.shrink_to(0);
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
pub(crate) fn wait_until<S, T, L, R>(mutex: &Mutex<S>, list: L, ready: R) -> WaitUntil<'_, S, L, R>
where
    L: Fn(&mut S) -> &mut WaitList,
    R: FnMut(&mut S) -> Option<T> + Unpin,
{
    WaitUntil { mutex, list, ready, ticket: None, in_line: true }
}

/// [`wait_until`] without a line, for waits for different things. Whoever changes the state wakes
/// [`WaitList::all`].
pub(crate) fn wait_for<S, T, L, R>(mutex: &Mutex<S>, list: L, ready: R) -> WaitUntil<'_, S, L, R>
where
    L: Fn(&mut S) -> &mut WaitList,
    R: FnMut(&mut S) -> Option<T> + Unpin,
{
    WaitUntil { mutex, list, ready, ticket: None, in_line: false }
}

/// See [`wait_until`].
pub(crate) struct WaitUntil<'a, S, L: Fn(&mut S) -> &mut WaitList, R> {
    mutex: &'a Mutex<S>,
    list: L,
    ready: R,
    ticket: Option<u64>,
    in_line: bool,
}

impl<S, T, L, R> Future for WaitUntil<'_, S, L, R>
where
    L: Fn(&mut S) -> &mut WaitList + Unpin,
    R: FnMut(&mut S) -> Option<T> + Unpin,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let mut state = lock(this.mutex);
        let list = (this.list)(&mut state);
        let first = match this.ticket {
            _ if !this.in_line => true,
            None => list.is_empty(),
            Some(ticket) => list.waiting.front().is_some_and(|(front, _)| *front == ticket),
        };
        if first {
            if let Some(value) = (this.ready)(&mut state) {
                let next = match this.ticket.take() {
                    Some(ticket) => (this.list)(&mut state).leave(ticket),
                    None => None,
                };
                drop(state);
                if let Some(waker) = next {
                    waker.wake();
                }
                return Poll::Ready(value);
            }
        }
        let list = (this.list)(&mut state);
        match this.ticket {
            None => this.ticket = Some(list.join(context.waker())),
            Some(ticket) => {
                let own = list.waiting.iter_mut().find(|(other, _)| *other == ticket);
                if let Some((_, waker)) = own {
                    waker.clone_from(context.waker());
                }
            }
        }
        Poll::Pending
    }
}

impl<S, L: Fn(&mut S) -> &mut WaitList, R> Drop for WaitUntil<'_, S, L, R> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let next = (self.list)(&mut lock(self.mutex)).leave(ticket);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}
