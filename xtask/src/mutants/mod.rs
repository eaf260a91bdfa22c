//! `cargo xtask mutants [FILE]...`: which lines of the features could be wrong without a test that fails?
//!
//! cargo-mutants says what could be written otherwise. All of it is planted into one copy of the sources, each change behind a
//! switch that the environment turns, so that there is one build, and not one for each: see [`plant`]. Then each is tried
//! with the tests that run through it. The suite is played in memory and virtual time.

mod copy;
mod list;
mod plant;
mod play;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::copy::Copy;
use self::list::Mutant;
use self::play::{Tests, Verdict};
use crate::cargo;

/// A package, and what of it is tried.
struct Package {
    name: &'static str,
    /// Where it lies.
    dir: &'static str,
    /// Its files of which mutants are made.
    files: &'static [&'static str],
    /// Its tests, as cargo is told them.
    tests: &'static [&'static str],
}

/// Rooms, presence, throttling and queries.
const PACKAGES: [Package; 2] = [
    Package {
        name: "moorline",
        dir: "",
        files: &[
            "src/client/channel.rs",
            "src/client/standing/**",
            "src/query/**",
            "src/server/channels.rs",
            "src/server/fanout.rs",
            "src/server/group.rs",
            "src/server/hub/**",
            "src/server/limits/**",
            "src/server/queries/**",
            "src/server/throttle/**",
        ],
        tests: &["--lib", "--test", "suite"],
    },
    Package {
        name: "moorline-sqlite",
        dir: "queries/sqlite",
        files: &["queries/sqlite/src/**"],
        tests: &["--lib", "--tests"],
    },
];

/// The least per cent that have to be caught, of those that compile.
const LEAST: usize = 85;

/// Tries all mutants, or those of the files whose path has one of these in it.
///
/// # Errors
///
/// When cargo-mutants is missing, a test fails without a mutant, or too many are missed.
pub(crate) fn run(parts: &[&str]) -> Result<(), String> {
    let copy = Copy::new(&cargo::root())?;
    let mut tally = BTreeMap::new();
    for package in &PACKAGES {
        let mutants = list::list(package, parts)?;
        if !mutants.is_empty() {
            try_all(&copy, package, &mutants, &mut tally)?;
        }
    }
    if tally.is_empty() {
        return Err(format!("nothing to change in files whose path has one of {parts:?} in it"));
    }
    report(&tally)
}

/// What became of the mutants of a file.
#[derive(Default)]
struct Tally {
    caught: usize,
    hung: usize,
    missed: usize,
    unviable: usize,
    took: Duration,
}

fn try_all(
    copy: &Copy,
    package: &Package,
    mutants: &[Mutant],
    tally: &mut BTreeMap<String, Tally>,
) -> Result<(), String> {
    let viable = copy.plant(package, mutants)?;
    println!("{}: {} mutants, of which {} compile", package.name, mutants.len(), viable.len());
    let tests = Tests::of(&copy.build(package)?)?;
    for (id, mutant) in mutants.iter().enumerate() {
        let file = tally.entry(mutant.file.clone()).or_default();
        if !viable.contains(&id) {
            println!("unviable  {}", mutant.name);
            file.unviable += 1;
            continue;
        }
        let begun = Instant::now();
        let verdict = tests.judge(id)?;
        file.took += begun.elapsed();
        match verdict {
            Verdict::Caught => file.caught += 1,
            Verdict::Hung => {
                println!("hung      {}", mutant.name);
                file.hung += 1;
            }
            Verdict::Missed => {
                println!("MISSED    {}", mutant.name);
                file.missed += 1;
            }
        }
    }
    Ok(())
}

fn report(tally: &BTreeMap<String, Tally>) -> Result<(), String> {
    let mut all = Tally::default();
    println!("\ncaught  hung  missed  unviable  of viable  seconds");
    for (file, Tally { caught, hung, missed, unviable, took }) in tally {
        line(file, &tally[file]);
        all.caught += caught;
        all.hung += hung;
        all.missed += missed;
        all.unviable += unviable;
        all.took += *took;
    }
    if line("all", &all) < LEAST {
        return Err(format!("less than {LEAST} % were caught"));
    }
    Ok(())
}

/// Prints a file's; gives how many per cent were caught. Who hangs is caught too.
fn line(file: &str, tally: &Tally) -> usize {
    let Tally { caught, hung, missed, unviable, took } = tally;
    let found = caught + hung;
    let percent = (found * 100).checked_div(found + missed).unwrap_or(100);
    let seconds = took.as_secs();
    println!(
        "{caught:>6}  {hung:>4}  {missed:>6}  {unviable:>8}  {percent:>7} %  {seconds:>7}  {file}"
    );
    percent
}
