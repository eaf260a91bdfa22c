//! Listeners: callbacks for events and messages, and the task that runs them.

mod callback;
mod kinds;
mod object;
mod registry;
mod worker;

pub(crate) use callback::Callback;
pub use callback::Outcome;
pub(crate) use callback::Ran;
pub use kinds::*;
pub use object::{ConnectionListener, DuplicateListener};
pub(crate) use registry::Registry;
pub use registry::Token;
pub(crate) use worker::{call_later, run};
