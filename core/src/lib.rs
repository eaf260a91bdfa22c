//! What a plug's author depends on: moorline's traits, frames, wire and session machine.
//!
//! This crate has no runtime and does no I/O. Applications use the crate `moorline`; a transport or a runtime of your
//! own needs only this one.
//!
//! | to write | implement |
//! | --- | --- |
//! | a transport's client side | [`Transport`], [`Sender`], [`Receiver`]: see [`transport`] |
//! | a transport's server side | [`Acceptor`], [`Pending`]: see [`acceptor`] |
//! | a runtime | [`Runtime`], [`Timer`]: see [`runtime`]; with sockets [`Net`]: see [`net`] |
//! | what answers queries | [`QueryEngine`], [`LiveQuery`]: see [`query`] |

pub mod acceptor;
mod boxed;
mod error;
mod event;
mod fallback;
mod frame;
mod id;
pub mod machine;
mod message;
pub mod net;
pub mod query;
mod reason;
pub mod runtime;
mod time;
pub mod transport;
pub mod wire;

use std::future::Future;
use std::pin::Pin;

pub use acceptor::{Acceptor, Peer, Pending};
pub use boxed::{BoxReceiver, BoxSender, BoxTransport};
pub use error::{TransportError, TransportErrorKind};
pub use event::{
    Connected, Disconnect, ErrorEvent, Event, Member, MessageError, Origin, Presence,
    PresenceChange, QueryFailure, Recovery, Status,
};
pub use fallback::{Fallback, FallbackReceiver};
pub use frame::{CloseFrame, Frame};
pub use id::ConnectionId;
pub use machine::{
    AppState, AppStateMode, Backoff, Buffer, Config, Heartbeat, Machine, NetworkHint, Overflow,
};
pub use message::{Class, Data, Message};
pub use net::{Net, NetListener};
pub use query::{Asker, LiveQuery, Prepared, QueryEngine, QueryError, Rows};
pub use reason::{Reason, Side, close_code};
pub use runtime::{Runtime, Timer};
pub use time::Time;
pub use transport::{Capabilities, ConnectRequest, Incoming, Receiver, Sender, Transport};

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
