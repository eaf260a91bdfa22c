use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use moorline_core::{Time, Timer};

use crate::clock;

/// A new timer, for [`Runtime::timer`](moorline_core::Runtime::timer). Its clock is [`now`](crate::now).
#[must_use]
pub fn timer() -> Pin<Box<dyn Timer>> {
    Box::pin(AsyncIoTimer { deadline: None, inner: async_io::Timer::never(), set_to: None })
}

/// One timer of async-io's that is used again and again.
///
/// Setting that one takes a turn of the reactor, which wakes its thread by a system call. A connection's deadline mostly moves
/// ahead, with each message; so `inner` stays where it is until it fires, and is set anew then. It wakes its task for nothing
/// at most once for each time that it was set.
struct AsyncIoTimer {
    /// `None` never comes.
    deadline: Option<Instant>,
    inner: async_io::Timer,
    /// When `inner` fires, if it does; never later than the deadline that was last polled for.
    set_to: Option<Instant>,
}

impl Timer for AsyncIoTimer {
    fn reset(self: Pin<&mut Self>, deadline: Time) {
        self.get_mut().deadline = clock::instant(deadline);
    }
}

impl Future for AsyncIoTimer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Some(deadline) = this.deadline else { return Poll::Pending };
        loop {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            if this.set_to.is_none_or(|set_to| set_to > deadline) {
                this.inner.set_at(deadline);
                this.set_to = Some(deadline);
            }
            ready!(Pin::new(&mut this.inner).poll(context));
            this.set_to = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_deadline_that_moves_ahead_leaves_the_reactor_alone() {
        let mut timer =
            AsyncIoTimer { deadline: None, inner: async_io::Timer::never(), set_to: None };
        let start = clock::now();
        let mut poll_at = |deadline| {
            Pin::new(&mut timer).reset(deadline);
            let polled =
                Pin::new(&mut timer).poll(&mut Context::from_waker(std::task::Waker::noop()));
            (polled.is_ready(), timer.set_to)
        };
        let (ready, first) = poll_at(start + HOUR);
        assert!(!ready && first.is_some());
        assert_eq!(poll_at(start + 2 * HOUR), (false, first));
        assert_eq!(poll_at(Time::MAX), (false, first));
        let (ready, sooner) = poll_at(start + HOUR / 2);
        assert!(!ready && sooner < first);
        assert!(poll_at(start).0);
    }

    #[test]
    fn a_deadline_that_has_moved_ahead_is_met() {
        let mut timer = timer();
        let start = clock::now();
        let ms = Duration::from_millis;
        timer.as_mut().reset(start + ms(10));
        let woken = futures_executor::block_on(async {
            let mut polls = 0;
            std::future::poll_fn(|context| {
                polls += 1;
                if polls == 1 {
                    assert!(timer.as_mut().poll(context).is_pending());
                    timer.as_mut().reset(start + ms(60));
                }
                timer.as_mut().poll(context)
            })
            .await;
            polls
        });
        assert!(clock::now() >= start + ms(60));
        // The first one, the wake at 10 ms for nothing, and the last; some systems wake a bit early and once more.
        assert!((3..=5).contains(&woken), "{woken} polls");
    }
}
