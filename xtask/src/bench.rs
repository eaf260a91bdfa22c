//! `cargo xtask bench`: the figures of the README, each beside others in one run.

use crate::cargo;

/// What can be measured.
pub(crate) const USAGE: &str = "\
usage: cargo xtask bench <what>

  memory      without a network: the memory transport, the full stack on it, simulated time
  websocket   echo over real WebSockets beside tokio-tungstenite and fastwebsockets; needs two cores and `taskset`
  scale       one message to thousands beside tungstenite, and what memberships cost; needs the same
  sse         messages down and up by server-sent events beside WebSockets, and the decoder; needs the same";

pub(crate) fn run(what: &[&str]) -> Result<(), String> {
    match what {
        ["memory"] => cargo::run(&["bench", "--all-features", "--bench", "memory"], &[]),
        ["websocket", arguments @ ..] => {
            let all = [&["run", "--release", "--package", "moorline-bench-http", "--"], arguments];
            cargo::run(&all.concat(), &[])
        }
        ["scale"] => {
            let scale = ["run", "--release", "--package", "moorline-bench-http", "--", "scale"];
            cargo::run(&scale, &[])
        }
        ["sse"] => {
            cargo::run(&["run", "--release", "--package", "moorline-bench-http", "--", "sse"], &[])
        }
        _ => Err(USAGE.to_owned()),
    }
}
