//! moorline's HTTP door: one port that its server transports share.
//!
//! An [`HttpDoor`] listens, takes connections in, reads one request of each within limits, and asks a [`Route`] what to do
//! with it. A request that is taken leaves HTTP: its socket is handed over bare ([`Arrived`]), with the bytes that were
//! read beyond the request, and nothing of the HTTP machinery is kept. One that is not taken is answered and its connection
//! closed. The crate is for authors of transports; a server's author meets its settings only.
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
//! | an `Origin` that is foreign and not allowed ([`HttpDoor::allow_origin`]) | 403 |
//! | a request that does not come in [time](HttpDoor::handshake_timeout) | none: the connection is closed |

mod door;
mod io;
mod origin;
mod pending;
mod route;
mod settings;

pub use door::HttpDoor;
pub use http;
pub use pending::{Arrived, HttpPending};
pub use route::{Answer, Route, refusal};
