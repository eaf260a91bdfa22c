//! Who asks a query, and what all of them are told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use moorline_core::Rows;
use moorline_core::wire::{AnswerBody, Asked, ErrorPacket};

use super::desk::{Desk, Joiner};
use super::live::{Changes, Live};
use super::{After, packet};
use crate::query::pack;
use crate::server::Core;
use crate::server::fanout::Fanout;
use crate::server::telling::{Told, fit, tell, tell_all};
use crate::sync::lock;

/// See the [module](self). The query's task has it alone.
pub(super) struct Roster {
    core: Arc<Core>,
    live: Arc<Live>,
    /// Those who have yet to be told its id, and its rows if they want them.
    joiners: BTreeMap<(u64, Arc<Asked>), Joiner>,
    /// By how their results are written, packed or not, and by connection.
    subscribers: BTreeMap<(bool, u64), Subscriber>,
    /// How many of those the server counts.
    counted: usize,
}

/// A connection that is told of changes.
struct Subscriber {
    desk: Arc<Desk>,
    /// What it calls the query, most often by one text, and by which ask.
    asked: BTreeMap<Arc<Asked>, u64>,
}

impl Roster {
    pub(super) fn new(core: Arc<Core>, live: Arc<Live>) -> Self {
        let (joiners, subscribers) = (BTreeMap::new(), BTreeMap::new());
        Self { core, live, joiners, subscribers, counted: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.joiners.is_empty() && self.subscribers.is_empty()
    }

    pub(super) fn wants_rows(&self) -> bool {
        self.joiners.values().any(|joiner| joiner.retrieve)
    }

    /// Somebody has come or gone.
    pub(super) fn take(&mut self, changes: Changes) {
        for ((number, asked), joiner) in changes {
            // Who is told of changes already goes on being told, until it has what it asks for anew.
            if !joiner.as_ref().is_some_and(|joiner| joiner.subscribe) {
                self.unsubscribe(number, &asked);
            }
            let key = (number, asked);
            match joiner {
                Some(joiner) => drop(self.joiners.insert(key, joiner)),
                None => drop(self.joiners.remove(&key)),
            }
        }
        self.count();
    }

    fn unsubscribe(&mut self, number: u64, asked: &Arc<Asked>) {
        let key = (asked.compress, number);
        let Some(subscriber) = self.subscribers.get_mut(&key) else { return };
        subscriber.asked.remove(asked);
        if subscriber.asked.is_empty() {
            self.subscribers.remove(&key);
        }
    }

    /// Tells the server how many are told of changes.
    fn count(&mut self) {
        let now: usize = self.subscribers.values().map(|one| one.asked.len()).sum();
        let before = std::mem::replace(&mut self.counted, now);
        let all = &self.core.queries.subscribers;
        if now > before {
            all.fetch_add(now - before, Ordering::Relaxed);
        } else {
            all.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    /// Tells those who have come the query's id, with its rows or, where there are none, only those who want none.
    pub(super) fn serve(&mut self, rows: Option<&Rows>) {
        if self.joiners.is_empty() {
            return;
        }
        let joiners = std::mem::take(&mut self.joiners);
        let (served, others): (BTreeMap<_, _>, _) =
            joiners.into_iter().partition(|(_, joiner)| joiner.retrieve == rows.is_some());
        self.joiners = others;
        let mut answers = [None, None];
        let mut wakes = Vec::new();
        for joiner in served.into_values() {
            let compress = joiner.asked.compress;
            let answer = &mut answers[usize::from(compress)];
            if let (Some(rows), None) = (rows, &answer) {
                let body = body(rows, true, compress);
                let told = packet(Some(self.live.id(compress)), None, body);
                *answer = Some(Fanout::of_packet(told));
            }
            self.serve_one(joiner, answer.as_mut(), &mut wakes);
        }
        self.count();
        wakes.into_iter().for_each(Waker::wake);
    }

    fn serve_one(&mut self, joiner: Joiner, rows: Option<&mut Fanout>, wakes: &mut Vec<Waker>) {
        let (number, shared) = (joiner.desk.number(), joiner.desk.shared());
        let Some(codec) = shared.codec.get() else { return };
        let id = self.live.id(joiner.asked.compress);
        let named = packet(Some(id), Some(&*joiner.asked), AnswerBody::Named);
        let mut frames = vec![codec.encode(named)];
        frames.extend(rows.and_then(|rows| rows.frame(shared)));
        match tell_all(shared, frames) {
            Told::Yes(woken) => {
                wakes.extend(woken);
                if joiner.subscribe {
                    let key = (joiner.asked.compress, number);
                    let subscriber = self.subscribers.entry(key).or_insert_with(|| Subscriber {
                        desk: joiner.desk.clone(),
                        asked: BTreeMap::new(),
                    });
                    subscriber.asked.insert(joiner.asked.clone(), joiner.serial);
                }
                joiner.desk.served(&joiner.asked, joiner.serial);
            }
            Told::NoRoom => joiner.desk.clone().starved(&self.core, joiner),
            Told::Unfit(error) => {
                self.unsubscribe(number, &joiner.asked);
                self.refuse(&joiner, error);
            }
        }
    }

    fn refuse(&self, joiner: &Joiner, error: ErrorPacket) {
        let told = packet(None, Some(&*joiner.asked), AnswerBody::Failed(error));
        tell(joiner.desk.shared(), told);
        joiner.desk.failed(&joiner.asked, joiner.serial);
    }

    /// Tells all who want to know what has changed.
    pub(super) fn tell(&mut self, changes: &Rows) {
        let mut unfit = Vec::new();
        for compress in [false, true] {
            let all = self.subscribers.range((compress, 0)..=(compress, u64::MAX));
            let mut all = all.peekable();
            if all.peek().is_none() {
                continue;
            }
            let told = packet(Some(self.live.id(compress)), None, body(changes, false, compress));
            let mut fanout = Fanout::of_packet(told);
            for (key, subscriber) in all {
                let shared = subscriber.desk.shared();
                let Some(frame) = fanout.frame(shared) else { continue };
                let limit = lock(&shared.state).max_frame;
                match fit(frame, limit) {
                    Ok(_) => fanout.send(shared),
                    Err(error) => unfit.push((*key, error)),
                }
            }
            let _told_to_those_who_miss_it = fanout.finish();
        }
        for (key, error) in unfit {
            let told = packet(Some(self.live.id(key.0)), None, AnswerBody::Failed(error));
            let Some(subscriber) = self.subscribers.remove(&key) else { continue };
            tell(subscriber.desk.shared(), told);
            subscriber.forget();
        }
        self.count();
    }

    /// It has failed, and is over for all.
    pub(super) fn fail(&mut self, error: &ErrorPacket) {
        self.core.queries.end(&self.live);
        self.take(self.live.take_changes());
        for compress in [false, true] {
            let failed = AnswerBody::Failed(error.clone());
            let told = packet(Some(self.live.id(compress)), None, failed);
            let mut fanout = Fanout::of_packet(told);
            for (_, subscriber) in self.subscribers.range((compress, 0)..=(compress, u64::MAX)) {
                fanout.send(subscriber.desk.shared());
                subscriber.forget();
            }
            let _told_to_those_who_miss_it = fanout.finish();
        }
        self.subscribers.clear();
        for joiner in std::mem::take(&mut self.joiners).into_values() {
            self.refuse(&joiner, error.clone());
        }
        self.count();
    }
}

impl Subscriber {
    /// It is not told of changes any more.
    fn forget(&self) {
        for (asked, serial) in &self.asked {
            self.desk.failed(asked, *serial);
        }
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        self.core.queries.end(&self.live);
        let mut after = After::default();
        after.dropped.extend(self.live.take_changes().into_values().flatten());
        after.settle();
        self.subscribers.clear();
        self.count();
    }
}

fn body(rows: &Rows, retrieve: bool, compress: bool) -> AnswerBody {
    let (json, packed) = if compress { pack(&rows.json) } else { (rows.json.clone(), false) };
    AnswerBody::Rows { retrieve, count: rows.count, rows: json, packed }
}
