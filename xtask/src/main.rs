//! The project's own tasks: `cargo xtask <task>`.

mod bench;
mod bounded;
mod cargo;
mod check;
mod crates;
mod edit;
mod examples;
mod faults;
mod fuzz;
mod interop;
mod mutants;
mod report;
mod requirements;
mod simulate;
mod test;
mod trial;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <task>

  test     runs every test: the whole workspace with all features, its documentation's examples, its programs in `examples`,
           the planted faults
  examples runs the programs in `examples` that end by themselves: `test` does too
  check    looks at everything else: format, clippy, rustdoc, each feature by itself, the number of crates,
           the tests that docs/requirements.md names
  interop  talks to Node's `ws`, Python's `websockets` and a bare socket; needs Node, npm and Python. `interop NAME`: those
           peers whose name has that in it
  bench    measures: `bench memory`, `bench websocket`, `bench scale`, `bench sse`
  faults   plants faults into the session machine and checks that its tests notice each
  mutants  changes the features' files line by line, in one build, and counts which changes no test notices: mutants [PART OF
           A FILE'S PATH]...; needs cargo-mutants
  simulate plays hours of faults in virtual time, checked against a model: simulate [--seeds N] [--hours H] [--from SEED]
           [--mutation NAME]; a mutation plants a mistake, which has to be found
  trial    plays the long trials on real sockets: a minute of faults, 10,000 connections that come and go,
           readers that stop
  fuzz     runs the fuzz targets, or one: cargo xtask fuzz [--runs N] [TARGET]; needs cargo-fuzz";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["test"] => test::run(),
        ["examples"] => examples::run().map(|sum| println!("{sum}")),
        ["check"] => check::run(),
        ["interop"] => interop::run(""),
        ["interop", name] => interop::run(name),
        ["bench", what @ ..] => bench::run(what),
        ["faults"] => faults::run(),
        ["mutants", parts @ ..] => mutants::run(parts),
        ["trial"] => trial::run(),
        ["simulate", "mutations"] => simulate::mutations(),
        ["simulate", rest @ ..] => simulate::run(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
