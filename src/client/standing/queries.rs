//! The queries that a client asks (R38 to R41). Sets are isolated, but what several of them ask is asked once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use moorline_core::wire::{Answer, AnswerBody, Ask, Asked, Query};
use moorline_core::{Event, QueryError, QueryFailure};

use super::News;
use crate::query::QueryResult;

/// How many queries that ended before their rows had come are remembered.
const MAX_UNSURE: usize = 1000;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Queries {
    all: BTreeMap<Asked, Shared>,
    /// By the server's number: several texts may be one query to it.
    ids: BTreeMap<u64, BTreeSet<Asked>>,
    /// What the server is to be told not to answer any more.
    ended: Vec<Asked>,
    /// Queries that ended before their rows had come: they may still come, or not.
    unsure: BTreeSet<Asked>,
    sets: u64,
}

/// One query that the server is asked.
#[derive(Default)]
struct Shared {
    wanted: Vec<Wanted>,
    id: Option<u64>,
    /// The server answers it until it is told not to.
    subscribed: bool,
    /// It does so for one that ended before this one, and was not told.
    lingers: bool,
    /// The server has to be told.
    changed: bool,
    /// Rows were asked for, and have not come.
    asking: bool,
    /// Rows of an ask that is over may still come: which of several are the last is not known.
    unsure: bool,
}

/// What one set wants of a query.
pub(crate) struct Wanted {
    pub(crate) set: u64,
    pub(crate) retrieve: bool,
    pub(crate) subscribe: bool,
    pub(crate) callbacks: Arc<Callbacks>,
    /// Its rows have been asked for, and have not come.
    awaits_rows: bool,
    /// The server knows of it.
    told: bool,
}

impl Wanted {
    pub(crate) const fn new(
        set: u64,
        retrieve: bool,
        subscribe: bool,
        callbacks: Arc<Callbacks>,
    ) -> Self {
        Self { set, retrieve, subscribe, callbacks, awaits_rows: retrieve, told: false }
    }
}

/// Whom to tell.
pub(crate) struct Callbacks {
    pub(crate) result: Box<dyn Fn(QueryResult) -> crate::query::Ran + Send + Sync>,
    pub(crate) error: Box<dyn Fn(QueryError) -> crate::query::Ran + Send + Sync>,
}

/// Something for one listener.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) query: String,
    pub(crate) callbacks: Arc<Callbacks>,
    pub(crate) what: Result<QueryResult, QueryError>,
}

impl Queries {
    pub(crate) fn new_set(&mut self) -> u64 {
        self.sets += 1;
        self.sets
    }

    pub(crate) fn want(&mut self, asked: Asked, wanted: Wanted) {
        let before = self.ended.len();
        self.ended.retain(|ended| *ended != asked);
        let lingers = self.ended.len() < before;
        let unsure = self.unsure.remove(&asked);
        let shared = self.all.entry(asked).or_default();
        shared.lingers |= lingers;
        shared.unsure |= unsure;
        shared.changed = true;
        shared.wanted.push(wanted);
    }

    /// A set does not want these queries any more. What is dropped is user code, and is given back.
    pub(crate) fn unwant(&mut self, set: u64, which: impl Fn(&str) -> bool) -> Vec<Wanted> {
        let mut gone = Vec::new();
        let mut empty = Vec::new();
        for (asked, shared) in &mut self.all {
            if !which(&asked.query) {
                continue;
            }
            let (own, others) =
                std::mem::take(&mut shared.wanted).into_iter().partition(|one| one.set == set);
            shared.wanted = others;
            let own: Vec<_> = own;
            gone.extend(own);
            if shared.wanted.is_empty() {
                empty.push(asked.clone());
            }
        }
        empty.into_iter().for_each(|asked| self.end(&asked));
        gone
    }

    /// Nobody wants that query any more.
    fn end(&mut self, asked: &Asked) {
        let Some(shared) = self.all.remove(asked) else { return };
        self.unname(asked, shared.id);
        if shared.asking && self.unsure.len() < MAX_UNSURE {
            self.unsure.insert(asked.clone());
        }
        if shared.subscribed || shared.lingers || shared.asking {
            self.ended.push(asked.clone());
        }
    }

    /// The server's number is not that query's any more.
    fn unname(&mut self, asked: &Asked, id: Option<u64>) {
        let Some((id, known)) = id.and_then(|id| Some((id, self.ids.get_mut(&id)?))) else {
            return;
        };
        known.remove(asked);
        if known.is_empty() {
            self.ids.remove(&id);
        }
    }

    /// The queries of a set.
    pub(crate) fn of_set(&self, set: u64) -> Vec<String> {
        let of = |shared: &Shared| shared.wanted.iter().any(|one| one.set == set);
        let own = self.all.iter().filter(|(_, shared)| of(shared));
        let mut own: Vec<_> = own.map(|(asked, _)| asked.query.clone()).collect();
        own.dedup();
        own
    }

    /// What the server does not know. To one that knows nothing any more, all of it: whoever wanted rows wants them again.
    pub(crate) fn tell(&mut self, all: bool) -> Query {
        if all {
            self.missed();
            // What was asked before is not answered any more.
            self.ended.clear();
            self.unsure.clear();
            for shared in self.all.values_mut() {
                (shared.unsure, shared.lingers) = (false, false);
            }
        }
        let end = std::mem::take(&mut self.ended);
        let mut ask = Vec::new();
        for (asked, shared) in &mut self.all {
            // One ask at a time: of which ask the next rows are is not told.
            if !shared.changed || shared.asking {
                continue;
            }
            shared.changed = false;
            let fresh = |one: &Wanted| !one.told;
            let retrieve = shared.wanted.iter().any(|one| fresh(one) && one.awaits_rows);
            let subscribe = shared.wanted.iter().any(|one| one.subscribe);
            let news = retrieve || (subscribe && !shared.subscribed);
            shared.subscribed = subscribe;
            shared.wanted.iter_mut().for_each(|one| one.told = true);
            if news {
                shared.lingers = false;
                shared.asking = retrieve;
                ask.push(Ask { asked: asked.clone(), retrieve, subscribe });
            }
        }
        Query { ask, end }
    }

    /// What the server has told of queries is lost: all are asked anew, and what it still tells of them is not heard.
    pub(crate) fn missed(&mut self) {
        self.ids.clear();
        for shared in self.all.values_mut() {
            shared.id = None;
            shared.changed = true;
            shared.lingers |= std::mem::take(&mut shared.subscribed);
            // They may come, or be lost.
            shared.unsure |= std::mem::take(&mut shared.asking);
            for one in &mut shared.wanted {
                one.awaits_rows = one.retrieve;
                one.told = false;
            }
        }
    }

    /// The server has told of a query.
    pub(super) fn answer(&mut self, answer: Answer, news: &mut News) {
        let all = self.meant(&answer, news);
        match answer.body {
            AnswerBody::Rows { retrieve, count, rows, .. } => {
                all.iter().for_each(|asked| self.rows(asked, retrieve, count, &rows, news));
            }
            AnswerBody::Failed(error) => {
                let error = QueryError::new(error.code, error.message);
                if answer.id.is_none() && answer.asked.is_none() {
                    // Of no query (R41).
                    news.events.push(Event::QueryError(QueryFailure::new(None, error)));
                    return;
                }
                all.iter().for_each(|asked| self.failed(asked, &error, news));
            }
            _ => {}
        }
    }

    /// What the server has told of a query cannot be read: it is over, and the server has to be told.
    pub(super) fn unreadable(&mut self, answer: &Answer, error: &QueryError, news: &mut News) {
        for asked in self.meant(answer, news) {
            let subscribed = self.all.get(&asked).is_some_and(|shared| shared.subscribed);
            self.failed(&asked, error, news);
            if subscribed {
                self.ended.push(asked);
                news.tell = true;
            }
        }
    }

    /// The queries that an answer is for, with its name noted.
    fn meant(&mut self, answer: &Answer, news: &mut News) -> Vec<Asked> {
        let Some(asked) = &answer.asked else {
            let meant = answer.id.and_then(|id| self.ids.get(&id));
            return meant.into_iter().flatten().cloned().collect();
        };
        let Some(shared) = self.all.get_mut(asked) else {
            // It was wanted once, and the server does not know that it is not any more: an error has crossed the ask.
            let known = self.ended.contains(asked) || self.ended.len() >= MAX_UNSURE;
            if matches!(answer.body, AnswerBody::Named) && !known {
                self.ended.push(asked.clone());
                news.tell = true;
            }
            return Vec::new();
        };
        if let Some(id) = answer.id {
            let old = shared.id.replace(id);
            if old != Some(id) {
                self.unname(asked, old);
            }
            self.ids.entry(id).or_default().insert(asked.clone());
        }
        vec![asked.clone()]
    }

    fn rows(&mut self, asked: &Asked, retrieve: bool, count: u64, rows: &Bytes, news: &mut News) {
        let Some(shared) = self.all.get_mut(asked) else { return };
        shared.asking &= !retrieve;
        let mut gone = Vec::new();
        let mut at = 0;
        while let Some(one) = shared.wanted.get_mut(at) {
            let hears = if retrieve {
                // Where they may be an older ask's, all that come are told: the last ones are right.
                let again = shared.unsure && one.retrieve;
                one.told && (std::mem::take(&mut one.awaits_rows) || again)
            } else {
                // Changes before the rows that it waits for are in those.
                one.subscribe && !one.awaits_rows
            };
            if hears {
                let query = asked.query.clone();
                let result = QueryResult::new(query.clone(), count, retrieve, rows.clone());
                let callbacks = one.callbacks.clone();
                news.results.push(Told { query, callbacks, what: Ok(result) });
            }
            if hears && retrieve && !one.subscribe {
                gone.push(shared.wanted.remove(at));
            } else {
                at += 1;
            }
        }
        // Who has come meanwhile is asked for now.
        news.tell |= shared.changed && !shared.asking;
        let empty = shared.wanted.is_empty();
        news.dropped.extend(gone);
        if empty {
            self.end(asked);
            news.tell |= !self.ended.is_empty();
        }
    }

    /// A query is over, for that reason.
    pub(super) fn failed(&mut self, asked: &Asked, error: &QueryError, news: &mut News) {
        let failure = QueryFailure::new(Some(asked.query.clone()), error.clone());
        news.events.push(Event::QueryError(failure));
        let Some(mut shared) = self.all.remove(asked) else { return };
        self.unname(asked, shared.id);
        for one in std::mem::take(&mut shared.wanted) {
            let query = asked.query.clone();
            let (callbacks, what) = (one.callbacks.clone(), Err(error.clone()));
            news.results.push(Told { query, callbacks, what });
            news.dropped.push(one);
        }
    }
}
