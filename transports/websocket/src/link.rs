//! What the two halves of a link share: the socket, and what waits to be written.
//!
//! Both halves write, since the receiver answers pings and closes. The lock is held for as long as one call to the socket
//! takes, which never blocks; nobody waits for anything while holding it. Reads so go on while a write is stuck.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_io::{AsyncRead, AsyncWrite};

use crate::decoder::Role;
use crate::outbox::Outbox;

/// Which half it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Sender,
    Receiver,
}

pub(crate) struct Link<S>(Mutex<Shared<S>>);

pub(crate) struct Shared<S> {
    pub(crate) stream: S,
    pub(crate) outbox: Outbox,
    /// Writing has failed.
    broken: bool,
    /// Those who wait to write, once somebody does.
    waiting: Option<Arc<Waiting>>,
}

impl<S> Link<S> {
    pub(crate) fn new(stream: S, role: Role) -> Arc<Self> {
        let outbox = Outbox::new(role);
        Arc::new(Self(Mutex::new(Shared { stream, outbox, broken: false, waiting: None })))
    }

    /// Nothing that runs under the lock leaves it half done, so a panic of a stream's says nothing about it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Writes everything, and flushes.
    pub(crate) async fn flush(&self, side: Side) -> io::Result<()> {
        poll_fn(|context| self.lock().poll_flush(side, context)).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shared<S> {
    /// Fails when writing has.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.broken { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Writes everything.
    pub(crate) fn poll_write(
        &mut self,
        side: Side,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        if self.outbox.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut polled = match &self.waiting {
            Some(_) => Poll::Pending,
            None => self.outbox.poll_write(&mut self.stream, context),
        };
        if polled.is_pending() {
            // A socket knows one waker that waits to write. Both halves may, in two tasks.
            let waiting = self.waiting.get_or_insert_default();
            waiting.register(side, context.waker());
            let both = Waker::from(waiting.clone());
            polled = self.outbox.poll_write(&mut self.stream, &mut Context::from_waker(&both));
        }
        if polled.is_ready() {
            // What this half has written, the other one may have waited for.
            if let Some(waiting) = self.waiting.take() {
                waiting.wake_by_ref();
            }
        }
        if let Poll::Ready(Err(_)) = &polled {
            self.broken = true;
            self.outbox.abandon();
        }
        polled
    }

    /// Writes everything, and flushes.
    pub(crate) fn poll_flush(
        &mut self,
        side: Side,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self.poll_write(side, context) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_flush(context),
            other => other,
        }
    }
}

/// Those who wait until the socket takes more.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<[Option<Waker>; 2]>);

impl Waiting {
    fn register(&self, side: Side, waker: &Waker) {
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut wakers[side as usize] {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = {
            let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *wakers)
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}
