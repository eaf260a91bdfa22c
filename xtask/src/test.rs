//! `cargo xtask test`: every test there is, with Rust alone.

use crate::report::Report;
use crate::{cargo, examples, faults, simulate};

/// Every target of every member that has tests, and the examples in documentation.
const ALL: [&str; 4] = ["test", "--workspace", "--all-features", "--no-fail-fast"];

/// Runs all tests.
///
/// # Errors
///
/// When one fails, or there is none.
pub(crate) fn run() -> Result<(), String> {
    let mut report = Report::default();
    report.step("tests", || {
        let mut count = Count::default();
        let ended = cargo::run_seen(&ALL, |line| count.add(line));
        count.told(ended)
    });
    report.step("examples", examples::run);
    report.step("planted faults", || {
        faults::run()?;
        Ok("each was noticed".into())
    });
    report.step("planted mistakes", || {
        simulate::mutations()?;
        Ok("the campaign found each".into())
    });
    report.finish()
}

/// The sum of the lines `test result: ok. 6 passed; 0 failed; 0 ignored; …`, and who failed.
#[derive(Default)]
struct Count {
    suites: u64,
    passed: u64,
    ignored: u64,
    failed: Vec<String>,
}

impl Count {
    fn add(&mut self, line: &str) {
        if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failed.push(name.to_owned());
        }
        if line.starts_with("test result: ") {
            self.suites += 1;
            self.passed += number(line, " passed;");
            self.ignored += number(line, " ignored;");
        }
    }

    /// What to say of it, once cargo has ended.
    fn told(&self, ended: Result<(), String>) -> Result<String, String> {
        let Self { suites, passed, ignored, failed } = self;
        let sum = format!(
            "{passed} passed, {} failed, {ignored} ignored, in {suites} suites",
            failed.len()
        );
        match ended {
            // A test may also fail without saying so: one that does not compile, or kills its process.
            Err(why) if failed.is_empty() => Err(why),
            Err(_) => Err(format!("{sum}:\n{}", failed.join("\n"))),
            Ok(()) if *passed == 0 => Err("no test was run".into()),
            Ok(()) => Ok(sum),
        }
    }
}

/// The number that stands before `what`; 0 when there is none.
fn number(line: &str, what: &str) -> u64 {
    let before = line.split_once(what).map_or("", |(before, _)| before);
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up() {
        let mut count = Count::default();
        count.add("test a_test_result: ok. 9 passed; ... ok");
        count.add("test result: ok. 6 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out");
        count.add("test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        let told = count.told(Ok(()));
        assert_eq!(told.unwrap(), "18 passed, 0 failed, 2 ignored, in 2 suites");
    }

    #[test]
    fn a_test_that_fails_is_named() {
        let mut count = Count::default();
        count.add("test some::promise ... FAILED");
        count.add("test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured");
        let told = count.told(Err("exit status: 101".into())).unwrap_err();
        assert_eq!(told, "3 passed, 1 failed, 0 ignored, in 1 suites:\nsome::promise");
    }

    #[test]
    fn a_run_without_tests_fails() {
        assert!(Count::default().told(Ok(())).is_err());
        assert_eq!(
            Count::default().told(Err("exit status: 101".into())).unwrap_err(),
            "exit status: 101"
        );
    }
}
