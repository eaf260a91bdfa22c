//! How large a frame may be.

use futures_util::future::join;
use moorline_core::{
    Acceptor, ConnectRequest, Incoming, Receiver, Sender, Transport, TransportErrorKind,
};

use crate::failure::{Failure, Verdict, ensure};
use crate::link::{End, Link};
use crate::play::Play;
use crate::sample::numbered;
use crate::site::Site;

/// A limit that is none of the usual buffers' sizes.
const LIMIT: usize = 1000;

async fn limited<A: Acceptor, T: Transport>(site: &mut Site<A, T>) -> Result<Link, Failure> {
    let mut request = ConnectRequest::default();
    request.max_frame = LIMIT.min(site.play.largest);
    site.link_of(request).await
}

pub(crate) async fn a_frame_over_the_limit_is_refused<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    let Link { mut client, mut server } = limited(&mut site).await?;
    let play = &site.play;
    let size = LIMIT.min(play.largest) + 1;
    let frame = numbered(0, size, play.binary);
    // That the sender hears of it, too, is no failure.
    let send = async {
        let sent = server.sender.send(frame).await;
        if sent.is_ok() { server.sender.flush().await } else { sent }
    };
    let receive = async {
        loop {
            match client.receiver.receive().await {
                Ok(Some(Incoming::Activity)) => {}
                other => return other,
            }
        }
    };
    let (_, came) = play.within("a frame is refused", join(send, receive)).await?;
    match came {
        Err(error) if error.kind() == TransportErrorKind::TooLarge => Ok(()),
        Err(error) => Err(Failure::new(format!("the kind is {:?}: {error}", error.kind()))),
        Ok(came) => Err(Failure::new(format!("a frame of {size} was sent, and {came:?} came"))),
    }
}

pub(crate) async fn a_frame_at_the_limit_arrives<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    let Link { mut client, mut server } = limited(&mut site).await?;
    let play = &site.play;
    let frame = numbered(0, LIMIT.min(play.largest), play.binary);
    let (sent, came) = join(server.send(play, frame.clone()), client.frame(play)).await;
    sent?;
    let came = came?;
    ensure!(came == frame, "{came:?} came instead of {frame:?}");
    Ok(())
}

pub(crate) async fn a_frame_that_cannot_be_carried_is_refused(
    play: Play,
    mut from: End,
    _to: End,
) -> Verdict {
    let send = async {
        from.sender.send(numbered(0, play.largest + 1, play.binary)).await?;
        from.sender.flush().await
    };
    let sent = play.within("a send is refused", send).await?;
    ensure!(sent.is_err(), "a frame larger than {} was taken", play.largest);
    Ok(())
}
