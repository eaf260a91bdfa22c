//! What is promised, written from `docs/protocol.md` and apart from the implementation.

use std::collections::BTreeMap;
use std::time::Duration;

use moorline::{Class, Recovery, SendOutcome, Time};

use crate::log::{Entry, GuestEvent, Stream};
use crate::order;
use crate::world::AGE;

/// Everything that was wrong.
pub(crate) fn check(entries: &[(Time, Entry)]) -> Vec<String> {
    let mut model = Model::default();
    for (at, entry) in entries {
        model.see(*at, entry);
    }
    model.finish();
    model.violations.extend(order::check(entries));
    model.violations
}

/// A message that was accepted.
struct Sent {
    at: Time,
    class: Class,
    ttl: Option<Duration>,
    lost: bool,
    outcome: Option<SendOutcome>,
    /// How often each client, or its session at the server, has heard it.
    received: BTreeMap<usize, u32>,
}

/// What one client knows of the numbered broadcasts of its session.
#[derive(Clone, Copy, Default)]
struct Broadcasts {
    last: Option<u64>,
    /// What it was told to be lost since.
    gaps: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Guest {
    Open,
    Away,
    Back,
    Over,
}

#[derive(Default)]
struct Model {
    sent: BTreeMap<(Stream, u64), Sent>,
    /// The last of each stream and class, at each receiver.
    last: BTreeMap<(Stream, usize, Option<usize>, u8), u64>,
    broadcasts: BTreeMap<usize, Broadcasts>,
    /// What was before a connect, until it is known whether the session goes on.
    before: BTreeMap<usize, Broadcasts>,
    guests: BTreeMap<usize, Guest>,
    answered: BTreeMap<(usize, u64), u32>,
    heard: BTreeMap<(usize, u64), u32>,
    /// When each client has opened.
    opened: BTreeMap<usize, Vec<Time>>,
    violations: Vec<String>,
}

impl Model {
    fn wrong(&mut self, at: Time, what: String) {
        self.violations.push(format!("{at:?}: {what}"));
    }

    fn see(&mut self, at: Time, entry: &Entry) {
        match entry.clone() {
            Entry::Sent { stream, n, class, ttl, lost } => {
                let received = BTreeMap::new();
                let sent = Sent { at, class, ttl, lost, outcome: None, received };
                self.sent.insert((stream, n), sent);
            }
            Entry::Outcome { stream, n, outcome } => {
                let sent = self.sent.get_mut(&(stream, n));
                if sent.is_none_or(|sent| sent.outcome.replace(outcome).is_some()) {
                    self.wrong(at, format!("{stream:?} {n}: a second outcome, {outcome:?}"));
                }
            }
            Entry::Received { stream, client, session, n, class } => {
                self.received(at, stream, client, session, n, class);
            }
            Entry::Connected { client } => {
                self.opened.entry(client).or_default().push(at);
                // Unless it is told that its session goes on, a new one begins.
                let before = self.broadcasts.remove(&client).unwrap_or_default();
                self.before.insert(client, before);
            }
            Entry::Told { client, recovery: Recovery::Recovered } => {
                match self.before.remove(&client) {
                    Some(before) => drop(self.broadcasts.insert(client, before)),
                    None => self.wrong(at, format!("{client} has recovered without a connect")),
                }
            }
            Entry::Told { client, recovery: Recovery::Gap { from, to } } => {
                if to <= from {
                    self.wrong(at, format!("{client} has a gap from {from} to {to}"));
                }
                self.broadcasts.entry(client).or_default().gaps += to.saturating_sub(from);
            }
            // The session is over, and so is what it was promised.
            Entry::Ended { client, reconnects: false } => drop(self.broadcasts.remove(&client)),
            Entry::Accused(what) => self.wrong(at, what),
            Entry::GuestTold { session, what } => self.guest(at, session, &what),
            Entry::Heard { client, n } => {
                let heard = self.heard.entry((client, n)).or_default();
                *heard += 1;
                if *heard > 1 {
                    self.wrong(at, format!("request {n} of {client} was heard twice"));
                }
            }
            Entry::Answered { client, n, right } => {
                let answered = self.answered.entry((client, n)).or_default();
                *answered += 1;
                if *answered > 1 || !right || !self.heard.contains_key(&(client, n)) {
                    self.wrong(at, format!("request {n} of {client} has a wrong answer"));
                }
            }
            _ => {}
        }
    }

    fn received(
        &mut self,
        at: Time,
        stream: Stream,
        client: usize,
        session: Option<usize>,
        n: u64,
        class: Class,
    ) {
        let Some(sent) = self.sent.get_mut(&(stream, n)) else {
            return self.wrong(at, format!("{stream:?} {n} was never accepted, and arrives"));
        };
        let times = sent.received.entry(client).or_default();
        *times += 1;
        if *times > 1 {
            self.wrong(at, format!("{stream:?} {n} ({class:?}) arrives twice at {client}"));
        }
        let last = self.last.insert((stream, client, session, class as u8), n);
        if last.is_some_and(|last| last >= n) {
            let text = format!("{stream:?} {n} ({class:?}) arrives at {client} after {last:?}");
            self.wrong(at, text);
        }
        if stream == Stream::Broadcast && class == Class::AtLeastOnce {
            self.broadcast(at, client, n);
        }
    }

    /// What is missing between two broadcasts of a session the client was told to be lost. It may have been told of more: news
    /// of members and of queries, and what was published on channels, are lost in the same way.
    fn broadcast(&mut self, at: Time, client: usize, n: u64) {
        let own = self.broadcasts.entry(client).or_default();
        let Broadcasts { last, gaps } = *own;
        *own = Broadcasts { last: Some(n), gaps: 0 };
        if let Some(last) = last {
            let missing = self.missing(last, n);
            if missing > gaps {
                self.wrong(
                    at,
                    format!("{client} misses {missing} broadcasts, and was told of {gaps}"),
                );
            }
        }
    }

    /// Numbered broadcasts between two.
    fn missing(&self, last: u64, n: u64) -> u64 {
        // Out of order, which is told already.
        if n <= last {
            return 0;
        }
        let between = (Stream::Broadcast, last + 1)..(Stream::Broadcast, n);
        let numbered = |sent: &&Sent| sent.class == Class::AtLeastOnce;
        self.sent.range(between).map(|(_, sent)| sent).filter(numbered).count() as u64
    }

    fn guest(&mut self, at: Time, session: usize, what: &GuestEvent) {
        let before = self.guests.get(&session).copied().unwrap_or(Guest::Open);
        let after = match (before, what) {
            (Guest::Open, GuestEvent::Lost) => Guest::Away,
            (Guest::Away, GuestEvent::Connect) => Guest::Back,
            (Guest::Back, GuestEvent::Recovery(Recovery::Recovered))
            // Its listener may have come too late for the first connect.
            | (Guest::Open, GuestEvent::Connect) => Guest::Open,
            (Guest::Open | Guest::Away, GuestEvent::Over) => Guest::Over,
            (before, what) => {
                return self.wrong(at, format!("session {session}: {what:?} at {before:?}"));
            }
        };
        self.guests.insert(session, after);
    }

    fn finish(&mut self) {
        let mut wrong = Vec::new();
        for ((stream, n), sent) in &self.sent {
            if *stream != Stream::Broadcast {
                wrong.extend(self.outcome(*stream, *n, sent));
            }
        }
        for (client, Broadcasts { last, gaps }) in &self.broadcasts {
            if let Some(last) = last {
                let missing = self.missing(*last, u64::MAX);
                if missing > *gaps {
                    wrong.push(format!("{client} misses the last {missing}, told {gaps}"));
                }
            }
        }
        self.violations.extend(wrong);
    }

    fn outcome(&self, stream: Stream, n: u64, sent: &Sent) -> Option<String> {
        let received: u32 = sent.received.values().sum();
        let Some(outcome) = sent.outcome else {
            return Some(format!("{stream:?} {n} ({:?}) has no outcome", sent.class));
        };
        let numbered = sent.class == Class::AtLeastOnce;
        let right = match outcome {
            SendOutcome::Acknowledged => numbered && received == 1,
            SendOutcome::Sent => !numbered,
            SendOutcome::Expired | SendOutcome::Dropped(_) => received == 0,
            _ => true,
        };
        if !right {
            return Some(format!(
                "{stream:?} {n} ({:?}) is {outcome:?}, received {received} times",
                sent.class
            ));
        }
        // What waited for a connection does not outlive its time.
        if let (true, Stream::Up { client }) = (sent.lost && received > 0, stream) {
            let limit = sent.at + sent.ttl.unwrap_or(Duration::MAX).min(AGE);
            let opened = self.opened.get(&client)?.iter().find(|opened| **opened >= sent.at)?;
            if *opened > limit {
                return Some(format!(
                    "{stream:?} {n} was sent at {:?}, flushed at {opened:?}",
                    sent.at
                ));
            }
        }
        None
    }
}
