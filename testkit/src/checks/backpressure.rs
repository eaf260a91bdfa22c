//! A peer that does not read makes a writer wait, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::{join, join4};
use moorline_core::{BoxFuture, BoxReceiver, BoxSender, Frame, Sender, TransportError};

use crate::failure::{Failure, Verdict, ensure};
use crate::link::{End, next_frame};
use crate::play::Play;
use crate::sample::{Held, number};

/// Frames that fill sockets quickly, and frames of which a bound in bytes of payload alone would let too many through.
pub(crate) const SIZES: [usize; 2] = [64 * 1024, 1024];

/// What the last frame says.
const LAST: &str = "the last";

/// A writer that goes on until it is told to stop.
pub(crate) struct Writer {
    writing: BoxFuture<'static, Result<(), TransportError>>,
    sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    size: usize,
    bound: usize,
}

impl Writer {
    pub(crate) fn new(play: &Play, mut sender: BoxSender, size: usize, held: Held) -> Self {
        let (sent, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped) = (sent.clone(), stop.clone());
        let bound = play.bound;
        let writing = async move {
            for at in 0.. {
                // Beyond the bound it has failed already: then it is to end.
                if stopped.load(Ordering::SeqCst) || at * size > bound {
                    break;
                }
                sender.send(held.frame(at, size)).await?;
                sender.flush().await?;
                count.store(at + 1, Ordering::SeqCst);
            }
            sender.send(Frame::text(LAST)).await?;
            sender.flush().await
        };
        Self { writing: Box::pin(writing), sent, stop, size, bound }
    }

    /// How many frames were taken.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    /// Drives it until nothing is taken any more.
    pub(crate) async fn fill(&mut self, play: &Play) -> Verdict {
        loop {
            let before = self.sent();
            match play.quietly(&mut self.writing).await {
                None if self.sent() == before => return Ok(()),
                None => {}
                Some(Ok(())) => {
                    let (sent, size, bound) = (self.sent(), self.size, self.bound);
                    return Err(Failure::new(format!(
                        "{sent} frames of {size} bytes were taken, beyond {bound} bytes, and nobody reads"
                    )));
                }
                Some(Err(error)) => {
                    return Err(Failure::new(format!("a send failed instead of waiting: {error}")));
                }
            }
        }
    }
}

pub(crate) async fn a_reader_that_stops_stops_the_writer(
    play: Play,
    from: End,
    to: End,
) -> Verdict {
    // One size is enough for a link: the other direction has the other one.
    let End { sender, receiver } = from;
    let mut writer = Writer::new(&play, sender, SIZES[0], Held::default());
    writer.fill(&play).await?;
    drop((receiver, to));
    Ok(())
}

pub(crate) async fn a_reader_that_goes_on_frees_the_writer(
    play: Play,
    from: End,
    mut to: End,
) -> Verdict {
    let End { sender, receiver } = from;
    let mut writer = Writer::new(&play, sender, SIZES[1], Held::default());
    writer.fill(&play).await?;
    writer.stop.store(true, Ordering::SeqCst);
    let read = async {
        let mut came = 0;
        loop {
            let what = format!("frame {came} comes, after a wait");
            let frame =
                play.within(&what, next_frame(&mut to.receiver)).await?.map_err(|ending| {
                    Failure::new(format!("the link ended after frame {came}: {ending:?}"))
                })?;
            if frame.as_text() == Some(LAST) {
                return Ok(came);
            }
            let number = number(frame.payload());
            ensure!(number == Some(came), "frame {number:?} came instead of {came}");
            came += 1;
        }
    };
    let Writer { writing, sent, .. } = writer;
    let (written, came) = join(play.within("a send that waited ends", writing), read).await;
    let came = came?;
    written?.map_err(|error| Failure::new(format!("a send that waited failed: {error}")))?;
    let sent = sent.load(Ordering::SeqCst);
    ensure!(came == sent, "{sent} frames were sent, and {came} came");
    drop(receiver);
    Ok(())
}

pub(crate) async fn a_stuck_writer_does_not_stop_the_reader(
    play: Play,
    from: End,
    mut to: End,
) -> Verdict {
    let End { sender, mut receiver } = from;
    let mut writer = Writer::new(&play, sender, SIZES[0], Held::default());
    writer.fill(&play).await?;
    for at in 0..20 {
        let frame = Frame::text(format!("{at} the other way"));
        to.send(&play, frame.clone()).await?;
        let came = play
            .within("a frame comes while a send is stuck", next_frame(&mut receiver))
            .await?
            .map_err(|ending| Failure::new(format!("the link ended: {ending:?}")))?;
        ensure!(came == frame, "{came:?} came instead of {frame:?}");
    }
    Ok(())
}

pub(crate) async fn both_directions_flow_at_once(play: Play, from: End, to: End) -> Verdict {
    const FRAMES: usize = 100;
    let held = Held::default();
    let size = SIZES[0].min(play.largest);
    let send = async |mut sender: BoxSender| {
        for at in 0..FRAMES {
            sender.send(held.frame(at, size)).await?;
            sender.flush().await?;
        }
        Ok::<_, TransportError>(sender)
    };
    let (End { sender: a, receiver: mut a_in }, End { sender: b, receiver: mut b_in }) = (from, to);
    let receive = async |receiver: &mut BoxReceiver| {
        for at in 0..FRAMES {
            let frame = next_frame(receiver).await.map_err(|ending| format!("{ending:?}"))?;
            if number(frame.payload()) != Some(at) || frame.len() != size {
                return Err(format!("{frame:?} came instead of frame {at}"));
            }
        }
        Ok(())
    };
    let all = join4(send(a), send(b), receive(&mut a_in), receive(&mut b_in));
    let (one, other, up, down) = play.within("both ends send and read at once", all).await?;
    for sent in [one, other] {
        sent.map_err(|error| Failure::new(format!("a send failed: {error}")))?;
    }
    up.and(down).map_err(Failure)
}
