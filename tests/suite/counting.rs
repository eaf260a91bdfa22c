//! How much of the suite each pair plays.

use std::env;
use std::io::{Write, stderr};
use std::process::Command;

use crate::stage::exceptions::{IN_VIRTUAL_TIME, WEBSOCKET_ON_TOKIO};

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
fn every_pair_plays_every_behaviour_but_those_listed() {
    let tests = tests();
    let [sim, memory, websocket] =
        ["memory_on_sim", "memory_on_tokio", "websocket_on_tokio"].map(|pair| of(pair, &tests));
    assert!(!sim.is_empty());
    assert_eq!(sim, memory);
    assert_eq!(sim, websocket);
    for left_out in WEBSOCKET_ON_TOKIO {
        let end = format!("::{}", left_out.behaviour);
        let found = sim.iter().filter(|name| name.ends_with(&end)).count();
        assert_eq!(found, 1, "{} is no behaviour", left_out.behaviour);
    }
    let all = sim.len();
    let played = all - WEBSOCKET_ON_TOKIO.len();
    let only = of("in_virtual_time", &tests).len();
    // Past the harness, which keeps to itself what a test prints that passes.
    let mut output = stderr();
    let mut tell = |line: String| writeln!(output, "{line}").unwrap();
    tell(format!("memory_on_sim: {all} behaviours; memory_on_tokio: {all} of them"));
    tell(format!("websocket_on_tokio: {played} of them; left out: {}", all - played));
    for left_out in WEBSOCKET_ON_TOKIO {
        tell(format!("  {}: {}", left_out.behaviour, left_out.why));
    }
    tell(format!("memory_on_sim alone: {only} more; {IN_VIRTUAL_TIME}"));
}
