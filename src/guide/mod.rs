//! The manual. A page for each subject; every example in it is compiled, and run unless it says otherwise.
//!
//! | page | for whom |
//! | --- | --- |
//! | [Connecting and reconnecting](connecting) | who writes a client |
//! | [Messages and listeners](messages) | who writes a client or a server |
//! | [Channels, rooms and users](channels) | who sends to many |
//! | [Servers and authentication](servers) | who writes a server |
//! | [Queries](queries) | who wants rows and their changes, and who answers them |
//! | [What is promised](promises) | who wants to know what may get lost |
//! | [Testing an application](testing) | who writes either, and tests it |
//! | [Writing a transport](transports) | who has other wires |
//! | [Writing a runtime](runtimes) | who has another executor |
//!
//! How the two ends talk is in `docs/protocol.md`, how moorline is built in `docs/architecture.md`.

#[doc = include_str!("connecting.md")]
pub mod connecting {}

#[doc = include_str!("messages.md")]
pub mod messages {}

#[doc = include_str!("channels.md")]
pub mod channels {}

#[doc = include_str!("servers.md")]
pub mod servers {}

#[doc = include_str!("queries.md")]
pub mod queries {}

#[doc = include_str!("promises.md")]
pub mod promises {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("transports.md")]
pub mod transports {}

#[doc = include_str!("runtimes.md")]
pub mod runtimes {}
