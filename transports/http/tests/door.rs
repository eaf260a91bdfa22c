//! The door by itself, with a route that is no WebSocket.

use std::time::Duration;

use moorline_core::{Net, TransportErrorKind};
use moorline_http::http::header::UPGRADE;
use moorline_http::http::request::Parts;
use moorline_http::http::{Response, StatusCode};
use moorline_http::{Answer, HttpDoor, Route, refusal};
use moorline_tokio::Tokio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Upgrades what asks for it, and remembers the target.
struct Shop;

impl Route for Shop {
    type Accepted = String;

    fn answer(&self, request: &Parts) -> Answer<String> {
        if !request.headers.contains_key(UPGRADE) {
            return Answer::Refuse(refusal(StatusCode::IM_A_TEAPOT, "short and stout"));
        }
        let mut response = Response::new(());
        response.headers_mut().insert(UPGRADE, "shop/1".parse().expect("a token"));
        Answer::Upgrade { response, accepted: request.uri.to_string() }
    }
}

async fn listening(door: HttpDoor<Tokio>) -> HttpDoor<Tokio> {
    let mut door = door;
    door.listen().await.expect("a free port");
    door
}

fn door() -> HttpDoor<Tokio> {
    HttpDoor::new("127.0.0.1:0", Tokio::current()).expect("an address")
}

async fn connect(door: &HttpDoor<Tokio>, request: &str) -> TcpStream {
    let address = door.local_address().expect("it listens");
    let mut stream = TcpStream::connect(address).await.expect("it accepts");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    stream
}

#[tokio::test]
async fn a_socket_is_handed_over_bare_with_what_was_read() {
    let mut door = listening(door()).await;
    let request = "GET /tea HTTP/1.1\r\nHost: h\r\nUpgrade: shop/1\r\nX-Token: t\r\n\r\nearly";
    let mut stream = connect(&door, request).await;
    let arrived = door.accept().await.unwrap().handshake(Shop).await.unwrap();
    assert_eq!(arrived.accepted, "/tea");
    assert_eq!(arrived.read, "early");
    assert_eq!(arrived.address, stream.local_addr().unwrap());
    let peer = arrived.peer("shop");
    assert_eq!((peer.transport, peer.path.as_deref()), ("shop", Some("/tea")));
    assert_eq!(peer.header("x-token"), Some("t"));
    // It is only a socket now.
    let mut socket = arrived.stream.into_socket().unwrap().into_inner();
    socket.write_all(b"tea").await.unwrap();
    drop(socket);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\ntea"), "{answer}");
}

#[tokio::test]
async fn a_refusal_is_answered_and_the_connection_closed() {
    let mut door = listening(door()).await;
    let mut stream = connect(&door, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let error = door.accept().await.unwrap().handshake(Shop).await.unwrap_err();
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
        let error = door.accept().await.unwrap().handshake(Shop).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Refused);
        let mut head = [0; 17];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 400 Bad ");
    }
    // One that says that it has none is as good as one that says nothing.
    let request = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: shop/1\r\nContent-Length: 0\r\n\r\n";
    let _stream = connect(&door, request).await;
    let arrived = door.accept().await.unwrap().handshake(Shop).await;
    assert_eq!(arrived.unwrap().accepted, "/");
}

#[tokio::test]
async fn silence_has_a_limit() {
    let limit = Duration::from_millis(50);
    let mut door = listening(door().handshake_timeout(limit)).await;
    let mut stream = connect(&door, "").await;
    let error = door.accept().await.unwrap().handshake(Shop).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::TimedOut);
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_peer_that_goes_away_is_an_error() {
    let mut door = listening(door()).await;
    for request in ["", "GET / HT"] {
        drop(connect(&door, request).await);
        let error = door.accept().await.unwrap().handshake(Shop).await.unwrap_err();
        let kinds =
            [TransportErrorKind::Closed, TransportErrorKind::Broken, TransportErrorKind::Protocol];
        assert!(kinds.contains(&error.kind()), "{error}");
    }
}

#[tokio::test]
async fn a_name_is_a_place_to_listen_too() {
    let name = HttpDoor::new("localhost:0", Tokio::current()).expect("an address");
    let address = listening(name).await.local_address().expect("it listens");
    assert!(address.ip().is_loopback());
    let known = Tokio::current().resolve("localhost", 0).await.unwrap();
    assert!(known.iter().any(|known| known.ip() == address.ip()));
    let mut unknown = HttpDoor::new("nobody.invalid:0", Tokio::current()).expect("an address");
    assert!(unknown.listen().await.is_err());
}
