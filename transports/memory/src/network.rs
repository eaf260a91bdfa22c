//! The network: its endpoints, and the making of links.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fastrand::Rng;
use moorline_core::{Runtime, TransportError, TransportErrorKind};

use crate::acceptor::{MemoryAcceptor, MemoryPending};
use crate::builder::NetworkBuilder;
use crate::fault::{Direction, Faults};
use crate::halves::{MemoryReceiver, MemorySender};
use crate::link::Link;
use crate::pace::{Latency, Pace};
use crate::pipe::{self, Aftermath, Pipe, Start};
use crate::transport::MemoryTransport;

/// A network in memory: named endpoints, the links between them, and their faults.
///
/// Cheap to clone; clones are the same network. It lives as long as anything made from it. An
/// endpoint's name, once listened at or given a fault, stays known for that long.
#[derive(Clone)]
pub struct Network {
    pub(crate) inner: Arc<Inner>,
}

impl Network {
    /// The bytes that each direction of a link holds by default: 64 KiB, as a small TCP window. A
    /// batch of usual messages fits, and a peer that stops reading costs no more than that.
    pub const CAPACITY: usize = 64 * 1024;

    /// What a frame counts against the capacity besides its payload, in bytes: 64, its place in the
    /// queue. So empty frames have a bound too: 1024 fit in [`CAPACITY`](Self::CAPACITY).
    pub const FRAME_OVERHEAD: usize = pipe::FRAME_OVERHEAD;

    /// How many links wait at an endpoint to be accepted: 4096, as Linux' `somaxconn`. Connects
    /// beyond it fail as [`Unavailable`](TransportErrorKind::Unavailable).
    pub const BACKLOG: usize = 4096;

    /// The seed by default: any fixed number, so that a test that says nothing repeats itself.
    pub const SEED: u64 = 7;

    /// A network with the defaults of [`builder`](Self::builder): no latency, no faults.
    pub fn new(runtime: impl Runtime) -> Self {
        Self::builder(runtime).build()
    }

    /// A network to be configured. The runtime gives time to latency and slow links; nothing is ever
    /// spawned on it.
    pub fn builder(runtime: impl Runtime) -> NetworkBuilder {
        NetworkBuilder::new(Arc::new(runtime))
    }

    pub(crate) fn from_builder(builder: NetworkBuilder) -> Self {
        let NetworkBuilder { runtime, seed, latency, capacity } = builder;
        let random = Rng::with_seed(seed);
        let state = State { random, next_id: 1, endpoints: BTreeMap::new() };
        Self { inner: Arc::new(Inner { runtime, latency, capacity, state: Mutex::new(state) }) }
    }

    /// The client's side of links to that endpoint. Nobody need listen there yet.
    #[must_use]
    pub fn transport(&self, name: impl Into<Arc<str>>) -> MemoryTransport {
        MemoryTransport::new(Arc::clone(&self.inner), name.into())
    }

    /// The server's side of links to that endpoint. It takes the name only when it
    /// [listens](moorline_core::Acceptor::listen).
    #[must_use]
    pub fn acceptor(&self, name: impl Into<Arc<str>>) -> MemoryAcceptor {
        MemoryAcceptor::new(Arc::clone(&self.inner), name.into())
    }

    /// How many links to that endpoint are alive: made, and at least one half on either side not
    /// dropped. Broken ones count too, so that 0 says that nothing has leaked.
    #[must_use]
    pub fn links(&self, name: &str) -> usize {
        let state = self.inner.lock();
        state.endpoints.get(name).map_or(0, |endpoint| endpoint.links.len())
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.lock();
        let links = state.endpoints.iter().map(|(name, endpoint)| (name, endpoint.links.len()));
        let links: BTreeMap<_, _> = links.collect();
        f.debug_struct("Network").field("links", &links).finish_non_exhaustive()
    }
}

/// What all values of a network share.
pub(crate) struct Inner {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) latency: Latency,
    capacity: usize,
    /// May be held while a pipe's lock is taken, never the other way round. Links are not dropped
    /// under it, since their drop takes it, and nobody is woken.
    state: Mutex<State>,
}

struct State {
    random: Rng,
    /// For links, listeners and hanging connects alike.
    next_id: u64,
    endpoints: BTreeMap<Arc<str>, Endpoint>,
}

#[derive(Default)]
struct Endpoint {
    faults: Faults,
    links: BTreeMap<u64, Weak<Link>>,
    listener: Option<Listener>,
    /// Connects that wait for a partition's end.
    hanging: BTreeMap<u64, Waker>,
}

struct Listener {
    id: u64,
    max_frame: usize,
    backlog: VecDeque<MemoryPending>,
    accepting: Option<Waker>,
}

impl State {
    fn endpoint(&mut self, name: &str) -> &mut Endpoint {
        if !self.endpoints.contains_key(name) {
            self.endpoints.insert(name.into(), Endpoint::default());
        }
        self.endpoints.get_mut(name).expect("it has just been put in")
    }
}

/// For the faults.
impl Inner {
    /// Changes an endpoint's faults and applies them to its links, as one step.
    pub(crate) fn change(
        &self,
        name: &str,
        apply: impl FnOnce(&mut Faults, &[Arc<Link>], &mut Aftermath),
    ) {
        let mut after = Aftermath::default();
        let mut state = self.lock();
        let endpoint = state.endpoint(name);
        let links: Vec<_> = endpoint.links.values().filter_map(Weak::upgrade).collect();
        apply(&mut endpoint.faults, &links, &mut after);
        for waker in mem::take(&mut endpoint.hanging).into_values() {
            after.wake(Some(waker));
        }
        drop(state);
        drop(links);
        after.settle();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the clients.
impl Inner {
    /// Waits until a connect may go on or must fail.
    pub(crate) async fn gate(&self, name: &str) -> Result<(), TransportError> {
        let mut hanging = Hanging { network: self, name, id: None };
        poll_fn(|context| hanging.poll(context)).await
    }

    /// A duration that a connect takes.
    pub(crate) fn connect_latency(&self) -> Duration {
        self.latency.sample(&mut self.lock().random)
    }

    /// Makes a link and hands its other side to the acceptor. `None` is to wait at the gate again.
    pub(crate) fn link(
        self: &Arc<Self>,
        name: &Arc<str>,
        max_frame: usize,
    ) -> Option<Result<(MemorySender, MemoryReceiver), TransportError>> {
        let mut after = Aftermath::default();
        let mut guard = self.lock();
        let State { random, next_id, endpoints } = &mut *guard;
        let Some(endpoint) = endpoints.get_mut(name) else { return Some(Err(nobody(name))) };
        if let Err(error) = endpoint.faults.gate(name)? {
            return Some(Err(error));
        }
        let Some(listener) = &mut endpoint.listener else { return Some(Err(nobody(name))) };
        let room = Network::BACKLOG - listener.backlog.len();
        if room == 0 {
            let message = format!("{name} has too many links to accept");
            return Some(Err(TransportError::new(TransportErrorKind::Unavailable, message)));
        }
        let mut come_in = |dangles| {
            let id = take_id(next_id);
            let limits = [listener.max_frame, max_frame];
            let link = Arc::new(self.make(name, id, limits, &endpoint.faults, random, dangles));
            endpoint.links.insert(id, Arc::downgrade(&link));
            let hangs = endpoint.faults.hang_handshakes;
            listener.backlog.push_back(MemoryPending::new(Arc::clone(&link), id, hangs));
            link
        };
        // A duplicate that has no room is left out: it would push the real link out.
        if endpoint.faults.duplicate_connects && room > 1 {
            come_in(true);
        }
        let link = come_in(false);
        if mem::take(&mut endpoint.faults.stillborn) {
            link.break_off("the network cut the link as it was made", &mut after);
        }
        after.wake(listener.accepting.take());
        drop(guard);
        after.settle();
        let sender = MemorySender::new(Arc::clone(&link), Direction::ToServer);
        Some(Ok((sender, MemoryReceiver::new(link, Direction::ToClient))))
    }

    fn make(
        self: &Arc<Self>,
        name: &Arc<str>,
        id: u64,
        [to_server, to_client]: [usize; 2],
        faults: &Faults,
        random: &mut Rng,
        dangles: bool,
    ) -> Link {
        let mut pipe = |direction, max_frame, lost| {
            let pace = Pace::new(self.latency, faults.bandwidth, random.u64(..));
            let trip = faults.trip(direction);
            Pipe::new(Start { capacity: self.capacity, max_frame, pace, trip, lost })
        };
        Link {
            network: Arc::clone(self),
            name: Arc::clone(name),
            id,
            to_server: pipe(Direction::ToServer, to_server, false),
            to_client: pipe(Direction::ToClient, to_client, dangles),
            clocked: AtomicBool::new(!self.latency.is_zero() || faults.bandwidth.is_some()),
        }
    }

    /// A link's last half has been dropped.
    pub(crate) fn forget(&self, name: &str, id: u64) {
        if let Some(endpoint) = self.lock().endpoints.get_mut(name) {
            endpoint.links.remove(&id);
        }
    }
}

/// For the servers.
impl Inner {
    /// Takes the name. Gives the listener's id.
    pub(crate) fn listen(&self, name: &str, max_frame: usize) -> Result<u64, TransportError> {
        let mut state = self.lock();
        let id = take_id(&mut state.next_id);
        let endpoint = state.endpoint(name);
        if endpoint.listener.is_some() {
            let message = format!("somebody listens at {name} already");
            return Err(TransportError::new(TransportErrorKind::Configuration, message));
        }
        let backlog = VecDeque::new();
        endpoint.listener = Some(Listener { id, max_frame, backlog, accepting: None });
        Ok(id)
    }

    pub(crate) fn poll_accept(
        &self,
        name: &str,
        id: u64,
        context: &Context<'_>,
    ) -> Poll<Option<MemoryPending>> {
        let mut state = self.lock();
        let listener = state.endpoint(name).listener.as_mut().filter(|found| found.id == id);
        let Some(listener) = listener else { return Poll::Ready(None) };
        if let Some(pending) = listener.backlog.pop_front() {
            if listener.backlog.is_empty() {
                listener.backlog = VecDeque::new();
            }
            return Poll::Ready(Some(pending));
        }
        let old = listener.accepting.replace(context.waker().clone());
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// Gives the name back and refuses the links that have not been accepted.
    pub(crate) fn unlisten(&self, name: &str, id: u64) {
        let mut after = Aftermath::default();
        let mut state = self.lock();
        let listener = state.endpoint(name).listener.take_if(|found| found.id == id);
        drop(state);
        if let Some(listener) = listener {
            after.wake(listener.accepting);
            for pending in &listener.backlog {
                pending.refuse(&mut after);
            }
            drop(listener.backlog);
        }
        after.settle();
    }
}

/// A connect that waits for a partition's end.
struct Hanging<'a> {
    network: &'a Inner,
    name: &'a str,
    id: Option<u64>,
}

impl Hanging<'_> {
    fn poll(&mut self, context: &Context<'_>) -> Poll<Result<(), TransportError>> {
        let mut guard = self.network.lock();
        let State { next_id, endpoints, .. } = &mut *guard;
        let Some(endpoint) = endpoints.get_mut(self.name) else { return Poll::Ready(Ok(())) };
        if let Some(verdict) = endpoint.faults.gate(self.name) {
            return Poll::Ready(verdict);
        }
        let id = *self.id.get_or_insert_with(|| take_id(next_id));
        let old = endpoint.hanging.insert(id, context.waker().clone());
        drop(guard);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut state = self.network.lock();
        let waker = state.endpoints.get_mut(self.name).and_then(|found| found.hanging.remove(&id));
        drop(state);
        drop(waker);
    }
}

fn take_id(next: &mut u64) -> u64 {
    let id = *next;
    *next += 1;
    id
}

fn nobody(name: &str) -> TransportError {
    TransportError::unreachable(format!("nobody listens at {name}"))
}
