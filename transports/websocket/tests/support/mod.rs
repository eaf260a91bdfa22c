//! What the tests share: both ends of a link, and a peer written by hand.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

use std::future::Future;
use std::time::Duration;

use moorline_core::{
    Acceptor, CloseFrame, ConnectRequest, Frame, Incoming, Peer, Pending, Receiver, Sender,
    Transport, TransportError, TransportErrorKind,
};
use moorline_socket::Stream;
use moorline_tokio::{Tokio, TokioStream};
use moorline_websocket::{WebSocket, WebSocketAcceptor, WebSocketReceiver, WebSocketSender};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CONTINUE: u8 = 0;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
pub(crate) const LAST: u8 = 0x80;

pub(crate) struct End {
    pub(crate) sender: WebSocketSender<Stream<TokioStream>>,
    pub(crate) receiver: WebSocketReceiver<Stream<TokioStream>>,
}

impl End {
    pub(crate) async fn send(&mut self, frame: Frame) {
        self.sender.send(frame).await.unwrap();
        self.sender.flush().await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        within(self.receiver.receive()).await
    }

    pub(crate) async fn frame(&mut self) -> Frame {
        match self.receive().await.unwrap() {
            Some(Incoming::Frame(frame)) => frame,
            other => panic!("not a frame: {other:?}"),
        }
    }

    pub(crate) async fn close(&mut self) -> (u16, String) {
        match self.receive().await.unwrap() {
            Some(Incoming::Close(close)) => (close.code, close.reason),
            other => panic!("not a close: {other:?}"),
        }
    }

    pub(crate) async fn error(&mut self) -> TransportErrorKind {
        match self.receive().await {
            Err(error) => error.kind(),
            other => panic!("not an error: {other:?}"),
        }
    }
}

/// No test waits for long.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it takes too long")
}

pub(crate) async fn listening(acceptor: WebSocketAcceptor<Tokio>) -> WebSocketAcceptor<Tokio> {
    let mut acceptor = acceptor;
    acceptor.listen().await.unwrap();
    acceptor
}

pub(crate) fn acceptor() -> WebSocketAcceptor<Tokio> {
    WebSocketAcceptor::new("127.0.0.1:0", Tokio::current()).unwrap()
}

pub(crate) fn url(acceptor: &WebSocketAcceptor<Tokio>, path: &str) -> String {
    format!("ws://{}{path}", acceptor.local_address().unwrap())
}

pub(crate) async fn accept(acceptor: &mut WebSocketAcceptor<Tokio>) -> (End, Peer) {
    let pending = within(acceptor.accept()).await.unwrap();
    let (sender, receiver, peer) = within(pending.handshake()).await.unwrap();
    (End { sender, receiver }, peer)
}

pub(crate) async fn connect(url: &str) -> Result<End, TransportError> {
    let socket = WebSocket::new(url, Tokio::current())?;
    let (sender, receiver) = within(socket.connect(&ConnectRequest::default())).await?;
    Ok(End { sender, receiver })
}

/// A link: the client's end and the server's.
pub(crate) async fn link() -> (End, End) {
    let mut acceptor = listening(acceptor()).await;
    let url = url(&acceptor, "/");
    let (client, (server, _)) = tokio::join!(connect(&url), accept(&mut acceptor));
    (client.unwrap(), server)
}

/// A peer written by hand, which can do wrong.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    pub(crate) masks: bool,
}

impl Raw {
    /// A raw client of a real server.
    pub(crate) async fn client() -> (Self, End) {
        Self::client_of(acceptor()).await
    }

    pub(crate) async fn client_of(acceptor: WebSocketAcceptor<Tokio>) -> (Self, End) {
        let mut acceptor = listening(acceptor).await;
        let mut stream = TcpStream::connect(acceptor.local_address().unwrap()).await.unwrap();
        stream.write_all(request("/", "").as_bytes()).await.unwrap();
        let (server, _) = accept(&mut acceptor).await;
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        (Self { stream, masks: true }, server)
    }

    /// A raw server of a real client.
    pub(crate) async fn server() -> (Self, End) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = read_head(&mut stream).await;
            stream.write_all(response(&head).as_bytes()).await.unwrap();
            stream
        };
        let (stream, client) = tokio::join!(server, connect(&url));
        (Self { stream, masks: false }, client.unwrap())
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.unwrap();
    }

    pub(crate) async fn send(&mut self, first: u8, payload: &[u8]) {
        let frame = frame(first, payload, self.masks);
        self.write(&frame).await;
    }

    /// The next frame: its first byte and its payload.
    pub(crate) async fn read(&mut self) -> (u8, Vec<u8>) {
        within(async {
            let first = self.stream.read_u8().await.unwrap();
            let second = self.stream.read_u8().await.unwrap();
            assert_eq!(second & 0x80 != 0, !self.masks, "clients mask, servers do not");
            let length = match second & 0x7f {
                126 => usize::from(self.stream.read_u16().await.unwrap()),
                127 => self.stream.read_u64().await.unwrap() as usize,
                length => usize::from(length),
            };
            let mut key = [0; 4];
            if !self.masks {
                self.stream.read_exact(&mut key).await.unwrap();
            }
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.unwrap();
            payload.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= key[at % 4]);
            (first, payload)
        })
        .await
    }

    /// The close that comes next: its code.
    pub(crate) async fn read_close(&mut self) -> u16 {
        let (first, payload) = self.read().await;
        assert_eq!(first, LAST | CLOSE);
        u16::from_be_bytes([payload[0], payload[1]])
    }

    /// The peer's end of the connection.
    pub(crate) async fn read_end(&mut self) {
        let mut rest = Vec::new();
        match within(self.stream.read_to_end(&mut rest)).await {
            Ok(_) => assert_eq!(rest, b"", "more came"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
}

pub(crate) fn frame(first: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(bit | length as u8),
        length @ 126..=0xffff => {
            frame.push(bit | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(bit | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let key = if masked { [7, 77, 177, 255] } else { [0; 4] };
    if masked {
        frame.extend_from_slice(&key);
    }
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
    frame
}

pub(crate) fn request(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

pub(crate) fn response(request: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    )
}

pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    within(async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        String::from_utf8(head).unwrap()
    })
    .await
}

/// Bytes that are no repetition of anything short.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}
