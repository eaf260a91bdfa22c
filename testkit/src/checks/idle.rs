//! Nothing is held back, and waiting costs nothing.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::future::{Either, select};
use moorline_core::{Incoming, Receiver, Sender};

use crate::failure::{Failure, Verdict, ensure};
use crate::link::{End, next_frame};
use crate::play::Play;
use crate::sample::numbered;

/// How often an idle receive may be woken in the quiet: a late event of the link's opening, or a reactor's of its own.
const WAKES: usize = 8;

pub(crate) async fn a_flush_is_enough(play: Play, mut from: End, mut to: End) -> Verdict {
    for at in 0..20 {
        let frame = numbered(at, 10 + at * 100, play.binary);
        let (one, other) = if at % 2 == 0 { (&mut from, &mut to) } else { (&mut to, &mut from) };
        one.send(&play, frame.clone()).await?;
        let came = other.frame(&play).await?;
        ensure!(came == frame, "{came:?} came instead of {frame:?}");
    }
    Ok(())
}

struct Count(AtomicUsize, Waker);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.wake_by_ref();
    }
}

pub(crate) async fn an_idle_receive_does_no_work(
    play: Play,
    mut from: End,
    mut to: End,
) -> Verdict {
    from.send(&play, numbered(0, 10, false)).await?;
    to.frame(&play).await?;
    let wakes = {
        let mut receive = pin!(to.receiver.receive());
        let mut counted: Option<Arc<Count>> = None;
        let idle = std::future::poll_fn(|context| {
            let count = counted
                .get_or_insert_with(|| {
                    Arc::new(Count(AtomicUsize::new(0), context.waker().clone()))
                })
                .clone();
            receive.as_mut().poll(&mut Context::from_waker(&Waker::from(count)))
        });
        if let Either::Left((came, _)) = select(idle, pin!(play.sleep(play.quiet))).await {
            return Err(Failure::new(format!("nothing was sent, and {came:?} came")));
        }
        counted.map_or(0, |count| count.0.load(Ordering::SeqCst))
    };
    ensure!(wakes <= WAKES, "it was woken {wakes} times while nothing came");
    Ok(())
}

pub(crate) async fn a_ping_comes_back_as_activity(
    play: Play,
    mut from: End,
    mut to: End,
) -> Verdict {
    let pinged = async {
        from.sender.ping().await?;
        from.sender.flush().await
    };
    play.within("a ping is sent", pinged)
        .await?
        .map_err(|error| Failure::new(format!("a ping failed: {error}")))?;
    // The peer's transport answers by itself, which it may do while it is asked for what came.
    let answering = pin!(next_frame(&mut to.receiver));
    let answer = pin!(from.receiver.receive());
    match play.within("a ping is answered", select(answering, answer)).await? {
        Either::Left((came, _)) => Err(Failure::new(format!("the peer got {came:?} of a ping"))),
        Either::Right((Ok(Some(Incoming::Activity)), _)) => Ok(()),
        Either::Right((came, _)) => Err(Failure::new(format!("{came:?} came instead of activity"))),
    }
}
