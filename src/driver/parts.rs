//! Which part of a driver was woken: reading and the hook have wakers of their own, so that a driver which has only something to
//! send does not touch them. With thousands of connections each of them lies in memory that is not in the processor's cache.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use crate::sync::lock;

/// A part that can be woken by itself.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Part {
    Read = 1,
    Hook = 2,
}

/// See the [module](self).
pub(super) struct Parts {
    inner: Arc<Inner>,
    pub(super) read: Waker,
    pub(super) hook: Waker,
}

struct Inner {
    woken: AtomicU8,
    driver: Mutex<Waker>,
}

struct One {
    inner: Arc<Inner>,
    part: Part,
}

impl Wake for One {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let part = self.part as u8;
        // Who was woken already will be polled.
        if self.inner.woken.fetch_or(part, Ordering::AcqRel) & part == 0 {
            let driver = lock(&self.inner.driver).clone();
            driver.wake();
        }
    }
}

impl Parts {
    pub(super) fn new() -> Self {
        let driver = Mutex::new(Waker::noop().clone());
        let inner = Arc::new(Inner { woken: AtomicU8::new(0), driver });
        let waker = |part| Waker::from(Arc::new(One { inner: inner.clone(), part }));
        Self { read: waker(Part::Read), hook: waker(Part::Hook), inner }
    }

    /// Those that were woken since the last time. From now on `waker` is woken with each.
    pub(super) fn take(&mut self, waker: &Waker) -> Woken {
        let mut driver = lock(&self.inner.driver);
        if !driver.will_wake(waker) {
            driver.clone_from(waker);
        }
        drop(driver);
        Woken(self.inner.woken.swap(0, Ordering::AcqRel))
    }
}

/// Parts that were woken.
pub(super) struct Woken(u8);

impl Woken {
    pub(super) const fn has(&self, part: Part) -> bool {
        self.0 & part as u8 != 0
    }
}
