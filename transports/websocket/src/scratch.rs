//! The memory that sockets are read into.

use std::cell::RefCell;

/// As much as one read takes: what a socket holds at most times, and four messages of 16 KiB.
pub(crate) const SIZE: usize = 64 * 1024;

/// Lends the thread's scratch. All connections of a thread share it, so that an idle one needs no read buffer, and a busy
/// one has a large one.
pub(crate) fn with<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => {
            scratch.resize(SIZE, 0);
            work(&mut scratch)
        }
        // A stream that itself reads from one of ours, inside its read.
        Err(_) => work(&mut vec![0; SIZE]),
    })
}
