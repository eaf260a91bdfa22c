//! Realtime connections that hold.
//!
//! A client and a server that send messages to each other, reconnect by themselves, and tell the application exactly what
//! happens. The transport that carries the frames, the codec that writes them and the runtime that gives tasks and time are
//! plugs, given as values. With the in-memory network and the simulated runtime an application's own tests play an hour of
//! outage in milliseconds, the same way each time.
//!
//! ```
//! # #[cfg(all(feature = "memory", feature = "tokio"))]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use moorline::{Client, Network, Server, Tokio};
//!
//! let network = Network::new(Tokio::current());
//!
//! let server =
//!     Server::builder().acceptor(network.acceptor("echo")).runtime(Tokio::current()).build();
//! server.on_connect(async |connection| {
//!     while let Some(message) = connection.next_message().await {
//!         connection.send(message).await?;
//!     }
//!     Ok(())
//! });
//! tokio::spawn(async move { server.run().await });
//!
//! let client =
//!     Client::builder().transport(network.transport("echo")).runtime(Tokio::current()).build();
//! let connection = client.connect().await?;
//! connection.send("hello").await?;
//! assert_eq!(connection.next_message().await.unwrap().text(), Some("hello"));
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "memory", feature = "tokio")))]
//! # fn main() {}
//! ```
//!
//! # Where to look
//!
//! | for | look at |
//! | --- | --- |
//! | the manual, a page for each subject | [`guide`] |
//! | a client | [`Client`] opens a [`Connection`] |
//! | a server | [`Server`] takes in a [`ServerConnection`] each; who may come in: [`server`] |
//! | sending and listening, on both ends | [`Handle`], [`Message`], [`event`], [`Event`], [`ConnectionListener`] |
//! | streams | [`Events`], [`Messages`], [`Statuses`] |
//! | why something failed | [`ConnectError`], [`SendError`], [`Disconnect`] with its [`Reason`] |
//! | when to try again, and signs of life | [`Backoff`], [`Heartbeat`]; all defaults: [`Config`] |
//! | tests of an application | `Sim`, `Network`, and the guide's page on [testing](guide::testing) |
//! | a transport or a runtime of one's own | [`moorline_core`], and the guide |
//!
//! # Features
//!
//! | feature | by default | gives |
//! | --- | --- | --- |
//! | `memory` | yes | `Network`: the transport in memory, with faults |
//! | `tokio` | yes | `Tokio`: the runtime tokio |
//! | `smol`, `async-std` | no | `Smol`, `AsyncStd`: those runtimes; the latter is discontinued |
//! | `websocket` | yes | `WebSocket`: RFC 6455 over TCP, for clients; with `tokio` also `Client::websocket` |
//! | `sse` | yes | `Sse`: server-sent events with POST upstream, for clients; with `tokio` also `Client::sse` |
//! | `reqwest-eventsource` | no | `ReqwestEvents`: event sources of that crate as a transport, on tokio |
//! | `http-server` | yes | with `websocket`, `sse`: `HttpAcceptor` and its door, `Mount`; with `tokio` also `Server::bind` |
//! | `rustls` | no | with `websocket`, `sse`: TLS, `wss://`, `https://`, `TlsClient`, `TlsServer` |
//! | `sim` | no | `Sim`: the simulated runtime with virtual time, for tests |
//!
//! Features only add; none changes what another one does. Without any of them moorline is complete, and transport and runtime
//! are your own.

mod client;
mod delivery;
mod driver;
mod error;
// Its examples need these three, so without them they are no tests.
#[cfg(any(not(doctest), all(feature = "memory", feature = "sim", feature = "tokio")))]
pub mod guide;
mod handle;
#[cfg(all(any(feature = "sse", feature = "websocket"), feature = "tokio"))]
mod http;
mod listeners;
pub mod query;
mod receipt;
mod requests;
mod sending;
pub mod server;
mod shared;
mod stats;
mod streams;
mod sync;

pub use client::{Channel, Client, ClientBuilder, ClientSettings, Connection, WeakConnection};
pub use error::{
    ConnectError, DisconnectError, JoinError, MembersError, PingError, ProfileError, PropertyError,
    RequestError, RunError, SendError, StopError, ThrottleError,
};
pub use handle::Handle;
pub use listeners::{ConnectionListener, DuplicateListener, Outcome, Token};
#[cfg(feature = "async-std")]
pub use moorline_async_std::AsyncStd;
pub use moorline_core::machine::{Dropped, Outcome as SendOutcome};
pub use moorline_core::wire::{Binary, Codec, Json, Raw};
pub use moorline_core::{
    Acceptor, AppState, AppStateMode, Backoff, BoxTransport, Buffer, Class, CloseFrame, Config,
    Connected, ConnectionId, Data, Disconnect, ErrorEvent, Event, Fallback, Heartbeat, Member,
    Message, MessageError, NetworkHint, Origin, Overflow, Peer, Presence, PresenceChange,
    QueryError, QueryFailure, Reason, Recovery, Runtime, Status, Time, Transport, TransportError,
    close_code,
};
#[cfg(all(feature = "http-server", any(feature = "sse", feature = "websocket")))]
pub use moorline_http::{
    HttpAcceptor, HttpDoor, HttpPending, HttpService, Mount, MountedAcceptor, MountedBody,
};
#[cfg(feature = "memory")]
pub use moorline_memory::{Direction, Network};
#[cfg(feature = "sim")]
pub use moorline_sim::Sim;
#[cfg(feature = "smol")]
pub use moorline_smol::Smol;
#[cfg(any(feature = "sse", feature = "websocket"))]
pub use moorline_socket::Proxy;
#[cfg(all(feature = "rustls", any(feature = "sse", feature = "websocket")))]
pub use moorline_socket::{TlsClient, TlsServer};
#[cfg(feature = "reqwest-eventsource")]
pub use moorline_sse::ReqwestEvents;
#[cfg(feature = "sse")]
pub use moorline_sse::Sse;
#[cfg(all(feature = "sse", feature = "http-server"))]
pub use moorline_sse::{EventStreams, SseAcceptor};
#[cfg(feature = "tokio")]
pub use moorline_tokio::Tokio;
#[cfg(feature = "websocket")]
pub use moorline_websocket::WebSocket;
#[cfg(all(feature = "websocket", feature = "http-server"))]
pub use moorline_websocket::{WebSocketAcceptor, WebSockets};
pub use query::{QueryBatch, QueryOptions, QueryResult, QuerySet};
pub use receipt::{NotAcknowledged, Receipt};
pub use requests::Request;
pub use server::{Server, ServerConnection};
pub use stats::{Drops, ServerStats, Stats};
pub use streams::{Events, Messages, Statuses};

/// The events one can listen for, as values.
pub mod event {
    pub use crate::listeners::{
        Connect, Connecting, Disconnect, Error, EventKind, Kind, Lagged, Message, MessageError,
        Missed, Presence, Properties, QueryError, Reconnect, ReconnectAttempt, ReconnectFailed,
        Recovery, StatusChange, Throttled, Unheard,
    };
}

/// The examples of README.md are tests too.
#[cfg(all(
    doctest,
    feature = "http-server",
    feature = "memory",
    feature = "sim",
    feature = "sse",
    feature = "tokio",
    feature = "websocket"
))]
#[doc = include_str!("../README.md")]
struct Readme;
