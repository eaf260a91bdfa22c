//! A copy of the core that faults can be planted into.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// What is copied of `core/`.
const PARTS: [&str; 3] = ["Cargo.toml", "src", "tests"];

/// A workspace of its own, with the core as its only member. It is removed when it is dropped; what was built from it
/// stays for the next time.
pub(super) struct Workspace {
    dir: PathBuf,
    build: PathBuf,
}

/// What became of a run of the tests.
pub(super) enum Outcome {
    Passed,
    /// The names of the tests that failed.
    Failed(Vec<String>),
    /// It ended without a result, or did not end.
    Died(String),
}

impl Workspace {
    /// Copies the core, and what of the workspace it needs.
    pub(super) fn copy(root: &Path) -> Result<Self, String> {
        let place = root.join("target/faults");
        let workspace = Self { dir: place.join("copy"), build: place.join("build") };
        for part in PARTS {
            copy_all(&root.join("core").join(part), &workspace.core(part))?;
        }
        let manifest = fs::read_to_string(root.join("Cargo.toml")).map_err(told("Cargo.toml"))?;
        write(&workspace.dir.join("Cargo.toml"), &own_manifest(&manifest))?;
        // The same versions, so that nothing has to be fetched.
        copy_all(&root.join("Cargo.lock"), &workspace.dir.join("Cargo.lock"))?;
        Ok(workspace)
    }

    pub(super) fn write(&self, file: &str, text: &str) -> Result<(), String> {
        write(&self.core(file), text)
    }

    /// Builds the tests; what the compiler says when it cannot.
    pub(super) fn build(&self) -> Result<(), String> {
        let output = self.cargo(&["--no-run"]).output().map_err(told("cargo"))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Runs the tests.
    pub(super) fn test(&self, limit: Duration) -> Result<Outcome, String> {
        let log = self.dir.join("log");
        let file = File::create(&log).map_err(told("log"))?;
        let mut child = self.cargo(&[]).stdout(file).spawn().map_err(told("cargo"))?;
        let begun = Instant::now();
        let status = loop {
            match child.try_wait().map_err(told("cargo"))? {
                Some(status) => break Some(status),
                None if begun.elapsed() > limit => {
                    child.kill().and_then(|()| child.wait()).map_err(told("cargo"))?;
                    break None;
                }
                None => thread::sleep(Duration::from_millis(20)),
            }
        };
        let text = fs::read_to_string(&log).map_err(told("log"))?;
        Ok(match status {
            Some(status) if status.success() => Outcome::Passed,
            Some(_) if text.contains("test result: FAILED") => Outcome::Failed(failed(&text)),
            _ => Outcome::Died(text),
        })
    }

    /// A test that fails says so at once: its smallest input is of no interest here.
    fn cargo(&self, args: &[&str]) -> Command {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .current_dir(&self.dir)
            .args(["test", "--quiet", "--package", "moorline-core", "--test", "machine"])
            .args(args)
            .env("CARGO_TARGET_DIR", &self.build)
            .env("PROPTEST_MAX_SHRINK_ITERS", "0")
            .env("RUST_BACKTRACE", "0")
            .env_remove("RUSTFLAGS")
            .stderr(std::process::Stdio::piped());
        cargo
    }

    pub(super) fn core(&self, part: &str) -> PathBuf {
        self.dir.join("core").join(part)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("{}: {error}", self.dir.display());
        }
    }
}

/// The workspace's manifest without its other members and without the package at the root.
fn own_manifest(manifest: &str) -> String {
    let mut shared = false;
    let lines = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            shared = line.starts_with("[workspace.");
        }
        shared
    });
    let lines = lines.map(|line| format!("{line}\n")).collect::<String>();
    format!("[workspace]\nmembers = [\"core\"]\nresolver = \"3\"\n\n{lines}")
}

fn failed(log: &str) -> Vec<String> {
    let list = log.rsplit("\nfailures:\n").next().unwrap_or_default();
    let names = list.lines().take_while(|line| !line.starts_with("test result"));
    names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Copies a file, or a folder with all that is in it. What is the same there already stays as old as it is, so that it is not
/// built again.
pub(crate) fn copy_all(from: &Path, to: &Path) -> Result<(), String> {
    let at = told(from.display());
    if !from.is_dir() {
        if fs::read(to).is_ok_and(|there| fs::read(from).is_ok_and(|here| here == there)) {
            return Ok(());
        }
        if let Some(dir) = to.parent() {
            fs::create_dir_all(dir).map_err(&at)?;
        }
        return fs::copy(from, to).map(|_| ()).map_err(at);
    }
    for entry in fs::read_dir(from).map_err(&at)? {
        let name = entry.map_err(&at)?.file_name();
        copy_all(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(told(path.display()))
}

fn told(what: impl std::fmt::Display) -> impl Fn(std::io::Error) -> String {
    let what = what.to_string();
    move |error| format!("{what}: {error}")
}
