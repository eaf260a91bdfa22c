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

/// Pairs that make no sense, and why.
pub(crate) const NO_PAIRS: &[(&str, &str)] =
    &[("websocket_on_sim", "the simulated runtime has no sockets")];

/// Left out of every pair but `memory_on_sim`: the behaviours listed by `in_virtual_time!`.
pub(crate) const IN_VIRTUAL_TIME: &str = "they check times to the instant, let hours pass, or use a fault that only the network in memory has";
