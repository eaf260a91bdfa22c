//! Where WebSockets are blocked a fallback goes on by server-sent events, and the session with it (R48, R51), over real sockets and a
//! proxy between that does what such proxies do.
#![cfg(all(feature = "http-server", feature = "sse", feature = "tokio", feature = "websocket"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use moorline::{
    Backoff, Client, Connection, Fallback, Recovery, Server, Sse, Tokio, WebSocket, event,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// What becomes of upgrades.
const PASS: u8 = 0;
const ANSWER_400: u8 = 1;
const SWALLOW: u8 = 2;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(2);

const LIMIT: Duration = Duration::from_secs(20);

struct Blocker {
    address: String,
    upgrades: Arc<AtomicU8>,
    /// How many event streams it has carried.
    streams: Arc<AtomicUsize>,
    /// Cuts all connections.
    cut: watch::Sender<u32>,
}

impl Blocker {
    async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let upgrades = Arc::new(AtomicU8::new(PASS));
        let (cut, cuts) = watch::channel(0);
        let streams = Arc::new(AtomicUsize::new(0));
        let (mode, count) = (upgrades.clone(), streams.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mode, count) = (mode.clone(), count.clone());
                let (server, mut cuts) = (server.clone(), cuts.clone());
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = carry(client, &server, &mode, &count) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { address, upgrades, streams, cut }
    }

    fn block(&self, how: u8) {
        self.upgrades.store(how, Ordering::SeqCst);
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn carry(
    mut client: TcpStream,
    server: &str,
    mode: &AtomicU8,
    streams: &AtomicUsize,
) -> std::io::Result<()> {
    let mut head = vec![0; 4096];
    let read = client.read(&mut head).await?;
    let upgrade =
        String::from_utf8_lossy(&head[..read]).to_lowercase().contains("upgrade: websocket");
    streams.fetch_add(usize::from(head.starts_with(b"GET") && !upgrade), Ordering::SeqCst);
    match mode.load(Ordering::SeqCst) {
        ANSWER_400 if upgrade => {
            client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await
        }
        SWALLOW if upgrade => std::future::pending().await,
        _ => {
            let mut server = TcpStream::connect(server).await?;
            server.write_all(&head[..read]).await?;
            copy_bidirectional(&mut client, &mut server).await.map(|_| ())
        }
    }
}

async fn stage() -> (Server, Blocker) {
    let server = Server::bind("127.0.0.1:0").unwrap();
    server.on_connect(async |connection| {
        while let Some(message) = connection.next_message().await {
            connection.send(message).await?;
        }
        Ok(())
    });
    server.start().await.unwrap();
    let blocker = Blocker::before(server.local_address().unwrap()).await;
    (server, blocker)
}

fn client(blocker: &Blocker) -> Client {
    let place = &blocker.address;
    let websocket = WebSocket::new(format!("ws://{place}/a"), Tokio::current()).unwrap();
    let sse = Sse::new(format!("http://{place}/a"), Tokio::current()).unwrap();
    Client::builder()
        .transport(Fallback::new(websocket).then(sse))
        .runtime(Tokio::current())
        .attempt_timeout(ATTEMPT)
        .backoff(Backoff::exponential(Duration::from_millis(20)).spread(Duration::ZERO))
        .build()
}

fn by(server: &Server) -> Vec<&'static str> {
    server.connections().iter().map(|guest| guest.visitor().peer.transport).collect()
}

async fn echoes(connection: &Connection, numbers: std::ops::Range<u32>) {
    for number in numbers.clone() {
        connection.send(number.to_string()).await.unwrap();
    }
    for number in numbers {
        let echo = timeout(LIMIT, connection.next_message()).await.unwrap().unwrap();
        assert_eq!(echo.to_string(), number.to_string(), "lost, doubled or out of order");
    }
}

/// Connects with upgrades blocked so; how long that took.
async fn blocked_from_the_beginning(how: u8) -> Duration {
    let (server, blocker) = stage().await;
    blocker.block(how);
    let begun = Instant::now();
    let connection = timeout(LIMIT, client(&blocker).connect()).await.unwrap().unwrap();
    let took = begun.elapsed();
    assert_eq!(by(&server), ["sse"]);
    echoes(&connection, 0..100).await;
    server.stop().await.unwrap();
    took
}

#[tokio::test]
async fn r48_a_proxy_that_answers_an_upgrade_with_400_is_passed_within_the_attempt() {
    let took = blocked_from_the_beginning(ANSWER_400).await;
    assert!(took < ATTEMPT, "{took:?}");
}

#[tokio::test]
async fn r48_a_proxy_that_swallows_an_upgrade_costs_one_attempts_time() {
    let took = blocked_from_the_beginning(SWALLOW).await;
    assert!(took >= ATTEMPT && took < 3 * ATTEMPT, "{took:?}");
}

#[tokio::test]
async fn r48_r51_a_session_moves_from_a_websocket_to_sse_without_loss() {
    let (server, blocker) = stage().await;
    let connection = client(&blocker).connect().await.unwrap();
    let recoveries = Arc::new(Mutex::new(Vec::new()));
    let seen = recoveries.clone();
    connection.on(event::Recovery, move |recovery: Recovery| seen.lock().unwrap().push(recovery));
    assert_eq!(by(&server), ["websocket"]);
    let mut from = 0;
    // What worked last is taken again, also where a WebSocket would get through.
    for (moved, how) in [ANSWER_400, PASS, SWALLOW].into_iter().enumerate() {
        // In the middle of what is said: some is on its way there, some back.
        for number in from..from + 50 {
            connection.send(number.to_string()).await.unwrap();
        }
        blocker.block(how);
        for number in from..from + 50 {
            let echo = timeout(LIMIT, connection.next_message()).await.unwrap().unwrap();
            assert_eq!(echo.to_string(), number.to_string(), "lost, doubled or out of order");
        }
        let stream = async {
            while blocker.streams.load(Ordering::SeqCst) <= moved {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LIMIT, stream).await.unwrap();
        from += 50;
    }
    echoes(&connection, from..from + 50).await;
    let recoveries = recoveries.lock().unwrap().clone();
    assert!(!recoveries.is_empty(), "it has never moved");
    assert!(recoveries.iter().all(|recovery| *recovery == Recovery::Recovered), "{recoveries:?}");
    server.stop().await.unwrap();
}
