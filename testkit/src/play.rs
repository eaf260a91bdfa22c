//! Time, for checks: how long to wait for what must happen, and for what must not.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, select};
use moorline_core::{Runtime, Time};

use crate::failure::Failure;

/// What every check gets. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Play {
    pub(crate) runtime: Arc<dyn Runtime>,
    /// How long what must happen may take.
    pub(crate) patience: Duration,
    /// After how long what has not happened does not happen.
    pub(crate) quiet: Duration,
    /// How many bytes may be on their way to a reader that has stopped.
    pub(crate) bound: usize,
    /// The largest frame that both ends carry.
    pub(crate) largest: usize,
    /// Whether binary frames travel.
    pub(crate) binary: bool,
    /// Whether both ends carry a close's code and reason.
    pub(crate) close_codes: bool,
}

impl Play {
    pub(crate) fn now(&self) -> Time {
        self.runtime.now()
    }

    pub(crate) async fn sleep(&self, span: Duration) {
        let mut timer = self.runtime.timer();
        timer.as_mut().reset(self.now() + span);
        timer.await;
    }

    /// Waits for what must happen, but not for ever.
    pub(crate) async fn within<T>(
        &self,
        what: &str,
        future: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        match select(pin!(future), pin!(self.sleep(self.patience))).await {
            Either::Left((value, _)) => Ok(value),
            Either::Right(_) => {
                Err(Failure::new(format!("waited {:?} in vain: {what}", self.patience)))
            }
        }
    }

    /// Drives a future until it ends or was given time enough to; `None` when it still waits then.
    pub(crate) async fn quietly<F: Future + Unpin>(&self, future: F) -> Option<F::Output> {
        match select(future, pin!(self.sleep(self.quiet))).await {
            Either::Left((value, _)) => Some(value),
            Either::Right(_) => None,
        }
    }

    /// Begins a future and leaves it alone: it is polled at most so many times, each when it was woken.
    pub(crate) async fn begin<F: Future + Unpin>(
        &self,
        future: &mut F,
        polls: usize,
    ) -> Option<F::Output> {
        let mut left = polls;
        let begun = poll_fn(|context| {
            left = left.saturating_sub(1);
            match Pin::new(&mut *future).poll(context) {
                Poll::Ready(value) => Poll::Ready(Some(value)),
                Poll::Pending if left == 0 => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        self.quietly(begun).await.flatten()
    }
}
