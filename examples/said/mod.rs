//! For the examples that check what they print.

use std::fmt::Display;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// What was printed and not yet looked for.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Prints a line.
pub(crate) fn say(line: impl Display) {
    println!("{line}");
    SAID.lock().expect("nobody panics under it").push(line.to_string());
}

/// Waits until a line that begins so was printed, once for each call. Listeners have a task of their own, so it may take a
/// moment.
///
/// # Panics
///
/// When it is not within ten seconds.
pub(crate) async fn said(start: &str) {
    let found = async {
        while !take(start) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let found = timeout(Duration::from_secs(10), found).await;
    found.unwrap_or_else(|_| panic!("nobody has said {start:?}"));
}

fn take(start: &str) -> bool {
    let mut lines = SAID.lock().expect("nobody panics under it");
    let at = lines.iter().position(|line| line.starts_with(start));
    at.map(|at| lines.remove(at)).is_some()
}
