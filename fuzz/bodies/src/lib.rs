//! What each fuzz target does with its bytes, without a fuzzer, so that ordinary tests can do it too.
//!
//! `cargo xtask fuzz` feeds these from a fuzzer; `tests/corpus.rs` replays every file in `fuzz/corpus`. Each panics where a
//! promise is broken.

mod bytes_in;
mod codecs;
mod http_request;
mod in_memory;
mod machine;
mod session;
mod websocket_frames;

/// What the machine's own tests drive it with: the model that knows every promise, and the steps.
#[allow(
    clippy::unwrap_used,
    dead_code,
    reason = "tests may unwrap, and they use more of it than this does"
)]
#[path = "../../../core/tests/machine/search"]
mod search {
    pub(crate) mod driver;
    mod sends;
    pub(crate) mod step;
}

#[allow(
    clippy::unwrap_used,
    dead_code,
    reason = "tests may unwrap, and they use more of it than this does"
)]
#[path = "../../../core/tests/machine/support.rs"]
mod support;

pub use codecs::{binary_decoder, json_decoder};
pub use http_request::http_request;
pub use machine::machine;
pub use session::session;
pub use websocket_frames::websocket_frames;

/// A target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by the names of their folders in `fuzz/corpus`.
pub const TARGETS: [Target; 6] = [
    ("binary_decoder", binary_decoder),
    ("json_decoder", json_decoder),
    ("http_request", http_request),
    ("websocket_frames", websocket_frames),
    ("machine", machine),
    ("session", session),
];
