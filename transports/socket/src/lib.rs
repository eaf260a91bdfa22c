//! What moorline's transports over sockets share: from a name to a stream of bytes, on any runtime that has sockets.
//!
//! | | |
//! | --- | --- |
//! | [`Dialer`] | a client's way to a host: by DNS and Happy Eyeballs, through a [`Proxy`], with TLS |
//! | [`Stream`] | what comes of it, and of a server's: plain, or with TLS |
//! | [`Address`], [`own_header`], [`answered`] | what a client of HTTP knows of the other end |
//! | `TlsClient`, `TlsServer` (feature `rustls`) | whom to trust, and who one is |
//!
//! The crate is for authors of transports; an application meets [`Proxy`], `TlsClient` and `TlsServer` only.

mod address;
mod dial;
mod dialer;
mod proxy;
mod request;
mod stream;
#[cfg(feature = "rustls")]
mod tls;

pub use address::Address;
pub use dialer::Dialer;
pub use proxy::Proxy;
pub use request::{answered, own_header};
pub use stream::Stream;
#[cfg(feature = "rustls")]
pub use tls::{TlsClient, TlsServer};
