//! Who listens for what.

use std::mem;
use std::sync::Arc;

use moorline_core::Message;

use super::callback::Callback;
use super::kinds::Kind;
use crate::Event;

/// Names one listener, to remove it with [`off`](crate::Handle::off).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(u64);

/// The listeners of one connection, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Registry {
    next: u64,
    entries: Vec<Entry>,
}

struct Entry {
    token: Token,
    once: bool,
    callback: Arc<Callback>,
}

impl Registry {
    pub(crate) fn add(&mut self, callback: Callback, once: bool) -> Token {
        self.next += 1;
        let token = Token(self.next);
        self.entries.push(Entry { token, once, callback: Arc::new(callback) });
        token
    }

    /// Removes the listeners that `which` names; how many, and the listeners themselves, to be dropped
    /// without the lock.
    pub(crate) fn remove(&mut self, which: impl Fn(Token, Kind) -> bool) -> Vec<Arc<Callback>> {
        let named = |entry: &Entry| which(entry.token, entry.callback.kind);
        let (removed, kept) = mem::take(&mut self.entries).into_iter().partition(named);
        self.entries = kept;
        let removed: Vec<Entry> = removed;
        removed.into_iter().map(|entry| entry.callback).collect()
    }

    /// The listener object of that id.
    pub(crate) fn named(&self, id: &str) -> Option<Token> {
        let named = |entry: &&Entry| entry.callback.id.as_deref() == Some(id);
        self.entries.iter().find(named).map(|entry| entry.token)
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.entries.iter().filter(|entry| entry.callback.kind == kind).count()
    }

    pub(crate) fn hear(&self, event: &Event) -> bool {
        self.entries.iter().any(|entry| entry.callback.hears(event))
    }

    /// Whether nobody hears anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn hear_message(&self, message: &Message) -> bool {
        self.entries.iter().any(|entry| entry.callback.hears_message(message))
    }

    /// Puts those who hear this event into `called`. Who wants to hear it once is removed; whether somebody
    /// was.
    pub(crate) fn call(&mut self, event: &Event, called: &mut Vec<Arc<Callback>>) -> bool {
        called.clear();
        let mut once = false;
        for entry in self.entries.iter().filter(|entry| entry.callback.hears(event)) {
            called.push(entry.callback.clone());
            once |= entry.once;
        }
        if once {
            self.entries.retain(|entry| !entry.once || !entry.callback.hears(event));
        }
        once
    }
}
