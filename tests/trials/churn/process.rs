//! The server's process, as the trial sees it.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::limit::RAISE;

/// Set in the server's process: the codec.
pub(crate) const SERVER: &str = "MOORLINE_TRIAL_SERVER";

/// What each line of the server's own begins with; the harness writes others.
pub(crate) const MARK: &str = "@ ";

/// How long the server may take to see that connections have gone.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

/// How the server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) connections: usize,
    pub(crate) descriptors: usize,
    /// In bytes.
    pub(crate) resident: usize,
}

impl Process {
    pub(crate) fn start(codec: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", RAISE])
            .arg(env::current_exe().unwrap())
            .args(["--exact", "the_server_of_a_trial", "--nocapture"])
            .env(SERVER, codec)
            .env("MALLOC_MMAP_THRESHOLD_", "65536")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server's process starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let address = said(&mut lines).parse().expect("it says its address");
        Self { child, lines, address }
    }

    pub(crate) fn look(&mut self) -> Look {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(b"look\n").expect("the server lives");
        let line = said(&mut self.lines);
        let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Look { connections: next(), descriptors: next(), resident: next() }
    }

    /// Waits until it has exactly so many connections, and nothing changes any more.
    pub(crate) async fn settled(&mut self, connections: usize) -> Look {
        let begun = Instant::now();
        let mut before = self.look();
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.look();
            let same =
                (now.connections, now.descriptors) == (before.connections, before.descriptors);
            if now.connections == connections && same {
                return now;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{now:?}, and {connections} connections are wanted"
            );
            before = now;
        }
    }

    /// Ends it, and sees that it ends well.
    pub(crate) fn end(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the server: {status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Without effect where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next thing that the server says.
fn said(lines: &mut BufReader<ChildStdout>) -> String {
    loop {
        let mut line = String::new();
        let count = lines.read_line(&mut line).unwrap();
        assert!(count > 0, "the server's process has ended");
        // The harness begins a line of its own and leaves it open.
        if let Some((_, said)) = line.trim_end().split_once(MARK) {
            return said.to_owned();
        }
    }
}
