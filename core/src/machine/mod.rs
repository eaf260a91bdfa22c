//! The session machine: decides everything a connection does, and does nothing itself.
//!
//! No clock, no task, no socket: time comes in as an argument and randomness from a seed, so that the same inputs give
//! the same outputs, byte for byte. Client and server are the same machine; a client may have many links, one
//! after another, a server's connection has one.
//!
//! # Driving it
//!
//! 1. Call [`Machine::handle`] with an [`Input`] and the time.
//! 2. Call [`Machine::poll`] and do what it says, until it says [`Output::Wait`].
//! 3. Wait for an input or for the deadline that it named ([`Input::Tick`]), and begin again.
//!
//! Inputs may be handled one after another before polling; outputs keep their order. Only what comes of an attempt
//! ([`Input::LinkUp`], [`Input::LinkFailed`]) has to wait until the outputs before it are carried out: one of them may
//! have dropped that attempt.
//!
//! ```text
//!           Connect             LinkUp              Ready
//!  Closed ──────────► Connecting ─────► Greeting ──────────► Open ──┐
//!    ▲                 ▲     │ failed       │ failed           │    │ loss
//!    │ gave up         │     ▼              ▼                  │    │
//!    ├───────────────Waiting ◄──────────────┴──────────────────│────┘
//!    │                                     Disconnect, close   ▼
//!    └────────────────────────────────────────────────────  Closing
//! ```
//!
//! A server's machine begins in `Greeting`, asks in `Authenticating`, and never waits to try again.

mod backoff;
mod client;
mod closing;
mod config;
mod heartbeat;
mod inbound;
mod io;
mod life;
mod open;
mod outbound;
mod outcome;
mod server;
mod session;
mod transmit;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

pub use backoff::{Backoff, Delays};
pub use config::{Buffer, Config, Overflow};
pub use heartbeat::Heartbeat;
pub use io::{
    Exchange, Failure, Grant, Input, Loss, Outgoing, Output, Received, Refusal, Return, Taken,
    Transmit,
};
pub use life::{AppState, AppStateMode, NetworkHint};
pub use outcome::{Dropped, Outcome, Outcomes};
pub use session::Counts;

use self::backoff::Outage;
use self::closing::Closing;
use self::heartbeat::Pulse;
use self::inbound::Inbound;
use self::life::Life;
use self::outbound::Outbound;
use self::transmit::Control;
use crate::wire::{Codec, SessionGrant};
use crate::{ConnectionId, Event, Side, Status, Time};

/// One end of a connection. See the [module](self) for how to drive it.
pub struct Machine {
    side: Side,
    config: Arc<Config>,
    state: State,
    /// The time of the last input.
    now: Time,
    outputs: VecDeque<Output>,
    /// Messages that [`Output::Messages`] tells of: apart from the outputs, which then stay small.
    received: Vec<Received>,
    /// What the next [`Output::Write`] is for.
    batch: Vec<Transmit>,
    rng: fastrand::Rng,
    /// What both ends speak; known to a server from the first frame on.
    codec: Option<Arc<dyn Codec>>,
    id: Option<ConnectionId>,
    /// The largest frame in bytes that the peer takes.
    peer_max_frame: usize,
    outage: Outage,
    /// Attempts of this client ever, which its hello carries.
    attempts_ever: u64,
    /// An error that the peer told before it let this client in.
    refusal: Option<Box<Failure>>,
    /// What the server holds back: told by it, or to be told to the client.
    throttled: Vec<String>,
    link: Link,
    control: Control,
    outbound: Outbound,
    inbound: Inbound,
    pulse: Pulse,
    life: Life,
    /// The session that goes on after a loss, if the server keeps one.
    session: Option<SessionGrant>,
    /// Since when the peer, for which there was no room any more, has made no progress.
    stalls_since: Option<Time>,
    recoveries: u64,
    gaps: u64,
    /// Packets received for the application, numbered or not.
    arrived: u64,
    /// Numbers received in sessions before this one.
    received_before: u64,
}

/// Where the machine stands, with what only that state has.
#[derive(Debug)]
enum State {
    /// Nothing is under way.
    Closed,
    /// A link is being made.
    Connecting { deadline: Time },
    /// The link is up. A client waits for ready, a server for hello.
    Greeting { deadline: Time },
    /// A server has asked whether the client may come in.
    Authenticating { deadline: Time, peer: PeerLimits },
    /// Messages flow.
    Open,
    /// One end has said that it closes.
    Closing(Box<Closing>),
    /// A client waits before its next attempt, a server for its client to come back.
    Waiting { until: Time },
}

/// What the peer's hello allows.
#[derive(Clone, Copy, Debug)]
struct PeerLimits {
    window: Option<u64>,
    max_frame: usize,
}

/// What the link of the moment can do.
#[derive(Clone, Copy, Debug)]
struct Link {
    pings: bool,
    max_frame: usize,
}

impl Default for Link {
    fn default() -> Self {
        Self { pings: false, max_frame: usize::MAX }
    }
}

impl Machine {
    /// A client, closed. `seed` decides every random choice that it makes.
    ///
    /// # Panics
    ///
    /// When the configuration names no codec.
    #[must_use]
    pub fn client(config: Arc<Config>, seed: u64) -> Self {
        let codec =
            config.codecs.first().expect("a configuration names at least one codec").clone();
        Self::new(Side::Client, config, Some(codec), State::Closed, Time::ZERO, seed)
    }

    /// A server's connection, whose link is up and has said nothing.
    #[must_use]
    pub fn server(config: Arc<Config>, now: Time, seed: u64) -> Self {
        let deadline = now + config.handshake_timeout;
        Self::new(Side::Server, config, None, State::Greeting { deadline }, now, seed)
    }

    fn new(
        side: Side,
        config: Arc<Config>,
        codec: Option<Arc<dyn Codec>>,
        state: State,
        now: Time,
        seed: u64,
    ) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let pulse = Pulse::new(now, &config.heartbeat, &mut rng);
        Self {
            side,
            state,
            now,
            outputs: VecDeque::new(),
            received: Vec::new(),
            batch: Vec::new(),
            rng,
            codec,
            id: None,
            peer_max_frame: config.max_frame,
            outage: Outage::new(false),
            attempts_ever: 0,
            refusal: None,
            throttled: Vec::new(),
            link: Link::default(),
            control: Control::default(),
            outbound: Outbound::default(),
            inbound: Inbound::new(config.window),
            pulse,
            life: Life::default(),
            session: None,
            stalls_since: None,
            recoveries: 0,
            gaps: 0,
            arrived: 0,
            received_before: 0,
            config,
        }
    }

    /// Takes in what happened. Call [`poll`](Self::poll) afterwards until it says [`Output::Wait`].
    // Callers know which input it is: so each becomes a call of what it is for, and no input is moved.
    #[inline(always)]
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = now;
        match input {
            Input::Connect => self.connect(now),
            Input::Disconnect(close) => self.disconnect(now, close),
            Input::Send(outgoing) => self.send(now, outgoing),
            Input::Lost(count) => self.lose(now, count),
            Input::Lagged(count) => self.control.lagged += count,
            Input::Cancel(ticket) => self.outbound.cancel(ticket),
            Input::Taken(taken) => self.taken(now, taken),
            Input::Ping => {
                self.extend_background(now);
                self.ping(now);
            }
            Input::AppState(app) => self.app_state(now, app),
            Input::Network(hint) => self.network(now, hint),
            Input::LinkUp(capabilities, auth) => self.link_up(now, capabilities, auth),
            Input::LinkFailed(failure) => self.link_failed(now, failure),
            Input::LinkLost(loss) => self.link_lost(now, loss),
            Input::Frame(frame) => self.frame(now, frame),
            Input::Activity => self.activity(now),
            Input::Suspended(suspended) => self.pulse.suspend(now, suspended),
            Input::Written => self.written(now),
            Input::Accept(grant) => self.accept(now, grant),
            Input::Refuse(refusal) => self.refuse_client(now, refusal),
            Input::Resume(back) => self.resume(now, *back),
            Input::Restore(state, resumed) => self.restore(state, resumed),
            Input::Report(error) => self.control.report(error),
            Input::Throttle(features) => self.hold_back(features),
            Input::Tick => self.tick(now),
        }
    }

    /// What to do next.
    #[must_use = "every output must be carried out, in order"]
    pub fn poll(&mut self) -> Output {
        if self.outputs.is_empty() {
            self.transmit(self.now);
        }
        match self.outputs.pop_front() {
            Some(output) => output,
            None => {
                // The next one comes to the same place, which is in the processor's cache.
                self.outputs.clear();
                Output::Wait(self.deadline())
            }
        }
    }

    /// Takes the batch that [`Output::Write`] tells of, by a swap: `into` is empty, and its memory is
    /// used for the next one.
    pub fn take_batch(&mut self, into: &mut Vec<Transmit>) {
        debug_assert!(into.is_empty(), "a batch was not written");
        std::mem::swap(&mut self.batch, into);
    }

    /// The next messages for the application; as many as [`Output::Messages`] tells of.
    pub fn take_messages(&mut self, count: usize) -> std::vec::Drain<'_, Received> {
        let count = count.min(self.received.len());
        self.received.drain(..count)
    }

    /// Whether there is something among the next messages that is no ordinary one: to be passed on, or what stands beside
    /// the messages.
    #[must_use]
    pub fn received_state(&self, count: usize) -> bool {
        let mut next = self.received.iter().take(count);
        next.any(|one| matches!(one.exchange, Exchange::Publish(_) | Exchange::State(_)))
    }

    /// Whether something waits to be sent that stands beside the messages ([`Outgoing::state`]). It looks at all that waits.
    #[must_use]
    pub fn state_waits(&self) -> bool {
        self.outbound.state_waits()
    }

    /// Where the connection stands now.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.state {
            State::Closed => Status::Closed,
            State::Connecting { .. }
            | State::Greeting { .. }
            | State::Authenticating { .. }
            | State::Waiting { .. } => Status::Connecting,
            State::Open if !self.throttled.is_empty() => Status::Throttled,
            State::Open => Status::Open,
            State::Closing(_) => Status::Closing,
        }
    }

    /// The connection's id, while it has one.
    #[must_use]
    pub const fn id(&self) -> Option<&ConnectionId> {
        self.id.as_ref()
    }

    /// What both ends speak; `None` at a server before the first frame.
    #[must_use]
    pub const fn codec(&self) -> Option<&Arc<dyn Codec>> {
        self.codec.as_ref()
    }

    /// The largest frame in bytes that both ends take.
    #[must_use]
    pub const fn max_frame(&self) -> usize {
        self.peer_max_frame
    }

    /// Whether the driver should read from the link. Not while the application decides whether the
    /// client may come in.
    #[must_use]
    pub const fn reads(&self) -> bool {
        match self.state {
            State::Greeting { .. } | State::Open | State::Closing(_) => true,
            State::Closed
            | State::Connecting { .. }
            | State::Authenticating { .. }
            | State::Waiting { .. } => false,
        }
    }

    /// Bytes that wait to be handed to the link.
    #[must_use]
    pub const fn queued(&self) -> usize {
        self.outbound.queued()
    }

    /// Bytes handed to the link that the peer has not acknowledged.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.outbound.in_flight()
    }

    /// Volatile messages dropped since the start because there was no room.
    #[must_use]
    pub const fn dropped_volatile(&self) -> u64 {
        self.outbound.counts.volatile_dropped
    }

    /// Whether messages were received, none of them taken, and no timer will ask again: the driver
    /// then has to hand in [`Input::Taken`] as soon as one is.
    #[must_use]
    pub fn awaits_taking(&self) -> bool {
        self.inbound.awaits_taking()
    }

    fn deadline(&self) -> Time {
        self.state_deadline().min(self.outbound.expiry()).min(self.life_deadline())
    }

    fn state_deadline(&self) -> Time {
        match &self.state {
            State::Closed => Time::MAX,
            State::Connecting { deadline }
            | State::Greeting { deadline }
            | State::Authenticating { deadline, .. } => *deadline,
            State::Open => {
                self.pulse.deadline().min(self.inbound.deadline()).min(self.stall_deadline())
            }
            State::Closing(closing) => closing.next_deadline(),
            State::Waiting { until } => *until,
        }
    }

    fn tick(&mut self, now: Time) {
        self.outbound.expire(now);
        self.tick_life(now);
        if now < self.state_deadline() {
            return;
        }
        match (&self.state, self.side) {
            (State::Closed, _) => {}
            (State::Connecting { .. } | State::Greeting { .. }, Side::Client) => {
                let limit = self.config.attempt_timeout;
                self.attempt_failed(
                    now,
                    Failure::retryable("timed_out", format!("no connection within {limit:?}")),
                );
            }
            (State::Greeting { .. } | State::Connecting { .. }, Side::Server) => {
                self.hello_missing(now);
            }
            (State::Authenticating { .. }, _) => self.authenticator_too_slow(now),
            (State::Open, _) => self.tick_open(now),
            (State::Closing(_), _) => self.tick_closing(now),
            (State::Waiting { .. }, Side::Client) => self.attempt(now),
            (State::Waiting { .. }, Side::Server) => self.session_expired(),
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn has_session(&self) -> bool {
        self.codec.as_ref().is_some_and(|codec| codec.has_session())
    }

    /// Gives memory back after a burst. Only on a tick: a queue that is shrunk after each batch would
    /// have to grow again for the next.
    fn shrink(&mut self) {
        if self.outbound.is_empty() {
            self.outputs.shrink_to(outbound::IDLE_CAPACITY);
            self.received.shrink_to(outbound::IDLE_CAPACITY);
            self.outbound.shrink();
        }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("side", &self.side)
            .field("state", &self.state)
            .field("id", &self.id)
            .field("queued", &self.queued())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
