//! What is left when everything is dropped: nothing.

use moorline_core::{Acceptor, CloseFrame, ConnectRequest, Frame, Receiver, Sender, Transport};

use crate::checks::backpressure::{SIZES, Writer};
use crate::checks::connecting::begun;
use crate::failure::Verdict;
use crate::link::{End, Link};
use crate::sample::Held;
use crate::site::{Site, settle};

pub(crate) async fn nothing_is_left_behind<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    let play = site.play.clone();
    let gauges = site.gauges.clone();
    let before = site.gauged();

    // Used and closed.
    let Link { mut client, mut server } = site.link().await?;
    client.send(&play, Frame::text("one")).await?;
    server.frame(&play).await?;
    play.within("a close ends", client.sender.close(CloseFrame::new(1000, ""))).await?.ok();
    server.rest(&play).await?;
    drop((client, server));
    settle(&play, &gauges, &before).await?;

    // Dropped while a send is stuck and a receive waits, one end after the other.
    for first in 0..2 {
        let Link { client, server } = site.link().await?;
        let (from, to) = if first == 0 { (client, server) } else { (server, client) };
        let End { sender, mut receiver } = from;
        let mut writer = Writer::new(&play, sender, SIZES[0], Held::default());
        writer.fill(&play).await?;
        let mut receiving = Box::pin(async move { receiver.receive().await });
        let _ = play.quietly(&mut receiving).await;
        drop((writer, receiving));
        drop(to);
        settle(&play, &gauges, &before).await?;
    }

    // Dropped in the middle of a connect and of a handshake.
    drop(begun(&mut site).await);
    while let Some(Ok(pending)) = play.quietly(Box::pin(site.acceptor.accept())).await {
        drop(pending);
    }
    settle(&play, &gauges, &before).await?;

    // Never accepted, and the acceptor goes.
    let mut connecting = site.connecting(ConnectRequest::default());
    let _ = play.quietly(&mut connecting).await;
    drop(site);
    drop(connecting);
    settle(&play, &gauges, &before).await
}
