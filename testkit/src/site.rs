//! A listening acceptor and the transport that connects to it.

use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select, try_join};
use futures_util::io::{AsyncRead, AsyncWrite};
use futures_util::stream::{self, FuturesUnordered, Stream, StreamExt};
use moorline_core::{
    Acceptor, BoxFuture, BoxTransport, ConnectRequest, Pending, Transport, TransportError,
};

use crate::failure::{Failure, Verdict, ensure};
use crate::link::{End, Link};
use crate::play::Play;

/// A stream of bytes to an acceptor, beneath its transport.
pub trait RawStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> RawStream for S {}

/// Opens one to an acceptor.
pub(crate) type Raw<A> =
    Arc<dyn Fn(&A) -> BoxFuture<'static, io::Result<Box<dyn RawStream>>> + Send + Sync>;

pub(crate) type Gauges = Arc<Vec<(&'static str, Box<dyn Fn() -> usize + Send + Sync>)>>;

/// See the [module](self). Each check has one of its own.
pub(crate) struct Site<A, T> {
    pub(crate) play: Play,
    pub(crate) acceptor: A,
    pub(crate) transport: Arc<T>,
    pub(crate) refusing: Option<BoxTransport>,
    pub(crate) raw: Option<Raw<A>>,
    pub(crate) gauges: Gauges,
}

impl<A: Acceptor, T: Transport> Site<A, T> {
    /// A link that is open at both ends.
    pub(crate) async fn link(&mut self) -> Result<Link, Failure> {
        self.link_of(ConnectRequest::default()).await
    }

    pub(crate) async fn link_of(&mut self, request: ConnectRequest) -> Result<Link, Failure> {
        let connecting = self.connecting(request);
        let connect = async {
            connecting.await.map_err(|error| Failure::new(format!("a connect failed: {error}")))
        };
        let play = self.play.clone();
        let mut arrivals = pin!(self.arrivals());
        let made = play.within("a link is made", try_join(connect, next(&mut arrivals))).await?;
        let (client, server) = made?;
        Ok(Link { client, server })
    }

    /// Takes in whatever comes, and shakes hands with all of it at once: those that become links. What fails its handshake may
    /// have been none, such as a request that serves a link of another connection's.
    pub(crate) fn arrivals(&mut self) -> impl Stream<Item = Result<End, Failure>> + '_ {
        let begun = (&mut self.acceptor, FuturesUnordered::new());
        stream::unfold(begun, |(acceptor, mut handshakes)| async {
            let arrival = loop {
                let accepted = {
                    let accepting = pin!(acceptor.accept());
                    let shaken = async {
                        match handshakes.next().await {
                            Some(shaken) => shaken,
                            None => pending().await,
                        }
                    };
                    match select(accepting, pin!(shaken)).await {
                        Either::Left((accepted, _)) => accepted,
                        Either::Right((Ok(end), _)) => break Ok(end),
                        Either::Right((Err(_), _)) => continue,
                    }
                };
                match accepted {
                    Ok(pending) => handshakes.push(shake_hands(pending)),
                    Err(error) => {
                        break Err(Failure::new(format!("an accept failed: {error}")));
                    }
                }
            };
            Some((arrival, (acceptor, handshakes)))
        })
    }

    /// A connect that borrows nothing. Nothing happens until it is polled.
    pub(crate) fn connecting(
        &self,
        request: ConnectRequest,
    ) -> BoxFuture<'static, Result<End, TransportError>> {
        let transport = self.transport.clone();
        Box::pin(async move {
            let (sender, receiver) = transport.connect(&request).await?;
            Ok(End::new(sender, receiver))
        })
    }

    /// The next link that has come in, which must come.
    pub(crate) async fn pending(&mut self) -> Result<A::Pending, Failure> {
        let accept = self.acceptor.accept();
        self.play
            .within("a link comes in", accept)
            .await?
            .map_err(|error| Failure::new(format!("an accept failed: {error}")))
    }

    pub(crate) fn gauged(&self) -> Vec<usize> {
        self.gauges.iter().map(|(_, gauge)| gauge()).collect()
    }
}

/// Waits until every gauge is where it was before.
pub(crate) async fn settle(play: &Play, gauges: &Gauges, before: &[usize]) -> Verdict {
    let deadline = play.now() + play.patience;
    loop {
        let left = gauges.iter().zip(before).map(|((name, gauge), before)| (name, gauge(), before));
        let Some((name, now, before)) = left.into_iter().find(|(_, now, before)| now > before)
        else {
            return Ok(());
        };
        let late = play.now() >= deadline;
        ensure!(!late, "{name}: {now} where there were {before} before, and nobody holds a link");
        play.sleep(play.quiet / 10).await;
    }
}

/// The next one of [`Site::arrivals`], which does not end.
pub(crate) async fn next(
    arrivals: &mut (impl Stream<Item = Result<End, Failure>> + Unpin),
) -> Result<End, Failure> {
    arrivals.next().await.unwrap_or_else(|| Err(Failure::new("nothing more comes in")))
}

/// Shakes hands.
pub(crate) async fn shake_hands<P: Pending>(pending: P) -> Result<End, TransportError> {
    let (sender, receiver, _peer) = pending.handshake().await?;
    Ok(End::new(sender, receiver))
}
