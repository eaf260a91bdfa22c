//! `cargo xtask check`: all that can be looked at without running a test.

use crate::report::Report;
use crate::{cargo, crates, faults, requirements, simulate};

/// Checks all.
///
/// # Errors
///
/// When something is not as it should be.
pub(crate) fn run() -> Result<(), String> {
    let mut report = Report::default();
    report.step("format", || {
        cargo::run(&["fmt", "--all", "--check"], &[])?;
        Ok(String::new())
    });
    report.step("clippy, all features", || {
        clippy(&["--workspace", "--all-targets", "--all-features"])?;
        Ok(String::new())
    });
    report.step("clippy, default features", || {
        clippy(&["--package", "moorline", "--all-targets"])?;
        Ok(String::new())
    });
    report.step("clippy, by feature", by_feature);
    report.step("rustdoc", || {
        let args = ["doc", "--workspace", "--all-features", "--no-deps"];
        cargo::run(&args, &[("RUSTDOCFLAGS", "-D warnings")])?;
        Ok(String::new())
    });
    report.step("crates", crates::check);
    report.step("planted faults", faults::check);
    report.step("planted mistakes", simulate::check);
    report.step("requirements", requirements::check);
    report.finish()
}

/// Without any feature, and with each alone and each pair: a feature must not lean on another one.
fn by_feature() -> Result<String, String> {
    let features = crates::features()?;
    let mut sets = vec![String::new()];
    for (at, one) in features.iter().enumerate() {
        sets.push(one.clone());
        sets.extend(features.iter().skip(at + 1).map(|other| format!("{one},{other}")));
    }
    for set in &sets {
        clippy(&["--package", "moorline", "--lib", "--no-default-features", "--features", set])?;
    }
    Ok(format!("{} combinations of {}", sets.len(), features.join(", ")))
}

fn clippy(what: &[&str]) -> Result<(), String> {
    let args = [&["clippy", "--quiet"][..], what, &["--", "-D", "warnings"]].concat();
    cargo::run(&args, &[])
}
