//! What was sent arrives as it was sent.

use bytes::Bytes;
use futures_util::future::join;
use moorline_core::{Frame, Incoming, Receiver, Sender};

use crate::failure::{Failure, Verdict, ensure};
use crate::link::{End, next_frame};
use crate::play::Play;
use crate::sample::{mark, number, numbered};

/// Enough for any queue to run full and over, and for batches of several sizes.
const FRAMES: usize = 300;

pub(crate) async fn a_frame_arrives(play: Play, mut from: End, mut to: End) -> Verdict {
    let frame = Frame::text("hello");
    from.send(&play, frame.clone()).await?;
    let got = to.frame(&play).await?;
    ensure!(got == frame, "{got:?} came instead of {frame:?}");
    to.send(&play, frame.clone()).await?;
    let got = from.frame(&play).await?;
    ensure!(got == frame, "{got:?} came back instead of {frame:?}");
    Ok(())
}

/// Sends the numbered frames, in batches, and gives all that comes: as many bytes, or what came until nothing did.
async fn transcript(play: &Play, from: &mut End, to: &mut End) -> Vec<Frame> {
    let sizes = |at: usize| 6 + at * 7 % 200;
    let total: usize = (0..FRAMES).map(|at| numbered(at, sizes(at), play.binary).len()).sum();
    let send = async {
        for at in 0..FRAMES {
            from.sender.send(numbered(at, sizes(at), play.binary)).await?;
            // Batches of one and of many.
            if at < 20 || at % 60 == 0 || at + 1 == FRAMES {
                from.sender.flush().await?;
            }
        }
        Ok::<_, moorline_core::TransportError>(())
    };
    let receive = async {
        let (mut came, mut bytes) = (Vec::new(), 0);
        while bytes < total {
            let Ok(Ok(frame)) = play.within("", next_frame(&mut to.receiver)).await else { break };
            bytes += frame.len();
            came.push(frame);
        }
        came
    };
    // A writer that is stuck is another check's; what has come is looked at all the same.
    let send = play.within("", send);
    join(send, receive).await.1
}

fn numbers(came: &[Frame]) -> Vec<usize> {
    came.iter().filter_map(|frame| number(frame.payload())).collect()
}

/// Which of the marks stand in the payload, as places where one begins.
fn marks(payload: &[u8]) -> usize {
    payload.iter().filter(|byte| **byte == b'<').count()
}

pub(crate) async fn frames_are_not_merged_or_split(
    play: Play,
    mut from: End,
    mut to: End,
) -> Verdict {
    for (at, frame) in transcript(&play, &mut from, &mut to).await.iter().enumerate() {
        let marks = marks(frame.payload());
        ensure!(marks < 2, "{marks} frames came as one, the {at}th");
        ensure!(marks > 0, "the {at}th that came is a part of a frame: {frame:?}");
    }
    Ok(())
}

pub(crate) async fn frames_are_not_altered(play: Play, mut from: End, mut to: End) -> Verdict {
    for frame in transcript(&play, &mut from, &mut to).await {
        // Frames that are not whole are another check's.
        let Some(number) = number(frame.payload()) else { continue };
        ensure!(number < FRAMES, "frame {number} came, which nobody has sent");
        let sent = numbered(number, 6 + number * 7 % 200, play.binary);
        let whole = marks(frame.payload()) == 1 && frame.len() == sent.len();
        ensure!(!whole || frame == sent, "frame {number} came altered");
    }
    Ok(())
}

pub(crate) async fn frames_arrive_in_order(play: Play, mut from: End, mut to: End) -> Verdict {
    let numbers = numbers(&transcript(&play, &mut from, &mut to).await);
    for pair in numbers.windows(2) {
        ensure!(pair[0] <= pair[1], "frame {} came before frame {}", pair[0], pair[1]);
    }
    Ok(())
}

pub(crate) async fn no_frame_is_doubled(play: Play, mut from: End, mut to: End) -> Verdict {
    let mut numbers = numbers(&transcript(&play, &mut from, &mut to).await);
    numbers.sort_unstable();
    for pair in numbers.windows(2) {
        ensure!(pair[0] != pair[1], "frame {} came twice", pair[0]);
    }
    Ok(())
}

pub(crate) async fn no_frame_is_missing(play: Play, mut from: End, mut to: End) -> Verdict {
    let came = transcript(&play, &mut from, &mut to).await;
    // However it was cut: that is another check's.
    let all: Vec<u8> = came.iter().flat_map(|frame| frame.payload().iter().copied()).collect();
    for at in 0..FRAMES {
        let mark = mark(at);
        let there = all.windows(mark.len()).any(|window| window == mark);
        ensure!(there, "frame {at} of {FRAMES} never came");
    }
    Ok(())
}

pub(crate) async fn empty_frames_arrive(play: Play, mut from: End, mut to: End) -> Verdict {
    let empty = |at: usize| {
        if play.binary && at % 2 == 1 {
            Frame::Binary(Bytes::new())
        } else {
            Frame::Text(Bytes::new())
        }
    };
    // Two after each other, so that they can be neither merged nor lost.
    let frames = [empty(0), empty(1), empty(2), Frame::text("x"), empty(3), Frame::text("y")];
    for frame in &frames {
        let sent = from.sender.send(frame.clone());
        play.within("a small send ends", sent)
            .await?
            .map_err(|error| Failure::new(format!("{frame:?} was not taken: {error}")))?;
    }
    play.within("a flush ends", from.sender.flush())
        .await?
        .map_err(|error| Failure::new(format!("a flush failed: {error}")))?;
    for (at, frame) in frames.iter().enumerate() {
        let got = to.frame(&play).await?;
        ensure!(got == *frame, "{got:?} came {at}th, instead of {frame:?}");
    }
    Ok(())
}

pub(crate) async fn frames_of_every_size_arrive(play: Play, mut from: End, mut to: End) -> Verdict {
    // Around the lengths at which protocols change the form of a frame's header, and those of usual buffers.
    let around = [126, 4096, 16 * 1024, 64 * 1024, 128 * 1024].into_iter();
    let mut sizes: Vec<usize> = around.flat_map(|size| [size - 1, size, size + 1]).collect();
    sizes.extend([5, 300_000, 1 << 20, play.largest, 6]);
    sizes.retain(|size| *size <= play.largest);
    for (at, size) in sizes.into_iter().enumerate() {
        let frame = numbered(at, size, play.binary);
        let what = format!("{frame:?} arrives");
        let (sent, came) =
            play.within(&what, join(from.send(&play, frame.clone()), to.frame(&play))).await?;
        sent?;
        let came = came?;
        ensure!(came == frame, "{came:?} came instead of {frame:?}, or altered");
    }
    Ok(())
}

pub(crate) async fn text_stays_text_and_binary_binary(
    play: Play,
    mut from: End,
    mut to: End,
) -> Verdict {
    let bytes: Vec<u8> = (0..=255).collect();
    let frames = [
        Frame::text("größer: €, 🎈"),
        Frame::binary(bytes),
        Frame::binary("text that is sent as binary"),
        Frame::text(""),
        Frame::binary(Bytes::new()),
        Frame::text("\0"),
    ];
    for frame in frames {
        from.send(&play, frame.clone()).await?;
        let came = to.frame(&play).await?;
        ensure!(came == frame, "{came:?} came instead of {frame:?}, or altered");
    }
    Ok(())
}

pub(crate) async fn text_that_is_not_utf8_is_refused(
    play: Play,
    mut from: End,
    mut to: End,
) -> Verdict {
    let wrong = Frame::Text(Bytes::from_static(b"caf\xe9"));
    // The sender may refuse it, or the receiver.
    let sent = async {
        from.sender.send(wrong).await?;
        from.sender.flush().await
    };
    if play.within("a small send ends", sent).await?.is_err() {
        return Ok(());
    }
    loop {
        match play.within("the receiver says what it makes of it", to.receiver.receive()).await? {
            Ok(Some(Incoming::Frame(frame))) => {
                return Err(Failure::new(format!("it came out as {frame:?}")));
            }
            Ok(Some(Incoming::Activity)) => {}
            Ok(None | Some(Incoming::Close(_))) | Err(_) => return Ok(()),
        }
    }
}
