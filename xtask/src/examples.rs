//! The programs in `examples`: each that ends by itself is run, and checks what it prints.

use std::path::Path;
use std::time::Duration;

use crate::bounded::Bounded;
use crate::cargo;

/// Those that serve, or talk to somebody else: `cargo xtask interop` runs them.
const WITHOUT_END: [&str; 5] = ["chat", "echo_client", "echo_server", "listen", "news"];

/// How long one may take; the longest needs 3 s.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs them all; how many there were.
///
/// # Errors
///
/// When one fails, or does not end.
pub(crate) fn run() -> Result<String, String> {
    cargo::run(&["build", "--workspace", "--all-features", "--examples"], &[])?;
    // `target/debug`: where this very program is.
    let here = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let built = here.with_file_name("examples");
    let names = names(&cargo::root().join("examples"))?;
    let mut failed = Vec::new();
    for name in &names {
        println!("\n── {name} ──");
        let started = Bounded::start(&built.join(name), [""; 0], None);
        if let Err(why) =
            started.and_then(|program| program.finish(LIMIT, |line| println!("{line}")))
        {
            failed.push(why);
        }
    }
    match failed.len() {
        0 => Ok(format!("{} have ended well", names.len())),
        count => Err(format!("{count} of {} failed:\n{}", names.len(), failed.join("\n"))),
    }
}

/// Those that end by themselves, by name.
fn names(folder: &Path) -> Result<Vec<String>, String> {
    let entries = folder.read_dir().map_err(|error| format!("{}: {error}", folder.display()))?;
    let sources = entries.flatten().map(|entry| entry.path());
    let mut names: Vec<String> = sources
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| !WITHOUT_END.contains(&name.as_str()))
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_that_ends_by_itself_is_found() {
        let names = names(&cargo::root().join("examples")).unwrap();
        for name in ["agnost", "collab", "live_query", "quickstart", "test_an_app"] {
            assert!(names.iter().any(|own| own == name), "{name} is missing of {names:?}");
        }
        assert!(!names.iter().any(|name| WITHOUT_END.contains(&name.as_str())), "{names:?}");
    }
}
