//! What was done, told once more at the end.

use std::time::{Duration, Instant};

/// The steps of a task. A step that fails stops none of the others.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

struct Step {
    name: &'static str,
    took: Duration,
    result: Result<String, String>,
}

impl Report {
    /// Does one step. It gives what the last table says of it.
    pub(crate) fn step(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<String, String>,
    ) {
        println!("\n── {name} ──");
        let begun = Instant::now();
        let result = work();
        if let Err(why) = &result {
            println!("{why}");
        }
        self.steps.push(Step { name, took: begun.elapsed(), result });
    }

    /// Prints the table.
    ///
    /// # Errors
    ///
    /// When a step failed.
    pub(crate) fn finish(self) -> Result<(), String> {
        println!();
        let mut failed = Vec::new();
        for Step { name, took, result } in self.steps {
            let (mark, note) = match &result {
                Ok(note) => ("ok    ", note.as_str()),
                Err(why) => ("FAILED", why.lines().next().unwrap_or_default()),
            };
            println!("{mark}  {:>5.0} s  {name:<24}  {note}", took.as_secs_f64());
            if result.is_err() {
                failed.push(name);
            }
        }
        println!();
        if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
    }
}
