//! What both ends call things (`docs/protocol.md`).

use http::HeaderName;

/// What an event stream is, down and up. A page of another host may not send it without asking first, as it may a form.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// The token of a link, in each POST but the first.
pub(crate) const LINK: HeaderName = HeaderName::from_static("moorline-link");

/// The number of a batch.
pub(crate) const BATCH: HeaderName = HeaderName::from_static("moorline-batch");

/// The parameter that attaches a stream to its link.
pub(crate) const TICKET: &str = "ticket";

pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
