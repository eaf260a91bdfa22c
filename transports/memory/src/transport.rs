//! The client's side.

use std::fmt;
use std::sync::Arc;

use moorline_core::{Capabilities, ConnectRequest, Runtime, Transport, TransportError};

use crate::halves::{MemoryReceiver, MemorySender};
use crate::network::Inner;

/// Connects to one endpoint of a [`Network`](crate::Network). Cheap to clone.
///
/// A connect succeeds once the link stands in the server's backlog, as with TCP: the server may yet
/// be slow to accept it, or never do. What is sent meanwhile waits in the link.
///
/// # Errors
///
/// A connect fails as [`Unreachable`](moorline_core::TransportErrorKind::Unreachable) when nobody
/// listens or the endpoint is [cut off](crate::Network::cut), as
/// [`Unavailable`](moorline_core::TransportErrorKind::Unavailable) when
/// [`Network::BACKLOG`](crate::Network::BACKLOG) links wait already, and as
/// [`refuse`](crate::Network::refuse) says.
///
/// # Cancel safety
///
/// Dropping a connect leaves nothing behind.
#[derive(Clone)]
pub struct MemoryTransport {
    network: Arc<Inner>,
    name: Arc<str>,
}

impl MemoryTransport {
    pub(crate) fn new(network: Arc<Inner>, name: Arc<str>) -> Self {
        Self { network, name }
    }
}

impl Transport for MemoryTransport {
    type Sender = MemorySender;
    type Receiver = MemoryReceiver;

    async fn connect(
        &self,
        request: &ConnectRequest,
    ) -> Result<(MemorySender, MemoryReceiver), TransportError> {
        self.network.gate(&self.name).await?;
        if !self.network.latency.is_zero() {
            let arrival = self.network.runtime.now() + self.network.connect_latency();
            let mut timer = self.network.runtime.timer();
            timer.as_mut().reset(arrival);
            timer.await;
        }
        loop {
            // A partition may have come in the meantime.
            self.network.gate(&self.name).await?;
            if let Some(link) = self.network.link(&self.name, request.max_frame) {
                return link;
            }
        }
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransport").field("endpoint", &self.name).finish_non_exhaustive()
    }
}

/// What memory links can do, on either side: all of it.
pub(crate) fn capabilities() -> Capabilities {
    let mut capabilities = Capabilities::default();
    capabilities.ping = true;
    capabilities
}
