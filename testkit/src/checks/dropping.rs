//! What is dropped is gone, and the other end hears of it.

use moorline_core::{CloseFrame, Frame, Receiver, Sender};

use crate::checks::backpressure::{SIZES, Writer};
use crate::failure::{Failure, Verdict, ensure};
use crate::link::{End, next_frame};
use crate::play::Play;
use crate::sample::{Held, number, numbered};

pub(crate) async fn a_link_ends_when_both_halves_are_dropped(
    play: Play,
    mut from: End,
    mut to: End,
) -> Verdict {
    from.send(&play, Frame::text("one")).await?;
    to.frame(&play).await?;
    drop(from);
    let (more, _) = to.rest(&play).await?;
    ensure!(more.is_empty(), "{more:?} came, and nobody has sent it");
    // The other half's turn: it may take some into buffers, and must fail then.
    let sending = async {
        for at in 0..play.bound / SIZES[0] {
            to.sender.send(numbered(at, SIZES[0].min(play.largest), false)).await?;
            to.sender.flush().await?;
            play.sleep(play.quiet / 100).await;
        }
        Ok::<_, moorline_core::TransportError>(())
    };
    let sent = play.within("sends to a peer that is gone fail", sending).await?;
    ensure!(sent.is_err(), "sends go on though the peer is gone");
    Ok(())
}

/// Reads up to the end, and sees that it is what was sent, without a hole. How many came.
async fn prefix(play: &Play, to: &mut End) -> Result<usize, Failure> {
    let (frames, _) = to.rest(play).await?;
    for (at, frame) in frames.iter().enumerate() {
        let number = number(frame.payload());
        ensure!(number == Some(at), "frame {number:?} came where frame {at} was expected");
    }
    Ok(frames.len())
}

pub(crate) async fn a_link_dropped_in_the_middle_gives_a_prefix(
    play: Play,
    from: End,
    mut to: End,
) -> Verdict {
    let End { sender, receiver } = from;
    let mut writer = Writer::new(&play, sender, SIZES[1], Held::default());
    writer.fill(&play).await?;
    let sent = writer.sent();
    drop((writer, receiver));
    let came = prefix(&play, &mut to).await?;
    // The frame that was stuck may have come as well.
    ensure!(came <= sent + 1, "{sent} frames were sent, and {came} came");
    Ok(())
}

pub(crate) async fn a_half_open_link_gives_a_prefix(play: Play, from: End, mut to: End) -> Verdict {
    // One end keeps its receiver only. What the other end sends and closes with comes, or a part of it, and the end.
    let End { sender, mut receiver } = from;
    drop(sender);
    let send = async {
        for at in 0..10 {
            let sent = to.sender.send(numbered(at, 100, play.binary)).await;
            if sent.is_err() || to.sender.flush().await.is_err() {
                return;
            }
        }
        let _ = to.sender.close(CloseFrame::new(1000, "")).await;
    };
    play.within("sends to one half end, somehow", send).await?;
    for at in 0.. {
        match play.within("a half-open link ends", next_frame(&mut receiver)).await? {
            Ok(frame) => {
                let number = number(frame.payload());
                ensure!(number == Some(at), "frame {number:?} came instead of {at}");
            }
            Err(_) => break,
        }
    }
    Ok(())
}

pub(crate) async fn dropping_a_stuck_send_releases_everything(
    play: Play,
    from: End,
    mut to: End,
) -> Verdict {
    let held = Held::default();
    let End { sender, receiver } = from;
    let mut writer = Writer::new(&play, sender, SIZES[0], held.clone());
    writer.fill(&play).await?;
    let begun = play.now();
    drop((writer, receiver));
    let took = play.now().since(begun);
    ensure!(took < play.patience / 2, "the drop took {took:?}");
    prefix(&play, &mut to).await?;
    drop(to);
    let released = async {
        while held.count() > 0 {
            play.sleep(play.quiet / 10).await;
        }
    };
    if play.within("", released).await.is_err() {
        let left = held.count();
        return Err(Failure::new(format!(
            "{left} payloads are held, though all halves are dropped"
        )));
    }
    Ok(())
}

pub(crate) async fn dropping_a_waiting_receive_releases_everything(
    play: Play,
    from: End,
    mut to: End,
) -> Verdict {
    let End { sender, mut receiver } = from;
    let mut receiving = Box::pin(async move { receiver.receive().await });
    if let Some(came) = play.quietly(&mut receiving).await {
        return Err(Failure::new(format!("nothing was sent, and {came:?} came")));
    }
    drop((receiving, sender));
    let (more, _) = to.rest(&play).await?;
    ensure!(more.is_empty(), "{more:?} came, and nobody has sent it");
    Ok(())
}
