//! The client: an idle description of connections, and the connections that it opens.

mod builder;
mod channel;
mod connection;
mod lazy;
mod life;
mod role;
mod standing;

use std::fmt;
use std::sync::Arc;

use moorline_core::machine::Machine;
use moorline_core::{Config, Runtime, Status};

pub use self::builder::{ClientBuilder, ClientSettings};
pub use self::channel::Channel;
pub use self::connection::{Connection, WeakConnection};
pub(crate) use self::lazy::Lazy;
pub(crate) use self::role::{Attempts, ClientRole};
pub(crate) use self::standing::{Callbacks, Standing, Told, Wanted};
use crate::ConnectError;
use crate::driver::Driver;
use crate::shared::Shared;

/// Opens connections. Idle until it is told to; cheap to clone.
///
/// ```
/// # #[cfg(all(feature = "memory", feature = "tokio"))]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use moorline::{Backoff, Client, Network, Tokio};
///
/// let network = Network::new(Tokio::current());
/// let client = Client::builder()
///     .transport(network.transport("shop"))
///     .runtime(Tokio::current())
///     .backoff(Backoff::default().attempts(3))
///     .retry_first(false)
///     .build();
/// let nobody_is_there = client.connect().await;
/// assert!(nobody_is_there.is_err());
/// # Ok(())
/// # }
/// # #[cfg(not(all(feature = "memory", feature = "tokio")))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) config: Arc<Config>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) attempts: Attempts,
    pub(crate) seed: Option<u64>,
}

impl Client {
    /// Opens a connection, and waits until it is open or has failed for good.
    ///
    /// By default a first attempt that fails is made again, without limit
    /// ([`retry_first`](ClientSettings), [`Backoff::attempts`](crate::Backoff::attempts)); only a final
    /// refusal ends that. Put a time-out around it, or use [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// When no further attempt will be made.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, there is no connection.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let connection = self.closed();
        connection.open();
        connection.opened_since(0).await?;
        Ok(connection)
    }

    /// Begins to open a connection, and gives its handle at once. Its outcome comes as events, and from
    /// [`opened`](Connection::opened). Messages wait for their first listener; events do not: for listeners
    /// that must hear those from the start, take a [`closed`](Self::closed) connection, add them, and
    /// [`open`](Connection::open) it.
    ///
    /// A [lazy](ClientSettings) client's is closed until it is first used: by `send`, `try_send` or `request`, or opened by
    /// hand (R2).
    #[must_use = "dropping the only handle closes the connection"]
    pub fn start(&self) -> Connection {
        let connection = self.closed();
        if !self.config.lazy {
            connection.open();
        }
        connection
    }

    /// A connection that is closed until [`connect`](Connection::connect) or [`open`](Connection::open); a
    /// [lazy](ClientSettings) client's also until it is first used.
    #[must_use = "dropping the only handle ends the connection"]
    pub fn closed(&self) -> Connection {
        let shared = Shared::new(self.config.clone(), self.runtime.clone(), Status::Closed);
        if let Some(codec) = self.config.codecs.first() {
            shared.codec.get_or_init(|| codec.clone());
        }
        let seed = self.seed.unwrap_or_else(|| self.runtime.random() as u64);
        let machine = Machine::client(self.config.clone(), seed);
        let standing = Arc::new(Standing::default());
        let rejoin = self.config.rejoin;
        let role = ClientRole::new(self.attempts.clone(), standing.clone(), rejoin);
        let driver = Driver::new(shared.clone(), machine, role);
        self.runtime.spawn("connection", Box::pin(driver));
        Connection::new(shared, standing)
    }

    /// The same client, whose connections enter that room (R8). Everything else stays as it was built.
    ///
    /// ```
    /// # async fn enter(client: &moorline::Client) -> Result<(), moorline::ConnectError> {
    /// let connection = client.in_room("lobby").with_query("lang", "en").connect().await?;
    /// assert_eq!(connection.room(), Some("lobby"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn in_room(&self, room: impl Into<String>) -> Self {
        let mut config = Config::clone(&self.config);
        config.room = Some(room.into());
        Self { config: Arc::new(config), ..self.clone() }
    }

    /// The same client, whose connections tell one more parameter at connect time.
    #[must_use]
    pub fn with_query(&self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let mut config = Config::clone(&self.config);
        config.query.push((name.into(), value.into()));
        Self { config: Arc::new(config), ..self.clone() }
    }

    /// The configuration of its connections (R13).
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("config", &self.config)
            .field("runtime", &self.runtime)
            .finish_non_exhaustive()
    }
}
