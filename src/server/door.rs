//! A transport's acceptor with its type erased: one box for each link that comes in.

use moorline_core::{Acceptor, BoxFuture, Capabilities, Peer, Pending, TransportError};

use crate::driver::Link;

/// A handshake of the transport's, and what it gives.
pub(super) type Arrival = BoxFuture<'static, Result<(Link, Peer), TransportError>>;

/// All ways in beside the first.
#[derive(Default)]
#[allow(unreachable_pub, unnameable_types, reason = "the server's builder has them in its type")]
pub struct Doors(pub(super) Vec<Box<dyn Door>>);

/// Any [`Acceptor`].
pub(super) trait Door: Send {
    fn listen(&mut self) -> BoxFuture<'_, Result<(), TransportError>>;
    fn accept(&mut self) -> BoxFuture<'_, Result<Arrival, TransportError>>;
    fn close(&mut self);
    fn local_address(&self) -> Option<String>;
    fn capabilities(&self) -> Capabilities;
}

impl<A: Acceptor> Door for A {
    fn listen(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(Acceptor::listen(self))
    }

    fn accept(&mut self) -> BoxFuture<'_, Result<Arrival, TransportError>> {
        Box::pin(async {
            let pending = Acceptor::accept(self).await?;
            let arrival: Arrival = Box::pin(async {
                let (sender, receiver, peer) = pending.handshake().await?;
                Ok((Link::new(sender, receiver), peer))
            });
            Ok(arrival)
        })
    }

    fn close(&mut self) {
        Acceptor::close(self);
    }

    fn local_address(&self) -> Option<String> {
        Acceptor::local_address(self)
    }

    fn capabilities(&self) -> Capabilities {
        Acceptor::capabilities(self)
    }
}
