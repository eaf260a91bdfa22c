//! Calling cargo, in the workspace's root.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

/// The workspace's root: of the checkout that this is called in, also where several share one target directory.
pub(crate) fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(here, PathBuf::from);
    package.parent().expect("xtask lies in the workspace").to_owned()
}

/// Where this was compiled.
fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs cargo with its output on the terminal.
pub(crate) fn run(args: &[&str], variables: &[(&str, &str)]) -> Result<(), String> {
    announce(args, variables);
    let status = cargo(args).envs(variables.iter().copied()).status();
    judge(args, status)
}

/// Runs cargo with its output on the terminal, and shows each line of it to `see` too.
pub(crate) fn run_seen(args: &[&str], mut see: impl FnMut(&str)) -> Result<(), String> {
    announce(args, &[]);
    let mut child = cargo(args).stdout(Stdio::piped()).spawn().map_err(|error| failed(&error))?;
    let output = child.stdout.take().expect("its standard output is a pipe");
    for line in BufReader::new(output).split(b'\n') {
        let line = line.map_err(|error| failed(&error))?;
        let line = String::from_utf8_lossy(&line);
        // A terminal that is gone does not end the run.
        let _shown = writeln!(io::stdout(), "{line}");
        see(&line);
    }
    judge(args, child.wait())
}

/// What cargo says on its standard output.
pub(crate) fn output(args: &[&str]) -> Result<String, String> {
    let output = cargo(args).stderr(Stdio::inherit()).output().map_err(|error| failed(&error))?;
    judge(args, Ok(output.status))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The cargo that runs this.
fn cargo(args: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

fn announce(args: &[&str], variables: &[(&str, &str)]) {
    let set: String = variables.iter().map(|(name, value)| format!("{name}='{value}' ")).collect();
    println!("\n$ {set}cargo {}", args.join(" "));
}

fn judge(args: &[&str], status: io::Result<ExitStatus>) -> Result<(), String> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo {}: {status}", args.join(" "))),
        Err(error) => Err(failed(&error)),
    }
}

fn failed(error: &io::Error) -> String {
    format!("cargo does not run: {error}")
}
