//! The task that runs a connection's listeners, one after another, in order.
//!
//! It is a task of its own, so that heartbeats, acknowledgements and other connections never wait for a
//! listener. No lock is held while one runs.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Poll, Waker};

use futures_util::FutureExt;

use super::callback::{Callback, Ran};
use crate::delivery::{Call, Item};
use crate::error::panic_text;
use crate::shared::Shared;
use crate::sync::lock;
use crate::{ErrorEvent, Event, Origin};

/// The code of the event that tells of a listener's panic.
const PANICKED: &str = "listener_panicked";

/// Runs listeners until the connection has ended and nothing waits for them.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut called = Vec::new();
    while let Some(Call { event, item, gave_back }) = next_call(&shared, &mut called).await {
        call(&shared, &event, &mut called).await;
        let taken = item.is_some_and(|item| lock(&shared.delivery).count_taken(&item));
        if taken || gave_back {
            shared.wake_driver();
        }
    }
    // A listener may hold the connection that holds it: `called` has the last of them, and drops them here.
}

/// Has these called in the listeners' task; the message that they are for, if there is one, is taken once they have run.
pub(crate) fn call_later(shared: &Arc<Shared>, callbacks: Vec<Arc<Callback>>, item: Option<Item>) {
    let mut wakes = Vec::new();
    let start = lock(&shared.delivery).call_later(callbacks, item, &mut wakes);
    wakes.into_iter().for_each(Waker::wake);
    if start {
        shared.runtime.spawn("listeners", Box::pin(run(shared.clone())));
    }
}

async fn next_call(shared: &Shared, called: &mut Vec<Arc<Callback>>) -> Option<Call> {
    poll_fn(|context| {
        let mut wakes = Vec::new();
        let next = lock(&shared.delivery).next_call(context.waker(), called, &mut wakes);
        wakes.into_iter().for_each(Waker::wake);
        match next {
            Ok(Some(call)) => Poll::Ready(Some(call)),
            Ok(None) => Poll::Pending,
            Err(()) => Poll::Ready(None),
        }
    })
    .await
}

async fn call(shared: &Shared, event: &Event, called: &mut Vec<Arc<Callback>>) {
    for callback in called.drain(..) {
        // A listener that panicked is run again at the next event: what it has seen half done is its own.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let ran = callback.run(event.clone());
            // One that is heard once goes here, with what it has captured.
            drop(callback);
            ran
        }));
        let panic = match ran {
            Ok(Ran::Done) => None,
            Ok(Ran::Later(future)) => AssertUnwindSafe(future).catch_unwind().await.err(),
            Ok(Ran::Unreadable(error)) => {
                shared.dispatch(Event::MessageError(error));
                None
            }
            Err(panic) => Some(panic),
        };
        if let Some(panic) = panic {
            // A listener for errors that panics at each would never come to an end.
            if !is_panic(event) {
                let text = panic_text(&*panic);
                shared.dispatch(Event::Error(ErrorEvent::new(Origin::Application, PANICKED, text)));
            }
        }
    }
}

fn is_panic(event: &Event) -> bool {
    matches!(event, Event::Error(error) if error.code == PANICKED)
}
