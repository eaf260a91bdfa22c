//! `cargo xtask simulate`: hours of faults in virtual time, checked against a model; and whether that check can fail.
//!
//! With `--mutation NAME` the same is played with a mistake planted into a copy of the sources. `cargo xtask test` plants
//! each in turn, and demands that the campaign finds it.

mod mutations;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::mutations::{MUTATIONS, Mutation};
use crate::cargo;
use crate::faults::copy_all;

/// What of the project's folder no build needs.
const LEFT_OUT: [&str; 3] = ["target", "interop", "docs"];

/// How many seeds a mistake may hide in.
const SEEDS: &str = "100";

/// Plays what the arguments say.
///
/// # Errors
///
/// When a promise is broken, or the mutation is unknown.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let mut args = args.to_vec();
    let Some(at) = args.iter().position(|arg| *arg == "--mutation") else {
        let mut all = vec!["run", "--profile", "campaign", "--package", "moorline-campaign", "--"];
        all.extend(args);
        return cargo::run(&all, &[]);
    };
    let name = args.get(at + 1).copied().unwrap_or_default();
    let known = || MUTATIONS.iter().map(|mutation| format!("\n  {}", mutation.name));
    let mutation = MUTATIONS.iter().find(|mutation| mutation.name == name).ok_or_else(|| {
        format!("no mutation `{name}`; there are:{}", known().collect::<String>())
    })?;
    args.drain(at..at + 2);
    let mutant = Mutant::copy(&cargo::root())?;
    if mutant.finds(mutation, &args)? {
        Err("the promises are broken, as they should be".into())
    } else {
        Ok(())
    }
}

/// Plants every mistake in turn.
///
/// # Errors
///
/// When one is not found, does not compile, or is no longer to be planted; or when the same run fails without any.
pub(crate) fn mutations() -> Result<(), String> {
    let mutant = Mutant::copy(&cargo::root())?;
    let args = ["--seeds", SEEDS, "--hours", "0.5", "--violations", "1"];
    if mutant.finds(&Mutation { name: "no mistake", edits: &[] }, &args)? {
        return Err("the campaign fails without a mistake".into());
    }
    let mut missed = 0;
    for mutation in MUTATIONS {
        let found = mutant.finds(mutation, &args)?;
        let verdict = if found { "found" } else { "NOT FOUND" };
        println!("{:<50} {verdict}", mutation.name);
        missed += usize::from(!found);
    }
    if missed > 0 {
        return Err(format!("{missed} of {} mistakes were not found", MUTATIONS.len()));
    }
    println!("all {} mistakes were found", MUTATIONS.len());
    Ok(())
}

/// Whether each mistake can still be planted.
///
/// # Errors
///
/// When one cannot.
pub(crate) fn check() -> Result<String, String> {
    for Mutation { name, edits } in MUTATIONS {
        for edit in *edits {
            edit.plan(&cargo::root()).map_err(|why| format!("{name}: {why}"))?;
        }
    }
    Ok(format!("{} can be planted", MUTATIONS.len()))
}

/// A copy of the project's sources. It is removed when it is dropped; what was built from it stays for the next time.
struct Mutant {
    dir: PathBuf,
    build: PathBuf,
}

impl Mutant {
    fn copy(root: &Path) -> Result<Self, String> {
        let place = root.join("target/mutations");
        let mutant = Self { dir: place.join("copy"), build: place.join("build") };
        copy_project(root, &mutant.dir)?;
        Ok(mutant)
    }

    /// Whether the campaign finds the mistake.
    fn finds(&self, mutation: &Mutation, args: &[&str]) -> Result<bool, String> {
        let Mutation { name, edits } = mutation;
        let mut originals = Vec::new();
        for edit in *edits {
            let (source, changed) = edit.plan(&self.dir).map_err(|why| format!("{name}: {why}"))?;
            let path = self.dir.join(edit.file);
            write(&path, &changed)?;
            originals.push((path, source));
        }
        let built = self.cargo("build").output().map_err(|error| error.to_string())?;
        if !built.status.success() {
            let log = String::from_utf8_lossy(&built.stderr);
            return Err(format!("{name}: does not compile:\n{log}"));
        }
        let played = self.cargo("run").arg("--").args(args).env("RUST_BACKTRACE", "0").output();
        for (path, source) in originals.into_iter().rev() {
            write(&path, &source)?;
        }
        let played = played.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&played.stdout);
        print!("{text}");
        // A panic of the campaign's own finds it too.
        Ok(!played.status.success())
    }

    fn cargo(&self, command: &str) -> Command {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .current_dir(&self.dir)
            .args([command, "--quiet", "--profile", "campaign", "--package", "moorline-campaign"])
            .env("CARGO_TARGET_DIR", &self.build)
            .env_remove("RUSTFLAGS");
        cargo
    }
}

impl Drop for Mutant {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("{}: {error}", self.dir.display());
        }
    }
}

/// Copies what a build needs.
pub(crate) fn copy_project(root: &Path, to: &Path) -> Result<(), String> {
    for entry in fs::read_dir(root).map_err(|error| error.to_string())? {
        let name = entry.map_err(|error| error.to_string())?.file_name();
        let text = name.to_string_lossy();
        if !text.starts_with('.') && !LEFT_OUT.contains(&text.as_ref()) {
            copy_all(&root.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
