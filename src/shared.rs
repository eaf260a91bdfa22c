//! What the handles, the driver and the listeners' task of one connection share.

use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;
use std::time::Duration;

use moorline_core::machine::Outgoing;
use moorline_core::wire::{Close, Codec, cost};
use moorline_core::{Config, ConnectionId, Runtime};

use crate::delivery::Delivery;
use crate::sync::{WaitList, lock};
use crate::{ConnectError, Event, SendError, Status};

/// See the [module](self). Locks are never held while user code runs. Where both are, `state` is locked before
/// `delivery`.
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) runtime: Arc<dyn Runtime>,
    /// Known to a server from the first frame on, and so to every handle.
    pub(crate) codec: OnceLock<Arc<dyn Codec>>,
    pub(crate) state: Mutex<State>,
    pub(crate) delivery: Mutex<Delivery>,
}

/// Where the connection stands, and what its application wants.
pub(crate) struct State {
    pub(crate) status: Status,
    pub(crate) id: Option<ConnectionId>,
    pub(crate) properties: Vec<(String, String)>,
    /// The largest frame in bytes that the peer takes.
    pub(crate) max_frame: usize,
    pub(crate) commands: Vec<Command>,
    /// A command that changes the status is among them: the status here is ahead of the machine's.
    status_pending: bool,
    /// The application has called `disconnect`, and not `connect` since.
    pub(crate) leaving: bool,
    /// How many bytes may wait to be sent.
    limit: usize,
    /// Bytes of messages among the commands.
    queued: usize,
    /// Bytes that wait in the machine.
    queued_behind: usize,
    /// Senders that wait for room.
    pub(crate) room: WaitList,
    /// Those who wait for the connection to open.
    pub(crate) openers: WaitList,
    /// How often it has opened.
    pub(crate) opens: u64,
    pub(crate) failure: Option<ConnectError>,
    /// Those who wait for a round-trip time.
    pub(crate) pingers: WaitList,
    pub(crate) round_trips: u64,
    pub(crate) round_trip: Option<Duration>,
    driver: Option<Waker>,
    driver_woken: bool,
    /// Somebody wanted to wake it since user code began to run in its task.
    poked: bool,
    /// The driver has ended: with the last handle, with a server's connection, or with the runtime.
    pub(crate) driver_gone: bool,
}

/// What the application wants of the driver.
pub(crate) enum Command {
    Connect,
    Disconnect(Box<Close>),
    Send(Outgoing),
    Ping,
    /// Ends without waiting for the peer (a server's).
    Cut,
    /// The last handle of a client is gone.
    Abandon(Box<Close>),
}

impl Shared {
    pub(crate) fn new(config: Arc<Config>, runtime: Arc<dyn Runtime>, status: Status) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            codec: OnceLock::new(),
            state: Mutex::new(State {
                status,
                id: None,
                properties: Vec::new(),
                max_frame: config.max_frame,
                commands: Vec::new(),
                status_pending: false,
                leaving: false,
                limit: config.queue,
                queued: 0,
                queued_behind: 0,
                room: WaitList::default(),
                openers: WaitList::default(),
                opens: 0,
                failure: None,
                pingers: WaitList::default(),
                round_trips: 0,
                round_trip: None,
                driver: None,
                driver_woken: false,
                poked: false,
                driver_gone: false,
            }),
            delivery: Mutex::new(Delivery::new(&config)),
            config,
        })
    }

    pub(crate) fn wake_driver(&self) {
        let waker = lock(&self.state).poke();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Tells the application of something that the driver did not.
    pub(crate) fn dispatch(&self, event: Event) {
        let mut wakes = Vec::new();
        lock(&self.delivery).dispatch(event, &mut wakes);
        wakes.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Adds a command; who to wake for it.
    pub(crate) fn command(&mut self, command: Command) -> Option<Waker> {
        if self.driver_gone {
            return None;
        }
        match &command {
            Command::Connect => {
                self.status = Status::Connecting;
                self.status_pending = true;
                self.leaving = false;
            }
            Command::Disconnect(_) | Command::Abandon(_) => {
                let goodbye =
                    matches!(self.status, Status::Open | Status::Throttled | Status::Closing);
                self.status = if goodbye { Status::Closing } else { Status::Closed };
                self.status_pending = true;
                self.leaving = true;
                self.failure = Some(ConnectError::Disconnected);
            }
            Command::Send(outgoing) => self.queued += cost(&outgoing.frame),
            // One ping answers all who wait.
            Command::Ping if matches!(self.commands.last(), Some(Command::Ping)) => return None,
            Command::Ping | Command::Cut => {}
        }
        self.commands.push(command);
        self.poke()
    }

    /// Takes a message in if there is room; `None` when there is none now.
    pub(crate) fn send(
        &mut self,
        outgoing: &mut Option<Outgoing>,
    ) -> Option<Result<Option<Waker>, SendError>> {
        if !self.status.is_connected() {
            return Some(Err(SendError::NotConnected));
        }
        let size = outgoing.as_ref().map_or(0, |outgoing| outgoing.frame.len());
        if size > self.max_frame {
            return Some(Err(SendError::TooLarge { size, limit: self.max_frame }));
        }
        let cost = outgoing.as_ref().map_or(0, |outgoing| cost(&outgoing.frame));
        // One message may always wait, or one larger than the limit never could be sent.
        if self.queued() > 0 && self.queued() + cost > self.limit {
            return None;
        }
        let outgoing = outgoing.take()?;
        Some(Ok(self.command(Command::Send(outgoing))))
    }

    /// Bytes that wait to be sent.
    pub(crate) const fn queued(&self) -> usize {
        self.queued + self.queued_behind
    }

    /// Hands the commands to the driver, by a swap. Until it asks again, the next command wakes it.
    pub(crate) fn take_commands(&mut self, into: &mut Vec<Command>, waker: &Waker) {
        std::mem::swap(&mut self.commands, into);
        self.queued_behind += self.queued;
        self.queued = 0;
        self.status_pending = false;
        self.driver_woken = false;
        match &mut self.driver {
            Some(own) => own.clone_from(waker),
            None => self.driver = Some(waker.clone()),
        }
    }

    /// The driver tells where the machine stands; who to wake for it.
    pub(crate) fn publish(&mut self, status: Status, queued: usize) -> [Option<Waker>; 2] {
        if !self.status_pending {
            self.status = status;
        }
        self.queued_behind = queued;
        let settled = matches!(self.status, Status::Closed | Status::Open | Status::Throttled);
        let opener = if settled { self.openers.first() } else { None };
        let room = !self.status.is_connected() || self.queued() < self.limit;
        let sender = if room { self.room.first() } else { None };
        [opener, sender]
    }

    /// Takes out the messages that were accepted and are still here, to be dropped without the lock.
    pub(crate) fn drop_sends(&mut self) -> Vec<Command> {
        let (sends, kept) = std::mem::take(&mut self.commands)
            .into_iter()
            .partition(|command| matches!(command, Command::Send(_)));
        self.commands = kept;
        self.queued = 0;
        sends
    }

    /// User code is about to run in the driver's own task, which looks at what it asks for right after.
    pub(crate) const fn begin_inline(&mut self) {
        self.driver_woken = true;
        self.poked = false;
    }

    /// It has run. Whether the driver has something to do.
    pub(crate) const fn end_inline(&mut self) -> bool {
        self.driver_woken = self.poked;
        self.poked
    }

    fn poke(&mut self) -> Option<Waker> {
        self.poked = true;
        if self.driver_woken {
            return None;
        }
        self.driver_woken = true;
        self.driver.clone()
    }
}
