//! A server's acceptor, and bare requests to it.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::time::Duration;

use moorline_core::{Acceptor, Pending};
use moorline_http::{HttpAcceptor, HttpDoor};
use moorline_sse::{EventStreamReceiver, EventStreamSender, EventStreams};
use moorline_tokio::Tokio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

pub(crate) type Stream = moorline_socket::Stream<<Tokio as moorline_core::Net>::Stream>;
pub(crate) type Link =
    (EventStreamSender<Stream>, EventStreamReceiver<Stream>, moorline_core::Peer);

/// A server that listens; its links.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) links: mpsc::UnboundedReceiver<Link>,
}

pub(crate) async fn serve(streams: EventStreams) -> Server {
    serve_at(|door| door, streams).await
}

pub(crate) async fn serve_at(
    door: impl FnOnce(HttpDoor<Tokio>) -> HttpDoor<Tokio>,
    streams: EventStreams,
) -> Server {
    let listening = HttpDoor::new("127.0.0.1:0", Tokio::current()).expect("an address");
    serve_by(HttpAcceptor::of(door(listening), streams)).await
}

/// Of which the first frame is small.
pub(crate) async fn serve_small(streams: EventStreams, max_first_frame: usize) -> Server {
    let listening = HttpDoor::new("127.0.0.1:0", Tokio::current()).expect("an address");
    serve_by(HttpAcceptor::of(listening, streams).max_first_frame(max_first_frame)).await
}

async fn serve_by(acceptor: HttpAcceptor<Tokio, EventStreams>) -> Server {
    let mut acceptor = acceptor.max_frame(100_000);
    acceptor.listen().await.expect("a free port");
    let address = acceptor.local_address().expect("it listens");
    let (arrive, links) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(pending) = acceptor.accept().await {
            let arrive = arrive.clone();
            tokio::spawn(async move {
                if let Ok(link) = pending.handshake().await {
                    let _ = arrive.send(link);
                }
            });
        }
    });
    Server { address, links }
}

/// An answer: its status, its head, and its body as far as that has come.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) stream: TcpStream,
}

impl Server {
    /// Sends a request as it stands, and reads the head of its answer and what comes with it.
    pub(crate) async fn say(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(&self.address).await.expect("it listens");
        // It may hang up before it has read it all.
        let _ = stream.write_all(request).await;
        let mut said = Vec::new();
        let limit = Duration::from_secs(10);
        loop {
            let read = tokio::time::timeout(limit, stream.read_buf(&mut said)).await;
            let read = read.expect("an answer comes").unwrap_or(0);
            let text = String::from_utf8_lossy(&said).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                assert!(read > 0, "no answer to {:?}: {text:?}", String::from_utf8_lossy(request));
                continue;
            };
            let length = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, length)| length.parse().ok())
                .unwrap_or(0);
            if body.len() >= length || read == 0 {
                let status = head[9..12].parse().expect("a status");
                return Answer { status, head: head.to_lowercase(), body: body.to_owned(), stream };
            }
        }
    }

    pub(crate) async fn post(&self, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nContent-Type: text/event-stream\r\n{headers}Content-Length: {length}\r\n\r\n{body}",
            self.address
        );
        self.say(request.as_bytes()).await
    }

    pub(crate) async fn get(&self, ticket: &str) -> Answer {
        let request = format!(
            "GET /?ticket={ticket} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n",
            self.address
        );
        self.say(request.as_bytes()).await
    }

    /// Opens a link that waits for its stream: its token and its ticket.
    pub(crate) async fn open(&self) -> (String, String) {
        let answer = self.post("", "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let part = |name: &str| {
            let (_, rest) = answer.body.split_once(&format!("\"{name}\":\"")).expect("it is there");
            rest.split_once('"').expect("it ends").0.to_owned()
        };
        (part("link"), part("ticket"))
    }

    /// A batch of a link's.
    pub(crate) async fn batch(&self, link: &str, number: u64, body: &str) -> Answer {
        self.post(&format!("Moorline-Link: {link}\r\nMoorline-Batch: {number}\r\n"), body).await
    }
}
