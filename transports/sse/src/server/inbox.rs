//! What has come up for a link, and has not been taken.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::Shared;

/// How many POSTs of one link may be under way: one, and the same once more from a client whose connection has broken, or the last
/// one of a page that is being closed.
const AT_ONCE: usize = 2;

/// How many connections of one link are kept for further POSTs: more than a client has, since one that is dropped is noticed late.
const KEPT: usize = 6;

/// How much may wait to be taken: beyond it the next POST is not answered until there is room.
const ROOM: usize = 64 * 1024;

/// What a batch takes beside its bytes.
const OVERHEAD: usize = 128;

/// Batches in their order, each once.
pub(crate) struct Inbox {
    state: Mutex<State>,
    ended: Shared<oneshot::Receiver<()>>,
}

struct State {
    /// The number of the batch that comes next.
    next: u64,
    batches: VecDeque<Bytes>,
    /// Their size.
    size: usize,
    /// The link lives while this does.
    life: Option<oneshot::Sender<()>>,
    under_way: usize,
    /// Connections that are kept for further POSTs.
    kept: usize,
    receiver: Option<Waker>,
    /// Who waits for room.
    waiting: Vec<Waker>,
}

/// Why a batch is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The one before it has not come.
    Early { expected: u64 },
    /// The link has ended.
    Over,
}

impl Inbox {
    /// With the batch that came with the first POST.
    pub(crate) fn new(first: Bytes) -> Arc<Self> {
        let (life, ended) = oneshot::channel();
        let state = State {
            next: 1,
            size: size(&first),
            batches: [first].into(),
            life: Some(life),
            under_way: 0,
            kept: 0,
            receiver: None,
            waiting: Vec::new(),
        };
        Arc::new(Self { state: Mutex::new(state), ended: ended.shared() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a batch in when it is its turn and there is room. One that has been put in before is not again; one that is due after
    /// the next waits for that until `late`.
    pub(crate) async fn put(
        &self,
        number: u64,
        batch: Bytes,
        late: impl Future<Output = ()>,
    ) -> Result<(), Refused> {
        let mut late = pin!(late);
        let mut batch = Some(batch);
        poll_fn(|context| {
            let is_late = late.as_mut().poll(context).is_ready();
            let mut state = self.lock();
            if state.life.is_none() {
                return Poll::Ready(Err(Refused::Over));
            }
            let expected = state.next;
            if number < expected {
                return Poll::Ready(Ok(()));
            }
            // The one before it may be under way: a page that is closed does not wait for its answer.
            if number > expected && (number - expected > 1 || is_late) {
                return Poll::Ready(Err(Refused::Early { expected }));
            }
            if number > expected || state.size >= ROOM {
                if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.waiting.push(context.waker().clone());
                }
                return Poll::Pending;
            }
            let Some(batch) = batch.take() else { return Poll::Ready(Ok(())) };
            state.size += size(&batch);
            state.batches.push_back(batch);
            state.next += 1;
            let wakers = state.receiver.take().into_iter().chain(state.waiting.drain(..));
            let wakers: Vec<_> = wakers.collect();
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// The next batch.
    pub(crate) fn poll_take(&self, context: &mut Context<'_>) -> Poll<Bytes> {
        let mut state = self.lock();
        let Some(batch) = state.batches.pop_front() else {
            state.receiver = Some(context.waker().clone());
            return Poll::Pending;
        };
        state.size -= size(&batch);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        Poll::Ready(batch)
    }

    /// Ends the link: nothing is taken any more.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        let (life, waiting) = (state.life.take(), std::mem::take(&mut state.waiting));
        (state.batches, state.size) = (VecDeque::new(), 0);
        drop(state);
        // Wakes those who wait for the end.
        drop(life);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether a batch after the first POST's has been put in.
    pub(crate) fn has_begun(&self) -> bool {
        self.lock().next > 1
    }

    /// Waits for the link's end.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.ended.clone().map(|_| ())
    }
}

fn size(batch: &Bytes) -> usize {
    batch.len() + OVERHEAD
}

/// A POST that is being read, or answered.
pub(crate) struct UnderWay(Arc<Inbox>);

impl UnderWay {
    /// `None` while too many are under way.
    pub(crate) fn begin(inbox: &Arc<Inbox>) -> Option<Self> {
        let mut state = inbox.lock();
        if state.under_way >= AT_ONCE {
            return None;
        }
        state.under_way += 1;
        drop(state);
        Some(Self(inbox.clone()))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}

/// A connection that is kept for further POSTs.
pub(crate) struct Kept(Arc<Inbox>);

impl Kept {
    /// `None` while enough are kept.
    pub(crate) fn new(inbox: &Arc<Inbox>) -> Option<Self> {
        let mut state = inbox.lock();
        if state.kept >= KEPT {
            return None;
        }
        state.kept += 1;
        drop(state);
        Some(Self(inbox.clone()))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.lock().kept -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::task::Context;

    use super::*;

    fn take(inbox: &Inbox) -> Option<Bytes> {
        match inbox.poll_take(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(batch) => Some(batch),
            Poll::Pending => None,
        }
    }

    fn put(inbox: &Inbox, number: u64, batch: &'static str) -> Option<Result<(), Refused>> {
        inbox.put(number, batch.into(), ready(())).now_or_never()
    }

    #[test]
    fn a_batch_is_taken_in_its_turn_and_once() {
        let inbox = Inbox::new("hello".into());
        assert_eq!(take(&inbox).as_deref(), Some(&b"hello"[..]));
        assert_eq!(put(&inbox, 2, "two"), Some(Err(Refused::Early { expected: 1 })));
        assert_eq!(put(&inbox, 1, "one"), Some(Ok(())));
        assert_eq!(put(&inbox, 1, "one"), Some(Ok(())));
        assert_eq!(take(&inbox).as_deref(), Some(&b"one"[..]));
        assert_eq!(put(&inbox, 1, "one"), Some(Ok(())));
        assert_eq!(take(&inbox), None);
    }

    #[test]
    fn a_batch_waits_for_room() {
        let inbox = Inbox::new(vec![b'0'; ROOM].into());
        let (mut one, mut same) = (
            Box::pin(inbox.put(1, "one".into(), pending())),
            Box::pin(inbox.put(1, "one".into(), pending())),
        );
        assert_eq!((&mut one).now_or_never(), None);
        assert_eq!((&mut same).now_or_never(), None);
        assert_eq!(take(&inbox).map(|batch| batch.len()), Some(ROOM));
        assert_eq!(one.now_or_never(), Some(Ok(())));
        assert_eq!(same.now_or_never(), Some(Ok(())));
        assert_eq!(take(&inbox).as_deref(), Some(&b"one"[..]));
        assert_eq!(take(&inbox), None);
    }

    #[test]
    fn a_batch_waits_for_the_one_before_it_and_for_no_other() {
        let inbox = Inbox::new(Bytes::new());
        take(&inbox);
        let mut two = Box::pin(inbox.put(2, "two".into(), pending()));
        assert_eq!((&mut two).now_or_never(), None);
        assert_eq!(put(&inbox, 1, "one"), Some(Ok(())));
        assert_eq!(two.now_or_never(), Some(Ok(())));
        assert_eq!(take(&inbox).as_deref(), Some(&b"one"[..]));
        assert_eq!(take(&inbox).as_deref(), Some(&b"two"[..]));
        let five = inbox.put(5, "five".into(), pending()).now_or_never();
        assert_eq!(five, Some(Err(Refused::Early { expected: 3 })));
        assert_eq!(put(&inbox, 4, "four"), Some(Err(Refused::Early { expected: 3 })));
    }

    #[test]
    fn nothing_is_taken_after_the_end() {
        let inbox = Inbox::new(vec![b'0'; ROOM].into());
        let mut waiting = Box::pin(inbox.put(1, "one".into(), pending()));
        assert_eq!((&mut waiting).now_or_never(), None);
        assert_eq!(inbox.ended().now_or_never(), None);
        inbox.end();
        assert_eq!(inbox.ended().now_or_never(), Some(()));
        assert_eq!(waiting.now_or_never(), Some(Err(Refused::Over)));
        assert_eq!(take(&inbox), None);
    }
}
