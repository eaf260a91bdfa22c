//! One direction of a link: a bounded queue of frames with one sender and one receiver.
//!
//! Everything is under one lock, which is never held while a waker is called or a frame dropped: both
//! run code of others.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use moorline_core::{CloseFrame, Frame, Incoming, Time, TransportError, TransportErrorKind};

use crate::fault::{Trip, Verdict};
use crate::pace::Pace;

/// What a frame costs besides its payload: its place in the queue, rounded up to a cache line.
/// Without it empty frames would cost nothing, and a queue of them would have no bound.
pub(crate) const FRAME_OVERHEAD: usize = 64;

/// How many places a queue keeps when it runs empty: a usual batch, in 3.5 KiB. More is given back,
/// so that a burst does not stay in memory for as long as its link lives.
const KEPT_PLACES: usize = 64;

/// How many answers to pings wait for a receiver that does not read. Further pings are answered by
/// those: they prove the same.
const MAX_PONGS: usize = 16;

/// The time of arrival of what has vanished.
pub(crate) const NEVER: Time = Time::MAX;

/// One direction of a link.
pub(crate) struct Pipe(Mutex<State>);

struct State {
    queue: VecDeque<Queued>,
    /// What stands in the queue, in bytes with overhead.
    cost: usize,
    capacity: usize,
    max_frame: usize,
    /// Comes after everything in the queue.
    ending: Option<Ending>,
    /// When answers to pings of the *receiving* side arrive. They stand beside the queue, since they
    /// neither need room nor wait for the application.
    pongs: VecDeque<Time>,
    /// Why the link broke.
    broken: Option<&'static str>,
    receiver_gone: bool,
    /// Nothing gets through for now, and neither end is told.
    held: bool,
    /// What is sent vanishes from now on, and nobody is told.
    lost: bool,
    /// The other direction is lost: the sender here does not hear that the receiver has gone.
    replies_lost: bool,
    pace: Pace,
    trip: Option<Arc<Trip>>,
    reading: Option<Waker>,
    writing: Option<Writing>,
}

struct Queued {
    at: Time,
    frame: Frame,
}

struct Ending {
    at: Time,
    /// `None` is an end without a close.
    close: Option<CloseFrame>,
}

/// A sender that waits for room.
struct Writing {
    waker: Waker,
    cost: usize,
}

/// How a pipe begins.
pub(crate) struct Start {
    pub(crate) capacity: usize,
    pub(crate) max_frame: usize,
    pub(crate) pace: Pace,
    pub(crate) trip: Option<Arc<Trip>>,
    pub(crate) lost: bool,
}

/// What the receiver finds.
pub(crate) enum Taken {
    Incoming(Incoming),
    /// A frame after which the link is to break.
    Last(Frame),
    /// The link is to break in place of the next frame.
    BreakHere,
    End,
    Failed(TransportError),
    /// Nothing before that time, [`NEVER`] included; the waker is registered.
    Wait(Time),
}

/// What is left to do once the locks are open.
#[derive(Default)]
pub(crate) struct Aftermath {
    wakers: Vec<Waker>,
    wrecks: Vec<VecDeque<Queued>>,
}

impl Aftermath {
    pub(crate) fn wake(&mut self, waker: Option<Waker>) {
        self.wakers.extend(waker);
    }

    /// Wakes and drops. No lock may be held.
    pub(crate) fn settle(self) {
        drop(self.wrecks);
        for waker in self.wakers {
            waker.wake();
        }
    }
}

/// The sender's end.
impl Pipe {
    pub(crate) fn new(start: Start) -> Self {
        let Start { capacity, max_frame, pace, trip, lost } = start;
        Self(Mutex::new(State {
            queue: VecDeque::new(),
            cost: 0,
            capacity,
            max_frame,
            ending: None,
            pongs: VecDeque::new(),
            broken: None,
            receiver_gone: false,
            held: false,
            lost,
            replies_lost: false,
            pace,
            trip,
            reading: None,
            writing: None,
        }))
    }

    /// Takes the frame out of the option once there is room.
    pub(crate) fn poll_send(
        &self,
        context: &Context<'_>,
        now: Option<Time>,
        slot: &mut Option<Frame>,
    ) -> Poll<Result<(), TransportError>> {
        let Some(length) = slot.as_ref().map(Frame::len) else { return Poll::Ready(Ok(())) };
        let mut state = self.lock();
        if let Err(error) = state.may_send() {
            return Poll::Ready(Err(error));
        }
        if state.lost {
            drop(state);
            *slot = None;
            return Poll::Ready(Ok(()));
        }
        let cost = length.saturating_add(FRAME_OVERHEAD);
        if !state.has_room(cost) {
            let old = state.writing.replace(Writing { waker: context.waker().clone(), cost });
            drop(state);
            drop(old);
            return Poll::Pending;
        }
        let at = state.pace.arrival(now, length);
        // A receiver that waits while the queue has frames waits for the time of the first one.
        let reading = if state.queue.is_empty() { state.reading.take() } else { None };
        if let Some(frame) = slot.take() {
            state.cost += cost;
            state.queue.push_back(Queued { at, frame });
        }
        drop(state);
        if let Some(waker) = reading {
            waker.wake();
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the queue with a close. It needs no room: it is one, and the last.
    pub(crate) fn close(&self, now: Option<Time>, close: CloseFrame) -> Result<(), TransportError> {
        let mut state = self.lock();
        state.may_send()?;
        let reading = state.end(now, Some(close));
        drop(state);
        if let Some(waker) = reading {
            waker.wake();
        }
        Ok(())
    }

    /// Sends a ping off. Gives the time at which the other end answers it; `None` when it vanishes.
    pub(crate) fn ping(&self, now: Option<Time>) -> Result<Option<Time>, TransportError> {
        let mut state = self.lock();
        state.may_send()?;
        if state.lost {
            return Ok(None);
        }
        Ok(Some(now.map_or(Time::ZERO, |now| state.pace.travel(now))))
    }

    /// Puts the answer to a ping on its way, sent off at `at`.
    pub(crate) fn pong(&self, timed: bool, at: Time) {
        let mut state = self.lock();
        if state.lost || state.broken.is_some() || state.pongs.len() >= MAX_PONGS {
            return;
        }
        let at = if timed { state.pace.travel(at) } else { at };
        let at = state.pongs.back().map_or(at, |&last| at.max(last));
        state.pongs.push_back(at);
        let reading = state.reading.take();
        drop(state);
        if let Some(waker) = reading {
            waker.wake();
        }
    }

    /// The sender is dropped: the receiver finds the end after what has been sent.
    pub(crate) fn drop_sender(&self, now: Option<Time>) {
        let mut state = self.lock();
        let writing = state.writing.take();
        let reading = if state.ending.is_none() { state.end(now, None) } else { None };
        drop(state);
        drop(writing);
        if let Some(waker) = reading {
            waker.wake();
        }
    }
}

/// The receiver's end.
impl Pipe {
    /// Takes what comes next.
    pub(crate) fn take(&self, context: &Context<'_>, now: Option<Time>) -> Taken {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(why) = state.broken {
            return Taken::Failed(broken(why));
        }
        if state.receiver_gone {
            return Taken::Failed(TransportError::closed());
        }
        let mut next = NEVER;
        if !state.held {
            let due = |at: Time| at == Time::ZERO || now.is_some_and(|now| at <= now);
            match state.pongs.front() {
                Some(&at) if due(at) => {
                    state.pongs.pop_front();
                    return Taken::Incoming(Incoming::Activity);
                }
                Some(&at) => next = at,
                None => {}
            }
            match (state.queue.front(), &mut state.ending) {
                (Some(first), _) if due(first.at) => return self.take_frame(guard),
                (Some(first), _) => next = next.min(first.at),
                (None, Some(ending)) if due(ending.at) => {
                    // After the close there is an end for whoever asks again.
                    return match ending.close.take() {
                        Some(close) => Taken::Incoming(Incoming::Close(close)),
                        None => Taken::End,
                    };
                }
                (None, Some(ending)) => next = next.min(ending.at),
                (None, None) => {}
            }
        }
        let old = state.wait_for_reading(context);
        drop(guard);
        drop(old);
        Taken::Wait(next)
    }

    /// Takes the first frame, which is due.
    fn take_frame(&self, mut state: MutexGuard<'_, State>) -> Taken {
        let verdict = state.trip.as_ref().map_or(Verdict::Pass, |trip| trip.count());
        if verdict == Verdict::BreakInstead {
            return Taken::BreakHere;
        }
        let first = state.queue.pop_front();
        let frame = first.expect("the caller has seen it under this lock").frame;
        if frame.len() > state.max_frame {
            let error = TransportError::too_large(frame.len(), state.max_frame);
            // The stream cannot go on without this frame: for the sender the receiver is gone.
            let mut after = Aftermath::default();
            state.receiver_gone = true;
            state.discard(&mut after);
            drop(state);
            after.settle();
            return Taken::Failed(error);
        }
        state.cost -= frame.len().saturating_add(FRAME_OVERHEAD);
        if state.queue.is_empty() && state.queue.capacity() > KEPT_PLACES {
            state.queue.shrink_to(KEPT_PLACES);
        }
        let writing = state.writer_with_room();
        drop(state);
        if let Some(waker) = writing {
            waker.wake();
        }
        if verdict == Verdict::BreakAfter {
            return Taken::Last(frame);
        }
        Taken::Incoming(Incoming::Frame(frame))
    }

    /// Waits until the link has broken or the sender has ended, whatever is still in the queue.
    pub(crate) fn poll_over(&self, context: &Context<'_>) -> Poll<TransportError> {
        let mut state = self.lock();
        if let Some(error) = state.why_over() {
            return Poll::Ready(error);
        }
        let old = state.wait_for_reading(context);
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// Fails when the link has broken.
    pub(crate) fn check(&self) -> Result<(), TransportError> {
        self.lock().broken.map_or(Ok(()), |why| Err(broken(why)))
    }

    /// The receiver is dropped: the sender finds the link closed, and nothing is kept.
    pub(crate) fn drop_receiver(&self) {
        let mut after = Aftermath::default();
        let mut state = self.lock();
        state.receiver_gone = true;
        state.lost |= state.replies_lost;
        let reading = state.reading.take();
        state.discard(&mut after);
        drop(state);
        drop(reading);
        after.settle();
    }
}

/// The network's faults. The network's own lock may be held.
impl Pipe {
    pub(crate) fn break_off(&self, why: &'static str, after: &mut Aftermath) {
        let mut state = self.lock();
        if state.broken.is_none() {
            state.broken = Some(why);
            state.discard(after);
            after.wake(state.reading.take());
        }
    }

    /// Whether both ends are there and the link has not broken.
    pub(crate) fn is_whole(&self) -> bool {
        let state = self.lock();
        state.broken.is_none() && !state.receiver_gone && state.ending.is_none()
    }

    pub(crate) fn hold(&self) {
        self.lock().held = true;
    }

    /// Lifts what can be lifted. A direction that has been lost stays lost.
    pub(crate) fn heal(&self, now: Time, after: &mut Aftermath) {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.held = false;
        state.trip = None;
        if let Some(latest) = state.pace.unlimit(now) {
            for queued in &mut state.queue {
                queued.at = queued.at.min(latest);
            }
            if let Some(ending) = state.ending.as_mut().filter(|ending| ending.at != NEVER) {
                ending.at = ending.at.min(latest);
            }
        }
        if state.receiver_gone {
            state.discard(after);
        }
        after.wake(state.reading.take());
    }

    pub(crate) fn lose(&self, after: &mut Aftermath) {
        let mut state = self.lock();
        state.lost = true;
        after.wake(state.writing.take().map(|writing| writing.waker));
    }

    pub(crate) fn lose_replies(&self) {
        let mut state = self.lock();
        state.replies_lost = true;
        state.lost |= state.receiver_gone;
    }

    pub(crate) fn limit(&self, bandwidth: u64) {
        self.lock().pace.limit(bandwidth);
    }

    pub(crate) fn arm(&self, trip: Arc<Trip>) {
        self.lock().trip = Some(trip);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_send(&self) -> Result<(), TransportError> {
        if let Some(why) = self.broken {
            return Err(broken(why));
        }
        let told = self.receiver_gone && !self.held && !self.replies_lost;
        if told || self.ending.is_some() { Err(TransportError::closed()) } else { Ok(()) }
    }

    /// An empty queue has room for any frame, or one larger than the capacity would wait for ever.
    fn has_room(&self, cost: usize) -> bool {
        self.queue.is_empty() || self.cost.saturating_add(cost) <= self.capacity
    }

    fn end(&mut self, now: Option<Time>, close: Option<CloseFrame>) -> Option<Waker> {
        // In a lost direction nobody hears of the end either; the sender is over all the same.
        let at = if self.lost { NEVER } else { self.pace.arrival(now, 0) };
        self.ending = Some(Ending { at, close });
        self.reading.take()
    }

    fn why_over(&self) -> Option<TransportError> {
        if let Some(why) = self.broken {
            return Some(broken(why));
        }
        let ended = self.ending.as_ref().is_some_and(|ending| ending.at != NEVER);
        (ended && !self.held).then(TransportError::closed)
    }

    /// Gives the waker to drop once the lock is open.
    fn wait_for_reading(&mut self, context: &Context<'_>) -> Option<Waker> {
        match &self.reading {
            Some(waker) if waker.will_wake(context.waker()) => None,
            _ => self.reading.replace(context.waker().clone()),
        }
    }

    /// The waiting sender, if its frame has room now. One that has none sleeps on.
    fn writer_with_room(&mut self) -> Option<Waker> {
        let cost = self.writing.as_ref()?.cost;
        if self.has_room(cost) { self.writing.take().map(|writing| writing.waker) } else { None }
    }

    /// Throws away what is on its way, and wakes the sender.
    fn discard(&mut self, after: &mut Aftermath) {
        self.cost = 0;
        self.pongs = VecDeque::new();
        after.wrecks.push(mem::take(&mut self.queue));
        after.wake(self.writing.take().map(|writing| writing.waker));
    }
}

fn broken(why: &'static str) -> TransportError {
    TransportError::new(TransportErrorKind::Broken, why)
}
