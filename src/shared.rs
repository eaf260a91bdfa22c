//! What the handles, the driver and the listeners' task of one connection share.

use std::mem;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;
use std::time::Duration;

use moorline_core::machine::{Counts, Dropped, Outcome, Outgoing};
use moorline_core::wire::{Close, Codec, cost};
use moorline_core::{
    AppState, Buffer, Capabilities, Class, Config, ConnectionId, Frame, NetworkHint, Overflow,
    Runtime,
};

use crate::client::Lazy;
use crate::delivery::Delivery;
use crate::driver::{Coming, Link};
use crate::receipt::Outcomes;
use crate::stats::Stats;
use crate::sync::{WaitList, lock, wake};
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
    /// The session that goes on after a loss.
    pub(crate) session: Option<String>,
    pub(crate) properties: Vec<(String, String)>,
    /// The client has to be told of them (a server's).
    pub(crate) properties_changed: bool,
    /// The features that the server holds back (a client's).
    pub(crate) throttled: Vec<String>,
    /// The largest frame in bytes that the peer takes.
    pub(crate) max_frame: usize,
    pub(crate) commands: Vec<Command>,
    /// A command that changes the status is among them: the status here is ahead of the machine's.
    status_pending: bool,
    /// The session outlives the link of the moment.
    pub(crate) returns: bool,
    /// A client's connection closes, and is made again after it.
    pub(crate) closes_to_come_back: bool,
    /// The machine's status, as last told.
    published: Status,
    /// The application has called `disconnect`, and not `connect` since.
    pub(crate) leaving: bool,
    /// A lazy connection's way to its first open.
    pub(crate) lazy: Lazy,
    /// How many bytes may wait to be sent.
    limit: usize,
    /// What may wait while the connection is lost.
    buffer: Buffer,
    /// Bytes of messages among the commands.
    queued: usize,
    /// Bytes that wait in the machine.
    queued_behind: usize,
    /// Messages among the commands.
    waiting: usize,
    /// Messages that wait in the machine.
    waiting_behind: usize,
    /// The ticket of the last message that was accepted.
    pub(crate) tickets: u64,
    pub(crate) outcomes: Outcomes,
    /// Those who wait for what becomes of a message.
    pub(crate) receipts: WaitList,
    pub(crate) counts: Counts,
    /// Senders that wait for room.
    pub(crate) room: WaitList,
    /// There may be room for who found none before.
    room_to_tell: bool,
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
    /// Somebody wanted to wake it since it last took the commands.
    poked: bool,
    /// The driver has ended: with the last handle, with a server's connection, or with the runtime.
    pub(crate) driver_gone: bool,
}

/// What the application wants of the driver.
pub(crate) enum Command {
    Connect,
    Disconnect(Box<Close>),
    Send(Outgoing),
    /// A broadcast found no room for so many numbered messages.
    Lost(u64),
    /// And for so many without a number.
    Lagged(u64),
    /// A message is not wanted any more.
    Cancel(u64),
    /// The client has come back over that link (a server's).
    Adopt(Box<Adoption>),
    Ping,
    /// What stands for this end beside its messages has changed.
    Standing,
    /// What the peer has said makes it necessary to tell it of that.
    Restate,
    /// Which features are held back has changed (a server's).
    Throttle,
    /// Where the application stands (a client's).
    AppState(AppState),
    /// What is known of the network (a client's).
    Network(NetworkHint),
    /// Ends without waiting for the peer (a server's).
    Cut,
    /// The last handle of a client is gone.
    Abandon(Box<Close>),
}

/// A link of a client that comes back to its session.
pub(crate) struct Adoption {
    pub(crate) link: Link,
    pub(crate) can: Capabilities,
    pub(crate) coming: Coming,
}

impl Shared {
    pub(crate) fn new(config: Arc<Config>, runtime: Arc<dyn Runtime>, status: Status) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            codec: OnceLock::new(),
            state: Mutex::new(State {
                status,
                id: None,
                session: None,
                properties: Vec::new(),
                properties_changed: false,
                throttled: Vec::new(),
                max_frame: config.max_frame,
                commands: Vec::new(),
                status_pending: false,
                returns: false,
                closes_to_come_back: false,
                published: status,
                leaving: false,
                lazy: if config.lazy { Lazy::Asleep } else { Lazy::No },
                limit: config.queue,
                buffer: config.buffer.clone(),
                queued: 0,
                queued_behind: 0,
                waiting: 0,
                waiting_behind: 0,
                tickets: 0,
                outcomes: Outcomes::default(),
                receipts: WaitList::default(),
                counts: Counts::default(),
                room: WaitList::default(),
                room_to_tell: false,
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
        wake(waker);
    }

    pub(crate) fn stats(&self) -> Stats {
        let (counts, queued, dropped) = {
            let state = lock(&self.state);
            (state.counts, state.queued(), state.outcomes.drops)
        };
        let delivery = lock(&self.delivery);
        let (unheard, late) = (delivery.unheard(), delivery.requests.late());
        Stats { counts, queued, dropped, unheard, late }
    }

    /// Gives the session a link of its client's.
    pub(crate) fn adopt(&self, adoption: Adoption) {
        let waker = lock(&self.state).command(Command::Adopt(Box::new(adoption)));
        wake(waker);
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
                self.lazy = Lazy::No;
            }
            Command::Disconnect(_) | Command::Abandon(_) => {
                let goodbye =
                    matches!(self.status, Status::Open | Status::Throttled | Status::Closing);
                self.status = if goodbye { Status::Closing } else { Status::Closed };
                self.status_pending = true;
                self.leaving = true;
                self.lazy = Lazy::No;
                self.room_to_tell = true;
                self.failure = Some(ConnectError::Disconnected);
            }
            // Those by turns are two commands, however many there are.
            Command::Lost(more) => {
                if let [.., Command::Lost(count)] | [.., Command::Lost(count), Command::Lagged(_)] =
                    self.commands.as_mut_slice()
                {
                    *count += more;
                    return None;
                }
            }
            Command::Lagged(more) => {
                if let [.., Command::Lagged(count)]
                | [.., Command::Lagged(count), Command::Lost(_)] = self.commands.as_mut_slice()
                {
                    *count += more;
                    return None;
                }
            }
            // One ping answers all who wait.
            Command::Ping if matches!(self.commands.last(), Some(Command::Ping)) => return None,
            Command::Network(hint) if matches!(self.commands.last(), Some(Command::Network(last)) if last == hint) =>
            {
                return None;
            }
            Command::Standing if matches!(self.commands.last(), Some(Command::Standing)) => {
                return None;
            }
            Command::Restate if matches!(self.commands.last(), Some(Command::Restate)) => {
                return None;
            }
            Command::Throttle if matches!(self.commands.last(), Some(Command::Throttle)) => {
                return None;
            }
            Command::Ping
            | Command::AppState(_)
            | Command::Network(_)
            | Command::Standing
            | Command::Restate
            | Command::Throttle
            | Command::Cut
            | Command::Cancel(_)
            | Command::Adopt(_) => {}
            // Counted where it is accepted.
            Command::Send(_) => {}
        }
        self.commands.push(command);
        self.poke()
    }

    /// Takes a message out of there if there is room for it, and gives its ticket; `None` when there is none
    /// now.
    pub(crate) fn send(
        &mut self,
        outgoing: &mut Result<Outgoing, SendError>,
    ) -> Option<Result<(u64, Option<Waker>), SendError>> {
        if let Ok(outgoing) = outgoing {
            if let Err(error) = self.admit(&outgoing.frame)? {
                return Some(Err(error));
            }
        }
        let taken = mem::replace(outgoing, Err(SendError::NotConnected));
        Some(taken.map(|outgoing| self.accept(outgoing)))
    }

    /// Whether there is room for a message; `None` when there is none now.
    fn admit(&self, frame: &Frame) -> Option<Result<(), SendError>> {
        let lost = !self.status.is_connected();
        if lost && !self.buffers() {
            if self.opens_lazily() {
                return None;
            }
            return Some(Err(SendError::NotConnected));
        }
        let size = frame.len();
        if size > self.max_frame {
            return Some(Err(SendError::TooLarge { size, limit: self.max_frame }));
        }
        let cost = cost(frame);
        // One message may always wait, or one larger than the limit never could be sent.
        if self.queued() > 0 {
            let full =
                if lost { self.buffer_is_full(cost) } else { self.queued() + cost > self.limit };
            if full && lost && self.buffer.overflow == Overflow::Reject {
                let (queued, limit) = (self.queued(), self.buffer.bytes);
                return Some(Err(SendError::Full { queued, limit }));
            }
            if full {
                return None;
            }
        }
        Some(Ok(()))
    }

    fn accept(&mut self, mut outgoing: Outgoing) -> (u64, Option<Waker>) {
        self.tickets += 1;
        outgoing.ticket = self.tickets;
        self.queued += cost(&outgoing.frame);
        self.waiting += 1;
        self.commands.push(Command::Send(outgoing));
        (self.tickets, self.poke())
    }

    /// Whether a message that is sent now waits until the connection is open again.
    fn buffers(&self) -> bool {
        let comes = self.status == Status::Connecting
            || (self.status == Status::Closing && self.closes_to_come_back && !self.leaving);
        comes && self.buffer.count > 0 && !self.driver_gone
    }

    /// Whether the buffer has no room for one more. Where messages are dropped instead, the machine does
    /// that: only those that it has not seen yet are bounded here.
    fn buffer_is_full(&self, cost: usize) -> bool {
        let Buffer { count, bytes, overflow, .. } = self.buffer;
        match overflow {
            Overflow::DropOldest | Overflow::DropNewest => {
                self.waiting >= count || self.queued + cost > bytes
            }
            _ => self.waiting + self.waiting_behind >= count || self.queued() + cost > bytes,
        }
    }

    /// Whether so many messages of so many bytes in all would wait until the connection is open again.
    pub(crate) fn buffers_all(&self, count: usize, bytes: usize) -> bool {
        let room = self.buffer.count.saturating_sub(self.waiting + self.waiting_behind);
        self.buffers() && count <= room && self.queued() + bytes <= self.buffer.bytes
    }

    /// Takes a message of a broadcast in, which never waits; who to wake. What finds no room is told to the
    /// other end, and `false` here.
    pub(crate) fn broadcast(&mut self, mut outgoing: Outgoing) -> (bool, Option<Waker>) {
        outgoing.broadcast = true;
        let numbered = outgoing.class == Class::AtLeastOnce;
        let latest = outgoing.key.is_some();
        let size = cost(&outgoing.frame);
        let mut message = Ok(outgoing);
        let fits = if self.room.is_empty() { self.send(&mut message) } else { None };
        match (fits, message) {
            (Some(Ok((_, waker))), _) => return (true, waker),
            // Nobody is there, and nobody will be; or it was too large for this one.
            (Some(Err(error)), _) => {
                let comes_back =
                    (self.status == Status::Connecting || self.returns) && !self.driver_gone;
                if !comes_back && !matches!(error, SendError::TooLarge { .. }) {
                    return (false, None);
                }
            }
            // Older ones make room for it, in the machine; what has not reached that is bounded here.
            (None, Ok(mut outgoing))
                if (!numbered || latest) && self.queued + size <= self.limit =>
            {
                outgoing.pushes_out = true;
                return (true, self.accept(outgoing).1);
            }
            (None, _) => {}
        }
        let lost = if numbered { Command::Lost(1) } else { Command::Lagged(1) };
        (false, self.command(lost))
    }

    /// Whether what the other end has asked for may be sent; also where nobody is there to have it.
    pub(crate) fn has_room(&self) -> bool {
        !self.status.is_connected() || self.queued() < self.limit
    }

    /// Takes in what the other end has asked for, where there is room for some of it; who to wake.
    pub(crate) fn overfill(&mut self, mut outgoing: Outgoing) -> Option<Waker> {
        outgoing.broadcast = true;
        self.accept(outgoing).1
    }

    /// Bytes that wait to be sent.
    pub(crate) const fn queued(&self) -> usize {
        self.queued + self.queued_behind
    }

    /// Hands the commands to the driver, by a swap. Until it ends its turn, nothing needs to wake it.
    pub(crate) fn take_commands(&mut self, into: &mut Vec<Command>, waker: &Waker) {
        mem::swap(&mut self.commands, into);
        self.room_to_tell |= self.waiting > 0;
        self.queued_behind += self.queued;
        self.queued = 0;
        self.waiting_behind += self.waiting;
        self.waiting = 0;
        self.status_pending = false;
        self.driver_woken = true;
        self.poked = false;
        match &mut self.driver {
            Some(own) => own.clone_from(waker),
            None => self.driver = Some(waker.clone()),
        }
    }

    /// The driver tells where the machine stands; who to wake for it.
    pub(crate) fn publish(&mut self, status: Status, counts: Counts) -> [Option<Waker>; 2] {
        self.room_to_tell |= counts.queued < self.queued_behind
            || counts.waiting < self.waiting_behind
            || self.published != status;
        self.published = status;
        if !self.status_pending {
            self.status = status;
        }
        if self.status.is_connected() {
            self.lazy = Lazy::No;
        }
        self.queued_behind = counts.queued;
        self.waiting_behind = counts.waiting;
        self.counts = counts;
        let settled = matches!(self.status, Status::Closed | Status::Open | Status::Throttled);
        let opener = if settled { self.openers.first() } else { None };
        let room = !self.status.is_connected() || self.queued() < self.limit;
        // Only where something changed: a hook that waits is polled by this very driver.
        let sender =
            if room && mem::take(&mut self.room_to_tell) { self.room.first() } else { None };
        [opener, sender]
    }

    /// Takes out the messages that were accepted and are still here, to be dropped without the lock.
    pub(crate) fn drop_sends(&mut self) -> Vec<Command> {
        let (sends, kept): (Vec<_>, _) = mem::take(&mut self.commands)
            .into_iter()
            .partition(|command| matches!(command, Command::Send(_)));
        for send in &sends {
            if let Command::Send(outgoing) = send {
                let dropped = Outcome::Dropped(Dropped::Disconnected);
                self.outcomes.settle(outgoing.ticket, dropped);
            }
        }
        self.commands = kept;
        self.queued = 0;
        self.waiting = 0;
        self.room_to_tell = true;
        sends
    }

    /// The driver has nothing more to do, unless somebody wanted to wake it since it took the commands; whether
    /// that is so. Else it is woken by the next who does.
    pub(crate) const fn end_turn(&mut self) -> bool {
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
