//! How much of the suite each pair plays.

use std::env;
use std::io::{Write, stderr};
use std::process::Command;

use crate::stage::exceptions::{IN_VIRTUAL_TIME, NO_PAIRS, left_out};
use crate::stage::pairs::PAIRS;

/// The names of this binary's tests.
fn tests() -> Vec<String> {
    let list = Command::new(env::current_exe().unwrap()).arg("--list").output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// Those of a pair, each as its file and its name.
fn of(pair: &str, tests: &[String]) -> Vec<String> {
    let middle = format!("::{pair}::");
    let own = tests.iter().filter(|test| test.contains(&middle));
    own.map(|test| test.replace(&middle, "::")).collect()
}

#[test]
fn r54_every_pair_plays_every_behaviour_but_those_listed() {
    let tests = tests();
    let first = of(PAIRS[0], &tests);
    assert!(!first.is_empty());
    for left_out in left_out("sse") {
        let end = format!("::{}", left_out.behaviour);
        let found = first.iter().filter(|name| name.ends_with(&end)).count();
        assert_eq!(found, 1, "{} is no behaviour", left_out.behaviour);
    }
    let all = first.len();
    // Past the harness, which keeps to itself what a test prints that passes.
    let mut output = stderr();
    let mut tell = |line: String| writeln!(output, "{line}").unwrap();
    for pair in PAIRS {
        assert_eq!(of(pair, &tests), first, "{pair}");
        let left_out: Vec<_> = left_out(pair).collect();
        tell(format!("{pair}: {} behaviours; left out: {}", all - left_out.len(), left_out.len()));
        for left_out in left_out {
            tell(format!("  {}: {}", left_out.behaviour, left_out.why));
        }
    }
    for (pair, why) in NO_PAIRS {
        tell(format!("{pair}: none; {why}"));
    }
    let only = of("in_virtual_time", &tests).len();
    tell(format!("memory_on_sim alone: {only} more; {IN_VIRTUAL_TIME}"));
}
