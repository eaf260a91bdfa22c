//! What a server says to those who do not shake hands as RFC 6455 wants it, and what a client takes.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

mod support;

use std::time::Duration;

use moorline_core::{
    Acceptor, ConnectRequest, Frame, Pending, Transport, TransportError, TransportErrorKind,
};
use moorline_tokio::Tokio;
use moorline_websocket::{HttpDoor, WebSocket, WebSocketAcceptor, WebSockets};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn door() -> HttpDoor<Tokio> {
    HttpDoor::new("127.0.0.1:0", Tokio::current()).unwrap()
}

/// What a server answers to these bytes, and what its handshake gives.
async fn answer(
    acceptor: &mut WebSocketAcceptor<Tokio>,
    request: &[u8],
) -> (String, Result<(), TransportErrorKind>) {
    let address = acceptor.local_address().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let pending = within(acceptor.accept()).await.unwrap();
    let shaken = within(pending.handshake()).await;
    let result = shaken.as_ref().map(|_| ()).map_err(TransportError::kind);
    drop(shaken);
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    (String::from_utf8(answer).unwrap(), result)
}

async fn status(acceptor: &mut WebSocketAcceptor<Tokio>, request: &str) -> u16 {
    let (answer, result) = answer(acceptor, request.as_bytes()).await;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    assert_eq!(status == 101, result.is_ok(), "{answer}");
    status
}

#[tokio::test]
async fn a_request_that_is_right_is_taken() {
    let mut acceptor = listening(acceptor()).await;
    let (answer, result) = answer(&mut acceptor, request("/any?where", "").as_bytes()).await;
    assert_eq!(result, Ok(()));
    let answer = answer.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101 switching protocols\r\n"), "{answer}");
    assert!(answer.contains("\r\nupgrade: websocket\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: upgrade\r\n"), "{answer}");
    // The example of RFC 6455, section 1.3.
    assert!(
        answer.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
        "{answer}"
    );
    assert!(!answer.contains("sec-websocket-protocol"), "{answer}");
}

#[tokio::test]
async fn what_is_no_handshake_gets_its_status() {
    let mut acceptor = listening(acceptor()).await;
    let right = request("/", "");
    let cases = [
        (405, right.replacen("GET", "POST", 1)),
        (426, right.replace("Upgrade: WebSocket\r\n", "")),
        (426, right.replace("Upgrade: WebSocket", "Upgrade: h2c")),
        (426, right.replace("Connection: keep-alive, Upgrade\r\n", "")),
        (426, right.replace("Version: 13", "Version: 8")),
        (426, right.replace("Sec-WebSocket-Version: 13\r\n", "")),
        (400, right.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "")),
        (400, right.replace("dGhlIHNhbXBsZSBub25jZQ==", "short")),
        (400, right.replace("dGhlIHNhbXBsZSBub25jZQ==", "not.base.64.not.base.64=")),
        (400, right.replace("HTTP/1.1", "HTTP/1.0")),
        (400, right.replace("Host: example.com\r\n", "")),
        (400, "hello, is this the shop?\r\n\r\n".into()),
    ];
    for (wanted, request) in cases {
        assert_eq!(status(&mut acceptor, &request).await, wanted, "{request}");
    }
}

#[tokio::test]
async fn a_wrong_version_is_told_the_right_one() {
    let mut acceptor = listening(acceptor()).await;
    let request = request("/", "").replace("Version: 13", "Version: 14");
    let (answer, _) = answer(&mut acceptor, request.as_bytes()).await;
    assert!(answer.contains("\r\nsec-websocket-version: 13\r\n"), "{answer}");
}

#[tokio::test]
async fn r33_another_path_is_404() {
    let mut acceptor = listening(WebSocketAcceptor::at(door().path("/realtime"))).await;
    assert_eq!(status(&mut acceptor, &request("/realtime", "")).await, 101);
    assert_eq!(status(&mut acceptor, &request("/realtime?token=1", "")).await, 101);
    assert_eq!(status(&mut acceptor, &request("/", "")).await, 404);
    assert_eq!(status(&mut acceptor, &request("/realtime/x", "")).await, 404);
}

#[tokio::test]
async fn r33_a_foreign_origin_is_403_unless_it_is_allowed() {
    let mut own = listening(acceptor()).await;
    assert_eq!(status(&mut own, &request("/", "Origin: https://evil.example\r\n")).await, 403);
    assert_eq!(status(&mut own, &request("/", "Origin: null\r\n")).await, 403);
    assert_eq!(status(&mut own, &request("/", "Origin: http://example.com\r\n")).await, 101);
    assert_eq!(status(&mut own, &request("/", "")).await, 101);

    let door = door().allow_origin("https://app.example/");
    let mut listed = listening(WebSocketAcceptor::at(door)).await;
    assert_eq!(status(&mut listed, &request("/", "Origin: https://app.example\r\n")).await, 101);
    assert_eq!(status(&mut listed, &request("/", "Origin: https://evil.example\r\n")).await, 403);

    let mut any = listening(WebSocketAcceptor::at(self::door().allow_any_origin())).await;
    assert_eq!(status(&mut any, &request("/", "Origin: https://evil.example\r\n")).await, 101);
}

#[tokio::test]
async fn headers_too_many_or_too_large_are_431_and_a_long_target_is_414() {
    let mut acceptor = listening(WebSocketAcceptor::at(door().max_headers(20))).await;
    let many: String = (0..20).map(|at| format!("x-{at}: y\r\n")).collect();
    assert_eq!(status(&mut acceptor, &request("/", &many)).await, 431);
    let mut acceptor = listening(WebSocketAcceptor::at(door().max_header_bytes(4096))).await;
    let large = format!("x: {}\r\n", "y".repeat(4096));
    assert_eq!(status(&mut acceptor, &request("/", &large)).await, 431);
    let mut acceptor = listening(self::acceptor()).await;
    let large = format!("x: {}\r\n", "y".repeat(64 * 1024));
    assert_eq!(status(&mut acceptor, &request("/", &large)).await, 431);
    let long = format!("/{}", "y".repeat(70_000));
    let status = status(&mut acceptor, &request(&long, "")).await;
    assert!([414, 431].contains(&status), "{status}");
}

#[tokio::test]
async fn r50_moorlines_subprotocols_are_chosen_and_others_are_not() {
    let acceptor = WebSocketAcceptor::of(door(), WebSockets::new().subprotocol("shop.v1"));
    let mut acceptor = listening(acceptor).await;
    for (offer, chosen) in [
        ("moorline.v1.json", Some("moorline.v1.json")),
        ("graphql-ws, moorline.v1.bin , moorline.v1.json", Some("moorline.v1.bin")),
        ("shop.v1", Some("shop.v1")),
        ("graphql-ws", None),
        ("", None),
    ] {
        let request = request("/", &format!("Sec-WebSocket-Protocol: {offer}\r\n"));
        let (answer, _) = answer(&mut acceptor, request.as_bytes()).await;
        let got = answer.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(got, chosen, "{offer}");
    }
}

#[tokio::test]
async fn a_peer_that_dawdles_is_dropped_and_delays_nobody() {
    let door = door().handshake_timeout(Duration::from_secs(1));
    let mut acceptor = listening(WebSocketAcceptor::at(door)).await;
    let address = acceptor.local_address().unwrap();
    let mut slow = TcpStream::connect(&address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let slow_pending = within(acceptor.accept()).await.unwrap();
    let slow_task = tokio::spawn(slow_pending.handshake());
    // Meanwhile another one comes in.
    let url = url(&acceptor, "/");
    let (client, (mut server, _)) = tokio::join!(connect(&url), accept(&mut acceptor));
    client.unwrap().send(Frame::text("quick")).await;
    assert_eq!(server.frame().await, Frame::text("quick"));
    let error = within(slow_task).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::TimedOut);
    assert_eq!(within(slow.read(&mut [0; 16])).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn dropping_a_handshake_closes_its_socket() {
    let mut acceptor = listening(acceptor()).await;
    for begun in [false, true] {
        let address = acceptor.local_address().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let pending = within(acceptor.accept()).await.unwrap();
        if begun {
            let limit = Duration::from_millis(20);
            assert!(tokio::time::timeout(limit, pending.handshake()).await.is_err());
        } else {
            drop(pending);
        }
        assert_eq!(within(stream.read(&mut [0; 16])).await.unwrap_or(0), 0);
    }
}

#[tokio::test]
async fn a_peer_is_told_by_address_path_and_headers() {
    let mut acceptor = listening(acceptor()).await;
    let socket = WebSocket::new(url(&acceptor, "/a/b?c=d"), Tokio::current())
        .and_then(|socket| socket.header("X-Token", "secret"))
        .unwrap();
    let request = ConnectRequest::default();
    let (client, (_, peer)) = tokio::join!(socket.connect(&request), accept(&mut acceptor));
    client.unwrap();
    assert_eq!(peer.transport, "websocket");
    assert!(peer.address.as_ref().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(peer.path.as_deref(), Some("/a/b?c=d"));
    assert_eq!(peer.header("x-token"), Some("secret"));
    assert_eq!(peer.header("host"), acceptor.local_address().as_deref());
}

#[tokio::test]
async fn a_client_offers_its_codec_and_its_own() {
    let mut acceptor = listening(acceptor()).await;
    let socket = WebSocket::new(url(&acceptor, "/"), Tokio::current()).unwrap();
    let socket = socket.subprotocol("shop.v1").unwrap();
    let mut request = ConnectRequest::default();
    request.protocol = Some("moorline.v1.bin");
    let (client, (_, peer)) = tokio::join!(socket.connect(&request), accept(&mut acceptor));
    client.unwrap();
    assert_eq!(peer.header("sec-websocket-protocol"), Some("moorline.v1.bin, shop.v1"));
}

/// What a client makes of a server that answers like that.
async fn connect_to(answer: impl FnOnce(&str) -> String) -> Result<End, TransportError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_head(&mut stream).await;
        stream.write_all(answer(&request).as_bytes()).await.unwrap();
        let _ = stream.shutdown().await;
        stream
    };
    tokio::join!(connect(&url), server).0
}

async fn failure(answer: impl FnOnce(&str) -> String) -> TransportError {
    match connect_to(answer).await {
        Ok(_) => panic!("it must not be taken"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_status_says_whether_to_come_again() {
    for (status, kind) in [
        (200, TransportErrorKind::Refused),
        (301, TransportErrorKind::Refused),
        (400, TransportErrorKind::Refused),
        (401, TransportErrorKind::Refused),
        (403, TransportErrorKind::Refused),
        (404, TransportErrorKind::Refused),
        (429, TransportErrorKind::Unavailable),
        (500, TransportErrorKind::Unavailable),
        (503, TransportErrorKind::Unavailable),
    ] {
        let error = failure(|_| format!("HTTP/1.1 {status} So\r\nRetry-After: 7\r\n\r\n")).await;
        assert_eq!(error.kind(), kind, "{status}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn a_client_takes_only_a_right_answer() {
    let wrong: [fn(&str) -> String; 7] = [
        |_| "SSH-2.0-OpenSSH_9.6\r\n\r\n".into(),
        |request| response(request).replace("accept: ", "accept: x"),
        |request| response(request).replace("upgrade: WebSocket", "upgrade: h2c"),
        |request| response(request).replace("connection: keep-alive, upgrade\r\n", ""),
        |request| response(request).replace("\r\n\r\n", "\r\nsec-websocket-protocol: x\r\n\r\n"),
        |request| {
            let extension = "\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n";
            response(request).replace("\r\n\r\n", extension)
        },
        |request| {
            let many: String = (0..101).map(|at| format!("x-{at}: y\r\n")).collect();
            response(request).replace("\r\n\r\n", &format!("\r\n{many}\r\n"))
        },
    ];
    assert!(connect_to(response).await.is_ok());
    for (at, answer) in wrong.into_iter().enumerate() {
        assert_eq!(failure(answer).await.kind(), TransportErrorKind::Protocol, "case {at}");
    }
    let endless = failure(|_| format!("HTTP/1.1 101 So\r\nx: {}", "y".repeat(100_000))).await;
    assert_eq!(endless.kind(), TransportErrorKind::TooLarge);
    let nothing = failure(|_| String::new()).await;
    assert_eq!(nothing.kind(), TransportErrorKind::Broken);
}

#[tokio::test]
async fn r50_headers_and_subprotocols_are_checked_at_once() {
    let socket = || WebSocket::new("ws://h", Tokio::current()).unwrap();
    for (name, value) in [
        ("host", "x"),
        ("Upgrade", "x"),
        ("Sec-WebSocket-Key", "x"),
        ("content-length", "1"),
        ("a b", "x"),
        ("a", "x\r\ninjected: y"),
    ] {
        let error = socket().header(name, value).unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Configuration, "{name}");
    }
    for name in ["", "a b", "a,b", "a\r\nb"] {
        let error = socket().subprotocol(name).unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Configuration, "{name}");
    }
}
