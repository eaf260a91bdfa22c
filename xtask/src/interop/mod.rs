//! `cargo xtask interop`: other people's WebSockets and event streams, a browser, and a bare socket, against our examples.
//!
//! The peers are the scripts in `interop/`. Each runs our programs by itself, and tells of each case in a line.

mod install;
mod tally;

use std::path::Path;
use std::time::Duration;

use self::tally::Tally;
use crate::bounded::Bounded;
use crate::cargo;

/// How long one peer may take; the longest needs 20 s on a slow machine.
const LIMIT: Duration = Duration::from_secs(300);

/// What each peer is, its script, and the program of ours that it runs.
const PEERS: [(&str, &str, &[&str]); 12] = [
    ("Node `ws` as client", "node_client.mjs", &["echo_server"]),
    ("Node `ws` as server", "node_server.mjs", &["echo_client"]),
    ("`eventsource`, undici, curl as clients of SSE", "sse_client.mjs", &["echo_server", "news"]),
    ("Node as a server of SSE", "sse_server.mjs", &["listen"]),
    ("Chromium on the chat's page", "browser.mjs", &["chat", "screenshots"]),
    ("JavaScript of the chat's page", "chat_client.mjs", &["chat"]),
    ("JavaScript of docs/protocol.md", "json_client.mjs", &["echo_server"]),
    ("Python `websockets` as client", "python_client.py", &["echo_server"]),
    ("handshakes, bare client", "handshakes.py", &["server", "echo_server"]),
    ("handshakes, bare server", "handshakes.py", &["client", "echo_client"]),
    ("Autobahn's cases, bare client", "cases.py", &["server", "echo_server"]),
    ("Autobahn's cases, bare server", "cases.py", &["client", "echo_client"]),
];

/// Runs all peers, or those whose name has this in it.
///
/// # Errors
///
/// When something that is needed is missing, or a case fails.
pub(crate) fn run(wanted: &str) -> Result<(), String> {
    let scripts = cargo::root().join("interop");
    // `target/debug`: where this very program is.
    let here = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let built = here.parent().ok_or("xtask lies nowhere")?;

    let python = install::all(&scripts, &built.with_file_name("interop"))?;
    let examples = ["echo_*", "news", "listen", "chat"].map(|name| ["--example", name]).concat();
    cargo::run(&[&["build", "--workspace", "--all-features"], &examples[..]].concat(), &[])?;

    let mut table = String::from("| peer | cases | passed |\n| --- | --: | --: |\n");
    let (mut passed, mut failed) = (0, 0);
    for (name, script, args) in PEERS {
        if !name.contains(wanted) {
            continue;
        }
        println!("\n── {name} ──");
        let program = if script.ends_with(".py") { python.as_path() } else { Path::new("node") };
        let tally = talk(program, &scripts.join(script), args, &built.join("examples"))?;
        table += &format!("| {name} | {} | {} |\n", tally.passed + tally.failed, tally.passed);
        passed += tally.passed;
        failed += tally.failed;
    }
    println!("\n{table}\n{passed} passed, {failed} failed");
    match (passed, failed) {
        (0, 0) => Err(format!("no peer has {wanted:?} in its name")),
        (_, 0) => Ok(()),
        _ => Err("not all peers are content".into()),
    }
}

/// Runs one peer to its end, and counts what it tells.
fn talk(program: &Path, script: &Path, args: &[&str], examples: &Path) -> Result<Tally, String> {
    let args = args.iter().map(|arg| match *arg {
        "server" | "client" => arg.into(),
        "screenshots" => examples.with_file_name("screenshots").into_os_string(),
        example => examples.join(example).into_os_string(),
    });
    let args: Vec<_> = std::iter::once(script.as_os_str().to_owned()).chain(args).collect();
    let mut tally = Tally::default();
    let ended = Bounded::start(program, args, None)?.finish(LIMIT, |line| {
        if tally.add(line) {
            println!("{line}");
        }
    });
    if let Some(complaint) = tally.judge(&ended) {
        println!("{complaint}");
    }
    Ok(tally)
}
