//! What the trials have in common.
#![allow(dead_code, reason = "each trial uses what it needs")]

use std::env;
use std::fs;
use std::str::FromStr;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Runtime};

/// A variable of the environment, or else the default.
pub(crate) fn setting<T: FromStr>(name: &str, default: T) -> T {
    match env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")),
        Err(_) => default,
    }
}

/// A runtime with both kinds of driver.
pub(crate) fn runtime(threads: usize) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all().build().expect("tokio starts")
}

/// Waits until it holds, but not for ever.
pub(crate) async fn until(what: &str, limit: Duration, holds: impl FnMut() -> bool) {
    until_or(what, limit, holds, String::new).await;
}

/// As [`until`], and tells what is instead.
pub(crate) async fn until_or(
    what: &str,
    limit: Duration,
    mut holds: impl FnMut() -> bool,
    instead: impl Fn() -> String,
) {
    let begun = Instant::now();
    while !holds() {
        let late = begun.elapsed() >= limit;
        assert!(!late, "waited {limit:?} in vain: {what}: {}", instead());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many tasks there are, the caller's own not included if it is the one of `block_on`.
pub(crate) fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// How many descriptors this process has open.
pub(crate) fn descriptors() -> usize {
    // The one that reads the folder is among them, each time.
    fs::read_dir("/proc/self/fd").expect("there is /proc").count()
}

/// How much memory this process holds, in bytes.
pub(crate) fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("there is /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    kilobytes.and_then(|number| number.parse::<usize>().ok()).expect("it says VmRSS") * 1024
}
