//! How many crates moorline stands on, with which features.

use std::collections::BTreeSet;
use std::fs;

use crate::cargo;

/// The features whose weight is promised.
const LEAN: &str = "memory";

/// The most crates that they may cost, moorline's own included.
const MOST: usize = 30;

/// With which features what must not be among them, nor anything that belongs to it.
const FORBIDDEN: [(&str, &[&str]); 3] = [
    (LEAN, &["tokio", "async-std", "smol", "hyper"]),
    ("smol,websocket", &["tokio", "async-std", "hyper"]),
    ("async-std,websocket", &["tokio", "smol", "hyper"]),
];

/// What clients usually switch on.
const CLIENTS: [&str; 4] =
    ["tokio,websocket", "smol,websocket", "smol,sse,websocket", "rustls,tokio,websocket"];

/// What a client by server-sent events on another runtime may have of tokio: what hyper stands on.
const SSE_CLIENT: &str = "smol,sse,websocket";
const OF_TOKIO: &str = "sync";

/// Where README.md has its table.
const BEGIN: &str = "<!-- crates: `cargo xtask check` compares this -->\n";
const END: &str = "<!-- /crates -->";

/// Checks the promise, and the README's table.
///
/// # Errors
///
/// When either is broken.
pub(crate) fn check() -> Result<String, String> {
    let lean = r55_a_lean_build_brings_no_runtime_that_it_did_not_ask_for()?;
    let of_tokio = of_tokio(SSE_CLIENT)?;
    if of_tokio != [OF_TOKIO] {
        return Err(format!("{SSE_CLIENT} has of tokio {of_tokio:?}, and not only {OF_TOKIO:?}"));
    }
    let table = table()?;
    let readme = fs::read_to_string(cargo::root().join("README.md"))
        .map_err(|error| format!("README.md: {error}"))?;
    let found = readme.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    match found {
        Some((found, _)) if found == table => {}
        _ => return Err(format!("README.md should say:\n{BEGIN}{table}{END}")),
    }
    Ok(format!("{lean} with `{LEAN}` alone, at most {MOST}"))
}

/// How many crates `LEAN` costs.
fn r55_a_lean_build_brings_no_runtime_that_it_did_not_ask_for() -> Result<usize, String> {
    let lean = tree(&["--no-default-features", "--features", LEAN])?;
    println!("with the feature `{LEAN}` alone, {} crates:", lean.len());
    println!("{}", lean.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    if lean.len() > MOST {
        return Err(format!("{} crates are more than {MOST}", lean.len()));
    }
    for (features, families) in FORBIDDEN {
        let belongs = |name: &&String| {
            families.iter().any(|family| {
                name.strip_prefix(family).is_some_and(|rest| rest.starts_with([' ', '-']))
            })
        };
        if let Some(name) =
            tree(&["--no-default-features", "--features", features])?.iter().find(belongs)
        {
            return Err(format!("{name} must not be there with the features {features}"));
        }
    }
    Ok(lean.len())
}

/// The features of tokio that these bring, beside its default, which is none.
fn of_tokio(features: &str) -> Result<Vec<String>, String> {
    let fixed = ["tree", "--package", "moorline", "--edges", "normal,no-proc-macro"];
    let form = ["--prefix", "none", "--format", "{p} {f}", "--no-default-features"];
    let tree = cargo::output(&[&fixed[..], &form[..], &["--features", features]].concat())?;
    let tokio = tree.lines().find(|line| line.starts_with("tokio "));
    let line = tokio.ok_or_else(|| format!("{features} has no tokio: is the check right?"))?;
    let features = line.split(' ').nth(2).unwrap_or_default();
    let names = features.split(',').filter(|name| !name.is_empty() && *name != "default");
    Ok(names.map(str::to_owned).collect())
}

/// moorline's features but `default`, as `Cargo.toml` lists them.
pub(crate) fn features() -> Result<Vec<String>, String> {
    let manifest = fs::read_to_string(cargo::root().join("Cargo.toml"))
        .map_err(|error| format!("Cargo.toml: {error}"))?;
    let lines = manifest.lines().skip_while(|line| *line != "[features]").skip(1);
    let names = lines
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.trim().to_owned())
        .filter(|name| name != "default" && !name.starts_with('#'));
    let mut names: Vec<String> = names.collect();
    names.sort();
    if names.is_empty() { Err("Cargo.toml: no features found".into()) } else { Ok(names) }
}

/// The table of README.md.
fn table() -> Result<String, String> {
    let mut table = String::from("| features | crates |\n| --- | --: |\n");
    let mut row = |name: &str, args: &[&str]| -> Result<(), String> {
        table.push_str(&format!("| {name} | {} |\n", tree(args)?.len()));
        Ok(())
    };
    row("none", &["--no-default-features"])?;
    for feature in features()? {
        let args = ["--no-default-features", "--features", &feature];
        row(&format!("`{feature}`"), &args)?;
    }
    for features in CLIENTS {
        let name = format!("a client: `{}`", features.replace(',', "`, `"));
        row(&name, &["--no-default-features", "--features", features])?;
    }
    row("the default ones", &[])?;
    row("all", &["--all-features"])?;
    Ok(table)
}

/// The crates that are linked, with their versions, moorline itself included; macros run at build time are not.
fn tree(args: &[&str]) -> Result<BTreeSet<String>, String> {
    let fixed = ["tree", "--package", "moorline", "--edges", "normal,no-proc-macro"];
    let form = ["--prefix", "none", "--format", "{p}"];
    let tree = cargo::output(&[&fixed[..], &form[..], args].concat())?;
    // "bytes v1.12.1", "moorline v0.1.0 (/where/it/is)"; two versions of one crate are two.
    let crates = tree.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
    Ok(crates.filter(|name| !name.is_empty()).collect())
}
