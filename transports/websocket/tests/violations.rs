//! A peer that breaks the protocol is told so, by the code that RFC 6455 names.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

mod support;

use moorline_core::TransportErrorKind::{self, Protocol, TooLarge};
use moorline_core::{ConnectRequest, Frame, Transport};
use moorline_tokio::Tokio;
use moorline_websocket::WebSocket;
use support::*;

/// Frames by their first bytes and payloads.
type Input<'a> = &'a [(u8, &'a [u8])];

/// Both ends refuse this input with this code.
async fn refuses(name: &str, code: u16, kind: TransportErrorKind, input: Input<'_>) {
    for (mut raw, mut end) in [Raw::client().await, Raw::server().await] {
        for (first, payload) in input {
            raw.send(*first, payload).await;
        }
        assert_eq!(end.error().await, kind, "{name}");
        assert_eq!(raw.read_close().await, code, "{name}");
        // Nothing more may be sent, and the end comes.
        assert!(moorline_core::Sender::send(&mut end.sender, Frame::text("")).await.is_err());
        drop(end);
        raw.read_end().await;
    }
}

#[tokio::test]
async fn forbidden_frames_are_1002() {
    let long = bytes(126);
    let cases: [(&str, Input<'_>); 14] = [
        ("opcode 3", &[(LAST | 3, b"")]),
        ("opcode 7", &[(LAST | 7, b"x")]),
        ("opcode 11", &[(LAST | 11, b"")]),
        ("opcode 15", &[(LAST | 15, b"x")]),
        ("rsv1", &[(LAST | 0x40 | TEXT, b"x")]),
        ("rsv2", &[(LAST | 0x20 | TEXT, b"x")]),
        ("rsv3 on a control frame", &[(LAST | 0x10 | PING, b"x")]),
        ("a ping in pieces", &[(PING, b"x")]),
        ("a long ping", &[(LAST | PING, &long)]),
        ("nothing to continue", &[(LAST | CONTINUE, b"x")]),
        ("text within text", &[(TEXT, b"x"), (LAST | TEXT, b"y")]),
        ("binary within text", &[(TEXT, b"x"), (BINARY, b"y")]),
        ("a close of one byte", &[(LAST | CLOSE, b"x")]),
        ("a long close", &[(LAST | CLOSE, &long)]),
    ];
    for (name, input) in cases {
        refuses(name, 1002, Protocol, input).await;
    }
}

#[tokio::test]
async fn close_codes_that_may_not_be_sent_are_1002() {
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        let name = format!("close code {code}");
        refuses(&name, 1002, Protocol, &[(LAST | CLOSE, &code.to_be_bytes())]).await;
    }
}

#[tokio::test]
async fn text_that_is_not_utf8_is_1007() {
    refuses("one frame", 1007, Protocol, &[(LAST | TEXT, b"\xce\xba\xed\xa0\x80")]).await;
    refuses("an open character", 1007, Protocol, &[(LAST | TEXT, b"\xce")]).await;
    let pieces: [(u8, &[u8]); 2] = [(TEXT, b"\xce"), (LAST | CONTINUE, b"x")];
    refuses("across fragments", 1007, Protocol, &pieces).await;
    let pieces: [(u8, &[u8]); 2] = [(TEXT, b"\xf0\x9f"), (LAST | CONTINUE, b"\x8e")];
    refuses("an open character at the end", 1007, Protocol, &pieces).await;
    // It is known before the message has ended.
    refuses("at its start", 1007, Protocol, &[(TEXT, b"\xff")]).await;
    refuses("a close's reason", 1007, Protocol, &[(LAST | CLOSE, b"\x03\xe8\xff")]).await;
}

#[tokio::test]
async fn a_client_that_does_not_mask_is_1002() {
    let (mut raw, mut server) = Raw::client().await;
    raw.write(&frame(LAST | TEXT, b"bare", false)).await;
    assert_eq!(server.error().await, Protocol);
    assert_eq!(raw.read_close().await, 1002);
}

#[tokio::test]
async fn a_server_that_masks_is_1002() {
    let (mut raw, mut client) = Raw::server().await;
    raw.write(&frame(LAST | TEXT, b"masked", true)).await;
    assert_eq!(client.error().await, Protocol);
    assert_eq!(raw.read_close().await, 1002);
}

#[tokio::test]
async fn r50_a_message_above_the_limit_is_1009() {
    let (mut raw, mut server) = Raw::client_of(acceptor().max_frame(1000)).await;
    raw.send(LAST | TEXT, &[b'x'; 1000]).await;
    assert_eq!(server.frame().await.len(), 1000);
    // By its header alone: it need not come.
    raw.write(&[LAST | TEXT, 0x80 | 126, 0x03, 0xe9, 0, 0, 0, 0]).await;
    assert_eq!(server.error().await, TooLarge);
    assert_eq!(raw.read_close().await, 1009);
}

#[tokio::test]
async fn fragments_count_together() {
    let (mut raw, mut server) = Raw::client_of(acceptor().max_frame(1000)).await;
    raw.send(BINARY, &bytes(600)).await;
    raw.send(CONTINUE, &bytes(400)).await;
    raw.send(LAST | CONTINUE, b"").await;
    assert_eq!(server.frame().await.len(), 1000);
    raw.send(BINARY, &bytes(600)).await;
    raw.send(LAST | CONTINUE, &bytes(401)).await;
    assert_eq!(server.error().await, TooLarge);
    assert_eq!(raw.read_close().await, 1009);
}

#[tokio::test]
async fn a_length_beyond_all_memory_is_1009() {
    for length in [u64::MAX, 1 << 63, 1 << 40] {
        let (mut raw, mut server) = Raw::client().await;
        let mut header = vec![LAST | BINARY, 0x80 | 127];
        header.extend_from_slice(&length.to_be_bytes());
        header.extend_from_slice(&[0; 4]);
        raw.write(&header).await;
        assert_eq!(server.error().await, TooLarge);
        assert_eq!(raw.read_close().await, 1009);
    }
}

#[tokio::test]
async fn a_strangers_first_message_has_a_limit_of_its_own() {
    let (mut raw, mut server) = Raw::client_of(acceptor().max_first_frame(100)).await;
    raw.send(LAST | TEXT, &[b'x'; 100]).await;
    assert_eq!(server.frame().await.len(), 100);
    raw.send(LAST | TEXT, &[b'x'; 5000]).await;
    assert_eq!(server.frame().await.len(), 5000);

    let (mut raw, mut server) = Raw::client_of(acceptor().max_first_frame(100)).await;
    raw.send(LAST | TEXT, &[b'x'; 101]).await;
    assert_eq!(server.error().await, TooLarge);
    assert_eq!(raw.read_close().await, 1009);
}

#[tokio::test]
async fn r50_a_client_takes_as_much_as_it_asks_for() {
    let mut acceptor = listening(acceptor()).await;
    let socket = WebSocket::new(url(&acceptor, "/"), Tokio::current()).unwrap();
    let mut request = ConnectRequest::default();
    request.max_frame = 10;
    let (client, (mut server, _)) = tokio::join!(socket.connect(&request), accept(&mut acceptor));
    let (sender, receiver) = client.unwrap();
    let mut client = End { sender, receiver };
    server.send(Frame::text("0123456789")).await;
    assert_eq!(client.frame().await.len(), 10);
    server.send(Frame::text("0123456789a")).await;
    assert_eq!(client.error().await, TooLarge);
    assert_eq!(server.close().await.0, 1009);
}

#[tokio::test]
async fn the_close_arrives_though_the_peer_goes_on_sending() {
    let (mut raw, mut server) = Raw::client_of(acceptor().max_frame(1000)).await;
    let sending = frame(LAST | BINARY, &bytes(1 << 20), true);
    let (mut read, mut write) = raw.stream.split();
    let send = async {
        use tokio::io::AsyncWriteExt;
        // It may end in the middle.
        let _ = write.write_all(&sending).await;
    };
    let receive = async {
        let error = server.error().await;
        drop(server);
        error
    };
    let close = async {
        use tokio::io::AsyncReadExt;
        let mut close = [0; 4];
        read.read_exact(&mut close).await.unwrap();
        close
    };
    let ((), error, close) = within(async { tokio::join!(send, receive, close) }).await;
    assert_eq!(error, TooLarge);
    assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (LAST | CLOSE, 1009));
}
