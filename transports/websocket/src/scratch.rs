//! The memory that sockets are read into.

use std::cell::{Cell, RefCell};

use bytes::BytesMut;

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

thread_local! {
    /// Memory that held what a connection of this thread had read and not decoded.
    static SPARE: Cell<BytesMut> = Cell::new(BytesMut::new());
}

/// A copy of those bytes, in the thread's spare memory if there is one and nobody has a part of it. A busy connection needs
/// such a copy after each read, and gives it back before the next.
pub(crate) fn keep(bytes: &[u8]) -> BytesMut {
    let mut kept = SPARE.take();
    kept.clear();
    if !kept.try_reclaim(bytes.len()) {
        kept = BytesMut::with_capacity(bytes.len());
    }
    kept.extend_from_slice(bytes);
    kept
}

/// Takes memory back from which everything was taken.
pub(crate) fn give_back(memory: BytesMut) {
    SPARE.set(memory);
}
