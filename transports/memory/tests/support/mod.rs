//! What the tests share: a clock that is moved by hand, and futures that are polled once.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_executor::LocalPool;
use futures_util::FutureExt;
use futures_util::task::LocalSpawnExt;
use moorline_core::{
    Acceptor, BoxFuture, ConnectRequest, Frame, Incoming, Peer, Pending, Receiver, Runtime, Sender,
    Time, Timer, Transport, TransportError, TransportErrorKind,
};
use moorline_memory::{
    MemoryAcceptor, MemoryReceiver, MemorySender, MemoryTransport, Network, NetworkBuilder,
};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SHOP: &str = "shop";

/// A runtime whose time moves when a test says so. It spawns nothing, as memory links need not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(Arc<Mutex<Hands>>);

#[derive(Debug, Default)]
struct Hands {
    now: Time,
    sleepers: Vec<(Time, Waker)>,
    timers: usize,
    asked: usize,
}

impl Clock {
    pub(crate) fn advance(&self, span: Duration) {
        let mut hands = self.0.lock().unwrap();
        hands.now += span;
        let now = hands.now;
        let (due, later) = hands.sleepers.drain(..).partition(|(at, _)| *at <= now);
        hands.sleepers = later;
        drop(hands);
        let due: Vec<(Time, Waker)> = due;
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// How many timers were made, and how often the time was asked for.
    pub(crate) fn used(&self) -> (usize, usize) {
        let hands = self.0.lock().unwrap();
        (hands.timers, hands.asked)
    }
}

impl Runtime for Clock {
    fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {
        panic!("a memory link spawned a task");
    }
    fn spawn_blocking(&self, _: Box<dyn FnOnce() + Send>) {
        panic!("a memory link spawned work");
    }
    fn timer(&self) -> Pin<Box<dyn Timer>> {
        self.0.lock().unwrap().timers += 1;
        Box::pin(ClockTimer { clock: self.clone(), deadline: Time::MAX })
    }
    fn now(&self) -> Time {
        let mut hands = self.0.lock().unwrap();
        hands.asked += 1;
        hands.now
    }
}

struct ClockTimer {
    clock: Clock,
    deadline: Time,
}

impl Timer for ClockTimer {
    fn reset(mut self: Pin<&mut Self>, deadline: Time) {
        self.deadline = deadline;
    }
}

impl Future for ClockTimer {
    type Output = ();
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut hands = self.clock.0.lock().unwrap();
        if hands.now >= self.deadline {
            return Poll::Ready(());
        }
        hands.sleepers.push((self.deadline, context.waker().clone()));
        Poll::Pending
    }
}

/// A network with a server at [`SHOP`].
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) network: Network,
    pub(crate) acceptor: MemoryAcceptor,
    pub(crate) transport: MemoryTransport,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(configure: impl FnOnce(NetworkBuilder) -> NetworkBuilder) -> Self {
        let clock = Clock::default();
        let network = configure(Network::builder(clock.clone())).build();
        let mut acceptor = network.acceptor(SHOP);
        now(acceptor.listen()).unwrap();
        let transport = network.transport(SHOP);
        Self { clock, network, acceptor, transport }
    }

    pub(crate) fn connect(&self) -> Result<Side, TransportError> {
        connect(&self.transport)
    }

    pub(crate) fn accept(&mut self) -> Side {
        let (sender, receiver, _) = self.accept_with_peer();
        Side { sender, receiver }
    }

    pub(crate) fn accept_with_peer(&mut self) -> (MemorySender, MemoryReceiver, Peer) {
        now(now(self.acceptor.accept()).unwrap().handshake()).unwrap()
    }

    /// A link: the client's side and the server's.
    pub(crate) fn link(&mut self) -> (Side, Side) {
        let client = self.connect().unwrap();
        (client, self.accept())
    }
}

pub(crate) fn connect(transport: &MemoryTransport) -> Result<Side, TransportError> {
    let request = ConnectRequest::default();
    now(transport.connect(&request)).map(|(sender, receiver)| Side { sender, receiver })
}

/// Both halves of one side.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) sender: MemorySender,
    pub(crate) receiver: MemoryReceiver,
}

impl Side {
    /// Sends a numbered frame; it must be taken at once.
    pub(crate) fn send(&mut self, number: usize) {
        assert!(self.try_send(number).expect("the link is up"), "no room for frame {number}");
    }

    /// Whether the frame was taken; `Err` when the link has ended.
    pub(crate) fn try_send(&mut self, number: usize) -> Result<bool, TransportErrorKind> {
        match self.sender.send(Frame::text(number.to_string())).now_or_never() {
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(error)) => Err(error.kind()),
        }
    }

    pub(crate) fn send_error(&mut self) -> TransportErrorKind {
        self.try_send(0).expect_err("the link has ended")
    }

    /// What comes at once; `None` when the receiver waits.
    pub(crate) fn next(&mut self) -> Option<Got> {
        self.receiver.receive().now_or_never().map(Got::from)
    }

    /// All the numbers that come at once, and what stopped them, if it was not that nothing is there.
    pub(crate) fn drain(&mut self) -> (Vec<usize>, Option<Got>) {
        let mut numbers = Vec::new();
        loop {
            match self.next() {
                Some(Got::Number(number)) => numbers.push(number),
                other => return (numbers, other),
            }
        }
    }
}

/// What a receiver gave, to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Number(usize),
    Activity,
    Close(u16),
    End,
    Failed(TransportErrorKind),
}

pub(crate) const BROKEN: Got = Got::Failed(TransportErrorKind::Broken);

impl From<Result<Option<Incoming>, TransportError>> for Got {
    fn from(received: Result<Option<Incoming>, TransportError>) -> Self {
        match received {
            Ok(Some(Incoming::Frame(frame))) => {
                Self::Number(frame.as_text().and_then(|text| text.parse().ok()).unwrap())
            }
            Ok(Some(Incoming::Activity)) => Self::Activity,
            Ok(Some(Incoming::Close(close))) => Self::Close(close.code),
            Ok(None) => Self::End,
            Err(error) => Self::Failed(error.kind()),
        }
    }
}

/// The future's output; it must not wait.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("it must not wait")
}

/// Runs a future on the pool; its output can be taken once it has ended.
pub(crate) fn spawn<T: 'static>(
    pool: &LocalPool,
    future: impl Future<Output = T> + 'static,
) -> Rc<RefCell<Option<T>>> {
    let output = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&output);
    pool.spawner().spawn_local(async move { *slot.borrow_mut() = Some(future.await) }).unwrap();
    output
}
