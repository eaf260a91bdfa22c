//! moorline's HTTP door: one port that its server transports share.
//!
//! An [`HttpDoor`] listens, and an [`HttpAcceptor`] takes its connections in, reads requests within limits, and asks a
//! [`Route`] what to do with each. A request that becomes a link leaves HTTP: its socket is handed over bare ([`Arrived`]), with
//! the bytes that were read beyond the request, and nothing of the HTTP machinery is kept. One that is refused is answered and
//! its connection closed. Two routes share a door as a pair, `(A, B)`.
//!
//! A [`Mount`] does the same inside an HTTP server that is not ours, axum's or hyper's.
//!
//! The crate is for authors of transports; a server's author meets its settings only.
//!
//! # What it refuses by itself
//!
//! | what | status |
//! | --- | --- |
//! | what is not HTTP/1 | 400 |
//! | a target that is too long | 414 |
//! | headers too many or too large ([`HttpDoor::max_headers`], [`HttpDoor::max_header_bytes`]) | 431 |
//! | an upgrade whose request has a body | 400 |
//! | another path than [`HttpDoor::path`] | 404 |
//! | a body longer than the route wants | 413 |
//! | a body that comes at less than 64 KiB in each [handshake's time](HttpDoor::handshake_timeout) | 408 |
//! | an `Origin` that is foreign and not allowed ([`HttpDoor::allow_origin`]) | 403 |
//! | a request that does not come in [time](HttpDoor::handshake_timeout) | none: the connection is closed |

mod acceptor;
mod connection;
mod door;
mod either;
mod io;
mod mount;
mod mounted;
mod origin;
mod requests;
mod route;
mod settings;

pub use acceptor::{HttpAcceptor, HttpPending};
pub use door::HttpDoor;
pub use either::Either;
pub use http;
pub use io::{Io, failure};
pub use mount::{HttpService, Mount, MountedAcceptor, MountedPending};
pub use mounted::{Mounted, MountedBody};
pub use route::{Answer, Arrived, Halves, Host, Permit, Reply, Route, Socket, peer, refusal};
