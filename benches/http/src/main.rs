//! `cargo xtask bench websocket`: moorline's WebSocket echo beside others', in one run.
//!
//! Each server is a process of its own with one worker thread on the first core; the load is this process, on the second.
//! What counts is the server's own processor time for a message (the kernel's scheduler tells it in nanoseconds), since a
//! wall clock would measure the load too. Every server has its turn in each round, one right after another, and a bar is the
//! median of the rounds' ratios: a machine that is slow for a while is then slow for both.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark: what fails ends it"
)]

mod child;
mod client;
mod events;
mod idle;
mod load;
mod scale;
mod servers;

use std::process::ExitCode;

use child::Server;
use load::{Figures, Shape};
use servers::Kind;

/// The columns of the table.
const SHAPES: [Shape; 5] = [
    Shape { connections: 32, payload: 32, in_flight: 1 },
    Shape { connections: 256, payload: 32, in_flight: 1 },
    Shape { connections: 32, payload: 32, in_flight: 64 },
    Shape { connections: 32, payload: 1024, in_flight: 64 },
    Shape { connections: 32, payload: 16 * 1024, in_flight: 64 },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", kind] => servers::serve(Kind::named(kind).expect("a kind of server")),
        ["serve-events", by] => events::serve(by),
        ["sse"] => events::compare(),
        ["serve-scale", by] => scale::serve(by),
        ["scale"] => scale::compare(),
        [] => compare(&Kind::ALL, 15),
        ["quick"] => compare(&Kind::ALL, 1),
        ["only", ..] => {
            let kinds: Vec<Kind> = arguments[1..]
                .iter()
                .map(|name| Kind::named(name).expect("a kind of server"))
                .collect();
            compare(&kinds, 9)
        }
        ["one", kind, column] => {
            one(Kind::named(kind).expect("a kind of server"), column.parse().expect("a column"));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!(
                "usage: [scale | sse | quick | only KIND… | one KIND COLUMN]; kinds: {}",
                Kind::ALL.map(Kind::name).join(" ")
            );
            ExitCode::from(2)
        }
    }
}

/// Loads one server in one shape for a while: for a profiler. Prints the server's process first.
fn one(kind: Kind, column: usize) {
    child::pin_to_second_core();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Server::start(kind);
    println!("{}", server.id());
    for _ in 0..8 {
        let figures = runtime.block_on(load::run(&server, SHAPES[column], kind.speaks()));
        println!("{:.3} µs a message", figures.micros);
    }
}

/// Measures all kinds in all shapes, prints the table, and says which bar was missed.
fn compare(kinds: &[Kind], rounds: usize) -> ExitCode {
    child::pin_to_second_core();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Processor time and the spread between connections, by kind and shape.
    let mut measured: Vec<Vec<Vec<Figures>>> = vec![vec![Vec::new(); SHAPES.len()]; kinds.len()];
    for round in 0..rounds {
        eprint!("\rround {} of {rounds}  ", round + 1);
        let servers: Vec<Server> = kinds.iter().map(|kind| Server::start(*kind)).collect();
        for (column, shape) in SHAPES.iter().enumerate() {
            for ((kind, server), measured) in kinds.iter().zip(&servers).zip(&mut measured) {
                let figures = runtime.block_on(load::run(server, *shape, kind.speaks()));
                measured[column].push(figures);
            }
        }
    }
    let mut idle = Vec::new();
    for kind in kinds {
        eprint!("\ridle connections: {}              ", kind.name());
        idle.push(runtime.block_on(idle::run(&Server::start(*kind), kind.speaks())));
    }
    eprintln!();
    print_table(kinds, &measured, &idle)
}

fn print_table(kinds: &[Kind], measured: &[Vec<Vec<Figures>>], idle: &[idle::Figures]) -> ExitCode {
    print!("| server |");
    for Shape { connections, payload, in_flight } in SHAPES {
        print!(" C{connections} {payload} B W{in_flight} |");
    }
    println!(" bytes an idle connection | µs a connect |");
    println!("| --- |{}", " --: |".repeat(SHAPES.len() + 2));
    for ((kind, columns), idle) in kinds.iter().zip(measured).zip(idle) {
        print!("| {} |", kind.name());
        for rounds in columns {
            print!(" {:.2} |", median(rounds.iter().map(|figures| figures.micros)));
        }
        println!(" {:.0} | {:.1} |", idle.bytes, idle.connect_micros);
    }
    println!();
    for (kind, columns) in kinds.iter().zip(measured) {
        let spreads: Vec<String> = columns
            .iter()
            .map(|rounds| format!("{:.1}", median(rounds.iter().map(|figures| figures.worst_p99))))
            .collect();
        println!(
            "{}: the worst connection's p99 beside the median one's: {}",
            kind.name(),
            spreads.join(" ")
        );
    }
    judge(kinds, measured, idle)
}

/// The bars of the project: each is a ratio within this run.
fn judge(kinds: &[Kind], measured: &[Vec<Vec<Figures>>], idle: &[idle::Figures]) -> ExitCode {
    let row = |wanted: Kind| kinds.iter().position(|kind| *kind == wanted);
    let (Some(raw), Some(binary), Some(plain), Some(small), Some(batch)) = (
        row(Kind::MoorlineRaw),
        row(Kind::MoorlineBinary),
        row(Kind::Tungstenite),
        row(Kind::TungsteniteSmall),
        row(Kind::TungsteniteBatch),
    ) else {
        println!("\nNot all kinds were measured: nothing is judged.");
        return ExitCode::SUCCESS;
    };
    let beside = |one: usize, other: usize, column: usize| {
        let (one, other) = (&measured[one][column], &measured[other][column]);
        median(one.iter().zip(other).map(|(one, other)| one.micros / other.micros))
    };
    let best = |other: f64, another: usize| other.max(beside(raw, another, 4));
    let beside_best = [plain, small, batch].into_iter().fold(0.0, best);
    let mut bars = vec![
        ("raw, C32 32 B W1, beside 4 KiB".to_owned(), beside(raw, small, 0), 1.10),
        ("raw, C256 32 B W1, beside 4 KiB".to_owned(), beside(raw, small, 1), 1.10),
        ("raw, C32 32 B W64, beside per batch".to_owned(), beside(raw, batch, 2), 1.25),
        ("raw, C32 16 KiB W64, beside the best".to_owned(), beside_best, 1.05),
        ("idle bytes, raw".to_owned(), idle[raw].bytes, 8_000.0),
        ("idle bytes, session".to_owned(), idle[binary].bytes, 10_000.0),
    ];
    for (column, Shape { connections, payload, in_flight }) in SHAPES.iter().enumerate() {
        let name = format!("binary beside raw, C{connections} {payload} B W{in_flight}");
        bars.push((name, beside(binary, raw, column), 1.5));
        let spread = median(measured[raw][column].iter().map(|figures| figures.worst_p99));
        let name = format!("raw, worst p99 beside median, C{connections} {payload} B W{in_flight}");
        bars.push((name, spread, 3.0));
    }
    println!("\n| bar | measured | at most | |\n| --- | --: | --: | --- |");
    let mut missed = 0;
    for (name, value, most) in bars {
        let reached = value <= most;
        missed += usize::from(!reached);
        println!(
            "| {name} | {value:.2} | {most:.2} | {} |",
            if reached { "reached" } else { "MISSED" }
        );
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
