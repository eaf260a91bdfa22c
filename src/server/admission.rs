//! Who may come in: what is known of a client before it has a connection, and who decides.

use std::any::{Any, TypeId};
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use moorline_core::Peer;
use serde::de::DeserializeOwned;

use super::Refusal;

/// What a client has said of itself before it is let in. None of it has been proven.
#[non_exhaustive]
pub struct Visitor {
    /// What the transport knows: its address, headers, path.
    pub peer: Peer,
    /// The room that it wants to enter (R8).
    pub room: Option<String>,
    /// Its parameters, in the order in which it gave them.
    pub query: Vec<(String, String)>,
    pub(super) auth: Option<Bytes>,
    pub(super) address: Option<IpAddr>,
}

impl Visitor {
    /// Its own address: the peer's, or, where that is one of the [trusted proxies](super::TrustedProxies), the one that they say.
    /// `None` where the transport knows no address of the internet's.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The first parameter of that name.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Its credentials, read from JSON; `None` when it gave none.
    ///
    /// # Errors
    ///
    /// When they are not of that type.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        self.auth.as_ref().map(|auth| serde_json::from_slice(auth)).transpose()
    }
}

impl fmt::Debug for Visitor {
    /// Leaves credentials and the query's values out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor")
            .field("peer", &self.peer)
            .field("room", &self.room)
            .field("query", &self.query.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("auth", &self.auth.as_ref().map(|_| "…"))
            .finish()
    }
}

/// How a client is let in: who it is, and what it is told.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Admission {
    /// Who it is, as the application names its users.
    pub identity: Option<String>,
    /// Properties that the client can read (R14).
    pub properties: Vec<(String, String)>,
    /// How long that holds; `None` is for ever. Then the link is closed with 3000, and the client comes back to its session with
    /// fresh credentials.
    pub valid_for: Option<Duration>,
    pub(super) props: Vec<(TypeId, Props)>,
}

pub(super) type Props = Arc<dyn Any + Send + Sync>;

impl Admission {
    /// Lets in somebody of whom nothing is known.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Lets in that user.
    pub fn of(identity: impl Into<String>) -> Self {
        Self { identity: Some(identity.into()), ..Self::default() }
    }

    /// The same, until that time is over: credentials that expire, say. The link is then closed with 3000, and the client comes
    /// back to its session with fresh credentials.
    #[must_use]
    pub const fn valid_for(mut self, time: Duration) -> Self {
        self.valid_for = Some(time);
        self
    }

    /// The same with a value of the application's own, to be found with
    /// [`props`](super::ServerConnection::props) (R15).
    #[must_use]
    pub fn props<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.props.push((TypeId::of::<T>(), Arc::new(value)));
        self
    }

    /// The same with one more property for the client to read.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }
}

/// Decides who may come in, before there is any connection.
///
/// A closure is one: `Server::builder().authenticator(async |visitor: Arc<Visitor>| …)`. The decision has the handshake's
/// time limit ([`handshake_timeout`](crate::Config::handshake_timeout)); past it, or when it panics, the client is told to
/// come back later.
///
/// ```
/// use std::sync::Arc;
/// use moorline::server::{Admission, Authenticator, Refusal, Visitor};
///
/// struct Tokens;
///
/// #[async_trait::async_trait]
/// impl Authenticator for Tokens {
///     async fn authenticate(&self, visitor: Arc<Visitor>) -> Result<Admission, Refusal> {
///         match visitor.auth::<String>() {
///             Ok(Some(token)) if token == "sesame" => Ok(Admission::of("ali")),
///             _ => Err(Refusal::for_good("unauthorized", "wrong or missing token")),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Lets the client in, or refuses it, for good or for a while.
    ///
    /// # Cancel safety
    ///
    /// Dropped when the client goes away or the time is over.
    async fn authenticate(&self, visitor: Arc<Visitor>) -> Result<Admission, Refusal>;
}

#[async_trait]
impl<F, Fut> Authenticator for F
where
    F: Fn(Arc<Visitor>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Admission, Refusal>> + Send,
{
    async fn authenticate(&self, visitor: Arc<Visitor>) -> Result<Admission, Refusal> {
        self(visitor).await
    }
}
