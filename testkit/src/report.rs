//! What the kit has found.

use std::fmt;
use std::time::Duration;

/// What became of each check, in the order in which they ran. Its `Display` is a line for each.
#[derive(Clone, Debug)]
#[must_use = "assert() fails the test when a check has failed"]
pub struct Report {
    pub(crate) entries: Vec<Entry>,
}

/// One check and its outcome.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its name, which says the promise.
    pub name: &'static str,
    /// The sentence of the trait's documentation that it looks after.
    pub must: &'static str,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The promise was kept. How long that took to see, in the runtime's time.
    Passed(Duration),
    /// The promise was broken, and how.
    Failed(String),
    /// It did not run, because of what was declared.
    Skipped(String),
    /// It did not run, since a check before it blocks its thread.
    NotRun,
}

impl Report {
    /// All checks.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The names of the checks that failed.
    #[must_use]
    pub fn failed(&self) -> Vec<&'static str> {
        self.named(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    /// The names of the checks that were left out, because of what was declared.
    #[must_use]
    pub fn skipped(&self) -> Vec<&'static str> {
        self.named(|outcome| matches!(outcome, Outcome::Skipped(_)))
    }

    fn named(&self, wanted: fn(&Outcome) -> bool) -> Vec<&'static str> {
        let named = self.entries.iter().filter(|entry| wanted(&entry.outcome));
        named.map(|entry| entry.name).collect()
    }

    /// Fails a test when a check has failed.
    ///
    /// # Panics
    ///
    /// Then, with the whole report.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.failed().is_empty(), "the contract is broken\n{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { name, must, outcome } in &self.entries {
            match outcome {
                Outcome::Passed(took) => writeln!(f, "passed   {name} ({} ms)", took.as_millis())?,
                Outcome::Failed(why) => writeln!(f, "FAILED   {name}: {why}\n         {must}")?,
                Outcome::Skipped(why) => writeln!(f, "skipped  {name}: {why}")?,
                Outcome::NotRun => writeln!(f, "not run  {name}")?,
            }
        }
        let (failed, skipped) = (self.failed().len(), self.skipped().len());
        let passed = self.named(|outcome| matches!(outcome, Outcome::Passed(_))).len();
        let not_run = self.entries.len() - passed - failed - skipped;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped, {not_run} not run")
    }
}
