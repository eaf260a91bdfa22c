//! A query that is being answered, for all who ask it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use moorline_core::wire::{Asked, ErrorPacket};
use moorline_core::{LiveQuery, QueryError, Rows};

use super::After;
use super::desk::Joiner;
use super::roster::Roster;
use crate::error::panic_text;
use crate::server::Core;
use crate::server::run::sleep;
use crate::sync::{WaitList, lock, wait_until};

/// Rows of up to so many bytes are kept until the next change, so that who comes meanwhile costs no evaluation: 10,000 queries
/// keep 640 MiB of them at most.
const KEPT_ROWS: usize = 64 * 1024;

/// How many changes an engine may have one after another without a pause: more than a table changes at once.
const CHANGES_AT_ONCE: usize = 32;

/// How long the pause is: an engine that always has a change then leaves its thread to the others.
const PAUSE: Duration = Duration::from_millis(1);

/// See the [module](self).
pub(super) struct Live {
    number: u64,
    pub(super) key: String,
    inbox: Mutex<Inbox>,
}

/// Who comes, and who goes (`None`): at most one for each that a connection asks.
pub(super) type Changes = BTreeMap<(u64, Arc<Asked>), Option<Joiner>>;

#[derive(Default)]
struct Inbox {
    changes: Changes,
    over: bool,
    waiting: WaitList,
}

impl Live {
    pub(super) fn new(number: u64, key: String) -> Self {
        Self { number, key, inbox: Mutex::default() }
    }

    /// By which clients know it: packed and not are two.
    pub(super) const fn id(&self, compress: bool) -> u64 {
        self.number * 2 + compress as u64
    }

    /// Adds one who asks, or asks anew; `false` if it is over.
    pub(super) fn join(&self, joiner: Joiner, after: &mut After) -> bool {
        let (number, asked) = (joiner.desk.number(), joiner.asked.clone());
        let mut inbox = lock(&self.inbox);
        if inbox.over {
            after.dropped.push(joiner);
            return false;
        }
        after.dropped.extend(inbox.changes.insert((number, asked), Some(joiner)).flatten());
        after.wakes.extend(inbox.waiting.first());
        true
    }

    pub(super) fn leave(&self, number: u64, asked: Arc<Asked>, after: &mut After) {
        let mut inbox = lock(&self.inbox);
        if !inbox.over {
            after.dropped.extend(inbox.changes.insert((number, asked), None).flatten());
            after.wakes.extend(inbox.waiting.first());
        }
    }

    pub(super) fn take_changes(&self) -> Changes {
        std::mem::take(&mut lock(&self.inbox).changes)
    }

    async fn changes(&self) -> Changes {
        let some = |inbox: &mut Inbox| {
            (!inbox.changes.is_empty()).then(|| std::mem::take(&mut inbox.changes))
        };
        wait_until(&self.inbox, |inbox| &mut inbox.waiting, some).await
    }

    pub(super) fn end_if_idle(&self) -> bool {
        let mut inbox = lock(&self.inbox);
        inbox.over |= inbox.changes.is_empty();
        inbox.over
    }

    pub(super) fn end(&self) {
        lock(&self.inbox).over = true;
    }
}

/// Answers it until nobody wants it any more, or it fails.
pub(super) async fn run(core: Arc<Core>, live: Arc<Live>, mut query: Box<dyn LiveQuery>) {
    let mut roster = Roster::new(core.clone(), live.clone());
    if let Err(error) = answer(&core, &live, &mut roster, &mut *query).await {
        roster.fail(&error);
    }
}

async fn answer(
    core: &Arc<Core>,
    live: &Arc<Live>,
    roster: &mut Roster,
    query: &mut dyn LiveQuery,
) -> Result<(), ErrorPacket> {
    let mut kept: Option<Rows> = None;
    let mut at_once = 0;
    loop {
        roster.take(live.take_changes());
        if roster.is_empty() {
            if core.queries.close(live) {
                return Ok(());
            }
            continue;
        }
        if roster.wants_rows() {
            if let Some(rows) = &kept {
                roster.serve(Some(rows));
            } else if let Some(rows) = all_rows(core, live, roster, query).await? {
                roster.serve(Some(&rows));
                kept = (rows.json.len() <= KEPT_ROWS).then_some(rows);
            }
            continue;
        }
        let mut change = pin!(caught(core, async { query.change().await }));
        let begun = poll_fn(|context| Poll::Ready(change.as_mut().poll(context))).await;
        // Only now: from here on they miss nothing.
        roster.serve(None);
        at_once = if begun.is_ready() { at_once + 1 } else { 0 };
        let change = match begun {
            Poll::Ready(change) => change?,
            Poll::Pending if roster.is_empty() => continue,
            Poll::Pending => match select(change, pin!(live.changes())).await {
                Either::Left((change, _)) => change?,
                Either::Right((changes, _)) => {
                    roster.take(changes);
                    continue;
                }
            },
        };
        kept = None;
        roster.tell(&change);
        if at_once == CHANGES_AT_ONCE {
            at_once = 0;
            sleep(&core.runtime, PAUSE).await;
        }
    }
}

/// All rows, unless nobody wants them any more. Who comes meanwhile gets them too: there was no change.
async fn all_rows(
    core: &Arc<Core>,
    live: &Live,
    roster: &mut Roster,
    query: &mut dyn LiveQuery,
) -> Result<Option<Rows>, ErrorPacket> {
    let mut rows = pin!(caught(core, async { query.rows().await }));
    while roster.wants_rows() {
        match select(rows.as_mut(), pin!(live.changes())).await {
            Either::Left((rows, _)) => {
                roster.take(live.take_changes());
                return rows.map(Some);
            }
            Either::Right((changes, _)) => roster.take(changes),
        }
    }
    Ok(None)
}

/// What the engine gives; a panic of it is an error.
async fn caught(
    core: &Arc<Core>,
    called: impl Future<Output = Result<Rows, QueryError>>,
) -> Result<Rows, ErrorPacket> {
    match AssertUnwindSafe(called).catch_unwind().await {
        Ok(given) => given.map_err(|error| ErrorPacket::new(error.code, error.message)),
        Err(panic) => Err(panicked(core, &panic_text(&*panic))),
    }
}

/// The engine has panicked: the application hears why, and the clients that it has.
pub(super) fn panicked(core: &Arc<Core>, text: &str) -> ErrorPacket {
    core.hooks.failed(&core.runtime, format!("the engine of queries: {text}"));
    ErrorPacket::new("internal", "the server failed")
}
