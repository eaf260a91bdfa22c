//! `cargo xtask fuzz [--runs N] [TARGET]`: feeds the targets of `fuzz/` from a fuzzer.
//!
//! It needs cargo-fuzz, and no nightly toolchain: `RUSTC_BOOTSTRAP` lets the stable one take a fuzzer's flags. What it finds
//! worth keeping goes to `fuzz/target/corpus`; what breaks a target to `fuzz/artifacts`.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::cargo::root;

/// How often each target is run, unless told.
const RUNS: u64 = 1_000_000;

/// The most seconds that one input may take: a thousand times what any needs.
const TIMEOUT: u32 = 20;

/// The most megabytes in one piece: inputs have a few KiB, and nobody may make more of them than a small multiple.
const MALLOC: u32 = 8;

const USAGE: &str = "usage: cargo xtask fuzz [--runs N] [TARGET]";

/// What became of one target.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    executions: u64,
    /// The edges and features that were reached, as the fuzzer counts them.
    edges: u64,
    features: u64,
    seconds: u64,
    /// Where the inputs lie that broke it.
    crashes: Vec<String>,
    /// It ended otherwise than a run without a crash does.
    failed: bool,
}

/// Runs all targets, or one.
///
/// # Errors
///
/// When a target breaks or does not get to its number of runs, or cargo-fuzz is missing.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let (runs, chosen) = parse(args)?;
    let targets = chosen_of(targets()?, chosen)?;
    is_installed()?;
    let mut outcomes = Vec::new();
    for target in targets {
        println!("\n── {target} ──");
        let outcome = fuzz(&target, runs)?;
        outcomes.push((target, outcome));
    }
    report(&outcomes, runs)
}

fn parse<'a>(args: &[&'a str]) -> Result<(u64, Option<&'a str>), String> {
    match args {
        [] => Ok((RUNS, None)),
        ["--runs", runs, rest @ ..] if rest.len() <= 1 => {
            let runs = runs.parse().ok().filter(|&runs| runs > 0);
            Ok((runs.ok_or(USAGE)?, rest.first().copied()))
        }
        [target] if !target.starts_with('-') => Ok((RUNS, Some(target))),
        [target, "--runs", runs] => parse(&["--runs", runs, target]),
        _ => Err(USAGE.to_owned()),
    }
}

/// The targets that there are: the files in `fuzz/fuzz_targets`.
fn targets() -> Result<Vec<String>, String> {
    let dir = root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&dir).map_err(|error| format!("fuzz/fuzz_targets: {error}"))?;
    let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut targets: Vec<String> = entries.filter_map(|entry| stem(entry.ok()?.path())).collect();
    targets.sort();
    Ok(targets)
}

fn chosen_of(targets: Vec<String>, chosen: Option<&str>) -> Result<Vec<String>, String> {
    match chosen {
        None => Ok(targets),
        Some(name) if targets.iter().any(|target| target == name) => Ok(vec![name.to_owned()]),
        Some(name) => Err(format!("no target {name:?}; there are {}", targets.join(", "))),
    }
}

fn is_installed() -> Result<(), String> {
    let version = cargo().args(["fuzz", "--version"]).output();
    if version.is_ok_and(|output| output.status.success()) {
        Ok(())
    } else {
        Err("cargo-fuzz is missing; install it with `cargo install cargo-fuzz --locked` (it needs a C++ compiler too)".into())
    }
}

fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root()).env("RUSTC_BOOTSTRAP", "1");
    command
}

fn fuzz(target: &str, runs: u64) -> Result<Outcome, String> {
    let found = Path::new("fuzz/target/corpus").join(target);
    let found_at = root().join(&found);
    fs::create_dir_all(&found_at).map_err(|error| format!("{}: {error}", found.display()))?;
    let mut command = cargo();
    // New inputs go to the first folder.
    command.args(["fuzz", "run", target]).arg(&found).arg(format!("fuzz/corpus/{target}"));
    command.args(["--", "-print_final_stats=1"]);
    command.arg(format!("-runs={runs}")).arg(format!("-timeout={TIMEOUT}"));
    command.arg(format!("-malloc_limit_mb={MALLOC}"));
    let dictionary = format!("fuzz/dictionaries/{target}.dict");
    if root().join(&dictionary).exists() {
        command.arg(format!("-dict={dictionary}"));
    }
    println!("$ RUSTC_BOOTSTRAP=1 {}", shown(&command));

    let begun = Instant::now();
    let mut outcome = Outcome::default();
    let told = |error: std::io::Error| format!("cargo fuzz does not run: {error}");
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(told)?;
    let output = child.stderr.take().ok_or("its standard error is no pipe")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.map_err(told)?;
        let line = String::from_utf8_lossy(&line);
        // A terminal that is gone does not end the run.
        let _shown = writeln!(std::io::stderr(), "{line}");
        outcome.read(&line);
    }
    outcome.failed = !child.wait().map_err(told)?.success();
    outcome.seconds = begun.elapsed().as_secs();
    Ok(outcome)
}

fn shown(command: &Command) -> String {
    let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
    format!("cargo {}", args.join(" "))
}

impl Outcome {
    /// Reads one line of what the fuzzer says: `#12 NEW    cov: 3 ft: 4 corp: …`, `stat::number_of_executed_units: 5`,
    /// `artifact_prefix='…'; Test unit written to FILE`.
    fn read(&mut self, line: &str) {
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions = count.trim().parse().unwrap_or(0);
        }
        if line.starts_with('#') {
            let number = |name: &str| {
                let (_, behind) = line.split_once(name)?;
                behind.split_whitespace().next()?.parse().ok()
            };
            self.edges = number(" cov: ").unwrap_or(self.edges);
            self.features = number(" ft: ").unwrap_or(self.features);
        }
        if let Some((_, file)) = line.split_once("Test unit written to ") {
            self.crashes.push(file.trim().to_owned());
        }
    }

    fn is_good(&self, runs: u64) -> bool {
        !self.failed && self.crashes.is_empty() && self.executions >= runs
    }
}

/// Prints the table, and where the crashes are.
fn report(outcomes: &[(String, Outcome)], runs: u64) -> Result<(), String> {
    println!("\n| target | executions | crashes | edges | features | s |");
    println!("| --- | --: | --: | --: | --: | --: |");
    for (target, outcome) in outcomes {
        let Outcome { executions, edges, features, seconds, crashes, .. } = outcome;
        let crashes = crashes.len();
        println!("| {target} | {executions} | {crashes} | {edges} | {features} | {seconds} |");
    }
    println!();
    let bad: Vec<_> = outcomes.iter().filter(|(_, outcome)| !outcome.is_good(runs)).collect();
    for (_, outcome) in &bad {
        outcome.crashes.iter().for_each(|file| println!("{file}"));
    }
    let names: Vec<&str> = bad.iter().map(|(target, _)| target.as_str()).collect();
    if names.is_empty() { Ok(()) } else { Err(format!("failed: {}", names.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_runs_and_the_target_can_be_told() {
        assert_eq!(parse(&[]), Ok((RUNS, None)));
        assert_eq!(parse(&["machine"]), Ok((RUNS, Some("machine"))));
        assert_eq!(parse(&["--runs", "5"]), Ok((5, None)));
        assert_eq!(parse(&["--runs", "5", "machine"]), Ok((5, Some("machine"))));
        assert_eq!(parse(&["machine", "--runs", "5"]), Ok((5, Some("machine"))));
        for wrong in [&["--runs"][..], &["--runs", "0"], &["--runs", "x"], &["a", "b"], &["-x"]] {
            assert_eq!(parse(wrong), Err(USAGE.to_owned()), "{wrong:?}");
        }
    }

    #[test]
    fn a_target_that_is_unknown_is_told() {
        let targets = || vec!["one".to_owned(), "two".to_owned()];
        assert_eq!(chosen_of(targets(), Some("two")), Ok(vec!["two".to_owned()]));
        assert_eq!(chosen_of(targets(), None), Ok(targets()));
        assert!(chosen_of(targets(), Some("three")).unwrap_err().contains("one, two"));
    }

    #[test]
    fn what_the_fuzzer_says_is_read() {
        let mut outcome = Outcome::default();
        outcome.read("#2097152	pulse  cov: 612 ft: 2409 corp: 411/13Kb lim: 4096 exec/s: 299593");
        outcome.read("stat::number_of_executed_units: 1000000");
        assert!(outcome.is_good(1_000_000) && !outcome.is_good(1_000_001));
        assert_eq!((outcome.edges, outcome.features), (612, 2409));
        outcome.read(
            "artifact_prefix='fuzz/artifacts/x/'; Test unit written to fuzz/artifacts/x/crash-1",
        );
        assert!(!outcome.is_good(1_000_000));
        assert_eq!(outcome.crashes, ["fuzz/artifacts/x/crash-1"]);
    }
}
