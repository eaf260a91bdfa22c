//! Calls the listeners of queries.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use moorline_core::{Event, QueryError, QueryFailure};

use super::{QueryResult, Ran};
use crate::client::Told;
use crate::error::panic_text;
use crate::listeners::{Callback, Outcome};
use crate::shared::Shared;

/// A listener for results, with its types erased.
pub(crate) fn run_result<F, R, M>(listener: F) -> Box<dyn Fn(QueryResult) -> Ran + Send + Sync>
where
    F: Fn(QueryResult) -> R + Send + Sync + 'static,
    R: Outcome<M>,
{
    Box::new(move |result| listener(result).into_future().into())
}

/// A listener for errors.
pub(crate) fn run_error<F, R, M>(listener: F) -> Box<dyn Fn(QueryError) -> Ran + Send + Sync>
where
    F: Fn(QueryError) -> R + Send + Sync + 'static,
    R: Outcome<M>,
{
    Box::new(move |error| listener(error).into_future().into())
}

/// What is to be called in the listeners' task for that. A panic is an error of the query's (R41), and does not end it.
pub(crate) fn call(shared: &Arc<Shared>, told: Told) -> Arc<Callback> {
    let shared = shared.clone();
    Arc::new(Callback::of_any(move |_| {
        let Told { query, callbacks, what } = told.clone();
        let shared = shared.clone();
        async move {
            let of_result = what.is_ok();
            let ran = caught(|| match what {
                Ok(result) => (callbacks.result)(result),
                Err(error) => (callbacks.error)(error),
            });
            let Err(text) = ran.await else { return };
            let error = QueryError::new("listener_panicked", text);
            if of_result {
                let told = error.clone();
                // One that panics too has nobody left to tell but the listeners for all queries.
                let _told = caught(|| (callbacks.error)(told)).await;
            }
            shared.dispatch(Event::QueryError(QueryFailure::new(Some(query), error)));
        }
    }))
}

/// Runs a listener; what it panicked with.
async fn caught(call: impl FnOnce() -> Ran) -> Result<(), String> {
    let panic = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ran::Later(future)) => AssertUnwindSafe(future).catch_unwind().await.err(),
        Ok(_) => None,
        Err(panic) => Some(panic),
    };
    panic.map_or(Ok(()), |panic| Err(panic_text(&*panic)))
}
