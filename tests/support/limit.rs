//! The system's limit on descriptors.

use std::env;
use std::fs;
use std::process::Command;

/// Set where the limit has been raised already.
const RAISED: &str = "MOORLINE_TRIAL_RAISED";

/// Raises the soft limit to the hard one, and becomes the program that follows.
pub(crate) const RAISE: &str = r#"ulimit -n "$(ulimit -Hn)" && exec "$0" "$@""#;

/// Whether this process may have so many descriptors. If it may not, but could with a higher soft limit, plays the test
/// in a process with that, and gives `false`.
///
/// # Panics
///
/// When the hard limit is too low, or the test fails in the other process.
pub(crate) fn allows(needed: usize, test: &str) -> bool {
    let (soft, hard) = limits();
    if soft >= needed {
        return true;
    }
    assert!(
        hard >= needed && env::var_os(RAISED).is_none(),
        "the trial needs {needed} descriptors, and the limit is {hard}: raise it (`ulimit -Hn`), or set \
         MOORLINE_TRIAL_CONNECTIONS lower"
    );
    let this = env::current_exe().unwrap();
    let status = Command::new("sh")
        .args(["-c", RAISE])
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .env(RAISED, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test}, with a higher limit: {status}");
    false
}

/// The soft and the hard limit.
fn limits() -> (usize, usize) {
    let limits = fs::read_to_string("/proc/self/limits").expect("there is /proc");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers = line.expect("it is listed").split_whitespace();
    let mut next = || numbers.next().and_then(|word| word.parse().ok()).unwrap_or(usize::MAX);
    (next(), next())
}
