//! `cargo xtask faults`: would the machine's tests notice if the machine were wrong?
//!
//! Copies the core aside, plants one fault after another into the copy, and demands that a test fails each time, and
//! none in the copy as it is.

mod copy;
mod planted;

use crate::cargo;
use std::time::Duration;

pub(crate) use self::copy::copy_all;
use self::copy::{Outcome, Workspace};
use self::planted::{FAULTS, Fault};

/// How long the tests may take: some hundred times what they need, so that only a loop without end is over it.
const LIMIT: Duration = Duration::from_secs(300);

/// Plants every fault in turn.
///
/// # Errors
///
/// When a fault is not noticed, does not compile, or is no longer to be found in the source.
pub(crate) fn run() -> Result<(), String> {
    let workspace = Workspace::copy(&cargo::root())?;
    workspace.build().map_err(|log| format!("the core does not compile:\n{log}"))?;
    match workspace.test(LIMIT)? {
        Outcome::Passed => println!("{:<62} passes", "the machine as it is"),
        Outcome::Failed(tests) => return Err(format!("it fails without a fault: {tests:?}")),
        Outcome::Died(log) => return Err(format!("it dies without a fault:\n{log}")),
    }
    let verdicts = FAULTS.iter().map(|fault| plant(&workspace, fault));
    let missed =
        verdicts.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|caught| !caught).count();
    if missed > 0 {
        return Err(format!("{missed} of {} faults went unnoticed", FAULTS.len()));
    }
    println!("all {} faults were noticed", FAULTS.len());
    Ok(())
}

/// Whether each fault can still be planted.
///
/// # Errors
///
/// When one cannot.
pub(crate) fn check() -> Result<String, String> {
    let core = cargo::root().join("core");
    for Fault { name, edit } in FAULTS {
        edit.plan(&core).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(format!("{} can be planted", FAULTS.len()))
}

/// Whether the tests notice this fault.
fn plant(workspace: &Workspace, fault: &Fault) -> Result<bool, String> {
    let Fault { name, edit } = fault;
    let (source, changed) =
        edit.plan(&workspace.core("")).map_err(|why| format!("{name}: {why}"))?;
    workspace.write(edit.file, &changed)?;
    workspace.build().map_err(|log| format!("{name}: does not compile:\n{log}"))?;
    let outcome = workspace.test(LIMIT)?;
    workspace.write(edit.file, &source)?;
    let caught = match outcome {
        Outcome::Passed => {
            println!("{name:<62} NOT NOTICED");
            false
        }
        Outcome::Failed(tests) => {
            let first = tests.first().map_or("", String::as_str);
            println!("{name:<62} noticed by {:>3} tests: {first}", tests.len());
            true
        }
        Outcome::Died(log) => return Err(format!("{name}: the tests died:\n{log}")),
    };
    Ok(caught)
}
