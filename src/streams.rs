//! The streams that a connection gives.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use moorline_core::Message;

use crate::sync::lock;
use crate::{Event, Member, PresenceChange, Status};

/// How many events wait for a reader. Past it the oldest are dropped.
const MAX_EVENTS: usize = 1024;

/// All events of a connection, messages included, from when the stream was made (R22).
///
/// It holds at most 1,024 events, and messages of at most the window's bytes. A reader that is too slow gets
/// [`Event::Lagged`] in the place of those that were dropped. It ends when the connection's last handle is
/// gone, or a server's connection has ended.
///
/// It is for watching: a message in it is not taken by that, and waits for a listener or
/// [`next_message`](crate::Handle::next_message) as any other. Only when nobody has ever asked for messages does it
/// go, without a warning, after 30 s or when half of the window is full.
#[must_use = "a stream does nothing unless it is read"]
pub struct Events(pub(crate) Arc<Mutex<EventQueue>>);

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        lock(&self.0).poll(context)
    }
}

/// The changes of a connection's status: first the present one, then each newest one (R9).
///
/// A reader that is too slow misses what lies between, never the newest. It ends as [`Events`] does.
#[must_use = "a stream does nothing unless it is read"]
pub struct Statuses(pub(crate) Arc<Mutex<StatusCell>>);

impl Stream for Statuses {
    type Item = Status;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Status>> {
        lock(&self.0).poll(context)
    }
}

/// The messages of a connection that no listener hears; see [`Handle::messages`](crate::Handle::messages).
#[must_use = "a stream does nothing unless it is read"]
pub struct Messages(pub(crate) Pin<Box<dyn Stream<Item = Message> + Send>>);

impl Stream for Messages {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.0.as_mut().poll_next(context)
    }
}

/// What one [`Events`] holds.
pub(crate) struct EventQueue {
    events: VecDeque<Event>,
    bytes: usize,
    max_bytes: usize,
    lagged: u64,
    waker: Option<Waker>,
    ended: bool,
}

impl EventQueue {
    pub(crate) const fn new(max_bytes: usize) -> Self {
        Self { events: VecDeque::new(), bytes: 0, max_bytes, lagged: 0, waker: None, ended: false }
    }

    pub(crate) fn push(&mut self, event: Event) -> Option<Waker> {
        self.bytes += weight(&event);
        self.events.push_back(event);
        while self.events.len() > MAX_EVENTS
            || (self.bytes > self.max_bytes && self.events.len() > 1)
        {
            self.bytes -= self.events.pop_front().as_ref().map_or(0, weight);
            self.lagged += 1;
        }
        self.waker.take()
    }

    pub(crate) fn end(&mut self) -> Option<Waker> {
        self.ended = true;
        self.waker.take()
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.lagged > 0 {
            return Poll::Ready(Some(Event::Lagged(mem::take(&mut self.lagged))));
        }
        match self.events.pop_front() {
            Some(event) => {
                self.bytes -= weight(&event);
                Poll::Ready(Some(event))
            }
            None if self.ended => Poll::Ready(None),
            None => {
                self.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// What an event weighs, beside itself.
pub(crate) fn weight(event: &Event) -> usize {
    match event {
        Event::Message(message) => message.bytes().len(),
        Event::MessageError(error) => error.message.bytes().len() + error.cause.len(),
        Event::Error(error) => {
            error.code.len()
                + error.message.len()
                + error.details.as_ref().map_or(0, |details| details.len())
        }
        Event::Properties(pairs) => {
            pairs.iter().map(|(name, value)| name.len() + value.len()).sum()
        }
        Event::Presence(presence) => presence.channel.len() + members_weight(&presence.change),
        Event::QueryError(failure) => {
            failure.query.as_ref().map_or(0, String::len) + failure.error.message.len()
        }
        _ => 0,
    }
}

fn members_weight(change: &PresenceChange) -> usize {
    let one = |member: &Member| {
        member.id.len() + member.data.as_ref().map_or(0, |data| data.len()) + size_of::<Member>()
    };
    match change {
        PresenceChange::Members(members) => members.iter().map(one).sum(),
        PresenceChange::Joined(member)
        | PresenceChange::Left(member)
        | PresenceChange::Updated(member) => one(member),
        _ => 0,
    }
}

/// What one [`Statuses`] holds: the newest status, unless it was given out.
pub(crate) struct StatusCell {
    fresh: Option<Status>,
    waker: Option<Waker>,
    ended: bool,
}

impl StatusCell {
    pub(crate) const fn new(status: Status) -> Self {
        Self { fresh: Some(status), waker: None, ended: false }
    }

    pub(crate) fn set(&mut self, status: Status) -> Option<Waker> {
        self.fresh = Some(status);
        self.waker.take()
    }

    pub(crate) fn end(&mut self) -> Option<Waker> {
        self.ended = true;
        self.waker.take()
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Status>> {
        match self.fresh.take() {
            Some(status) => Poll::Ready(Some(status)),
            None if self.ended => Poll::Ready(None),
            None => {
                self.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("waiting", &lock(&self.0).events.len()).finish()
    }
}

impl fmt::Debug for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statuses").field("fresh", &lock(&self.0).fresh).finish()
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}
