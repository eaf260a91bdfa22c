//! The links of a server: those that wait for their stream, and those that have it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::{Shared, select};
use moorline_core::{Peer, Runtime, Time};

use super::inbox::{Inbox, Kept};

/// How long a link waits for its stream: its client has the ticket in hand.
const TICKET_TIME: Duration = Duration::from_secs(10);

/// How many may wait: beyond it a client is told to come back.
const WAITING: usize = 1024;

/// How long an idle connection is kept after its link's end: longer than clients keep theirs, so that none closes under a request.
const IDLE: Duration = Duration::from_secs(5);

/// Names a link, or lets a stream in: 128 random bits.
type Token = u128;

#[derive(Default)]
pub(crate) struct Hub(Mutex<State>);

struct State {
    /// Gone while it opens no links.
    open: Option<oneshot::Sender<()>>,
    closed: Shared<oneshot::Receiver<()>>,
    /// With the time until which a link waits for its stream, while it does.
    links: HashMap<Token, (Arc<Inbox>, Option<Time>)>,
    /// By ticket.
    waiting: HashMap<Token, Waiting>,
}

impl Default for State {
    fn default() -> Self {
        let (open, closed) = oneshot::channel();
        let (links, waiting) = (HashMap::new(), HashMap::new());
        Self { open: Some(open), closed: closed.shared(), links, waiting }
    }
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
            if state.open.is_none() {
                return Err(Busy::Closed);
            }
            late(&mut state.waiting, now)
        };
        // Their drop takes the lock.
        drop(late);
        let mut state = self.lock();
        if state.open.is_none() {
            return Err(Busy::Closed);
        }
        if state.waiting.len() >= WAITING {
            return Err(Busy::TooMany);
        }
        state.links.insert(token, (inbox.clone(), Some(now + TICKET_TIME)));
        let link = Paired { inbox: inbox.clone(), peer, token, hub: self.clone() };
        state.waiting.insert(ticket, Waiting { link, until: now + TICKET_TIME });
        Ok(Opened { link: written(token), ticket: written(ticket), inbox })
    }

    /// The link that waits for the stream with that ticket, which is used up by it.
    pub(crate) fn attach(&self, ticket: &str, now: Time) -> Option<Paired> {
        let ticket = read(ticket)?;
        let mut state = self.lock();
        let Waiting { link, until } = state.waiting.remove(&ticket)?;
        if let Some((_, until)) = state.links.get_mut(&link.token) {
            *until = None;
        }
        drop(state);
        (until > now).then_some(link)
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
    pub(crate) fn inbox(&self, token: &str, now: Time) -> Option<Arc<Inbox>> {
        let state = self.lock();
        let (inbox, until) = state.links.get(&read(token)?)?;
        until.is_none_or(|until| until > now).then(|| inbox.clone())
    }

    /// Opens no links any more, and ends those that wait; or opens them again.
    pub(crate) fn close(&self, closed: bool) {
        let mut state = self.lock();
        let dropped = if closed {
            (state.open.take(), std::mem::take(&mut state.waiting))
        } else if state.open.is_none() {
            let (open, closed) = oneshot::channel();
            (state.open, state.closed) = (Some(open), closed.shared());
            (None, HashMap::new())
        } else {
            (None, HashMap::new())
        };
        drop(state);
        // Wakes others, and takes the lock.
        drop(dropped);
    }

    /// For how long a connection that has carried a link's POSTs is kept: for the link's life, and a while for those that the same
    /// client sends on it for another one, unless the server stops.
    pub(crate) fn linger(
        self: &Arc<Self>,
        inbox: &Inbox,
        kept: Kept,
        runtime: Arc<dyn Runtime>,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        let (ended, hub) = (inbox.ended(), self.clone());
        async move {
            let _kept = kept;
            ended.await;
            let closed = hub.lock().closed.clone();
            let mut timer = runtime.timer();
            timer.as_mut().reset(runtime.now() + IDLE);
            select(closed, timer).await;
        }
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

#[cfg(test)]
mod tests {
    use futures_util::future::pending;
    use moorline_tokio::Tokio;

    use super::*;

    #[tokio::test]
    async fn a_ticket_that_is_late_is_none_and_neither_is_its_links_token() {
        let (hub, runtime) = (Arc::new(Hub::default()), Tokio::current());
        let open = || hub.open(&runtime, Peer::new("sse"), Bytes::new()).ok().unwrap();
        let (one, other) = (open(), open());
        let late = runtime.now() + TICKET_TIME;
        assert!(hub.inbox(&one.link, runtime.now()).is_some());
        assert!(hub.inbox(&one.link, late).is_none());
        assert!(hub.attach(&one.ticket, late).is_none());
        // What has its stream in time lives on.
        let link = hub.attach(&other.ticket, runtime.now()).unwrap();
        assert!(hub.inbox(&other.link, late).is_some());
        drop(link);
        assert!(hub.inbox(&other.link, late).is_none());
    }

    #[tokio::test]
    async fn a_link_whose_stream_never_comes_leaves_nothing() {
        let (hub, runtime) = (Arc::new(Hub::default()), Tokio::current());
        let opened = hub.open(&runtime, Peer::new("sse"), Bytes::new()).ok().unwrap();
        hub.close(true);
        assert!(hub.open(&runtime, Peer::new("sse"), Bytes::new()).is_err());
        opened.inbox.ended().await;
        let put = opened.inbox.put(1, Bytes::new(), pending()).await;
        assert!(put.is_err());
        let state = hub.lock();
        assert!(state.links.is_empty() && state.waiting.is_empty());
    }
}
