//! What cargo-mutants would change.

use serde_json::Value;

use super::Package;
use crate::cargo;

/// One change.
pub(super) struct Mutant {
    /// As cargo-mutants names it.
    pub(super) name: String,
    pub(super) file: String,
    pub(super) genre: String,
    /// What is written instead.
    pub(super) replacement: String,
    /// From where to where, each as a line and a column from 1 on.
    pub(super) span: [(usize, usize); 2],
}

/// The package's mutants, in the files whose path has one of these parts, if any are given.
pub(super) fn list(package: &Package, parts: &[&str]) -> Result<Vec<Mutant>, String> {
    let files = package.files.iter().flat_map(|file| ["--file", file]);
    let args = ["mutants", "--list", "--json", "--package", package.name];
    let listed = cargo::output(&[&args[..], &files.collect::<Vec<_>>()].concat());
    let listed = listed.map_err(|error| {
        format!("{error}; it needs cargo-mutants: `cargo install cargo-mutants --locked`")
    })?;
    let all: Vec<Value> = serde_json::from_str(&listed)
        .map_err(|error| format!("what cargo-mutants lists: {error}"))?;
    let mutants = all.iter().map(|mutant| read(mutant).ok_or(format!("unknown: {mutant}")));
    let mutants = mutants.collect::<Result<Vec<_>, _>>()?;
    let chosen = |file: &str| parts.is_empty() || parts.iter().any(|part| file.contains(part));
    Ok(mutants.into_iter().filter(|mutant| chosen(&mutant.file)).collect())
}

fn read(mutant: &Value) -> Option<Mutant> {
    let text = |name: &str| Some(mutant[name].as_str()?.to_owned());
    let place = |end: &str| {
        let place = &mutant["span"][end];
        let number = |name: &str| usize::try_from(place[name].as_u64()?).ok();
        Some((number("line")?, number("column")?))
    };
    Some(Mutant {
        name: text("name")?,
        file: text("file")?,
        genre: text("genre")?,
        replacement: text("replacement")?,
        span: [place("start")?, place("end")?],
    })
}
