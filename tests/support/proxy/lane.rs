//! One direction of a link.

use std::future::pending;
use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until};

use super::link::{Orders, read};

/// How much a lane holds of what it may not forward yet. It reads on, up to this, so that it sees the end.
pub(super) const HELD: usize = 256 * 1024;

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Fin,
    Reset,
}

pub(super) struct Lane<'a> {
    index: usize,
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    held: BytesMut,
    /// How the sending socket ended.
    end: Option<End>,
    /// The receiving socket has been told the end.
    told: bool,
    /// The receiving socket takes no more.
    failed: bool,
    over: bool,
    /// When the next bytes may be forwarded.
    due: Option<Instant>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(index: usize, from: ReadHalf<'a>, to: WriteHalf<'a>, held: BytesMut) -> Self {
        let (end, due) = (None, None);
        Self { index, from, to, held, end, told: false, failed: false, over: false, due }
    }

    /// Whether the sending socket has ended, and that has been passed on if it is.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Passes ends on. `Some(Reset)` when the whole link is to be reset.
    pub(super) async fn settle(&mut self, now: &Orders, reverse: &Self) -> Option<End> {
        if self.over || now.stalled {
            return None;
        }
        let lost = now.lost[self.index];
        // The receiving socket has gone, its end has been passed on, and still there are bytes for it.
        if self.failed && reverse.over && !now.lost[reverse.index] {
            return Some(End::Reset);
        }
        if !self.held.is_empty() {
            return None;
        }
        let ends = now.ended[self.index] || self.end == Some(End::Fin);
        if ends && !lost && !self.told && !self.failed {
            self.told = true;
            let _ = self.to.shutdown().await;
        }
        self.over = self.end.is_some();
        let reset = self.end == Some(End::Reset) && !lost;
        reset.then_some(End::Reset)
    }

    /// Reads something, or writes something, whichever can be done.
    pub(super) async fn step(&mut self, now: &Orders) {
        let swallows = self.failed || now.lost[self.index] || now.ended[self.index];
        let reads = self.end.is_none() && (swallows || self.held.len() < HELD);
        let writes = !now.stalled && !self.held.is_empty() && !self.failed;
        let before = self.held.len();
        tokio::select! {
            count = read(self.from.as_ref(), &mut self.held), if reads => {
                match count {
                    Some(0) => self.end = Some(End::Fin),
                    None => self.end = Some(End::Reset),
                    Some(_) if swallows => self.held.truncate(before),
                    Some(_) => {}
                }
            }
            () = turn(&self.to, self.due), if writes => self.write(now),
            else => pending().await,
        }
    }

    fn write(&mut self, now: &Orders) {
        let most = match now.bytes_per_second {
            // A hundred pieces a second.
            Some(rate) => (rate as usize / 100).max(1),
            None => usize::MAX,
        };
        let most = if now.one_byte { 1 } else { most };
        match self.to.try_write(&self.held[..self.held.len().min(most)]) {
            Ok(count) => {
                self.held.advance(count);
                let wait = |rate| Duration::from_secs(1).mul_f64(count as f64 / f64::from(rate));
                self.due = now.bytes_per_second.map(|rate| Instant::now() + wait(rate));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => {
                self.failed = true;
                self.held.clear();
            }
        }
    }
}

/// Waits until it is time to write, and the socket takes something.
async fn turn(to: &WriteHalf<'_>, due: Option<Instant>) {
    if let Some(due) = due {
        sleep_until(due).await;
    }
    // A broken socket shows when it is written to.
    let _ = to.writable().await;
}
