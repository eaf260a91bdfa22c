//! The stage on which every behaviour is played: a runtime, a transport, and what can go wrong with it.
//!
//! Tests say all durations in the protocol's own time (a spread is 5 s, a heartbeat 30 s). On the simulated runtime that
//! is free; on a real one the stage divides every duration by the same number, so that a test takes well under a second.

pub(crate) mod by_http;
pub(crate) mod erased;
pub(crate) mod exceptions;
pub(crate) mod journal;
#[macro_use]
pub(crate) mod pairs;
pub(crate) mod counted;
pub(crate) mod plan;
pub(crate) mod scissors;
pub(crate) mod stranger;
pub(crate) mod venue;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{Either, select};
use moorline::{
    Backoff, Connection, Handle, Heartbeat, Message, Runtime, Server, ServerConnection,
};
use moorline_core::{BoxTransport, Time, TransportErrorKind};
use moorline_memory::Direction;

pub(crate) use self::journal::Journal;
pub(crate) use self::pairs::Virtual;
use self::plan::{ClientPlan, ServerPlan};
use self::stranger::{Host, Stranger};
use self::venue::Venue;

/// A millisecond of the protocol's time.
pub(crate) const MS: Duration = Duration::from_millis(1);
/// A second of the protocol's time.
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Longer than any default delay before another attempt (the spread and the longest back-off, 5 s each), so that who
/// was going to come back has come back.
pub(crate) const A_WHILE: Duration = Duration::from_secs(20);
/// Longer than it takes by default to notice a dead peer (an interval of 30 s and a time-out of 20 s), or to give up a
/// message that nobody hears (30 s).
pub(crate) const A_MINUTE: Duration = Duration::from_secs(60);

/// How long a busy machine may stand still, in real time.
const SLOW_MACHINE: Duration = Duration::from_secs(2);

/// How long a session is kept that is to outlast every outage.
pub(crate) const RETENTION: Duration = Duration::from_secs(3_600);

/// See the [module](self). Cheap to clone; clones are the same stage.
#[derive(Clone)]
pub(crate) struct Stage {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Arc<dyn Runtime>,
    venue: Box<dyn Venue>,
    /// By how much durations are divided.
    scale: u32,
    /// How long anything that must happen may take, in the runtime's own time.
    patience: Duration,
    /// How often to look at what must come true, in the runtime's own time.
    glance: Duration,
    /// How many tasks are alive on the runtime.
    tasks: Box<dyn Fn() -> usize + Send + Sync>,
    servers: Mutex<Vec<Server>>,
}

/// A server, a client's connection to it, and the server's end of that.
pub(crate) struct Pair {
    pub(crate) server: Server,
    pub(crate) connection: Connection,
    pub(crate) guest: ServerConnection,
}

/// What a test starts with.
impl Stage {
    pub(crate) fn runtime(&self) -> Arc<dyn Runtime> {
        self.inner.runtime.clone()
    }

    /// A client with the product's defaults, scaled.
    pub(crate) fn client(&self) -> ClientPlan {
        ClientPlan::new(self)
    }

    /// A server with the product's defaults, scaled.
    pub(crate) fn server(&self) -> ServerPlan {
        ServerPlan::new(self)
    }

    /// A running server and one connection, with the defaults.
    pub(crate) async fn pair(&self) -> Pair {
        self.pair_of(self.server(), self.client()).await
    }

    /// A running server and one connection.
    pub(crate) async fn pair_of(&self, server: ServerPlan, client: ClientPlan) -> Pair {
        let server = server.run().await;
        let connection = client.connect().await;
        let guest = self.guest(&server, &connection).await;
        Pair { server, connection, guest }
    }

    /// The server's end of a connection. In raw, where there is no id, of the newest one.
    pub(crate) async fn guest(&self, server: &Server, connection: &Handle) -> ServerConnection {
        let find = || match connection.id() {
            Some(id) => server.connection(id),
            None => server.connections().pop(),
        };
        self.until("the server knows the connection", || find().is_some()).await;
        find().unwrap()
    }

    /// A running server that sends every message back.
    pub(crate) async fn echo(&self) -> Server {
        let server = self.server().build();
        echo(&server);
        self.run(&server).await;
        server
    }

    /// What the stage's clients connect over.
    pub(crate) fn transport(&self) -> BoxTransport {
        self.inner.venue.transport()
    }

    /// A link without a client behind it.
    pub(crate) async fn stranger(&self) -> Stranger {
        Stranger::connect(self, self.inner.venue.transport()).await
    }

    /// A listening end without a server behind it.
    pub(crate) async fn host(&self) -> Host {
        Host::listen(self, self.inner.venue.acceptor()).await
    }
}

/// Time.
impl Stage {
    /// A duration of the protocol's in the runtime's time.
    pub(crate) fn time(&self, span: Duration) -> Duration {
        span / self.inner.scale
    }

    pub(crate) fn now(&self) -> Time {
        self.inner.runtime.now()
    }

    /// How much of the protocol's time has passed since then.
    pub(crate) fn since(&self, then: Time) -> Duration {
        self.now().since(then) * self.inner.scale
    }

    pub(crate) async fn sleep(&self, span: Duration) {
        self.sleep_unscaled(self.time(span)).await;
    }

    async fn sleep_unscaled(&self, span: Duration) {
        let mut timer = self.inner.runtime.timer();
        timer.as_mut().reset(self.now() + span);
        timer.await;
    }

    /// Waits for what must happen, but not for ever.
    pub(crate) async fn within<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let patience = self.inner.patience;
        match select(pin!(future), pin!(self.sleep_unscaled(patience))).await {
            Either::Left((value, _)) => value,
            Either::Right(_) => panic!("waited {patience:?} in vain: {what}"),
        }
    }

    /// Waits until something that must come true is true.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let look = async {
            while !holds() {
                self.sleep_unscaled(self.inner.glance).await;
            }
        };
        self.within(what, look).await;
    }

    /// Whether a future is still waiting after all that was going to happen has happened.
    pub(crate) async fn waits<F: Future + Unpin>(&self, future: &mut F) -> bool {
        matches!(select(future, pin!(self.sleep(2 * SECOND))).await, Either::Right(_))
    }

    /// The next message, which must come.
    pub(crate) async fn message(&self, connection: &Handle) -> Message {
        let message = self.within("a message comes", connection.next_message()).await;
        message.expect("the connection is open, or will be again")
    }

    /// The next messages, which must come, as texts.
    pub(crate) async fn texts(&self, connection: &Handle, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(self.message(connection).await.to_string());
        }
        texts
    }

    /// Runs a task beside the test.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.runtime.spawn("test", Box::pin(task));
    }

    /// The back-off of the defaults, scaled.
    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::exponential(self.time(Backoff::FIRST))
            .cap(self.time(Backoff::CAP))
            .spread(self.time(Backoff::SPREAD))
    }

    /// A time-out of the product's that only a fault is to reach, in the protocol's time: where that is scaled, long enough
    /// for a busy machine.
    pub(crate) fn time_out(&self, span: Duration) -> Duration {
        match self.inner.scale {
            1 => span,
            scale => span.max(SLOW_MACHINE * scale),
        }
    }

    /// A heartbeat, scaled.
    pub(crate) fn heartbeat(&self, interval: Duration, timeout: Duration) -> Heartbeat {
        Heartbeat::every(self.time(interval)).timeout(self.time(timeout))
    }
}

/// Faults: each takes effect at once, for every link.
impl Stage {
    /// Breaks every link, and lets nobody connect until [`heal`](Self::heal).
    pub(crate) fn cut(&self) {
        self.inner.venue.cut();
    }

    /// Breaks every link; connecting goes on working.
    pub(crate) fn reset(&self) {
        self.inner.venue.reset();
    }

    /// Lets nothing through and tells nobody; after [`heal`](Self::heal) all of it arrives.
    pub(crate) fn partition(&self) {
        self.inner.venue.partition();
    }

    /// Loses one direction of the links that exist, for good, and tells nobody.
    pub(crate) fn half_open(&self, lost: Direction) {
        self.inner.venue.half_open(lost);
    }

    /// Makes connecting fail with that kind until [`heal`](Self::heal).
    pub(crate) fn refuse(&self, kind: TransportErrorKind) {
        self.inner.venue.refuse(kind);
    }

    pub(crate) fn heal(&self) {
        self.inner.venue.heal();
    }

    /// How many links there are, broken ones that somebody still holds included.
    pub(crate) fn links(&self) -> usize {
        self.inner.venue.links()
    }

    /// How many tasks there are.
    pub(crate) fn tasks(&self) -> usize {
        (self.inner.tasks)()
    }
}

/// Sends every message of every connection back.
pub(crate) fn echo(server: &Server) {
    server.on_connect(async |connection: ServerConnection| {
        while let Some(message) = connection.next_message().await {
            connection.send(message).await?;
        }
        Ok(())
    });
}
