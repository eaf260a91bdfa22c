//! What the peers need, in the project's own folders: `interop/node_modules`, and a virtual environment below `target`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bounded::Bounded;

/// How long one step may take, over a slow line.
const LIMIT: Duration = Duration::from_secs(300);

/// Installs all; where the Python with the packages is.
///
/// # Errors
///
/// Names what is missing: a peer is never left out.
pub(super) fn all(scripts: &Path, below: &Path) -> Result<PathBuf, String> {
    println!("\n── what the peers need ──");
    let (node, npm, system_python) = (Path::new("node"), Path::new("npm"), Path::new("python3"));
    let python = below.join("python");
    let requirements = scripts.join("requirements.txt");

    step(node, &["--version"], scripts, "Node is missing (the package `nodejs`)")?;
    step(npm, &["ci"], scripts, "npm, or one of its packages, is missing")?;
    for package in ["ws", "eventsource", "undici", "playwright-core"] {
        let import = format!("import '{package}'");
        let missing = format!("the npm package `{package}` is missing");
        step(node, &["--input-type=module", "--eval", &import], scripts, &missing)?;
    }
    step(Path::new("curl"), &["--version"], scripts, "curl is missing (the package `curl`)")?;

    let venv = ["-m", "venv", &python.to_string_lossy()];
    step(
        system_python,
        &venv,
        scripts,
        "Python is missing (the packages `python3`, `python3-venv`)",
    )?;
    let python = python.join("bin/python");
    let pip = ["-m", "pip", "install", "--quiet", "--requirement", &requirements.to_string_lossy()];
    step(&python, &pip, scripts, "the Python package `websockets` is missing")?;
    let use_it = ["-c", "import websockets.sync.client"];
    step(&python, &use_it, scripts, "the Python package `websockets` is missing")?;
    Ok(python)
}

fn step(program: &Path, args: &[&str], folder: &Path, missing: &str) -> Result<(), String> {
    println!("$ {} {}", program.display(), args.join(" "));
    let ended = Bounded::start(program, args, Some(folder))
        .and_then(|step| step.finish(LIMIT, |line| println!("{line}")));
    ended.map_err(|why| format!("{missing}: {why}"))
}
