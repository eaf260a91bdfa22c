//! The door by itself, with a route that is no WebSocket.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::io::AsyncWriteExt as _;
use moorline_core::{
    Acceptor, Capabilities, CloseFrame, Frame, Incoming, Net, Pending, Receiver, Sender,
    TransportError, TransportErrorKind,
};
use moorline_http::http::header::UPGRADE;
use moorline_http::http::request::Parts;
use moorline_http::http::{Method, Response, StatusCode};
use moorline_http::{
    Answer, Arrived, Halves, Host, HttpAcceptor, HttpDoor, Reply, Route, Socket, refusal,
};
use moorline_tokio::Tokio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Upgrades what asks for it, and echoes bodies of at most 8 bytes.
#[derive(Clone, Default)]
struct Shop;

/// Writes what it is given.
#[derive(Debug)]
struct ShopSender<S>(S);

/// Gives what had been read, once.
#[derive(Debug)]
struct ShopReceiver(Option<Bytes>);

impl<S: Socket> Sender for ShopSender<S> {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        Ok(self.0.write_all(frame.payload()).await?)
    }
    async fn close(&mut self, _: CloseFrame) -> Result<(), TransportError> {
        Ok(self.0.close().await?)
    }
}

impl Receiver for ShopReceiver {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        Ok(self.0.take().map(|read| Incoming::Frame(Frame::Binary(read))))
    }
}

impl Route for Shop {
    type Accepted = String;
    type Sender<S: Socket> = ShopSender<S>;
    type Receiver<S: Socket> = ShopReceiver;

    fn is_for(&self, _: &Parts) -> bool {
        true
    }

    fn link<S: Socket>(
        &self,
        arrived: Arrived<S, String>,
        _: &Host,
    ) -> Result<Halves<Self, S>, TransportError> {
        let peer = arrived.peer("shop");
        assert_eq!(peer.path.as_ref(), Some(&arrived.accepted));
        Ok((ShopSender(arrived.stream), ShopReceiver(Some(arrived.read)), peer))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn respond(&self, _: Parts, body: Bytes, _: &Host) -> Reply {
        let text = String::from_utf8_lossy(&body).into_owned();
        Reply::keep(Response::new(text), std::future::pending())
    }

    fn answer(&self, request: &Parts, _: &Host) -> Answer<String> {
        if request.method == Method::POST {
            return Answer::Body {
                limit: 8,
                stranger: request.uri.path() == "/stranger",
                permit: None,
            };
        }
        if !request.headers.contains_key(UPGRADE) {
            return Answer::Refuse(refusal(StatusCode::IM_A_TEAPOT, "short and stout"));
        }
        let mut response = Response::new(());
        response.headers_mut().insert(UPGRADE, "shop/1".parse().expect("a token"));
        Answer::Upgrade { response, accepted: request.uri.to_string() }
    }
}

type ShopDoor = HttpAcceptor<Tokio, Shop>;

async fn listening(door: HttpDoor<Tokio>) -> ShopDoor {
    let mut door = HttpAcceptor::at(door);
    door.listen().await.expect("a free port");
    door
}

fn door() -> HttpDoor<Tokio> {
    HttpDoor::new("127.0.0.1:0", Tokio::current()).expect("an address")
}

async fn connect(door: &ShopDoor, request: &str) -> TcpStream {
    let address = door.local_address().expect("it listens");
    let mut stream = TcpStream::connect(address).await.expect("it accepts");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    stream
}

type Shaken = Halves<Shop, moorline_socket::Stream<<Tokio as Net>::Stream>>;

async fn shake_hands(door: &mut ShopDoor) -> Result<Shaken, TransportError> {
    door.accept().await?.handshake().await
}

#[tokio::test]
async fn a_socket_is_handed_over_bare_with_what_was_read() {
    let mut door = listening(door()).await;
    let request = "GET /tea HTTP/1.1\r\nHost: h\r\nUpgrade: shop/1\r\nX-Token: t\r\n\r\nearly";
    let mut stream = connect(&door, request).await;
    let (mut sender, mut receiver, peer) = shake_hands(&mut door).await.unwrap();
    let early = Incoming::Frame(Frame::binary("early"));
    assert_eq!(receiver.receive().await.unwrap(), Some(early));
    assert_eq!(peer.address, Some(stream.local_addr().unwrap().to_string()));
    assert_eq!((peer.transport, peer.path.as_deref()), ("shop", Some("/tea")));
    assert_eq!(peer.header("x-token"), Some("t"));
    // It is only a socket now.
    sender.send(Frame::text("tea")).await.unwrap();
    drop((sender, receiver));
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\ntea"), "{answer}");
}

#[tokio::test]
async fn a_refusal_is_answered_and_the_connection_closed() {
    let mut door = listening(door()).await;
    let mut stream = connect(&door, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let error = shake_hands(&mut door).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Refused);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 418 I'm a teapot\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nshort and stout\n"), "{answer}");
}

#[tokio::test]
async fn an_upgrade_with_a_body_is_refused() {
    let mut door = listening(door()).await;
    for body in
        ["Content-Length: 3\r\n\r\ntea", "Transfer-Encoding: chunked\r\n\r\n3\r\ntea\r\n0\r\n\r\n"]
    {
        let request = format!("GET /tea HTTP/1.1\r\nHost: h\r\nUpgrade: shop/1\r\n{body}early");
        let mut stream = connect(&door, &request).await;
        let error = shake_hands(&mut door).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Refused);
        let mut head = [0; 17];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 400 Bad ");
    }
    // One that says that it has none is as good as one that says nothing.
    let request = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: shop/1\r\nContent-Length: 0\r\n\r\n";
    let _stream = connect(&door, request).await;
    shake_hands(&mut door).await.unwrap();
}

#[tokio::test]
async fn silence_has_a_limit() {
    let limit = Duration::from_millis(50);
    let mut door = listening(door().handshake_timeout(limit)).await;
    let mut stream = connect(&door, "").await;
    let error = shake_hands(&mut door).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::TimedOut);
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_peer_that_goes_away_is_an_error() {
    let mut door = listening(door()).await;
    for request in ["", "GET / HT"] {
        drop(connect(&door, request).await);
        let error = shake_hands(&mut door).await.unwrap_err();
        let kinds =
            [TransportErrorKind::Closed, TransportErrorKind::Broken, TransportErrorKind::Protocol];
        assert!(kinds.contains(&error.kind()), "{error}");
    }
}

#[tokio::test]
async fn a_name_is_a_place_to_listen_too() {
    let name = HttpDoor::new("localhost:0", Tokio::current()).expect("an address");
    let address = listening(name).await.local_address().expect("it listens");
    let address: SocketAddr = address.parse().unwrap();
    assert!(address.ip().is_loopback());
    let known = Tokio::current().resolve("localhost", 0).await.unwrap();
    assert!(known.iter().any(|known| known.ip() == address.ip()));
    let mut unknown = HttpDoor::new("nobody.invalid:0", Tokio::current()).expect("an address");
    assert!(unknown.listen().await.is_err());
}

/// Reads one response of a known length.
async fn answer(stream: &mut TcpStream, length: usize) -> String {
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await.expect("it answers");
    String::from_utf8(answer).expect("it is text")
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn bodies_are_answered_one_after_another_and_a_link_may_come_after_them() {
    for path in ["/", "/stranger"] {
        let mut door = listening(door()).await;
        let mut stream = connect(&door, &post(path, "one")).await;
        // The connection itself is no link.
        let error = shake_hands(&mut door).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Closed);
        for body in ["one", "two"] {
            if body == "two" {
                stream.write_all(post(path, body).as_bytes()).await.unwrap();
            }
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"));
            assert_eq!(answer(&mut stream, 3).await, body);
        }
        let upgrade = "GET /tea HTTP/1.1\r\nHost: h\r\nUpgrade: shop/1\r\n\r\n";
        stream.write_all(upgrade.as_bytes()).await.unwrap();
        let (_, _, peer) = shake_hands(&mut door).await.unwrap();
        assert_eq!(peer.path.as_deref(), Some("/tea"));
    }
}

#[tokio::test]
async fn a_body_beyond_its_limit_is_refused_before_it_is_read() {
    let mut door = listening(door()).await;
    let endless =
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n";
    let declared = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n";
    for request in [endless, declared] {
        let mut stream = connect(&door, request).await;
        shake_hands(&mut door).await.unwrap_err();
        assert!(answer(&mut stream, 12).await.starts_with("HTTP/1.1 413"));
    }
}

#[tokio::test]
async fn a_connection_that_rests_goes_on_where_it_was() {
    let mut door = listening(door()).await;
    let mut stream = connect(&door, &post("/", "one")).await;
    shake_hands(&mut door).await.unwrap_err();
    // Longer than one needs to be idle; in the second round in the middle of a request.
    for half in [0, 20] {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\none") {
            head.push(stream.read_u8().await.unwrap());
        }
        let request = post("/", "one");
        stream.write_all(&request.as_bytes()[..half]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        stream.write_all(&request.as_bytes()[half..]).await.unwrap();
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\none") {
        head.push(stream.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn after_a_close_no_link_comes_in_on_a_connection_that_is_kept() {
    let mut door = listening(door()).await;
    let mut stream = connect(&door, &post("/", "one")).await;
    shake_hands(&mut door).await.unwrap_err();
    door.close();
    let upgrade = "GET /tea HTTP/1.1\r\nHost: h\r\nUpgrade: shop/1\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    door.listen().await.unwrap();
    let limit = Duration::from_millis(200);
    assert!(tokio::time::timeout(limit, door.accept()).await.is_err(), "a link came in late");
}

#[tokio::test]
async fn a_body_has_a_limit_of_time() {
    let mut door = listening(door().handshake_timeout(Duration::from_millis(500))).await;
    let request = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nte";
    let mut stream = connect(&door, request).await;
    shake_hands(&mut door).await.unwrap_err();
    assert!(answer(&mut stream, 12).await.starts_with("HTTP/1.1 408"));
}
