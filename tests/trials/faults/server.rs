//! A server that sends every message back, and writes down what it took.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moorline::{Buffer, Heartbeat, Overflow, Server, ServerConnection, Tokio, WebSocketAcceptor};

use crate::payload;
use crate::watched::Watched;

/// Dead peers are noticed in a second, so that a minute has room for many.
pub(crate) fn heartbeat() -> Heartbeat {
    Heartbeat::every(Duration::from_millis(600)).timeout(Duration::from_millis(600))
}

/// Less than the largest message, so that some wait for others, and are unsent when a link is lost.
pub(crate) const WINDOW: usize = 48 * 1024;

/// Longer than any run of faults.
pub(crate) const RETENTION: Duration = Duration::from_secs(60);

/// Whoever sends too much while the other end is away waits, and nothing is dropped.
pub(crate) fn buffer() -> Buffer {
    Buffer::default().overflow(Overflow::Wait).age(RETENTION)
}

pub(crate) struct EchoServer {
    server: Server,
    logs: Arc<Mutex<Logs>>,
}

/// By the id of a connection.
pub(crate) type Logs = BTreeMap<String, Log>;

/// What happened to one connection.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The numbers taken, in order.
    pub(crate) taken: Vec<u64>,
    /// How many of them were accepted by `send`.
    pub(crate) echoed: u64,
    /// How many of those were unsent, and unconfirmed, at the end.
    pub(crate) end: Option<(u64, u64)>,
}

impl EchoServer {
    pub(crate) async fn start(runtime: &Watched, sessions: bool) -> Self {
        let acceptor = WebSocketAcceptor::new("127.0.0.1:0", Tokio::current()).unwrap();
        let server = Server::builder()
            .retention(if sessions { RETENTION } else { Duration::ZERO })
            .buffer(buffer())
            .acceptor(acceptor)
            .runtime(runtime.clone())
            .heartbeat(heartbeat())
            .handshake_timeout(Duration::from_secs(1))
            .close_timeout(Duration::from_millis(500))
            .window(WINDOW)
            .build();
        let logs = Arc::new(Mutex::new(Logs::new()));
        let log = logs.clone();
        server.on_connect(async move |connection: ServerConnection| {
            let with = Entry { logs: log.clone(), id: connection.id().to_string() };
            with.change(|_| {});
            let at_end = with.clone();
            connection.on_disconnect(move |end| {
                at_end.change(|log| log.end = Some((end.unsent, end.unconfirmed)));
            });
            while let Some(message) = connection.next_message().await {
                with.change(|log| log.taken.push(payload::number(&message)));
                if connection.send(message).await.is_err() {
                    return Ok(());
                }
                with.change(|log| log.echoed += 1);
            }
            Ok(())
        });
        server.start().await.unwrap();
        Self { server, logs }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.local_address().unwrap().parse().unwrap()
    }

    pub(crate) fn count(&self) -> usize {
        self.server.count()
    }

    pub(crate) async fn stop(self) -> Logs {
        self.server.stop().await.unwrap();
        std::mem::take(&mut self.logs.lock().unwrap())
    }
}

#[derive(Clone)]
struct Entry {
    logs: Arc<Mutex<Logs>>,
    id: String,
}

impl Entry {
    fn change(&self, change: impl FnOnce(&mut Log)) {
        change(self.logs.lock().unwrap().entry(self.id.clone()).or_default());
    }
}
