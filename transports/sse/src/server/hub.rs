//! The links of a server: those that wait for their stream, and those that have it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use moorline_core::{Peer, Runtime, Time};

use super::inbox::Inbox;

/// How long a link waits for its stream: its client has the ticket in hand.
const TICKET_TIME: Duration = Duration::from_secs(10);

/// How many may wait: beyond it a client is told to come back.
const WAITING: usize = 1024;

/// Names a link, or lets a stream in: 128 random bits.
type Token = u128;

#[derive(Default)]
pub(crate) struct Hub(Mutex<State>);

#[derive(Default)]
struct State {
    closed: bool,
    links: HashMap<Token, Arc<Inbox>>,
    /// By ticket.
    waiting: HashMap<Token, Waiting>,
}

struct Waiting {
    link: Paired,
    until: Time,
}

/// A link whose stream has come. Dropping it ends it.
pub(crate) struct Paired {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) peer: Peer,
    token: Token,
    hub: Arc<Hub>,
}

impl Drop for Paired {
    fn drop(&mut self) {
        self.hub.lock().links.remove(&self.token);
        self.inbox.end();
    }
}

/// A new link's token, and its ticket, as they travel.
pub(crate) struct Opened {
    pub(crate) link: String,
    pub(crate) ticket: String,
    pub(crate) inbox: Arc<Inbox>,
}

/// Why no link is opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    Closed,
    TooMany,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a link, which waits for its stream.
    pub(crate) fn open(
        self: &Arc<Self>,
        runtime: &dyn Runtime,
        peer: Peer,
        first: Bytes,
    ) -> Result<Opened, Busy> {
        let now = runtime.now();
        let (token, ticket) = (runtime.random(), runtime.random());
        let inbox = Inbox::new(first);
        let late: Vec<_> = {
            let mut state = self.lock();
            if state.closed {
                return Err(Busy::Closed);
            }
            late(&mut state.waiting, now)
        };
        // Their drop takes the lock.
        drop(late);
        let mut state = self.lock();
        if state.waiting.len() >= WAITING {
            return Err(Busy::TooMany);
        }
        state.links.insert(token, inbox.clone());
        let link = Paired { inbox: inbox.clone(), peer, token, hub: self.clone() };
        state.waiting.insert(ticket, Waiting { link, until: now + TICKET_TIME });
        Ok(Opened { link: written(token), ticket: written(ticket), inbox })
    }

    /// The link that waits for the stream with that ticket, which is used up by it.
    pub(crate) fn attach(&self, ticket: &str, now: Time) -> Option<Paired> {
        let ticket = read(ticket)?;
        let waiting = self.lock().waiting.remove(&ticket)?;
        (waiting.until > now).then_some(waiting.link)
    }

    /// Waits until the ticket's time is over, and ends the link if it still waits.
    pub(crate) async fn expire(self: Arc<Self>, ticket: String, runtime: Arc<dyn Runtime>) {
        let mut timer = runtime.timer();
        timer.as_mut().reset(runtime.now() + TICKET_TIME);
        timer.await;
        let waiting = read(&ticket).and_then(|ticket| self.lock().waiting.remove(&ticket));
        drop(waiting);
    }

    /// What comes up for the link of that token.
    pub(crate) fn inbox(&self, token: &str) -> Option<Arc<Inbox>> {
        self.lock().links.get(&read(token)?).cloned()
    }

    /// Opens no links any more, and ends those that wait; or opens them again.
    pub(crate) fn close(&self, closed: bool) {
        let waiting = {
            let mut state = self.lock();
            state.closed = closed;
            if closed { std::mem::take(&mut state.waiting) } else { HashMap::new() }
        };
        drop(waiting);
    }
}

/// Takes out those whose time is over.
fn late(waiting: &mut HashMap<Token, Waiting>, now: Time) -> Vec<Waiting> {
    let late = waiting.iter().filter(|(_, waiting)| waiting.until <= now);
    let late: Vec<_> = late.map(|(ticket, _)| *ticket).collect();
    late.iter().filter_map(|ticket| waiting.remove(ticket)).collect()
}

fn written(token: Token) -> String {
    URL_SAFE_NO_PAD.encode(token.to_be_bytes())
}

fn read(token: &str) -> Option<Token> {
    let mut bytes = [0; 16];
    let decoded = URL_SAFE_NO_PAD.decode(token).ok()?;
    (decoded.len() == bytes.len()).then(|| {
        bytes.copy_from_slice(&decoded);
        Token::from_be_bytes(bytes)
    })
}
