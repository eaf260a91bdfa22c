//! The project's own tasks: `cargo xtask <task>`.

mod cargo;
mod check;
mod crates;
mod faults;
mod report;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <task>

  test     runs every test: the whole workspace with all features, its documentation's examples, the planted faults
  check    looks at everything else: format, clippy, rustdoc, each feature by itself, the number of crates
  faults   plants faults into the session machine and checks that its tests notice each";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["test"] => test::run(),
        ["check"] => check::run(),
        ["faults"] => faults::run(),
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
