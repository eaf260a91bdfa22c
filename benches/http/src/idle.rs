//! What an idle connection costs.

use std::time::Duration;

use crate::child::Server;
use crate::client::Client;
use crate::servers::Speaks;

/// Connections held at once. Each takes a descriptor at both ends.
const CONNECTIONS: usize = 10_000;

/// Connections made before counting, so that what a server allocates once is not counted.
const WARM_UP: usize = 100;

pub(crate) struct Figures {
    /// The server's memory for one.
    pub(crate) bytes: f64,
    /// The server's processor time to make one.
    pub(crate) connect_micros: f64,
}

pub(crate) async fn run(server: &Server, speaks: Speaks) -> Figures {
    let mut clients = Vec::with_capacity(CONNECTIONS + WARM_UP);
    for _ in 0..WARM_UP {
        clients.push(Client::connect(server.address, speaks).await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (bytes, nanos) = (server.resident(), server.nanos());
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(server.address, speaks).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    Figures {
        bytes: (server.resident() - bytes) as f64 / CONNECTIONS as f64,
        connect_micros: (server.nanos() - nanos) as f64 / 1_000.0 / CONNECTIONS as f64,
    }
}
