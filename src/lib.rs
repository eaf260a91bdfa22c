//! Realtime connections that hold.

mod client;
mod delivery;
mod driver;
mod error;
mod handle;
mod listeners;
pub mod server;
mod shared;
mod streams;
mod sync;

pub use client::{Client, ClientBuilder, ClientSettings, Connection, WeakConnection};
pub use error::{ConnectError, DisconnectError, PingError, RunError, SendError, StopError};
pub use handle::Handle;
pub use listeners::{Outcome, Token};
pub use moorline_core::wire::{Binary, Codec, Json, Raw};
pub use moorline_core::{
    Acceptor, Backoff, BoxTransport, Class, CloseFrame, Config, Connected, ConnectionId, Data,
    Disconnect, ErrorEvent, Event, Heartbeat, Message, MessageError, Origin, Peer, Reason, Runtime,
    Status, Time, Transport, TransportError, close_code,
};
#[cfg(feature = "memory")]
pub use moorline_memory::{Direction, Network};
#[cfg(feature = "sim")]
pub use moorline_sim::Sim;
#[cfg(feature = "tokio")]
pub use moorline_tokio::Tokio;
pub use server::{Server, ServerConnection};
pub use streams::{Events, Messages, Statuses};

/// The events one can listen for, as values.
pub mod event {
    pub use crate::listeners::{
        Connect, Connecting, Disconnect, Error, EventKind, Kind, Lagged, Message, MessageError,
        Reconnect, ReconnectAttempt, ReconnectFailed, StatusChange, Unheard,
    };
}
