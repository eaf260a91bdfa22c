//! A close arrives, after everything else, with what it says.

use moorline_core::{CloseFrame, Frame, Sender};

use crate::failure::{Failure, Verdict, ensure};
use crate::link::{End, Ending};
use crate::play::Play;
use crate::sample::numbered;

async fn close(play: &Play, end: &mut End, close: CloseFrame) -> Verdict {
    play.within("a close ends", end.sender.close(close))
        .await?
        .map_err(|error| Failure::new(format!("a close failed: {error}")))
}

pub(crate) async fn a_close_arrives(play: Play, mut from: End, mut to: End) -> Verdict {
    from.send(&play, Frame::text("before")).await?;
    to.frame(&play).await?;
    close(&play, &mut from, CloseFrame::new(1000, "")).await?;
    let (more, ending) = to.rest(&play).await?;
    ensure!(more.is_empty(), "{more:?} came before the close, and nobody has sent it");
    match ending {
        Ending::Silent if play.close_codes => Err(Failure::new("the link ended without a close")),
        Ending::Close(_) | Ending::Silent => Ok(()),
        Ending::Broken(error) => Err(Failure::new(format!("the link broke instead: {error}"))),
    }
}

pub(crate) async fn a_close_comes_after_all_frames(
    play: Play,
    mut from: End,
    mut to: End,
) -> Verdict {
    // Few enough for any queue: the close itself has to flush them.
    const FRAMES: usize = 5;
    for at in 0..FRAMES {
        play.within("a small send ends", from.sender.send(numbered(at, 50, play.binary)))
            .await?
            .map_err(|error| Failure::new(format!("a send failed: {error}")))?;
    }
    close(&play, &mut from, CloseFrame::new(1000, "done")).await?;
    let (came, ending) = to.rest(&play).await?;
    let count = came.len();
    ensure!(count == FRAMES, "{count} of {FRAMES} frames came, and then the end: {ending:?}");
    Ok(())
}

pub(crate) async fn a_close_says_its_code_and_reason(
    play: Play,
    mut from: End,
    mut to: End,
) -> Verdict {
    let said = CloseFrame::new(4001, "à bientôt");
    close(&play, &mut from, said.clone()).await?;
    match to.rest(&play).await?.1 {
        Ending::Close(heard) => {
            ensure!(heard == said, "{said} was said, and {heard} heard");
            Ok(())
        }
        other => Err(Failure::new(format!("{said} was said, and the end was {other:?}"))),
    }
}
