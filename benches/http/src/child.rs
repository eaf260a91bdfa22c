//! A server as a process of its own, and what the system tells of it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::servers::Kind;

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts one on the first core.
    pub(crate) fn start(kind: Kind) -> Self {
        Self::start_as("serve", kind.name())
    }

    /// Starts this program with these arguments as one.
    pub(crate) fn start_as(command: &str, name: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .args([command, name])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the benchmark needs `taskset` (package util-linux)");
        let mut line = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).unwrap();
        let address = line.trim().parse().expect("a server prints its address first");
        Self { child, address }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Nanoseconds that it has spent on a processor. It has one thread.
    pub(crate) fn nanos(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.child.id())).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Bytes of its memory that are in use.
    pub(crate) fn resident(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        let pages: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
        pages * 4096
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Moves this process to the second core.
pub(crate) fn pin_to_second_core() {
    let own = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-cp", "1", &own]).stdout(Stdio::null()).status();
    assert!(
        pinned.is_ok_and(|status| status.success()),
        "the benchmark needs `taskset` and two cores"
    );
}
