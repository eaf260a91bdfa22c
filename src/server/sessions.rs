//! The sessions that clients may come back to.
//!
//! A session is its connection: its driver goes on without a link, and gets the next one. Here is only what finds it, and
//! what proves that a client may have it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moorline_core::machine::Refusal;
use moorline_core::wire::{Close, Resume, Secret, SessionGrant};
use moorline_core::{Runtime, close_code};

use super::run::command;
use crate::shared::{Command, Shared};
use crate::sync::lock;

/// When a client may come back that was refused its session: it comes with none, and may at once.
const RETRY_AFTER: Duration = Duration::ZERO;

/// How many sessions may wait for their clients, and how much they may hold. Past a limit the oldest ones end, and their
/// clients are told that a new one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionLimits {
    /// Sessions that wait.
    pub count: usize,
    /// Of one identity. Anonymous clients are many, so they have only the limit of all.
    pub per_identity: usize,
    /// Bytes of messages in all that wait, with 64 for each message.
    pub bytes: usize,
}

impl SessionLimits {
    /// A restart of a proxy with all the clients of a busy server.
    pub const COUNT: usize = 10_000;
    /// A person with a few devices, each with a few pages.
    pub const PER_IDENTITY: usize = 16;
    /// A share of a small server's memory.
    pub const BYTES: usize = 256 << 20;

    /// How many sessions may wait.
    #[must_use]
    pub const fn count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    /// How many of one identity.
    #[must_use]
    pub const fn per_identity(mut self, count: usize) -> Self {
        self.per_identity = count;
        self
    }

    /// How many bytes all that wait may hold.
    #[must_use]
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { count: Self::COUNT, per_identity: Self::PER_IDENTITY, bytes: Self::BYTES }
    }
}

/// See the [module](self).
pub(super) struct Sessions {
    limits: SessionLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    all: BTreeMap<String, Session>,
    /// Those without a link, the oldest first, by the number of their loss.
    waiting: BTreeMap<u64, String>,
    losses: u64,
    /// Bytes that those hold.
    bytes: usize,
    /// How many wait, by identity.
    identities: BTreeMap<String, usize>,
}

struct Session {
    shared: Arc<Shared>,
    secret: [u8; 32],
    client: ClientSide,
    bytes: usize,
    /// The number of its loss, while it waits.
    waits: Option<u64>,
}

/// What a session is bound to.
pub(super) struct ClientSide {
    pub(super) identity: Option<String>,
    pub(super) attempt: u64,
    pub(super) codec: &'static str,
}

/// A session's place. Ends with it.
pub(super) struct Seat {
    sessions: Arc<Sessions>,
    id: String,
    /// What it holds: told to all only while it waits, since there is one lock for all.
    bytes: usize,
    waits: bool,
}

impl Sessions {
    pub(super) fn new(limits: SessionLimits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// A new session, and what its client is told of it.
    pub(super) fn open(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        client: ClientSide,
        runtime: &Arc<dyn Runtime>,
    ) -> (Seat, SessionGrant) {
        let secret = Secret(runtime.random().to_le_bytes());
        let id = format!("{:032x}", runtime.random());
        let session = Session {
            shared: shared.clone(),
            secret: hashed(secret),
            client,
            bytes: 0,
            waits: None,
        };
        lock(&self.state).all.insert(id.clone(), session);
        let seat = Seat { sessions: self.clone(), id: id.clone(), bytes: 0, waits: false };
        (seat, SessionGrant { id, secret })
    }

    /// The session that a client may have; `None` where there is none any more, or it was in another codec.
    pub(super) fn find(
        &self,
        resume: &Resume,
        client: &ClientSide,
    ) -> Result<Option<Arc<Shared>>, Refusal> {
        let secret = Proof(hashed(resume.secret));
        let mut state = lock(&self.state);
        let Some(session) = state.all.get_mut(&resume.session) else { return Ok(None) };
        if secret != Proof(session.secret) {
            return refused("session_forged", "the secret is not that of the session");
        }
        if session.client.identity != client.identity {
            return refused("session_identity", "the session is another identity's");
        }
        if client.attempt <= session.client.attempt {
            return refused("session_superseded", "a later attempt has gone on with the session");
        }
        if session.client.codec != client.codec {
            return Ok(None);
        }
        session.client.attempt = client.attempt;
        Ok(Some(session.shared.clone()))
    }
}

fn refused<T>(code: &'static str, message: &str) -> Result<T, Refusal> {
    Err(Refusal::for_now(code, message, RETRY_AFTER))
}

fn hashed(secret: Secret) -> [u8; 32] {
    hmac_sha256::Hash::hash(&secret.0)
}

/// A hash of a secret, compared in the same time whatever differs.
struct Proof([u8; 32]);

impl PartialEq for Proof {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl Seat {
    /// Its link is lost. Others may have to go for it.
    pub(super) fn detach(&mut self) {
        self.waits = true;
        let mut state = lock(&self.sessions.state);
        state.losses += 1;
        let loss = state.losses;
        let Some(session) = state.all.get_mut(&self.id) else { return };
        if session.waits.replace(loss).is_some() {
            return;
        }
        session.bytes = self.bytes;
        let (bytes, identity) = (session.bytes, session.client.identity.clone());
        state.waiting.insert(loss, self.id.clone());
        state.bytes += bytes;
        let of_identity = identity.as_ref().map(|identity| {
            let count = state.identities.entry(identity.clone()).or_default();
            *count += 1;
            *count
        });
        let mut ended = Vec::new();
        if of_identity.is_some_and(|count| count > self.sessions.limits.per_identity) {
            let oldest = state.waiting.values().find(|id| {
                state.all.get(*id).is_some_and(|session| session.client.identity == identity)
            });
            if let Some(oldest) = oldest.cloned() {
                ended.extend(state.remove(&oldest));
            }
        }
        state.keep_limits(&self.sessions.limits, &mut ended);
        drop(state);
        ended.iter().for_each(end);
    }

    /// It has a link again.
    pub(super) fn attach(&mut self) {
        self.waits = false;
        let mut state = lock(&self.sessions.state);
        state.attach(&self.id);
    }

    /// It holds so many bytes.
    pub(super) fn keeps(&mut self, bytes: usize) {
        self.bytes = bytes;
        if !self.waits {
            return;
        }
        let mut state = lock(&self.sessions.state);
        let Some(session) = state.all.get_mut(&self.id) else { return };
        let before = std::mem::replace(&mut session.bytes, bytes);
        if session.waits.is_none() {
            return;
        }
        state.bytes = state.bytes - before + bytes;
        let mut ended = Vec::new();
        state.keep_limits(&self.sessions.limits, &mut ended);
        drop(state);
        ended.iter().for_each(end);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let session = lock(&self.sessions.state).remove(&self.id);
        drop(session);
    }
}

impl State {
    fn attach(&mut self, id: &str) {
        let Some(session) = self.all.get_mut(id) else { return };
        let Some(loss) = session.waits.take() else { return };
        self.waiting.remove(&loss);
        self.bytes -= session.bytes;
        if let Some(identity) = &session.client.identity {
            if let Some(count) = self.identities.get_mut(identity) {
                *count -= 1;
                if *count == 0 {
                    self.identities.remove(identity);
                }
            }
        }
    }

    fn remove(&mut self, id: &str) -> Option<Arc<Shared>> {
        self.attach(id);
        self.all.remove(id).map(|session| session.shared)
    }

    fn keep_limits(&mut self, limits: &SessionLimits, ended: &mut Vec<Arc<Shared>>) {
        while self.waiting.len() > limits.count || self.bytes > limits.bytes {
            let Some((_, oldest)) = self.waiting.pop_first() else { return };
            ended.extend(self.remove(&oldest));
        }
    }
}

/// Ends a session that waits: its client is away, and is told when it comes back.
fn end(shared: &Arc<Shared>) {
    let close = Close::new(close_code::TRY_LATER, "too many sessions wait");
    command(shared, Command::Disconnect(Box::new(close)));
}
