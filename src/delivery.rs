//! From the driver to the application: who gets a message or an event, and when it counts as taken.
//!
//! A message goes to the listeners that hear it, else to the inbox for `next_message`. It is taken when
//! its listeners have run, or when it was given out. All of it is behind one mutex, so that no
//! message falls between a listener that is being added and one that comes in.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;
use std::vec;

use moorline_core::machine::{Exchange, Received, Taken};
use moorline_core::{Config, Message, Time};

use crate::listeners::{Callback, Kind, Registry, Token};
use crate::requests::Requests;
use crate::streams::{EventQueue, StatusCell, weight};
use crate::sync::{WaitList, lock};
use crate::{Event, Status};

/// How many events may wait for the listeners, and no more than the window's bytes of them; messages
/// have the window to themselves. Past it the oldest are dropped, and told as [`Event::Lagged`].
const MAX_JOBS: usize = 1024;

/// See the [module](self).
pub(crate) struct Delivery {
    registry: Registry,
    inbox: VecDeque<Item>,
    /// Readers of the inbox.
    pub(crate) readers: WaitList,
    /// Somebody has ever read the inbox: what is in it will be taken some day.
    has_reader: bool,
    jobs: VecDeque<Job>,
    waiting_events: usize,
    waiting_bytes: usize,
    lagged: u64,
    worker: Worker,
    streams: Vec<Weak<Mutex<EventQueue>>>,
    statuses: Vec<Weak<Mutex<StatusCell>>>,
    /// Requests of both directions.
    pub(crate) requests: Requests,
    link: u32,
    session: u32,
    taken: Taken,
    /// What the driver knows to be taken.
    reported: Taken,
    /// The driver wants to be woken by the next message that is taken.
    driver_waits: bool,
    unheard: u64,
    status: Status,
    /// A lazy connection that was never used: there may be messages yet.
    asleep: bool,
    ended: bool,
    window: usize,
    held: usize,
    /// Messages that ever came.
    arrivals: u64,
}

/// A message that has not been taken.
pub(crate) struct Item {
    pub(crate) message: Message,
    /// Its place among all messages of the connection.
    number: u64,
    pub(crate) cost: usize,
    numbered: bool,
    /// The link that it came over, and the session: a later one does not acknowledge it.
    link: u32,
    session: u32,
    pub(crate) arrived: Time,
    /// An event stream has seen it.
    streamed: bool,
}

/// Something for the listeners' task.
enum Job {
    Event(Event),
    Message(Item),
    /// These, for what that message carries, or for what is known here; whatever else is listened for.
    Calls(Vec<Arc<Callback>>, Option<Item>),
}

/// A job with all that its listeners need.
pub(crate) struct Call {
    pub(crate) event: Event,
    /// The message that the event carries, to be counted as taken.
    pub(crate) item: Option<Item>,
    /// Messages went back to the inbox: the driver has to look at their expiry.
    pub(crate) gave_back: bool,
}

#[derive(Default)]
enum Worker {
    #[default]
    None,
    Busy,
    Idle(Waker),
}

impl Delivery {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            registry: Registry::default(),
            inbox: VecDeque::new(),
            readers: WaitList::default(),
            has_reader: false,
            jobs: VecDeque::new(),
            waiting_events: 0,
            waiting_bytes: 0,
            lagged: 0,
            worker: Worker::None,
            streams: Vec::new(),
            statuses: Vec::new(),
            requests: Requests::default(),
            link: 0,
            session: 0,
            taken: Taken::default(),
            reported: Taken::default(),
            driver_waits: false,
            unheard: 0,
            status: Status::Closed,
            asleep: config.lazy,
            ended: false,
            window: config.window,
            held: 0,
            arrivals: 0,
        }
    }

    // What the driver does.

    /// A new link has opened. It knows nothing of what was taken from the one before; unless it goes on with
    /// the session, which counts what is numbered.
    pub(crate) fn begin_link(&mut self, resumed: bool) {
        self.link = self.link.wrapping_add(1);
        if !resumed {
            self.session = self.session.wrapping_add(1);
            self.taken = Taken::default();
            self.reported = Taken::default();
        }
        for counted in [&mut self.taken, &mut self.reported] {
            counted.unnumbered = 0;
            counted.unnumbered_cost = 0;
        }
        self.driver_waits = false;
    }

    /// What was taken since the link began, if that is news. The driver is woken by the next message
    /// that is taken if it `waits` for one, else when a quarter of the window was.
    pub(crate) fn report_taken(&mut self, waits: bool) -> Option<Taken> {
        self.driver_waits = waits;
        (self.taken != self.reported).then(|| {
            self.reported = self.taken;
            self.taken
        })
    }

    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self.status, Status::Closed)
    }

    /// Messages dropped because nobody listened for them in time.
    pub(crate) const fn unheard(&self) -> u64 {
        self.unheard
    }

    /// Bytes of messages that have not been taken.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// The status has changed.
    pub(crate) fn set_status(&mut self, status: Status, wakes: &mut Vec<Waker>) {
        self.status = status;
        self.statuses.retain(|cell| {
            let Some(cell) = cell.upgrade() else { return false };
            wakes.extend(lock(&cell).set(status));
            true
        });
        wakes.extend(self.readers.first());
        self.dispatch(Event::Status(status), wakes);
    }

    /// Tells the application of an event. Those to be woken once the lock is released are added to
    /// `wakes`.
    pub(crate) fn dispatch(&mut self, event: Event, wakes: &mut Vec<Waker>) {
        self.push_to_streams(&event, wakes);
        if !self.registry.hear(&event) {
            return;
        }
        self.waiting_events += 1;
        self.waiting_bytes += weight(&event);
        self.push_job(Job::Event(event), wakes);
        while self.waiting_events > MAX_JOBS
            || (self.waiting_bytes > self.window && self.waiting_events > 1)
        {
            self.drop_oldest_event();
        }
    }

    /// Gives the application messages. What has to be dropped for it is added to `dropped`, to be dropped
    /// without the lock.
    pub(crate) fn deliver(
        &mut self,
        messages: vec::Drain<'_, Received>,
        now: Time,
        wakes: &mut Vec<Waker>,
        dropped: &mut Vec<Item>,
    ) {
        if self.only_inbox_hears(messages.as_slice()) {
            return self.put_into_inbox(messages, now, wakes);
        }
        for received in messages {
            let (item, exchange) = self.receive(received, now);
            self.hand_out(item, exchange, wakes, dropped);
        }
    }

    fn only_inbox_hears(&self, messages: &[Received]) -> bool {
        let plain = |message: &Received| matches!(message.exchange, Exchange::None);
        self.has_reader
            && self.streams.is_empty()
            && self.registry.is_empty()
            && messages.iter().all(plain)
    }

    /// The way of most messages, all at once.
    fn put_into_inbox(
        &mut self,
        messages: vec::Drain<'_, Received>,
        arrived: Time,
        wakes: &mut Vec<Waker>,
    ) {
        // With more than one in it, the first reader is awake already.
        if self.inbox.is_empty() {
            wakes.extend(self.readers.first());
        }
        let Self { link, session, held, arrivals, .. } = *self;
        let (mut held, mut number) = (held, arrivals);
        self.inbox.extend(messages.map(|received| {
            let Received { message, cost, numbered, .. } = received;
            held += cost;
            number += 1;
            Item { message, number, cost, numbered, link, session, arrived, streamed: false }
        }));
        (self.held, self.arrivals) = (held, number);
    }

    /// A message has come. It is held from now on, until it is [taken](Self::count_taken).
    pub(crate) fn receive(&mut self, received: Received, arrived: Time) -> (Item, Exchange) {
        let Received { message, exchange, cost, numbered } = received;
        self.held += cost;
        self.arrivals += 1;
        let (number, link, session) = (self.arrivals, self.link, self.session);
        (
            Item { message, number, cost, numbered, link, session, arrived, streamed: false },
            exchange,
        )
    }

    /// Gives a message to whom it is for. What has to be dropped for it is added to `dropped`, to be dropped without the
    /// lock.
    pub(crate) fn hand_out(
        &mut self,
        mut item: Item,
        exchange: Exchange,
        wakes: &mut Vec<Waker>,
        dropped: &mut Vec<Item>,
    ) {
        if !matches!(exchange, Exchange::None) {
            return self.hand_out_exchange(exchange, item, wakes);
        }
        item.streamed = !self.streams.is_empty()
            && self.push_to_streams(&Event::Message(item.message.clone()), wakes);
        if self.registry.hear_message(&item.message) {
            self.push_job(Job::Message(item), wakes);
        } else if self.has_reader || item.streamed || self.unheard == 0 {
            self.inbox.push_back(item);
            // With more than one in it, the first reader is awake already.
            if self.inbox.len() == 1 {
                wakes.extend(self.readers.first());
            }
            self.forget_streamed(dropped);
        } else {
            self.unheard += 1;
            self.count_taken(&item);
            dropped.push(item);
        }
    }

    /// A request goes to who answers, an answer to who has asked.
    fn hand_out_exchange(&mut self, exchange: Exchange, item: Item, wakes: &mut Vec<Waker>) {
        let answer = match exchange {
            Exchange::Request(id) => return self.requests.ask(id, item, wakes),
            Exchange::Response(id) => (id, Ok(item.message.clone())),
            Exchange::Failure(id, error) => (id, Err(*error)),
            // These are not for the application here.
            Exchange::None | Exchange::Publish(_) | Exchange::State(_) => {
                self.count_taken(&item);
                return;
            }
        };
        self.requests.answered(answer.0, answer.1, wakes);
        self.count_taken(&item);
    }

    /// Gives memory back after a burst.
    pub(crate) fn shrink(&mut self) {
        if self.inbox.is_empty() {
            self.inbox.shrink_to(4);
        }
    }

    /// Requests that nobody here answers, to be refused.
    pub(crate) fn take_unanswered(&mut self) -> Vec<u64> {
        let (ids, items) = self.requests.take_unanswered();
        for item in &items {
            self.count_taken(item);
        }
        ids
    }

    /// Messages that a stream has seen wait for a reader too, but not in more than half of the window: an
    /// application that reads streams alone does not stall its peer.
    fn forget_streamed(&mut self, dropped: &mut Vec<Item>) {
        while !self.has_reader && self.held * 2 > self.window {
            let Some(item) = self.inbox.pop_front() else { break };
            if !item.streamed {
                self.inbox.push_front(item);
                break;
            }
            self.count_taken(&item);
            dropped.push(item);
        }
    }

    /// When the oldest message that nobody listens for is too old.
    pub(crate) fn expiry(&self, config: &Config) -> Time {
        let message = match self.inbox.front() {
            Some(item) if !self.has_reader => item.arrived,
            _ => Time::MAX,
        };
        message.min(self.requests.waiting_since()) + config.unheard_after
    }

    /// Takes out what nobody has listened for in time, to be dropped without the lock.
    pub(crate) fn expire(
        &mut self,
        now: Time,
        config: &Config,
        wakes: &mut Vec<Waker>,
    ) -> Vec<Item> {
        let (before, mut dropped) = (self.unheard, Vec::new());
        self.requests.expire(now, config.unheard_after);
        while self.expiry(config) <= now {
            let Some(item) = self.inbox.pop_front() else { break };
            self.unheard += u64::from(!item.streamed);
            self.count_taken(&item);
            dropped.push(item);
        }
        if before == 0 && self.unheard > 0 {
            self.dispatch(Event::Unheard(self.unheard), wakes);
        }
        dropped
    }

    /// Nothing more will come.
    pub(crate) fn end(&mut self, wakes: &mut Vec<Waker>) {
        self.ended = true;
        self.status = Status::Closed;
        self.requests.end(wakes);
        for queue in mem::take(&mut self.streams) {
            wakes.extend(queue.upgrade().and_then(|queue| lock(&queue).end()));
        }
        for cell in mem::take(&mut self.statuses) {
            wakes.extend(cell.upgrade().and_then(|cell| lock(&cell).end()));
        }
        wakes.extend(self.readers.first());
        self.wake_worker(wakes);
    }

    fn push_to_streams(&mut self, event: &Event, wakes: &mut Vec<Waker>) -> bool {
        self.streams.retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            wakes.extend(lock(&queue).push(event.clone()));
            true
        });
        !self.streams.is_empty()
    }

    fn push_job(&mut self, job: Job, wakes: &mut Vec<Waker>) {
        self.jobs.push_back(job);
        self.wake_worker(wakes);
    }

    fn wake_worker(&mut self, wakes: &mut Vec<Waker>) {
        self.worker = match mem::take(&mut self.worker) {
            Worker::Idle(waker) => {
                wakes.push(waker);
                Worker::Busy
            }
            other => other,
        };
    }

    fn drop_oldest_event(&mut self) {
        let oldest = self.jobs.iter().position(|job| matches!(job, Job::Event(_)));
        if let Some(Job::Event(event)) = oldest.and_then(|at| self.jobs.remove(at)) {
            self.waiting_events -= 1;
            self.waiting_bytes -= weight(&event);
            self.lagged += 1;
        }
    }

    // What the application does.

    /// The application has begun to connect: there may be messages again.
    pub(crate) const fn begin_connecting(&mut self) {
        self.status = Status::Connecting;
        self.asleep = false;
    }

    /// It was never used, and is not opened by a first use any more.
    pub(crate) fn stay_closed(&mut self, wakes: &mut Vec<Waker>) {
        self.asleep = false;
        wakes.extend(self.readers.first());
    }

    /// The next message of the inbox, and whether to wake the driver; `None` inside when there will be
    /// none until the connection is connected again.
    pub(crate) fn next_message(&mut self, wake_driver: &mut bool) -> Option<Option<Message>> {
        self.has_reader = true;
        match self.inbox.pop_front() {
            Some(item) => {
                *wake_driver = self.count_taken(&item);
                Some(Some(item.message))
            }
            None => {
                // The next one comes to the same place, which is in the processor's cache.
                self.inbox.clear();
                (self.ended || (self.status == Status::Closed && !self.asleep)).then_some(None)
            }
        }
    }

    /// Adds a listener, and gives it what has been waiting for one, also after the connection's end. Whether
    /// the caller has to start the listeners' task, which also lets go of the listeners at the end.
    pub(crate) fn add_listener(
        &mut self,
        callback: Callback,
        once: bool,
        wakes: &mut Vec<Waker>,
    ) -> (Token, bool) {
        let start = matches!(self.worker, Worker::None);
        if start {
            self.worker = Worker::Busy;
        }
        let token = self.registry.add(callback, once);
        let waiting = mem::take(&mut self.inbox);
        for item in waiting {
            if self.registry.hear_message(&item.message) {
                self.push_job(Job::Message(item), wakes);
            } else {
                self.inbox.push_back(item);
            }
        }
        (token, start)
    }

    /// Has these called, behind what waits for the listeners already. Whether the caller has to start the listeners' task.
    pub(crate) fn call_later(
        &mut self,
        callbacks: Vec<Arc<Callback>>,
        item: Option<Item>,
        wakes: &mut Vec<Waker>,
    ) -> bool {
        let start = matches!(self.worker, Worker::None);
        if start {
            self.worker = Worker::Busy;
        }
        self.push_job(Job::Calls(callbacks, item), wakes);
        start
    }

    /// Removes listeners, and gives what waited for them alone back to the inbox. The listeners are dropped
    /// by the caller, without the lock.
    pub(crate) fn remove_listeners(
        &mut self,
        which: impl Fn(Token, Kind) -> bool,
        wakes: &mut Vec<Waker>,
    ) -> Vec<Arc<Callback>> {
        let removed = self.registry.remove(which);
        self.give_back(wakes);
        removed
    }

    /// Puts messages that nobody hears any more among those that nobody has heard, each at its place.
    fn give_back(&mut self, wakes: &mut Vec<Waker>) -> bool {
        let registry = &self.registry;
        let unheard =
            |job: &Job| matches!(job, Job::Message(item) if !registry.hear_message(&item.message));
        if !self.jobs.iter().any(unheard) {
            return false;
        }
        for job in mem::take(&mut self.jobs) {
            match job {
                Job::Message(item) if !registry.hear_message(&item.message) => {
                    self.inbox.push_back(item);
                }
                job => self.jobs.push_back(job),
            }
        }
        self.inbox.make_contiguous().sort_by_key(|item| item.number);
        wakes.extend(self.readers.first());
        true
    }

    pub(crate) fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    pub(crate) fn add_stream(&mut self) -> Arc<Mutex<EventQueue>> {
        let mut queue = EventQueue::new(self.window);
        if self.ended {
            queue.end();
        }
        let queue = Arc::new(Mutex::new(queue));
        prune(&mut self.streams);
        self.streams.push(Arc::downgrade(&queue));
        queue
    }

    pub(crate) fn add_status_stream(&mut self) -> Arc<Mutex<StatusCell>> {
        let mut cell = StatusCell::new(self.status);
        if self.ended {
            cell.end();
        }
        let cell = Arc::new(Mutex::new(cell));
        prune(&mut self.statuses);
        self.statuses.push(Arc::downgrade(&cell));
        cell
    }

    // What the listeners' task does.

    /// The next job, and in `called` who is to hear it; `Err` when there will be none. Else `waker` is woken
    /// by the next one.
    pub(crate) fn next_call(
        &mut self,
        waker: &Waker,
        called: &mut Vec<Arc<Callback>>,
        wakes: &mut Vec<Waker>,
    ) -> Result<Option<Call>, ()> {
        let (event, item) = if self.lagged > 0 {
            (Event::Lagged(mem::take(&mut self.lagged)), None)
        } else {
            match self.jobs.pop_front() {
                Some(Job::Event(event)) => {
                    self.waiting_events -= 1;
                    self.waiting_bytes -= weight(&event);
                    (event, None)
                }
                Some(Job::Message(item)) => (Event::Message(item.message.clone()), Some(item)),
                Some(Job::Calls(callbacks, item)) => {
                    called.clear();
                    called.extend(callbacks);
                    let message = item.as_ref().map(|item| item.message.clone());
                    let event = Event::Message(message.unwrap_or_default());
                    return Ok(Some(Call { event, item, gave_back: false }));
                }
                None if self.ended => {
                    self.worker = Worker::None;
                    // Under the same lock: a listener that is added now has a task of its own.
                    called.extend(self.registry.remove(|_, _| true));
                    return Err(());
                }
                None => {
                    self.jobs.shrink_to(4);
                    self.worker = Worker::Idle(waker.clone());
                    return Ok(None);
                }
            }
        };
        let removed = self.registry.call(&event, called);
        let gave_back = removed && self.give_back(wakes);
        Ok(Some(Call { event, item, gave_back }))
    }

    /// A message was taken. Whether to wake the driver.
    pub(crate) fn count_taken(&mut self, item: &Item) -> bool {
        self.held -= item.cost;
        // What came over an earlier link is not acknowledged, nor, what is numbered, in an earlier session; but it
        // makes room, which raw waits for.
        let counts =
            if item.numbered { item.session == self.session } else { item.link == self.link };
        if counts {
            self.taken.add(item.numbered, item.cost);
        }
        let fresh = self.taken.cost() - self.reported.cost();
        let wake = self.driver_waits || fresh * 4 >= self.window as u64;
        self.driver_waits &= !wake;
        wake
    }
}

/// Forgets streams that are gone, before the list would grow: on a quiet connection nothing else does.
fn prune<T>(streams: &mut Vec<Weak<T>>) {
    if streams.len() == streams.capacity() {
        streams.retain(|stream| stream.strong_count() > 0);
    }
}
