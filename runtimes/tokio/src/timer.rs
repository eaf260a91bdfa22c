use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use moorline_core::{Time, Timer};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep_until};

use crate::clock;

/// One `Sleep` that is used again and again.
pub(crate) struct TokioTimer {
    handle: Handle,
    deadline: Time,
    sleep: Pin<Box<Sleep>>,
    /// Whether the deadline comes at all. When not, `sleep` stands at some earlier one and is not polled.
    comes: bool,
}

impl TokioTimer {
    pub(crate) fn new(handle: Handle) -> Self {
        let sleep = {
            let _entered = handle.enter();
            // Any moment will do: it is reset before it is polled.
            Box::pin(sleep_until(tokio::time::Instant::now()))
        };
        Self { handle, deadline: Time::MAX, sleep, comes: false }
    }
}

impl Timer for TokioTimer {
    fn reset(self: Pin<&mut Self>, deadline: Time) {
        let this = self.get_mut();
        this.deadline = deadline;
        let instant = clock::instant(deadline);
        this.comes = instant.is_some();
        if let Some(instant) = instant {
            this.sleep.as_mut().reset(instant);
        }
    }
}

impl Future for TokioTimer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if !this.comes {
            return Poll::Pending;
        }
        // tokio's wheel turns by milliseconds and only when its driver runs; the clock knows at once.
        if clock::now(&this.handle) >= this.deadline {
            return Poll::Ready(());
        }
        this.sleep.as_mut().poll(context)
    }
}
