//! The tests, and whether a mutant makes one fail.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What is not played: what is in real time, or about the suite itself.
const LEFT_OUT: [&str; 2] = ["on_sockets::", "counting::"];

/// In which orders the simulated tests are played: one, and if nothing fails all.
const SEEDS: [Option<&str>; 2] = [Some("1"), None];

/// How long tests may take: so much, and so many times what they take without a mutant.
const LIMIT: Duration = Duration::from_secs(10);
const TIMES: u32 = 5;

/// What became of a mutant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Caught,
    /// A test did not end.
    Hung,
    Missed,
}

/// A program of tests, as it is played in some orders.
struct Played {
    program: PathBuf,
    seed: Option<&'static str>,
    limit: Duration,
}

/// A package's tests.
pub(super) struct Tests {
    all: Vec<Played>,
    log: PathBuf,
}

impl Tests {
    /// Plays all without a mutant.
    pub(super) fn of(programs: &[PathBuf]) -> Result<Self, String> {
        let log = std::env::temp_dir().join(format!("mutants-{}", std::process::id()));
        let mut tests = Self { all: Vec::new(), log };
        for seed in SEEDS {
            for program in programs {
                let mut played = Played { program: program.clone(), seed, limit: Duration::MAX };
                let begun = Instant::now();
                if tests.play(&played, None)? != Verdict::Missed {
                    let log = fs::read_to_string(&tests.log).map_err(told)?;
                    let failed = log.lines().filter(|line| line.ends_with(" ... FAILED"));
                    let failed: Vec<_> = failed.collect();
                    return Err(format!("without a mutant: {}", failed.join("\n")));
                }
                played.limit = LIMIT + begun.elapsed() * TIMES;
                tests.all.push(played);
            }
        }
        Ok(tests)
    }

    /// Whether a test notices that mutant.
    pub(super) fn judge(&self, id: usize) -> Result<Verdict, String> {
        for played in &self.all {
            match self.play(played, Some(id))? {
                Verdict::Missed => {}
                verdict => return Ok(verdict),
            }
        }
        Ok(Verdict::Missed)
    }

    /// Plays until a test fails, or the time is over.
    fn play(&self, played: &Played, id: Option<usize>) -> Result<Verdict, String> {
        let output = File::create(&self.log).map_err(told)?;
        let mut child = command(&played.program)
            .envs(id.map(|id| ("MOORLINE_MUTANT", id.to_string())))
            .envs(played.seed.map(|seed| ("MOORLINE_SEED", seed)))
            .stdout(output)
            .spawn()
            .map_err(told)?;
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().map_err(told)? {
                return Ok(if status.success() { Verdict::Missed } else { Verdict::Caught });
            }
            let late = begun.elapsed() > played.limit;
            if late || fs::read_to_string(&self.log).map_err(told)?.contains(" ... FAILED\n") {
                child.kill().and_then(|()| child.wait()).map_err(told)?;
                return Ok(if late { Verdict::Hung } else { Verdict::Caught });
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Tests {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.log);
    }
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(LEFT_OUT.iter().flat_map(|part| ["--skip", part]))
        .env("RUST_BACKTRACE", "0")
        .env_remove("MOORLINE_SEED")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn told(error: std::io::Error) -> String {
    format!("the tests do not run: {error}")
}
