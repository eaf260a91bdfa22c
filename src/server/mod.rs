//! The server: takes connections in, knows them, and tells its application of them.

mod admission;
mod builder;
mod channels;
mod connection;
mod door;
mod emit;
mod extras;
mod fanout;
mod group;
mod guard;
mod hooks;
mod hub;
mod limits;
mod middleware;
mod queries;
mod registry;
mod role;
mod run;
mod sessions;
mod telling;
mod throttle;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use moorline_core::{Config, ConnectionId, Runtime};

pub use self::admission::{Admission, Authenticator, Visitor};
pub use self::builder::{ServerBuilder, ServerSettings};
pub use self::channels::{Channels, Publishing};
pub use self::connection::{ServerConnection, WeakServerConnection};
pub use self::emit::Emitted;
pub(crate) use self::group::USER_EVENT;
pub use self::group::{Group, UserEvent};
pub use self::hooks::HookError;
pub use self::hub::RoomEvent;
pub(crate) use self::limits::Source;
pub use self::limits::{AddressError, ProxyHeader, RateLimit, TrustedProxies};
pub use self::middleware::Middleware;
pub use self::queries::{QueryLimits, QueryStats};
pub use self::run::Stopped;
pub use self::sessions::SessionLimits;
pub use self::throttle::{HoldBack, Throttle};
pub use moorline_core::machine::Refusal;

use self::hooks::Hooks;
use self::hub::Hub;
use self::limits::RateLimits;
use self::queries::Queries;
use self::registry::Registry;
use self::run::{Life, Run};
use self::sessions::Sessions;
use self::throttle::Throttling;
use crate::listeners::Outcome;
use crate::stats::ServerStats;
use crate::{Disconnect, ErrorEvent, Message, Origin, RunError, StopError};

/// Takes connections in. Cheap to clone; all clones are one server.
///
/// ```
/// # #[cfg(all(feature = "memory", feature = "tokio"))]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use moorline::{Client, Network, Server, Tokio};
///
/// let network = Network::new(Tokio::current());
/// let server =
///     Server::builder().acceptor(network.acceptor("echo")).runtime(Tokio::current()).build();
/// server.on_connect(async |connection| {
///     while let Some(message) = connection.next_message().await {
///         connection.send(message).await?;
///     }
///     Ok(())
/// });
/// let running = tokio::spawn({
///     let server = server.clone();
///     async move { server.run().await }
/// });
///
/// let client =
///     Client::builder().transport(network.transport("echo")).runtime(Tokio::current()).build();
/// let connection = client.connect().await?;
/// connection.send("hello").await?;
/// assert_eq!(connection.next_message().await.unwrap().text(), Some("hello"));
///
/// server.stop().await?;
/// running.await??;
/// # Ok(())
/// # }
/// # #[cfg(not(all(feature = "memory", feature = "tokio")))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Server {
    core: Arc<Core>,
}

/// What all clones of a server, its connections and its tasks share.
struct Core {
    config: Arc<Config>,
    settings: Limits,
    runtime: Arc<dyn Runtime>,
    authenticator: Option<Arc<dyn Authenticator>>,
    ids: Ids,
    registry: Arc<Registry>,
    sessions: Arc<Sessions>,
    hooks: Arc<Hooks>,
    hub: Arc<Hub>,
    queries: Queries,
    middleware: Vec<Arc<dyn Middleware>>,
    limits: RateLimits,
    throttling: Throttling,
    life: Life,
}

/// Draws an id for a new connection.
type Ids = Arc<dyn Fn(&Arc<dyn Runtime>) -> ConnectionId + Send + Sync>;

/// What only a server is limited by.
#[derive(Clone, Copy, Debug)]
struct Limits {
    handshakes: usize,
    drain_timeout: Duration,
    drain_over: Duration,
    spread: Duration,
}

impl Server {
    /// Listens, and takes connections in until [`stop`](Self::stop). Can be run again after that.
    ///
    /// # Errors
    ///
    /// When it runs, starts or stops already, or cannot listen.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it stops listening and tells every client to come back, as `stop` does, without
    /// waiting for them.
    pub async fn run(&self) -> Result<(), RunError> {
        Run::begin(&self.core).await?.serve().await
    }

    /// [`run`](Self::run) in a task of its own; resolves as soon as it listens, so that
    /// [`local_address`](Self::local_address) is known and clients can connect. It runs until
    /// [`stop`](Self::stop), whatever becomes of the handles.
    ///
    /// # Errors
    ///
    /// As `run`, when it cannot begin. Later failures go to [`on_error`](Self::on_error).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it does not run.
    pub async fn start(&self) -> Result<(), RunError> {
        let run = Run::begin(&self.core).await?;
        let core = self.core.clone();
        let task = async move {
            if let Err(error) = run.serve().await {
                let error = ErrorEvent::new(Origin::Transport, "listen_failed", error.to_string());
                core.hooks.error(&core.runtime, error);
            }
        };
        self.core.runtime.spawn("server", Box::pin(task));
        Ok(())
    }

    /// Stops: refuses new links, closes every client with 1012 (it comes back by itself, after a time of
    /// its own within the [`spread`](ServerSettings)), all at once or one after another
    /// ([`drain_over`](ServerSettings)), waits for them up to the [`drain_timeout`](ServerSettings), cuts the rest,
    /// and says how many those were (R33). Upgraded sockets and event streams inside another HTTP server end
    /// likewise.
    ///
    /// # Errors
    ///
    /// When it does not run.
    ///
    /// # Cancel safety
    ///
    /// Dropped half way, what is left is closed at once; nobody waits for it.
    pub async fn stop(&self) -> Result<Stopped, StopError> {
        run::stop(&self.core).await
    }

    /// Calls `hook` for each new connection, once the client has been told that it is in (R35). Several
    /// hooks all run.
    ///
    /// It runs in the connection's own task, beside what drives the connection: a message that it answers
    /// needs no other task's turn. So it must not block; work that does belongs into
    /// [`Runtime::spawn_blocking`]. Other connections never wait for it.
    ///
    /// When it returns an error or panics, the connection is closed with 1011. When it returns
    /// `Ok`, the connection goes on: its listeners, and `next_message`, still work.
    ///
    /// The closure is cloned for each connection, so it may capture what is cheap to clone.
    pub fn on_connect<F, Fut>(&self, hook: F)
    where
        F: AsyncFn(ServerConnection) -> Result<(), HookError>
            + FnOnce(ServerConnection) -> Fut
            + Clone
            + Send
            + Sync
            + 'static,
        Fut: Future<Output = Result<(), HookError>> + Send + 'static,
    {
        self.core.hooks.on_connect(hook);
    }

    /// Calls `hook` with each connection that has ended, and why. It is out of the registry by then
    /// (R34).
    pub fn on_disconnect<F, R, M>(&self, hook: F)
    where
        F: Fn(ServerConnection, Disconnect) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        self.core.hooks.on_disconnect(hook);
    }

    /// Calls `hook` with each message that comes, after the middleware has let it through, and before the application's listeners
    /// of its connection hear it (R36). It watches: it cannot refuse or change anything. The connection's next message waits
    /// until it is done; other connections do not. What is published is told too.
    pub fn on_message<F, R, M>(&self, hook: F)
    where
        F: Fn(ServerConnection, Message) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        self.core.hooks.on_message(hook);
    }

    /// Calls `hook` with what happens to rooms, in order, in a task of its own (R31).
    ///
    /// ```
    /// use moorline::server::RoomEvent;
    ///
    /// # fn watch(server: &moorline::Server) {
    /// server.on_room(|event| match event {
    ///     RoomEvent::Created(room) => println!("{room} is open"),
    ///     RoomEvent::Entered(room, connection) => println!("{} is in {room}", connection.id()),
    ///     RoomEvent::Left(room, _) => println!("somebody has left {room}"),
    ///     RoomEvent::Destroyed(room) => println!("{room} is empty"),
    ///     _ => {}
    /// });
    /// # }
    /// ```
    pub fn on_room<F, R, M>(&self, hook: F)
    where
        F: Fn(RoomEvent) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        self.core.hub.rooms.add(hook);
    }

    /// Calls `hook` when something fails that belongs to no open connection: taking links in, the
    /// authenticator.
    pub fn on_error<F, R, M>(&self, hook: F)
    where
        F: Fn(ErrorEvent) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        self.core.hooks.on_error(hook);
    }

    /// How many connections there are, with those whose clients are away for the moment (R34).
    #[must_use]
    pub fn count(&self) -> usize {
        self.core.registry.count()
    }

    /// The open connection of that id (R34).
    #[must_use]
    pub fn connection(&self, id: impl AsRef<str>) -> Option<ServerConnection> {
        self.core.registry.get(id.as_ref())
    }

    /// Whether there is an open connection of that id (R34).
    #[must_use]
    pub fn exists(&self, id: impl AsRef<str>) -> bool {
        self.connection(id).is_some()
    }

    /// The open connections now, in the order of their ids (R34).
    #[must_use]
    pub fn connections(&self) -> Vec<ServerConnection> {
        self.core.registry.connections()
    }

    /// What was counted so far, over all connections (R46). Looks at each: for a page of figures, not for each
    /// message.
    #[must_use]
    pub fn stats(&self) -> ServerStats {
        ServerStats { held_back: self.core.throttling.dropped(), ..self.core.registry.stats() }
    }

    /// Where it listens; `None` while it does not run, or where its transport has no addresses. Of several
    /// acceptors the first one's.
    #[must_use]
    pub fn local_address(&self) -> Option<String> {
        self.local_addresses().into_iter().next()
    }

    /// Where it listens, for each acceptor that has an address; empty while it does not run.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<String> {
        self.core.life.local_addresses()
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.core.life.is_running()
    }

    /// The configuration of its connections (R13).
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.core.config
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.local_address())
            .field("connections", &self.count())
            .finish_non_exhaustive()
    }
}
