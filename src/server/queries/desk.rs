//! What one connection asks.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::{AbortHandle, AbortRegistration, Abortable};
use moorline_core::wire::{AnswerBody, Ask, Asked, ErrorPacket, Query};
use moorline_core::{Asker, Prepared};

use super::live::{self, Live};
use super::{After, Full, packet};
use crate::error::panic_text;
use crate::server::hub::Attendee;
use crate::server::telling::{room, tell};
use crate::server::{Core, guard};
use crate::shared::Shared;
use crate::sync::{WaitList, lock, wait_until};

/// See the [module](self).
pub(in crate::server) struct Desk {
    attendee: Arc<Attendee>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    all: BTreeMap<Arc<Asked>, Entry>,
    serials: u64,
    /// How many the engine is asked to prepare.
    preparing: usize,
    /// There is a task that has those joined again for whom there was no room.
    feeding: bool,
    /// One of them is being answered.
    turn: bool,
    turns: WaitList,
    over: bool,
}

/// One query that it asks.
struct Entry {
    /// Which ask: what comes of an earlier one is nothing to it.
    serial: u64,
    retrieve: bool,
    subscribe: bool,
    stage: Stage,
}

enum Stage {
    /// The engine has yet to be asked.
    InLine,
    Preparing(AbortHandle),
    Answered(Arc<Live>),
    /// There was no room for the answer.
    Starved(Arc<Live>),
}

/// A connection that asks a query.
pub(super) struct Joiner {
    pub(super) desk: Arc<Desk>,
    pub(super) asked: Arc<Asked>,
    pub(super) serial: u64,
    pub(super) retrieve: bool,
    pub(super) subscribe: bool,
    _turn: Option<Turn>,
}

/// It is answered before the next for whom there was no room. Dropped without the desk's lock.
struct Turn(Arc<Desk>);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.turn = false;
        let waker = state.turns.first();
        drop(state);
        crate::sync::wake(waker);
    }
}

impl Desk {
    pub(in crate::server) fn new(attendee: Arc<Attendee>) -> Arc<Self> {
        Arc::new(Self { attendee, state: Mutex::default() })
    }

    pub(super) fn number(&self) -> u64 {
        self.attendee.number
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.attendee.shared
    }

    /// The client asks, or does not want to know any more.
    pub(in crate::server) fn hear(self: &Arc<Self>, core: &Arc<Core>, query: Query) {
        let mut after = After::default();
        let mut refused = Vec::new();
        let mut state = lock(&self.state);
        for asked in &query.end {
            state.end(self.number(), asked, &mut after);
        }
        for Ask { asked, retrieve, subscribe } in query.ask {
            if core.queries.engine.is_none() {
                refused
                    .push((asked, ErrorPacket::new("no_engine", "no queries are answered here")));
            } else if !retrieve && !subscribe {
                state.end(self.number(), &asked, &mut after);
            } else if state.all.contains_key(&asked) {
                self.ask_anew(&mut state, &asked, (retrieve, subscribe), &mut after);
            } else if state.all.len() >= core.queries.limits.per_connection {
                let limit = core.queries.limits.per_connection;
                let message = format!("this connection asks {limit} queries, and may ask no more");
                refused.push((asked, ErrorPacket::new("too_many_queries", message)));
            } else if !state.over {
                let serial = state.next_serial();
                let entry = Entry { serial, retrieve, subscribe, stage: Stage::InLine };
                state.all.insert(Arc::new(asked), entry);
            }
        }
        drop(state);
        after.settle();
        for (asked, error) in refused {
            self.tell_failure(&asked, error);
        }
        self.prepare(core);
    }

    /// What it asks is refused: each query of it fails, and is over. What it ends is ended all the same.
    pub(in crate::server) fn refuse(
        self: &Arc<Self>,
        core: &Arc<Core>,
        query: &Query,
        error: &ErrorPacket,
    ) {
        let asked = query.ask.iter().map(|ask| &ask.asked);
        let end = query.end.iter().chain(asked.clone()).cloned().collect();
        self.hear(core, Query { ask: Vec::new(), end });
        asked.for_each(|asked| self.tell_failure(asked, error.clone()));
    }

    /// It asks again what it has asked: it has missed something, or wants more or less.
    fn ask_anew(
        self: &Arc<Self>,
        state: &mut State,
        asked: &Asked,
        (retrieve, subscribe): (bool, bool),
        after: &mut After,
    ) {
        let serial = state.next_serial();
        let Some((asked, mut entry)) = state.all.remove_entry(asked) else { return };
        entry.retrieve |= retrieve;
        entry.subscribe = subscribe;
        if let Stage::Answered(live) = &entry.stage {
            entry.serial = serial;
            let live = live.clone();
            if !live.join(self.joiner(&asked, &entry, None), after) {
                entry.stage = Stage::InLine;
            }
        }
        state.all.insert(asked, entry);
    }

    fn joiner(self: &Arc<Self>, asked: &Arc<Asked>, entry: &Entry, turn: Option<Turn>) -> Joiner {
        let Entry { serial, retrieve, subscribe, .. } = *entry;
        let (desk, asked) = (self.clone(), asked.clone());
        Joiner { desk, asked, serial, retrieve, subscribe, _turn: turn }
    }

    fn tell_failure(&self, asked: &Asked, error: ErrorPacket) {
        let told = packet(None, Some(asked), AnswerBody::Failed(error));
        tell(self.shared(), told);
    }

    /// Has the engine prepare those in line, as many at a time as may be.
    fn prepare(self: &Arc<Self>, core: &Arc<Core>) {
        loop {
            let mut state = lock(&self.state);
            if state.preparing >= core.queries.limits.preparing.max(1) {
                return;
            }
            let Some((asked, entry)) = state.first(|stage| matches!(stage, Stage::InLine)) else {
                return;
            };
            let (handle, registration) = AbortHandle::new_pair();
            entry.stage = Stage::Preparing(handle);
            let serial = entry.serial;
            state.preparing += 1;
            drop(state);
            let task = prepare(core.clone(), self.clone(), asked, serial, registration);
            core.runtime.spawn("query", Box::pin(task));
        }
    }

    /// The engine has prepared a query.
    fn prepared(
        self: &Arc<Self>,
        core: &Arc<Core>,
        asked: &Arc<Asked>,
        serial: u64,
        prepared: Prepared,
    ) {
        let Prepared { key, live: query } = prepared;
        let mut after = After::default();
        let mut state = lock(&self.state);
        let joined = match state.all.get_mut(asked) {
            Some(entry) if entry.serial == serial => {
                let joiner = self.joiner(asked, entry, None);
                let joined = core.queries.join(key, joiner, &mut after);
                match &joined {
                    Ok((live, _)) => entry.stage = Stage::Answered(live.clone()),
                    Err(Full) => drop(state.all.remove(asked)),
                }
                Some(joined)
            }
            // It is not asked any more.
            _ => None,
        };
        drop(state);
        after.settle();
        match joined {
            Some(Ok((live, true))) => {
                let task = live::run(core.clone(), live, query);
                core.runtime.spawn("live query", Box::pin(task));
            }
            Some(Err(Full)) => {
                let limit = core.queries.limits.shared;
                let message =
                    format!("this server answers {limit} queries, and can answer no more");
                self.tell_failure(asked, ErrorPacket::new("queries_full", message));
            }
            // It is answered already: its key told so.
            Some(Ok((_, false))) | None => {}
        }
    }

    /// It has what it has asked for.
    pub(super) fn served(&self, asked: &Arc<Asked>, serial: u64) {
        let mut state = lock(&self.state);
        let Some(entry) = state.all.get_mut(asked).filter(|entry| entry.serial == serial) else {
            return;
        };
        entry.retrieve = false;
        if !entry.subscribe {
            let gone = state.all.remove(asked);
            drop(state);
            drop(gone);
        }
    }

    /// It was told that it is over.
    pub(super) fn failed(&self, asked: &Arc<Asked>, serial: u64) {
        let mut state = lock(&self.state);
        if state.all.get(asked).is_some_and(|entry| entry.serial == serial) {
            let gone = state.all.remove(asked);
            drop(state);
            drop(gone);
        }
    }

    /// There was no room for an answer: it is given again when there is.
    pub(super) fn starved(self: &Arc<Self>, core: &Arc<Core>, joiner: Joiner) {
        let mut state = lock(&self.state);
        let start = match state.all.get_mut(&joiner.asked) {
            Some(entry) if entry.serial == joiner.serial => {
                if let Stage::Answered(live) = &entry.stage {
                    entry.stage = Stage::Starved(live.clone());
                }
                !std::mem::replace(&mut state.feeding, true)
            }
            _ => false,
        };
        drop(state);
        drop(joiner);
        if start {
            core.runtime.spawn("query answers", Box::pin(feed(core.clone(), self.clone())));
        }
    }

    /// Has the first joined again for whom there was no room; `false` if there is none.
    fn feed_one(self: &Arc<Self>, after: &mut After) -> bool {
        let mut state = lock(&self.state);
        let Some((asked, entry)) = state.first(|stage| matches!(stage, Stage::Starved(_))) else {
            state.feeding = false;
            return false;
        };
        if let Stage::Starved(live) = &entry.stage {
            let live = live.clone();
            let joiner = self.joiner(&asked, entry, Some(Turn(self.clone())));
            entry.stage =
                if live.join(joiner, after) { Stage::Answered(live) } else { Stage::InLine };
            state.turn = true;
        }
        true
    }

    /// How many queries it asks.
    pub(in crate::server) fn count(&self) -> usize {
        lock(&self.state).all.len()
    }

    /// The connection is over.
    pub(in crate::server) fn close(&self) {
        let mut after = After::default();
        let mut state = lock(&self.state);
        state.over = true;
        let all = std::mem::take(&mut state.all);
        for (asked, entry) in &all {
            entry.leave(self.number(), asked, &mut after);
        }
        drop(state);
        drop(all);
        after.settle();
    }
}

impl State {
    const fn next_serial(&mut self) -> u64 {
        self.serials += 1;
        self.serials
    }

    /// The one that was asked first of those at that stage.
    fn first(&mut self, stage: impl Fn(&Stage) -> bool) -> Option<(Arc<Asked>, &mut Entry)> {
        let at = self.all.iter_mut().filter(|(_, entry)| stage(&entry.stage));
        at.min_by_key(|(_, entry)| entry.serial).map(|(asked, entry)| (asked.clone(), entry))
    }

    fn end(&mut self, number: u64, asked: &Asked, after: &mut After) {
        if let Some((asked, entry)) = self.all.remove_entry(asked) {
            entry.leave(number, &asked, after);
        }
    }
}

impl Entry {
    fn leave(&self, number: u64, asked: &Arc<Asked>, after: &mut After) {
        match &self.stage {
            Stage::InLine => {}
            // Its task drops what the engine was asked.
            Stage::Preparing(task) => after.aborted.push(task.clone()),
            Stage::Answered(live) | Stage::Starved(live) => {
                live.leave(number, asked.clone(), after);
            }
        }
    }
}

/// Asks the engine for one query. It holds its place until it is over, also where nobody waits for it any more.
async fn prepare(
    core: Arc<Core>,
    desk: Arc<Desk>,
    asked: Arc<Asked>,
    serial: u64,
    registration: AbortRegistration,
) {
    let answer = Abortable::new(ask_engine(&core, &desk, &asked), registration).await;
    match answer {
        Ok(Ok(prepared)) => desk.prepared(&core, &asked, serial, prepared),
        Ok(Err(error)) => {
            let wanted = lock(&desk.state).all.get(&asked).is_some_and(|own| own.serial == serial);
            desk.failed(&asked, serial);
            if wanted {
                desk.tell_failure(&asked, error);
            }
        }
        Err(_) => {}
    }
    lock(&desk.state).preparing -= 1;
    desk.prepare(&core);
}

async fn ask_engine(core: &Arc<Core>, desk: &Desk, asked: &Asked) -> Result<Prepared, ErrorPacket> {
    let gone = || ErrorPacket::new("internal", "the connection is over");
    let connection = desk.attendee.connection().ok_or_else(gone)?;
    let engine = core.queries.engine.as_ref().ok_or_else(gone)?;
    let allowed = guard::query(core, &connection, &asked.query).await;
    allowed.map_err(|refusal| ErrorPacket::new(refusal.code, refusal.message))?;
    let mut asker = Asker::default();
    asker.identity = connection.identity().map(str::to_owned);
    asker.room = connection.room().map(str::to_owned);
    asker.connection = desk.number();
    let called = async { engine.prepare(&asked.query, &asker).await };
    match AssertUnwindSafe(called).catch_unwind().await {
        Ok(prepared) => prepared.map_err(|error| ErrorPacket::new(error.code, error.message)),
        Err(panic) => Err(live::panicked(core, &panic_text(&*panic))),
    }
}

/// Has those answered for whom there was no room, one after another, as room comes.
async fn feed(core: Arc<Core>, desk: Arc<Desk>) {
    loop {
        room(desk.shared()).await;
        let mut after = After::default();
        let more = desk.feed_one(&mut after);
        after.settle();
        if !more {
            return;
        }
        desk.prepare(&core);
        let free = |state: &mut State| (!state.turn).then_some(());
        wait_until(&desk.state, |state| &mut state.turns, free).await;
    }
}
