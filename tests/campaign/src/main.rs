//! `cargo xtask simulate` calls this.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use moorline_campaign::{Report, play};

/// How many violations are printed.
const SHOWN: usize = 10;

fn main() -> ExitCode {
    let (mut seeds, mut from, mut hours, mut most) = (100, 0, 1.0, usize::MAX);
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let Some(value) = args.next() else { return usage() };
        let parsed = match name.as_str() {
            "--seeds" => value.parse().map(|n| seeds = n).is_ok(),
            "--from" => value.parse().map(|n| from = n).is_ok(),
            "--violations" => value.parse().map(|n| most = n).is_ok(),
            "--hours" => value.parse().map(|n| hours = n).is_ok(),
            _ => false,
        };
        if !parsed {
            return usage();
        }
    }
    let (mut all, begun) = (Report::default(), told());
    for seed in from..from + seeds {
        let report = play(seed, Duration::from_secs_f64(hours * 3600.0));
        for (seed, violation) in report.violations.iter().take(SHOWN) {
            println!("seed {seed}: {violation}");
        }
        if !report.violations.is_empty() {
            println!("again: cargo xtask simulate --seeds 1 --hours {hours} --from {seed}");
        }
        all.add(report);
        if all.violations.len() >= most {
            break;
        }
    }
    let took = told().duration_since(begun).as_secs_f64();
    println!("{seeds} seeds in {took:.0} s: {all}");
    if all.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[allow(clippy::disallowed_methods, reason = "how long it took is told in real time")]
fn told() -> Instant {
    Instant::now()
}

fn usage() -> ExitCode {
    eprintln!("usage: cargo xtask simulate [--seeds N] [--hours H] [--from SEED] [--violations N]");
    ExitCode::FAILURE
}
