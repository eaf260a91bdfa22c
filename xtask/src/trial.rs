//! `cargo xtask trial`: the long trials on real sockets, in full and in release mode. They print their figures themselves.
//!
//! `cargo xtask test` plays all of them too, but shorter.

use crate::cargo;
use crate::report::Report;

/// Plays all.
///
/// # Errors
///
/// When one fails.
pub(crate) fn run() -> Result<(), String> {
    let mut report = Report::default();
    report.step("faults, a minute", || trial("faults", &[("MOORLINE_TRIAL_SECONDS", "60")]));
    let churn = [("MOORLINE_TRIAL_CONNECTIONS", "10000"), ("MOORLINE_TRIAL_SECONDS", "30")];
    report.step("churn, 10,000 connections", || trial("churn", &churn));
    report.step("100 stopped readers of 1,000", || {
        trial("stopped", &[("MOORLINE_TRIAL_ROUNDS", "1000")])
    });
    report.finish()
}

fn trial(name: &str, settings: &[(&str, &str)]) -> Result<String, String> {
    let args = ["test", "--release", "--all-features", "--test", name, "--", "--nocapture"];
    cargo::run(&args, settings)?;
    Ok(String::new())
}
