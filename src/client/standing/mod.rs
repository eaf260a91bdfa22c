//! What stands for a client beside its messages, and outlives its links: memberships, profile, queries.
//!
//! Here is what the application wants. The driver tells the server of it: what has changed while the connection is open, what was
//! answered when an answer was lost, all of it when a session begins anew (R29), before the messages that wait.

mod channels;
mod queries;
mod telling;

use std::sync::{Arc, Mutex};
use std::task::Waker;

use moorline_core::machine::Outgoing;
use moorline_core::wire::{Asked, Packet};
use moorline_core::{Event, QueryError};

use self::channels::Channels;
pub(crate) use self::channels::Stage;
use self::queries::Queries;
pub(crate) use self::queries::{Callbacks, Told, Wanted};
use crate::delivery::Item;
use crate::listeners;
use crate::query;
use crate::sending;
use crate::shared::{Command, Shared};
use crate::sync::{WaitList, lock, wake};

/// See the [module](self). No user code runs under its lock, and no other lock is taken under it.
#[derive(Default)]
pub(crate) struct Standing {
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) channels: Channels,
    pub(crate) queries: Queries,
    /// Those who wait for an answer.
    pub(crate) waiting: WaitList,
    /// The connection is closed, and does not come back by itself.
    pub(crate) closed: bool,
}

/// What a packet from the server comes to.
#[derive(Default)]
struct News {
    events: Vec<Event>,
    wakes: Vec<Waker>,
    /// For the listeners of queries.
    results: Vec<Told>,
    /// What is wanted no more: user code, to be dropped without the lock.
    dropped: Vec<Wanted>,
    /// The server has to be told of it.
    tell: bool,
}

impl Standing {
    pub(crate) const fn state(&self) -> &Mutex<State> {
        &self.state
    }

    /// Changes what is wanted, and has the server told of it.
    pub(crate) fn change<T>(&self, shared: &Shared, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut lock(&self.state));
        let waker = lock(&shared.state).command(Command::Standing);
        wake(waker);
        changed
    }

    /// Something that the server has told is lost: it has to be asked for again.
    pub(crate) fn missed(&self) {
        let mut state = lock(&self.state);
        state.channels.missed();
        state.queries.missed();
    }

    /// What the server does not know yet, or all of it.
    pub(crate) fn tell(&self, shared: &Arc<Shared>, all: bool) -> Vec<Outgoing> {
        let Some(codec) = shared.codec.get() else { return Vec::new() };
        let limit = lock(&shared.state).max_frame;
        let (packets, query) = {
            let mut state = lock(&self.state);
            let mut packets = Vec::new();
            state.channels.tell(all, &mut packets);
            (packets, state.queries.tell(all))
        };
        let mut frames: Vec<_> =
            packets.into_iter().filter_map(|packet| codec.encode(packet).ok()).collect();
        let mut untold = Vec::new();
        telling::encode(&**codec, limit, query, &mut frames, &mut untold);
        self.fail(shared, &untold);
        frames.into_iter().map(sending::state).collect()
    }

    /// The server cannot be asked these queries.
    fn fail(&self, shared: &Arc<Shared>, failed: &[(Asked, QueryError)]) {
        if failed.is_empty() {
            return;
        }
        let mut news = News::default();
        {
            let mut state = lock(&self.state);
            for (asked, error) in failed {
                state.queries.failed(asked, error, &mut news);
            }
        }
        news.tell(shared, None);
    }

    /// The server has said something of it. What is left of the message when nobody has to hear it any more.
    pub(crate) fn hear(&self, shared: &Arc<Shared>, packet: Packet, item: Item) -> Option<Item> {
        let mut news = News::default();
        match packet {
            Packet::Answer(answer) => match query::unpacked(*answer) {
                Ok(answer) => lock(&self.state).queries.answer(answer, &mut news),
                Err(unread) => {
                    let (answer, error) = *unread;
                    lock(&self.state).queries.unreadable(&answer, &error, &mut news);
                }
            },
            Packet::Members(members) => {
                lock(&self.state).channels.members(*members, &mut news.events);
            }
            Packet::Leave(leave) => lock(&self.state).channels.left(*leave, &mut news.events),
            _ => {}
        }
        news.wakes.extend(lock(&self.state).waiting.all());
        news.tell(shared, Some(item))
    }

    /// The session is over, and its channels are not to be joined again.
    pub(crate) fn forget_joined(&self) {
        lock(&self.state).channels.forget_joined();
    }

    /// The connection is closed, or is being opened again.
    pub(crate) fn set_closed(&self, closed: bool) {
        let mut state = lock(&self.state);
        state.closed = closed;
        if closed {
            state.channels.closed();
        }
        let wakes = state.waiting.all();
        drop(state);
        wakes.into_iter().for_each(Waker::wake);
    }
}

impl News {
    /// Tells the application, and the driver where the server has to be told. What is left of the message when nobody has to
    /// hear it any more.
    fn tell(self, shared: &Arc<Shared>, item: Option<Item>) -> Option<Item> {
        self.events.into_iter().for_each(|event| shared.dispatch(event));
        self.wakes.into_iter().for_each(Waker::wake);
        drop(self.dropped);
        if self.tell {
            let waker = lock(&shared.state).command(Command::Restate);
            wake(waker);
        }
        if self.results.is_empty() {
            return item;
        }
        let results = self.results.into_iter().map(|told| query::call(shared, told));
        listeners::call_later(shared, results.collect(), item);
        None
    }
}
