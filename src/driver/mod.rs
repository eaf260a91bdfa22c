//! The driver: the task that carries out what a connection's machine decides.
//!
//! One for each connection, the same for client and server. Each turn takes everything that is ready (commands, frames,
//! the end of a write, a deadline), lets the machine answer all of it, and hands the link one batch. Reading goes on while a
//! write is stuck, since both halves are polled side by side.

mod gate;
mod link;
mod parts;
mod reading;
mod role;
mod tell;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use moorline_core::machine::{Failure, Input, Loss, Output, Refusal, Return, Transmit};
use moorline_core::wire::Close;
use moorline_core::{BoxFuture, Capabilities, Machine, Status, Time, Timer, close_code};

use self::gate::Gate;
pub(crate) use self::gate::Verdict;
pub(crate) use self::link::Link;
use self::parts::{Part, Parts};
pub(crate) use self::role::{Admitted, Attempt, Coming, Heard, Role};
use crate::requests;
use crate::server::Admission;
use crate::shared::{Adoption, Command, Shared};
use crate::sync::lock;

/// Bytes read in one poll: what was read is taken and answered while it is still in the processor's cache.
const BYTES_A_POLL: usize = 128 * 1024;

/// Batches written in one turn, so that a link that takes everything at once leaves room to read.
const BATCHES_A_TURN: usize = 4;

/// Turns in one poll, so that a busy connection leaves its thread to the others.
const TURNS_A_POLL: usize = 8;

/// How long it may keep its thread for what comes: a join can cost as much as a thousand messages.
const LONG: Duration = Duration::from_millis(1);

/// See the [module](self).
pub(crate) struct Driver<R: Role> {
    shared: Arc<Shared>,
    machine: Machine,
    role: R,
    link: Option<Link>,
    /// What the link can do.
    can: Capabilities,
    parts: Parts,
    /// There may be something to read.
    may_read: bool,
    /// The peer's end was read: the reading half is not polled any more.
    read_out: bool,
    /// A batch is on its way into the link.
    writing: bool,
    /// The write that failed, until what the peer had sent is read.
    write_error: Option<Failure>,
    suspended: bool,
    attempt: Option<BoxFuture<'static, Attempt>>,
    authentication: Option<BoxFuture<'static, Result<Admission, Refusal>>>,
    gate: Gate,
    /// Runs in this task, so that what it is given and what it sends back need no other task's turn.
    hook: Option<BoxFuture<'static, ()>>,
    /// The hook was woken.
    hook_woken: bool,
    batch: Vec<Transmit>,
    commands: Vec<Command>,
    wakes: Vec<Waker>,
    timer: Pin<Box<dyn Timer>>,
    timer_waker: Waker,
    /// What the timer is set to.
    armed: Time,
    /// The machine's deadline.
    wanted: Time,
    /// When the oldest message that nobody listens for is too old.
    unheard: Time,
    /// Bytes of messages that were not taken when it was last looked at: never less than now.
    held: usize,
    /// The time at the start of this turn.
    now: Time,
    /// The machine has been asked for all that it answers to what it was told.
    asked: bool,
    /// There is more to do before something new happens.
    again: bool,
    /// Whether the next message that is taken wakes this driver.
    told_waits: bool,
    /// It was told to connect while it was closing.
    connect_after: bool,
    /// How many bytes may still be read in this poll.
    bytes_left: usize,
    status: Status,
    /// How many bytes the session kept when it was last told.
    kept: usize,
    /// How much was lost on the way to the peer when its role was last told.
    lost: u64,
    /// What the peer has told makes it necessary to tell it what stands.
    restates: bool,
    /// No handle is left, or the connection is over: end when closed.
    abandoned: bool,
}

impl<R: Role> Driver<R> {
    pub(crate) fn new(shared: Arc<Shared>, machine: Machine, role: R) -> Self {
        Self {
            timer: shared.runtime.timer(),
            abandoned: role.ends_when_closed(),
            status: machine.status(),
            kept: 0,
            lost: 0,
            restates: false,
            machine,
            role,
            link: None,
            can: Capabilities::default(),
            parts: Parts::new(),
            may_read: false,
            read_out: false,
            writing: false,
            write_error: None,
            suspended: false,
            attempt: None,
            authentication: None,
            gate: Gate::default(),
            hook: None,
            hook_woken: false,
            batch: Vec::new(),
            commands: Vec::new(),
            wakes: Vec::new(),
            timer_waker: Waker::noop().clone(),
            armed: Time::MAX,
            wanted: Time::MAX,
            unheard: Time::MAX,
            held: 0,
            now: shared.runtime.now(),
            asked: false,
            again: false,
            told_waits: false,
            connect_after: false,
            bytes_left: 0,
            shared,
        }
    }

    /// A link that is there from the start.
    pub(crate) fn with_link(mut self, link: Link, can: Capabilities) -> Self {
        self.begin_link(link, can, None);
        self
    }

    #[inline(always)]
    fn tell(&mut self, input: Input) {
        self.machine.handle(self.now, input);
        self.asked = false;
    }

    fn begin_link(&mut self, link: Link, can: Capabilities, auth: Option<Bytes>) {
        self.take_link(link, can);
        self.tell(Input::LinkUp(can, auth));
    }

    fn take_link(&mut self, link: Link, can: Capabilities) {
        self.link = Some(link);
        self.can = can;
        self.writing = false;
        self.may_read = true;
        self.read_out = false;
        self.write_error = None;
        self.suspended = false;
    }

    /// The client has come back over that link. The old one, if there still is one, is dropped with all that
    /// it holds, before what was received is counted.
    fn adopt(&mut self, adoption: Adoption) {
        if !self.machine.can_resume() {
            return;
        }
        let Adoption { link, can: capabilities, coming } = adoption;
        let Coming { window, max_frame, received, properties, expires, source } = coming;
        self.tell(Input::LinkLost(Loss::Ended));
        self.drain();
        let Some(id) = self.role.renew_id() else { return };
        self.take_link(link, capabilities);
        self.role.came_back(expires, source);
        let back = Return { capabilities, window, max_frame, received, id, properties };
        self.tell(Input::Resume(Box::new(back)));
        self.drain();
    }

    /// One turn: takes in what is ready, does what the machine says, and publishes where it stands.
    /// Whether there is more to do before something new happens.
    fn turn(&mut self, context: &mut Context<'_>) -> bool {
        self.now = self.shared.runtime.now();
        self.again = false;
        self.take_commands(context);
        // A connect by hand drops the old attempt here, before what came of it is looked at.
        self.drain();
        self.poll_attempt(context);
        self.poll_authentication(context);
        self.poll_link();
        self.drain();
        self.poll_gate(context);
        self.poll_hook(context);
        self.look_at_delivery();
        self.drain();
        // A link that takes everything at once must not keep the machine from its deadline.
        if self.tick() {
            self.drain();
        }
        self.restate();
        for _ in 0..BATCHES_A_TURN {
            if !self.poll_written(context) && !self.poll_timer(context) {
                // An acknowledgement that rode on a batch has disarmed the timer that would have looked again.
                self.again |= !self.told_waits && self.machine.awaits_taking();
                return self.publish() || self.again;
            }
            self.drain();
            self.restate();
        }
        self.publish();
        true
    }

    fn take_commands(&mut self, context: &mut Context<'_>) {
        let mut commands = std::mem::take(&mut self.commands);
        lock(&self.shared.state).take_commands(&mut commands, context.waker());
        for command in commands.drain(..) {
            match command {
                // The connection opened just when it was disconnected, and is not closed yet.
                Command::Connect if self.machine.status() == Status::Closing => {
                    self.connect_after = true;
                }
                Command::Connect => self.tell(Input::Connect),
                Command::Disconnect(close) => {
                    self.connect_after = false;
                    self.tell(Input::Disconnect(*close));
                }
                Command::Send(outgoing) => self.tell(Input::Send(outgoing)),
                Command::Lost(count) => self.tell(Input::Lost(count)),
                Command::Lagged(count) => self.tell(Input::Lagged(count)),
                Command::Cancel(ticket) => self.tell(Input::Cancel(ticket)),
                Command::Adopt(adoption) => self.adopt(*adoption),
                Command::Standing => self.tell_standing(),
                Command::Restate => self.restates = true,
                Command::Throttle => self.tell_throttled(),
                Command::Ping => self.tell(Input::Ping),
                Command::AppState(app) => self.tell(Input::AppState(app)),
                Command::Network(hint) => self.tell(Input::Network(hint)),
                Command::Cut => {
                    self.tell(Input::LinkLost(Loss::Ended));
                    self.drain();
                    self.cut_gate();
                }
                Command::Abandon(close) => {
                    self.connect_after = false;
                    self.abandoned = true;
                    self.tell(Input::Disconnect(*close));
                }
            }
        }
        self.commands = commands;
    }

    /// Hands in what is held back now: whoever asked for it, and in whatever order, it is the newest.
    fn tell_throttled(&mut self) {
        let features = self.role.throttled();
        self.tell(Input::Throttle(features));
    }

    fn poll_attempt(&mut self, context: &mut Context<'_>) {
        let Some(attempt) = &mut self.attempt else { return };
        let Poll::Ready(result) = attempt.as_mut().poll(context) else { return };
        self.attempt = None;
        match result {
            Ok((link, can, auth)) => self.begin_link(link, can, auth),
            Err(failure) => self.tell(Input::LinkFailed(failure)),
        }
    }

    fn poll_authentication(&mut self, context: &mut Context<'_>) {
        let Some(authentication) = &mut self.authentication else { return };
        let Poll::Ready(result) = authentication.as_mut().poll(context) else { return };
        self.authentication = None;
        let result = result.and_then(|admission| {
            let codec = self.machine.codec().map_or("", |codec| codec.name());
            self.role.admit(admission, &self.shared, codec)
        });
        match result {
            Ok(Admitted::Anew(grant)) => {
                // It is told right after ready, before any message.
                self.tell_throttled();
                self.tell(Input::Accept(grant));
            }
            Ok(Admitted::Back(session, coming)) => {
                if let Some(link) = self.link.take() {
                    session.adopt(Adoption { link, can: self.can, coming });
                }
                // The link lives on with its session: for this driver it is over.
                self.tell(Input::LinkLost(Loss::Ended));
            }
            Err(refusal) => self.tell(Input::Refuse(refusal)),
        }
    }

    /// Tells the machine what the application has taken, and drops what nobody has listened for.
    fn look_at_delivery(&mut self) {
        // What was taken is counted anew once a link has opened.
        if self.machine.status() != self.status {
            self.drain();
        }
        let waits = self.machine.awaits_taking() || self.suspended;
        self.told_waits = waits;
        let config = &self.shared.config;
        let mut delivery = lock(&self.shared.delivery);
        let expired = delivery.expiry(config) <= self.now;
        let dropped =
            if expired { delivery.expire(self.now, config, &mut self.wakes) } else { Vec::new() };
        let taken = delivery.report_taken(waits);
        let unanswered = delivery.requests.has_unanswered();
        self.held = delivery.held();
        self.unheard = delivery.expiry(config);
        // What waited for that goes on at once.
        self.again |= self.suspended && self.held < config.window;
        drop(delivery);
        drop(dropped);
        if unanswered {
            self.refuse_requests();
        }
        if let Some(taken) = taken {
            self.tell(Input::Taken(taken));
        }
    }

    /// Whether a batch was written.
    fn poll_written(&mut self, context: &mut Context<'_>) -> bool {
        let Some(link) = self.link.as_mut().filter(|_| self.writing) else { return false };
        let Poll::Ready(result) = link.outgoing.as_mut().poll_written(context, &mut self.batch)
        else {
            return false;
        };
        self.writing = false;
        match result {
            Ok(()) => self.tell(Input::Written),
            Err(error) => {
                self.write_error = Some(Failure::from(&error));
                // What the peer had sent is read first.
                self.may_read = true;
                self.again = true;
            }
        }
        true
    }

    /// Whether the machine's deadline has come. Else the timer is armed for it. A later deadline leaves
    /// the timer as it is: it then fires once for nothing, which is cheaper than setting it with each
    /// message.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> bool {
        if self.tick() {
            return true;
        }
        let deadline = self.wanted.min(self.unheard).min(self.role.deadline()).min(self.gate.until);
        if deadline < self.armed {
            self.armed = deadline;
            self.timer.as_mut().reset(deadline);
        } else if self.now < self.armed && self.timer_waker.will_wake(context.waker()) {
            return false;
        }
        self.timer_waker.clone_from(context.waker());
        if self.armed != Time::MAX && self.timer.as_mut().poll(context).is_ready() {
            self.armed = Time::MAX;
            self.again = true;
        }
        false
    }

    fn tick(&mut self) -> bool {
        let due = self.wanted <= self.now;
        if due {
            self.tell(Input::Tick);
            self.give_memory_back();
        }
        if self.gate.until <= self.now {
            self.cut_gate();
        }
        if self.role.deadline() <= self.now {
            self.role.tick(&self.shared, self.now);
        }
        due
    }

    fn give_memory_back(&mut self) {
        if self.batch.is_empty() {
            self.batch.shrink_to(4);
            self.commands.shrink_to(4);
            self.wakes.shrink_to(4);
            lock(&self.shared.delivery).shrink();
        }
    }

    /// Does what the machine says.
    #[inline]
    fn drain(&mut self) {
        if !self.asked {
            self.drain_machine();
        }
    }

    fn drain_machine(&mut self) {
        self.asked = true;
        loop {
            let output = self.machine.poll();
            self.note_status();
            match output {
                Output::Wait(deadline) => {
                    self.wanted = deadline;
                    return;
                }
                Output::Write => self.begin_write(),
                Output::Opened(resumed) => {
                    lock(&self.shared.delivery).begin_link(resumed);
                    self.restore(resumed);
                }
                Output::Messages(count) => self.deliver(count),
                Output::Event(event) => self.tell_application(event),
                Output::Connect { attempt, .. } => {
                    self.attempt = Some(self.role.connect(attempt));
                    self.again = true;
                }
                Output::Authenticate(hello) => {
                    self.authentication = Some(self.role.authenticate(*hello));
                    self.again = true;
                }
                Output::DropLink => self.drop_link(),
                Output::RoundTrip(time) => self.answer_pingers(time),
                Output::Closed(failure) => self.closed(failure),
                _ => {}
            }
        }
    }

    fn begin_write(&mut self) {
        self.machine.take_batch(&mut self.batch);
        match &mut self.link {
            Some(link) if self.write_error.is_none() => {
                link.outgoing.as_mut().begin(&mut self.batch);
                self.writing = true;
            }
            _ => self.batch.clear(),
        }
    }

    /// Tells the peer what stands for this end, before anything else.
    fn restore(&mut self, resumed: bool) {
        if !resumed {
            self.role.session_over();
            self.restates = false;
        }
        let standing = self.role.standing(&self.shared, !resumed);
        if !standing.is_empty() || !resumed {
            self.tell(Input::Restore(standing, resumed));
        }
    }

    /// Tells the peer what has changed of that. While there is no connection it waits for the next one.
    fn tell_standing(&mut self) {
        if self.machine.status().is_connected() {
            let standing = self.role.standing(&self.shared, false);
            standing.into_iter().for_each(|outgoing| self.tell(Input::Send(outgoing)));
        }
    }

    /// Tells the peer what its own packets have made necessary: all of that at once, when what was told before is on its way.
    /// So a peer that asks for more and more makes nothing grow.
    fn restate(&mut self) {
        if self.restates && self.machine.status().is_connected() && !self.machine.state_waits() {
            self.restates = false;
            self.tell_standing();
            self.drain();
        }
    }

    fn deliver(&mut self, count: usize) {
        if !self.gate.is_empty() || self.role.guards() || self.machine.received_state(count) {
            return self.deliver_by_gate(count);
        }
        let mut dropped = Vec::new();
        let mut delivery = lock(&self.shared.delivery);
        let messages = self.machine.take_messages(count);
        delivery.deliver(messages, self.now, &mut self.wakes, &mut dropped);
        self.held = delivery.held();
        // What is dropped is user code, and comes after the lock.
        drop(delivery);
    }

    /// Answers what nobody here answers.
    fn refuse_requests(&mut self) {
        let unanswered = lock(&self.shared.delivery).take_unanswered();
        for id in unanswered {
            if self.machine.queued() > self.shared.config.queue {
                // Who asks on and on, and reads no answer, would have all of them kept.
                let close = Close::new(close_code::POLICY, "slow_consumer");
                return self.tell(Input::Disconnect(close));
            }
            if let Some(outgoing) = requests::no_handler(&self.shared, id) {
                self.tell(Input::Send(outgoing));
            }
        }
    }

    fn drop_link(&mut self) {
        self.link = None;
        self.attempt = None;
        self.authentication = None;
        self.write_error = None;
        self.writing = false;
        self.batch.clear();
    }

    /// Lets the hook go on, if it was woken, and does what it asks for.
    fn poll_hook(&mut self, context: &mut Context<'_>) {
        let Some(hook) = &mut self.hook else { return };
        self.wakes.retain(|waker| {
            let own = waker.will_wake(&self.parts.hook);
            self.hook_woken |= own;
            !own
        });
        if !std::mem::take(&mut self.hook_woken) {
            return;
        }
        if hook.as_mut().poll(&mut Context::from_waker(&self.parts.hook)).is_ready() {
            self.hook = None;
        }
        self.take_commands(context);
    }

    /// The connection is over. A hook that still has to clean up goes on by itself.
    fn let_hook_go(&mut self) {
        if let Some(hook) = self.hook.take() {
            self.shared.runtime.spawn("connect hook", hook);
        }
    }
}

impl<R: Role + Unpin> Future for Driver<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.bytes_left = BYTES_A_POLL;
        let woken = self.parts.take(context.waker());
        self.may_read |= woken.has(Part::Read);
        self.hook_woken |= woken.has(Part::Hook);
        let mut begun = None;
        for _ in 0..TURNS_A_POLL {
            let again = self.turn(context);
            let begun = *begun.get_or_insert(self.now);
            if self.abandoned && self.machine.status() == Status::Closed {
                if self.gate.is_empty() {
                    self.let_hook_go();
                    return Poll::Ready(());
                }
                if self.bound_gate() {
                    continue;
                }
            }
            if !again {
                return Poll::Pending;
            }
            if self.bytes_left == 0 || self.shared.runtime.now().since(begun) > LONG {
                break;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<R: Role> Drop for Driver<R> {
    /// The end, also when the runtime shuts down: nobody waits for this connection any more.
    fn drop(&mut self) {
        let mut wakes = Vec::new();
        let mut state = lock(&self.shared.state);
        state.driver_gone = true;
        state.status = Status::Closed;
        let commands = std::mem::take(&mut state.commands);
        state.round_trips += 1;
        state.round_trip = None;
        wakes.extend(state.openers.first());
        wakes.extend(state.room.first());
        wakes.extend(state.pingers.first());
        wakes.extend(state.receipts.all());
        drop(state);
        drop(commands);
        let mut delivery = lock(&self.shared.delivery);
        if self.status != Status::Closed {
            // It did not come to its end: the runtime has ended, or something of the user's panicked.
            delivery.set_status(Status::Closed, &mut wakes);
        }
        delivery.end(&mut wakes);
        drop(delivery);
        wakes.into_iter().for_each(Waker::wake);
    }
}
