//! The proxy's listening socket, and the list of its links.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::link::{self, Orders};
use super::{PATIENCE, bound};

/// How many connects may wait to be taken in.
const BACKLOG: u32 = 1024;

pub(super) struct Front {
    runtime: Handle,
    address: SocketAddr,
    server: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    faults: Faults,
    listener: Option<TcpListener>,
    /// Who waits for a connect.
    accepting: Option<Waker>,
    links: BTreeMap<u64, watch::Sender<Orders>>,
    next: u64,
    shut: bool,
}

/// What is wrong, for links to come.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    /// Whether the server listens.
    pub(super) served: bool,
    pub(super) refused: bool,
    pub(super) status: Option<u16>,
    /// What a new link begins with.
    pub(super) fresh: Orders,
}

impl Faults {
    /// Whether connects come in. Those that hang do so also where nobody listens, since nobody can tell.
    fn listens(&self) -> bool {
        !self.refused && (self.served || self.fresh.stalled || self.fresh.lost == [true; 2])
    }
}

impl Front {
    pub(super) fn new(runtime: Handle, address: SocketAddr, server: SocketAddr) -> Self {
        Self { runtime, address, server, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes connects in, for ever.
    pub(super) async fn accept(&self) {
        loop {
            let accepted = std::future::poll_fn(|context| self.poll_accept(context)).await;
            if accepted.is_err() {
                // Out of descriptors, say: that passes.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Takes one connect in, and begins its link under the same lock: so no order misses it.
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        let polled = match &state.listener {
            Some(listener) => listener.poll_accept(context),
            None => Poll::Pending,
        };
        match polled {
            Poll::Ready(Ok((client, _))) => {
                self.begin(&mut state, client);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                state.accepting = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn begin(&self, state: &mut State, client: TcpStream) {
        let (sender, receiver) = watch::channel(state.faults.fresh);
        state.links.retain(|_, link| !link.is_closed());
        state.links.insert(state.next, sender);
        state.next += 1;
        match state.faults.status {
            Some(status) => self.runtime.spawn(link::answer(client, status, receiver)),
            None => self.runtime.spawn(link::forward(client, self.server, receiver)),
        };
    }

    /// Changes what is wrong for links to come, and listens if that is not.
    pub(super) fn change(&self, change: impl FnOnce(&mut Faults)) {
        let mut state = self.lock();
        change(&mut state.faults);
        if state.shut || !state.faults.listens() {
            state.listener = None;
        } else if state.listener.is_none() {
            let _entered = self.runtime.enter();
            let socket = bound(self.address).expect("the port is reserved");
            state.listener = Some(socket.listen(BACKLOG).expect("the port is reserved"));
            if let Some(waker) = state.accepting.take() {
                waker.wake();
            }
        }
    }

    /// Stops listening for good. The socket belongs to the runtime, which is about to end.
    pub(super) fn shut(&self) {
        self.lock().shut = true;
        self.change(|_| {});
    }

    /// Changes what is wrong with every link.
    pub(super) fn order(&self, change: impl Fn(&mut Orders)) {
        for link in self.lock().links.values() {
            link.send_modify(&change);
        }
    }

    /// Waits until the links that were ordered to break have broken.
    pub(super) fn wait_for_the_broken(&self) {
        let begun = Instant::now();
        let breaking = |link: &watch::Sender<Orders>| link.borrow().broken && !link.is_closed();
        while self.lock().links.values().any(breaking) {
            assert!(begun.elapsed() < PATIENCE, "the proxy's thread hangs");
            thread::sleep(Duration::from_micros(100));
        }
    }

    pub(super) fn links(&self) -> usize {
        let mut state = self.lock();
        state.links.retain(|_, link| !link.is_closed());
        state.links.len()
    }
}
