//! What is not played on a pair, and why. In one place, and told in the output of every run: nothing is left out silently.

/// A behaviour by its name, and why it makes no sense there.
pub(crate) struct Exception {
    pub(crate) behaviour: &'static str,
    pub(crate) why: &'static str,
}

/// Left out of WebSocket, on every runtime.
pub(crate) const ON_WEBSOCKET: &[Exception] = &[Exception {
    behaviour: "raw_stops_reading_when_nobody_takes_and_loses_nothing",
    why: "300 kB do fit into the system's buffers between two sockets; `sockets` plays it with more",
}];

/// Left out of SSE as well.
pub(crate) const ON_SSE: &[Exception] = &[
    Exception { behaviour: "raw_notices_a_silent_peer_by_the_transports_pings", why: NO_PINGS },
    Exception { behaviour: "raw_pings_by_hand", why: NO_PINGS },
    Exception {
        behaviour: "r46_what_expires_before_it_can_be_sent_again_is_skipped",
        why: "one POST is under way at a time: what follows it waits in the queue, and expires there",
    },
];

const NO_PINGS: &str = "server-sent events have no pings: an answer would be a request of its own";

/// What is left out of the pairs of a transport, by its name or a pair's.
pub(crate) fn left_out(pair: &str) -> impl Iterator<Item = &'static Exception> + use<> {
    let sockets: &[_] = if pair.starts_with("memory") { &[] } else { ON_WEBSOCKET };
    let sse: &[_] = if pair.starts_with("sse") { ON_SSE } else { &[] };
    sockets.iter().chain(sse)
}

/// Pairs that make no sense, and why.
pub(crate) const NO_PAIRS: &[(&str, &str)] =
    &[("websocket_on_sim", NO_SOCKETS), ("sse_on_sim", NO_SOCKETS)];

const NO_SOCKETS: &str = "the simulated runtime has no sockets";

/// Left out of every pair but `memory_on_sim`: the behaviours listed by `in_virtual_time!`.
pub(crate) const IN_VIRTUAL_TIME: &str = "they check times to the instant, let hours pass, or use a fault that only the network in memory has";
