//! The life of a server: idle, starting, running, stopping, idle again (R33).

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use futures_util::future::{Either, select, select_all};
use moorline_core::machine::Machine;
use moorline_core::wire::Close;
use moorline_core::{Runtime, Status, close_code};

use super::Core;
use super::door::{Arrival, Door};
use super::registry::Handshake;
use super::role::ServerRole;
use crate::driver::Driver;
use crate::shared::{Command, Shared};
use crate::sync::{WaitList, lock, wait_for};
use crate::{ErrorEvent, Origin, RunError, StopError};

/// How long to wait when no link can be taken in for now: out of descriptors, say. Long enough for some to
/// be freed, short enough for a backlog not to overflow.
const PAUSE: Duration = Duration::from_millis(100);

/// What a server has besides its configuration: where it stands.
pub(super) struct Life {
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    doors: Option<Vec<Box<dyn Door>>>,
    addresses: Vec<String>,
    changed: WaitList,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Starting,
    Running,
    Stopping,
}

/// What became of the connections of a server that was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Connections that there were.
    pub connections: usize,
    /// Those of them that had not closed by the deadline, and were cut.
    pub cut: usize,
}

impl Life {
    pub(super) fn new(doors: Vec<Box<dyn Door>>) -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Idle,
                doors: Some(doors),
                addresses: Vec::new(),
                changed: WaitList::default(),
            }),
        }
    }

    pub(super) fn local_addresses(&self) -> Vec<String> {
        lock(&self.state).addresses.clone()
    }

    pub(super) fn is_running(&self) -> bool {
        lock(&self.state).phase == Phase::Running
    }

    fn enter(&self, phase: Phase, addresses: Vec<String>) {
        let mut state = lock(&self.state);
        state.phase = phase;
        state.addresses = addresses;
        let wakers = state.changed.all();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn wait(&self, wanted: impl Fn(&State) -> bool + Unpin) {
        wait_for(&self.state, |state| &mut state.changed, |state| wanted(state).then_some(()))
            .await;
    }

    fn start(&self) -> Result<Vec<Box<dyn Door>>, RunError> {
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Running => Err(RunError::AlreadyRunning),
            Phase::Starting => Err(RunError::AlreadyStarting),
            Phase::Stopping => Err(RunError::Stopping),
            Phase::Idle => match state.doors.take() {
                Some(doors) => {
                    state.phase = Phase::Starting;
                    Ok(doors)
                }
                None => Err(RunError::Stopping),
            },
        }
    }
}

/// One run, which listens. Dropped, it closes the doors and hands them back for the next.
pub(super) struct Run {
    core: Arc<Core>,
    doors: Vec<Box<dyn Door>>,
}

impl Run {
    /// Listens.
    pub(super) async fn begin(core: &Arc<Core>) -> Result<Self, RunError> {
        let mut run = Self { core: core.clone(), doors: core.life.start()? };
        let mut addresses = Vec::new();
        for door in &mut run.doors {
            door.listen().await.map_err(RunError::Listen)?;
            addresses.extend(door.local_address());
        }
        core.life.enter(Phase::Running, addresses);
        Ok(run)
    }

    /// Takes links in until the server is stopped.
    pub(super) async fn serve(mut self) -> Result<(), RunError> {
        let core = self.core.clone();
        let result = {
            // Not only `Stopping`: a stop may be over before this is polled again.
            let stopping = pin!(core.life.wait(|state| state.phase != Phase::Running));
            let doors = self.doors.iter_mut();
            let accepting = doors.map(|door| Box::pin(accept_all(&core, door.as_mut())));
            match select(stopping, select_all(accepting)).await {
                Either::Left(((), _)) => Ok(()),
                Either::Right(((error, ..), _)) => Err(error),
            }
        };
        drop(self);
        if result.is_ok() {
            core.life.wait(|state| state.phase != Phase::Stopping).await;
        }
        result
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut doors = std::mem::take(&mut self.doors);
        doors.iter_mut().for_each(|door| door.close());
        let mut state = lock(&self.core.life.state);
        state.doors = Some(doors);
        // While it is being stopped, `stop` sees to the connections and to the phase.
        let alone = state.phase != Phase::Stopping;
        if alone {
            state.phase = Phase::Idle;
            state.addresses.clear();
        }
        let wakers = state.changed.all();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        if alone {
            close_all(&self.core);
        }
    }
}

/// Takes links in until it cannot any more.
async fn accept_all(core: &Arc<Core>, door: &mut dyn Door) -> RunError {
    let can = door.capabilities();
    loop {
        let handshake = core.registry.handshake(core.settings.handshakes).await;
        match door.accept().await {
            Ok(arrival) => {
                let task = serve(core.clone(), arrival, can, handshake);
                core.runtime.spawn("server connection", Box::pin(task));
            }
            Err(error) if error.is_retryable() => {
                let error = ErrorEvent::new(Origin::Transport, "accept_failed", error.to_string());
                core.hooks.error(&core.runtime, error);
                sleep(&core.runtime, PAUSE).await;
            }
            Err(error) => return RunError::Listen(error),
        }
    }
}

/// One link, from its handshake to its end.
async fn serve(
    core: Arc<Core>,
    arrival: Arrival,
    can: moorline_core::Capabilities,
    handshake: Handshake,
) {
    let limit = core.config.handshake_timeout;
    let arrived = {
        let time_out = pin!(sleep(&core.runtime, limit));
        match select(arrival, time_out).await {
            Either::Left((arrived, _)) => arrived,
            // Dropping a handshake ends its link.
            Either::Right(_) => return,
        }
    };
    // A peer that went away in the middle of its handshake is nobody's news.
    let Ok((link, peer)) = arrived else { return };
    let runtime = core.runtime.clone();
    let shared = Shared::new(core.config.clone(), runtime.clone(), Status::Connecting);
    let place = core.registry.add(shared.clone());
    let seed = runtime.random() as u64;
    let machine = Machine::server(core.config.clone(), runtime.now(), seed);
    let role = ServerRole::new(core.clone(), place, handshake, peer);
    if !core.life.is_running() {
        return;
    }
    Driver::new(shared, machine, role).with_link(link, can).await;
}

pub(super) async fn stop(core: &Arc<Core>) -> Result<Stopped, StopError> {
    {
        let mut state = lock(&core.life.state);
        if state.phase != Phase::Running {
            return Err(StopError::NotRunning);
        }
        state.phase = Phase::Stopping;
        let wakers = state.changed.all();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
    let _idle_at_the_end = Idle(core);
    let connections = close_over(core, core.settings.drain_over).await;
    let gone = {
        let gone = pin!(async {
            // The next run needs the door.
            core.life.wait(|state| state.doors.is_some()).await;
            core.registry.all_gone().await;
        });
        let deadline = pin!(sleep(&core.runtime, core.settings.drain_timeout));
        matches!(select(gone, deadline).await, Either::Left(_))
    };
    let rest = if gone { Vec::new() } else { core.registry.links() };
    for shared in &rest {
        command(shared, Command::Cut);
    }
    // The cut ones end at once: only their tasks have to be run.
    core.registry.all_gone().await;
    Ok(Stopped { connections, cut: rest.len() })
}

/// Ends the stopping, also when `stop` is dropped half way.
struct Idle<'a>(&'a Arc<Core>);

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.life.enter(Phase::Idle, Vec::new());
    }
}

/// Tells every client to come back, each at its own time; how many there were.
fn close_all(core: &Core) -> usize {
    let links = core.registry.links();
    Closing { core, links: links.into_iter() }.links.len()
}

/// The same one after another, over that time.
async fn close_over(core: &Arc<Core>, time: Duration) -> usize {
    let links = core.registry.links();
    let count = links.len();
    let mut closing = Closing { core, links: links.into_iter() };
    let pause = time / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    while !time.is_zero() && closing.next() && closing.links.len() > 0 {
        sleep(&core.runtime, pause).await;
    }
    count
}

/// Links to be closed. Dropped, it closes those that are left.
struct Closing<'a> {
    core: &'a Core,
    links: std::vec::IntoIter<Arc<Shared>>,
}

impl Closing<'_> {
    /// Closes the next one, if there is one.
    fn next(&mut self) -> bool {
        let Some(shared) = self.links.next() else { return false };
        let mut close = Close::new(close_code::RESTART, "the server stops");
        close.retry_after = Some(Duration::ZERO);
        close.spread = Some(self.core.settings.spread);
        command(&shared, Command::Disconnect(Box::new(close)));
        true
    }
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        while self.next() {}
    }
}

pub(super) fn command(shared: &Shared, command: Command) {
    let waker = lock(&shared.state).command(command);
    waker.into_iter().for_each(Waker::wake);
}

pub(super) async fn sleep(runtime: &Arc<dyn Runtime>, span: Duration) {
    let mut timer = runtime.timer();
    timer.as_mut().reset(runtime.now() + span);
    timer.await;
}
