//! Links that come in: one holds up no other, and none gets lost.

use std::convert::Infallible;
use std::future::ready;
use std::pin::pin;

use futures_channel::mpsc;
use futures_util::future::{Either, join, select, try_join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};
use moorline_core::{Acceptor, ConnectRequest, Frame, Transport};

use crate::checks::connecting::begun;
use crate::failure::{Failure, Verdict, ensure};
use crate::link::Link;
use crate::site::{Site, shake_hands};

pub(crate) async fn a_slow_handshake_blocks_nobody<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    let play = site.play.clone();
    // Clients that have stopped in the middle of their handshake, wherever that is.
    let dawdlers = begun(&mut site).await;
    let connecting = site.connecting(ConnectRequest::default());
    let client = async {
        let mut end =
            connecting.await.map_err(|error| Failure::new(format!("a connect failed: {error}")))?;
        end.send(&play, Frame::text("here")).await?;
        end.frame(&play).await.map(|_| end)
    };
    let (come_in, arrivals) = mpsc::unbounded();
    let accepting = async {
        loop {
            let pending = site.acceptor.accept().await;
            let pending =
                pending.map_err(|error| Failure::new(format!("an accept failed: {error}")))?;
            let _ = come_in.unbounded_send(pending);
        }
    };
    // All handshakes at once; the one that gets as far as a frame is the client's.
    let shaking = arrivals
        .map(async |pending| {
            let mut end = shake_hands(pending).await.ok()?;
            let frame = end.frame(&play).await.ok()?;
            end.send(&play, frame).await.ok()?;
            Some(end)
        })
        .buffer_unordered(usize::MAX)
        .filter_map(ready);
    let server = async {
        match select(pin!(accepting), pin!(shaking).next()).await {
            Either::Left((Err::<Infallible, Failure>(failure), _)) => Err(failure),
            Either::Right((end, _)) => Ok(end),
        }
    };
    let served = join(client, server);
    let (client, server) =
        play.within("a client is served while others dawdle over their handshake", served).await?;
    drop((client?, server?, dawdlers));
    Ok(())
}

pub(crate) async fn a_dropped_accept_loses_no_link<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    const LINKS: usize = 8;
    let play = site.play.clone();
    let connects = (0..LINKS).map(|_| site.connecting(ConnectRequest::default()));
    let clients = try_join_all(connects.collect::<Vec<_>>());
    let server = async {
        let mut handshakes = FuturesUnordered::new();
        let (mut dropped, mut ends) = (0, Vec::new());
        while ends.len() < LINKS {
            // Polled once, and dropped.
            match play.begin(&mut Box::pin(site.acceptor.accept()), 1).await {
                Some(Ok(pending)) => handshakes.push(shake_hands(pending)),
                Some(Err(error)) => {
                    return Err(Failure::new(format!("an accept failed: {error}")));
                }
                None => {
                    dropped += 1;
                    let pause = pin!(play.sleep(play.quiet / 100));
                    if handshakes.is_empty() {
                        pause.await;
                    } else if let Either::Right((Some(Ok(end)), _)) =
                        select(pause, handshakes.next()).await
                    {
                        ends.push(end);
                    }
                }
            }
        }
        Ok((dropped, ends.len()))
    };
    let all = play.within("every link comes in", join(clients, server)).await?;
    let (clients, server) = all;
    let _clients = clients.map_err(|error| Failure::new(format!("a connect failed: {error}")))?;
    let (dropped, ends) = server?;
    ensure!(ends == LINKS, "{ends} of {LINKS} links came in, and {dropped} accepts were dropped");
    Ok(())
}

/// The client of a link that the server has dropped: its connect fails, or its link ends.
async fn turned_away<A: Acceptor, T: Transport>(site: &mut Site<A, T>, polls: usize) -> Verdict {
    let play = site.play.clone();
    let connecting = site.connecting(ConnectRequest::default());
    let client = async {
        if let Ok(mut end) = connecting.await {
            end.rest(&play).await?;
        }
        Ok(())
    };
    let server = async {
        // A link may need more than one connection: all of them are dropped.
        loop {
            let pending = site.acceptor.accept().await;
            let pending =
                pending.map_err(|error| Failure::new(format!("an accept failed: {error}")))?;
            if polls > 0 {
                let mut handshake = Box::pin(shake_hands(pending));
                drop(play.begin(&mut handshake, polls).await);
            }
        }
    };
    let (client, server) = (pin!(client), pin!(server));
    match play.within("a link ends that was dropped", select(client, server)).await? {
        Either::Left((client, _)) => client,
        Either::Right((Err::<Infallible, Failure>(failure), _)) => Err(failure),
    }
}

pub(crate) async fn dropping_a_pending_link_ends_it<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    turned_away(&mut site, 0).await
}

pub(crate) async fn dropping_a_begun_handshake_ends_it<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    for polls in 1..=3 {
        turned_away(&mut site, polls).await?;
    }
    Ok(())
}

pub(crate) async fn after_a_close_links_are_refused<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    site.acceptor.close();
    let connecting = site.connecting(ConnectRequest::default());
    let refused = site.play.within("a connect is refused", connecting).await?;
    ensure!(refused.is_err(), "a connect succeeded after the close");
    Ok(())
}

pub(crate) async fn it_listens_again_after_a_close<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    for _ in 0..2 {
        site.acceptor.close();
        let listening = site.play.within("it listens again", site.acceptor.listen()).await?;
        listening.map_err(|error| Failure::new(format!("it does not listen again: {error}")))?;
        let Link { mut client, mut server } = site.link().await?;
        client.send(&site.play, Frame::text("again")).await?;
        server.frame(&site.play).await?;
    }
    Ok(())
}

pub(crate) async fn links_outlive_the_acceptors_close<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    let Link { mut client, mut server } = site.link().await?;
    site.acceptor.close();
    let Site { play, acceptor, .. } = site;
    drop(acceptor);
    for (from, to) in [(0, 1), (1, 0)] {
        let ends = [&mut client, &mut server];
        ends[from].send(&play, Frame::text("still here")).await?;
        ends[to].frame(&play).await?;
    }
    Ok(())
}
