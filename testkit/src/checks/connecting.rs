//! Connects: each its own link, at once, and failing when they must.

use futures_util::future::{Either, join, join_all, select, try_join_all};
use futures_util::stream::{StreamExt, TryStreamExt};
use moorline_core::{Acceptor, BoxFuture, ConnectRequest, Frame, Transport, TransportError};

use crate::failure::{Failure, Verdict, ensure};
use crate::link::{End, Link};
use crate::site::{Site, settle, shake_hands};

/// How many connect at once.
const CROWD: usize = 16;

/// At how many points of a connect it is dropped, or dawdles.
pub(crate) const STEPS: usize = 8;

pub(crate) async fn links_are_independent<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    let mut one = site.link().await?;
    let mut other = site.link().await?;
    let play = &site.play;
    one.client.send(play, Frame::text("for one")).await?;
    other.client.send(play, Frame::text("for the other")).await?;
    for (link, text) in [(&mut other, "for the other"), (&mut one, "for one")] {
        let came = link.server.frame(play).await?;
        ensure!(came.as_text() == Some(text), "{came:?} came out of the wrong link");
    }
    drop(one);
    let Link { client, server } = &mut other;
    server.send(play, Frame::text("still here")).await?;
    let came = client.frame(play).await?;
    ensure!(came.as_text() == Some("still here"), "{came:?} came after another link's end");
    Ok(())
}

pub(crate) async fn connects_may_overlap<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    let play = site.play.clone();
    let connects = (0..CROWD).map(|at| {
        let connecting = site.connecting(ConnectRequest::default());
        let play = play.clone();
        async move {
            let mut end = connecting
                .await
                .map_err(|error| Failure::new(format!("a connect failed: {error}")))?;
            end.send(&play, Frame::text(at.to_string())).await?;
            let came = end.frame(&play).await?;
            let own = at.to_string();
            ensure!(came.as_text() == Some(&*own), "{came:?} came back to {own}");
            Ok(())
        }
    });
    let clients = try_join_all(connects.collect::<Vec<_>>());
    let server = async {
        let play = &play;
        let echoes = site.arrivals().take(CROWD).map(async |end| {
            let mut end = end?;
            let frame = end.frame(play).await?;
            end.send(play, frame).await?;
            // Held until all are done: a link's end is another check's.
            Ok::<End, Failure>(end)
        });
        echoes.buffer_unordered(CROWD).try_collect::<Vec<End>>().await
    };
    let all = join(clients, server);
    let (clients, server) = play.within("16 connects at once are served", all).await?;
    server?;
    clients?;
    Ok(())
}

/// Connects where nobody listens.
async fn nobody<A: Acceptor, T: Transport>(
    site: &mut Site<A, T>,
) -> Result<TransportError, Failure> {
    // There was somebody: the place is right.
    drop(site.link().await?);
    site.acceptor.close();
    let connecting = site.connecting(ConnectRequest::default());
    match site.play.within("a connect to nobody fails", connecting).await? {
        Ok(_) => Err(Failure::new("a connect succeeded, and nobody listens")),
        Err(error) => Ok(error),
    }
}

pub(crate) async fn a_connect_to_nobody_fails<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    nobody(&mut site).await?;
    Ok(())
}

pub(crate) async fn nobody_there_is_worth_another_attempt<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    let error = nobody(&mut site).await?;
    ensure!(error.is_retryable(), "{:?} says that none can help: {error}", error.kind());
    Ok(())
}

pub(crate) async fn a_refusal_is_final<A: Acceptor, T: Transport>(mut site: Site<A, T>) -> Verdict {
    let Some(transport) = site.refusing.take() else {
        return Err(Failure::new("no such transport is declared"));
    };
    let play = site.play.clone();
    let request = ConnectRequest::default();
    let connecting = Box::pin(transport.connect(&request));
    let serving = Box::pin(async {
        loop {
            // What becomes of the handshake is the connect's to say.
            drop(shake_hands(site.pending().await?).await);
        }
    });
    let either = select(connecting, serving);
    match play.within("a refusal comes", either).await? {
        Either::Right((failed, _)) => failed,
        Either::Left((Ok(_), _)) => Err(Failure::new("it came in")),
        Either::Left((Err(error), _)) => {
            let kind = error.kind();
            ensure!(!error.is_retryable(), "{kind:?} says that another attempt may help: {error}");
            Ok(())
        }
    }
}

/// Connects that were begun and left alone, each a bit later than the one before; those that came to their end as links.
pub(crate) async fn begun<A: Acceptor, T: Transport>(site: &mut Site<A, T>) -> Vec<Begun> {
    let mut all = Vec::new();
    for polls in 1..=STEPS {
        let mut connecting = site.connecting(ConnectRequest::default());
        let done = site.play.begin(&mut connecting, polls).await;
        all.push(match done {
            Some(ended) => Begun::Ended(ended),
            None => Begun::Waiting(connecting),
        });
    }
    all
}

/// A connect that nobody drives any more.
#[allow(dead_code, reason = "only held: what counts is that it is there, and when it is dropped")]
pub(crate) enum Begun {
    Waiting(BoxFuture<'static, Result<End, TransportError>>),
    Ended(Result<End, TransportError>),
}

pub(crate) async fn dropping_a_connect_releases_everything<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    let play = site.play.clone();
    let before = site.gauged();
    let all = begun(&mut site).await;
    drop(all);
    // Whatever has come in of them ends.
    let (mut came_in, mut failed) = (Vec::new(), 0);
    while let Some(pending) = play.quietly(Box::pin(site.acceptor.accept())).await {
        match pending {
            Ok(pending) => came_in.push(pending),
            Err(_) if failed < STEPS => failed += 1,
            Err(error) => return Err(Failure::new(format!("an accept failed: {error}"))),
        }
    }
    let ends = came_in.into_iter().map(|pending| async {
        let Ok(mut end) = shake_hands(pending).await else { return Ok(0) };
        end.rest(&play).await.map(|_| 1)
    });
    let ends = play.within("links end whose connect was dropped", join_all(ends)).await?;
    let ends: usize = ends.into_iter().sum::<Result<_, Failure>>()?;
    ensure!(ends <= STEPS, "{ends} links came in of {STEPS} connects");
    settle(&play, &site.gauges, &before).await?;
    // And the next one is served.
    let mut link = site.link().await?;
    link.client.send(&play, Frame::text("next")).await?;
    link.server.frame(&play).await?;
    Ok(())
}
