//! A process that ends in time, with everything that it has started.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// See the [module](self). Dropped, it kills what still runs.
pub(crate) struct Bounded {
    name: String,
    child: Child,
    lines: Receiver<String>,
}

impl Bounded {
    /// Starts a program, in a folder if one is given. Its errors go to the terminal.
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &Path,
        args: impl IntoIterator<Item = A>,
        folder: Option<&Path>,
    ) -> Result<Self, String> {
        let name = program.display().to_string();
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        if let Some(folder) = folder {
            command.current_dir(folder);
        }
        // A group of its own: what it starts is in it, and is found there.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        let output = child.stdout.take().expect("its standard output is a pipe");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { name, child, lines })
    }

    /// Waits until it has ended, and shows each line to `see`.
    ///
    /// # Errors
    ///
    /// When it fails, or takes longer than `limit`.
    pub(crate) fn finish(
        mut self,
        limit: Duration,
        mut see: impl FnMut(&str),
    ) -> Result<(), String> {
        let late = || format!("{} takes longer than {} s", self.name, limit.as_secs());
        let deadline = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => see(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => return Err(late()),
            }
        }
        // Its output has ended; it is about to.
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("{}: {status}", self.name)),
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(format!("{}: {error}", self.name)),
            }
        }
        Err(late())
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        // The standard library kills one process only.
        #[cfg(unix)]
        let _killed = Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", self.child.id())])
            .stderr(Stdio::null())
            .status();
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Bounded {
        Bounded::start(Path::new("sh"), ["-c", script], None).expect("there is a shell")
    }

    #[test]
    fn its_lines_are_seen() {
        let mut seen = Vec::new();
        shell("echo one; echo two").finish(LONG, |line| seen.push(line.to_owned())).unwrap();
        assert_eq!(seen, ["one", "two"]);
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_failure_is_told() {
        assert!(shell("exit 3").finish(LONG, |_| {}).unwrap_err().contains('3'));
        assert!(Bounded::start(Path::new("/no/such/program"), [""], None).is_err());
    }

    #[test]
    fn what_takes_too_long_is_killed_with_its_children() {
        let mut child = String::new();
        let started = Instant::now();
        let limit = Duration::from_millis(500);
        let script = "sleep 300 & echo $!; wait";
        let error = shell(script).finish(limit, |line| child = line.to_owned()).unwrap_err();
        assert!(error.contains("takes longer"), "{error}");
        assert!(started.elapsed() < LONG);
        let alive = || {
            let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            // What is killed and not reaped yet is a zombie.
            !state.is_empty() && !state.contains(") Z")
        };
        while alive() {
            assert!(started.elapsed() < LONG, "{child} still runs");
            thread::sleep(Duration::from_millis(10));
        }
    }
}
