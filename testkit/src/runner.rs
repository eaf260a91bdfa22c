//! Runs checks, and outlives each of them.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;

use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use moorline_core::BoxFuture;

use crate::failure::Verdict;
use crate::play::Play;
use crate::report::{Entry, Outcome};

/// How often the patience one check may last in all: it waits for several things, one after another.
const LIMIT: u32 = 6;

pub(crate) type Run = Box<dyn FnOnce() -> BoxFuture<'static, Verdict> + Send>;

/// A check to run, or why it is left out.
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) must: &'static str,
    pub(crate) run: Result<Run, String>,
}

pub(crate) async fn run(play: &Play, jobs: Vec<Job>) -> Vec<Entry> {
    let mut blocked = false;
    let mut entries = Vec::new();
    for Job { name, must, run } in jobs {
        let outcome = match run {
            Err(why) => Outcome::Skipped(why),
            Ok(_) if blocked => Outcome::NotRun,
            Ok(run) => one(play, run, &mut blocked).await,
        };
        entries.push(Entry { name, must, outcome });
    }
    entries
}

async fn one(play: &Play, run: Run, blocked: &mut bool) -> Outcome {
    let (done, mut over) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let begun = play.now();
    let task = async move {
        let mut check = Box::pin(AssertUnwindSafe(async move { run().await }).catch_unwind());
        let ended = match select(&mut check, stopped).await {
            Either::Left((ended, _)) => Some(ended),
            Either::Right(_) => None,
        };
        drop(check);
        let _ = done.send(ended);
    };
    play.runtime.spawn("check", Box::pin(task));
    let limit = play.patience * LIMIT;
    if let Either::Left((ended, _)) = select(&mut over, pin!(play.sleep(limit))).await {
        return match ended {
            Ok(Some(Ok(Ok(())))) => Outcome::Passed(play.now().since(begun)),
            Ok(Some(Ok(Err(failure)))) => Outcome::Failed(failure.to_string()),
            Ok(Some(Err(panic))) => Outcome::Failed(format!("it panicked: {}", words(&*panic))),
            Ok(None) | Err(_) => Outcome::Failed("the runtime has dropped the check".into()),
        };
    }
    let _ = stop.send(());
    match select(&mut over, pin!(play.sleep(play.patience))).await {
        Either::Left(_) => Outcome::Failed(format!("it is not over after {limit:?}")),
        Either::Right(_) => {
            *blocked = true;
            Outcome::Failed(format!("it is not over after {limit:?}, and blocks its thread"))
        }
    }
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no words".into())
}
