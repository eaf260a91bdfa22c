//! What stands for a client beside its messages, and outlives its links: memberships, profile, queries.
//!
//! Here is what the application wants. The driver tells the server of it: what has changed while the connection is open, all of
//! it when a session begins anew (R29), before the messages that wait.

mod channels;
mod queries;

use std::sync::{Arc, Mutex};
use std::task::Waker;

use moorline_core::machine::Outgoing;
use moorline_core::wire::Packet;
use moorline_core::{Class, Event};

use self::channels::Channels;
pub(crate) use self::channels::Stage;
use self::queries::Queries;
pub(crate) use self::queries::{Callbacks, Told, Wanted};
use crate::delivery::Item;
use crate::listeners;
use crate::query;
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

    /// What the server does not know yet, or all of it.
    pub(crate) fn tell(&self, shared: &Shared, all: bool) -> Vec<Outgoing> {
        let Some(codec) = shared.codec.get() else { return Vec::new() };
        let packets = {
            let mut state = lock(&self.state);
            let mut packets = Vec::new();
            state.channels.tell(all, &mut packets);
            state.queries.tell(all, &mut packets);
            packets
        };
        let encoded = packets.into_iter().filter_map(|packet| codec.encode(packet).ok());
        let state = |frame| {
            let mut outgoing = Outgoing::new(frame, Class::AtLeastOnce);
            outgoing.state = true;
            outgoing
        };
        encoded.map(state).collect()
    }

    /// The server has said something of it. What is left of the message when nobody has to hear it any more.
    pub(crate) fn hear(&self, shared: &Arc<Shared>, packet: Packet, item: Item) -> Option<Item> {
        let packet = match query::unpacked(packet) {
            Ok(packet) => packet,
            Err(failure) => {
                shared.dispatch(Event::QueryError(failure));
                return Some(item);
            }
        };
        let mut news = News::default();
        {
            let mut state = lock(&self.state);
            match packet {
                Packet::Members(members) => state.channels.members(*members, &mut news.events),
                Packet::Leave(leave) => state.channels.left(*leave, &mut news.events),
                Packet::Answer(answer) => state.queries.answer(*answer, &mut news),
                _ => {}
            }
            news.wakes.extend(state.waiting.all());
        }
        news.events.into_iter().for_each(|event| shared.dispatch(event));
        news.wakes.into_iter().for_each(Waker::wake);
        drop(news.dropped);
        if news.results.is_empty() {
            return Some(item);
        }
        let results = news.results.into_iter().map(|told| query::call(shared, told));
        listeners::call_later(shared, results.collect(), item);
        None
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
