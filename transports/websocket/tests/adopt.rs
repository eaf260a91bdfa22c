//! Sockets of tokio-tungstenite's, adopted.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

mod support;

use moorline_core::{
    Acceptor, CloseFrame, ConnectRequest, Frame, Incoming, Receiver, Sender, TransportErrorKind,
};
use moorline_websocket::adopt::{AdoptedReceiver, AdoptedSender, adopt, config};
use support::*;
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

type Halves =
    (AdoptedSender<WebSocketStream<TcpStream>>, AdoptedReceiver<WebSocketStream<TcpStream>>);

async fn adopted() -> (Halves, End) {
    let mut acceptor = listening(acceptor()).await;
    let url = url(&acceptor, "/");
    let stream = TcpStream::connect(acceptor.local_address().unwrap()).await.unwrap();
    let client = client_async_with_config(url, stream, Some(config(ConnectRequest::MAX_FRAME)));
    let (client, (server, _)) = tokio::join!(client, accept(&mut acceptor));
    (adopt(client.unwrap().0), server)
}

#[tokio::test]
async fn messages_of_every_size_go_both_ways() {
    let ((mut sender, mut receiver), mut server) = adopted().await;
    for size in [0, 125, 126, 16_384, 16_385, 65_536, 1 << 20] {
        for frame in [Frame::binary(bytes(size)), Frame::text("é".repeat(size / 2))] {
            let sent = async {
                sender.send(frame.clone()).await.unwrap();
                sender.flush().await.unwrap();
            };
            assert!(within(async { tokio::join!(sent, server.frame()) }).await.1 == frame);
            let (_, got) =
                within(async { tokio::join!(server.send(frame.clone()), receiver.receive()) })
                    .await;
            assert!(got.unwrap() == Some(Incoming::Frame(frame)));
        }
    }
    sender.ping().await.unwrap();
    sender.flush().await.unwrap();
    assert_eq!(server.receive().await.unwrap(), Some(Incoming::Activity));
    assert_eq!(within(receiver.receive()).await.unwrap(), Some(Incoming::Activity));
    sender.close(CloseFrame::new(4001, "bye")).await.unwrap();
    assert_eq!(server.close().await, (4001, "bye".to_owned()));
    let close = within(receiver.receive()).await.unwrap();
    assert_eq!(close, Some(Incoming::Close(CloseFrame::new(4001, "bye"))));
    let error = sender.send(Frame::text("late")).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Closed);
}

#[tokio::test]
async fn a_ping_is_answered_and_a_close_too() {
    let ((_sender, mut receiver), mut server) = adopted().await;
    server.sender.ping().await.unwrap();
    server.sender.flush().await.unwrap();
    assert_eq!(within(receiver.receive()).await.unwrap(), Some(Incoming::Activity));
    // The answer goes out when more is asked for.
    let server_side = async {
        assert_eq!(server.receive().await.unwrap(), Some(Incoming::Activity));
        server.sender.close(CloseFrame::new(1012, "restart")).await.unwrap();
    };
    let (close, ()) = within(async { tokio::join!(receiver.receive(), server_side) }).await;
    let close = close.unwrap();
    assert_eq!(close, Some(Incoming::Close(CloseFrame::new(1012, "restart"))));
    assert_eq!(server.close().await.0, 1012);
    assert_eq!(within(receiver.receive()).await.unwrap(), None);
}

#[tokio::test]
async fn violations_are_told() {
    let cases: [(u16, TransportErrorKind, u8, Vec<u8>); 3] = [
        (1002, TransportErrorKind::Protocol, LAST | 3, vec![]),
        (1007, TransportErrorKind::Protocol, LAST | TEXT, vec![0xff]),
        (1009, TransportErrorKind::TooLarge, LAST | BINARY, vec![0; 2000]),
    ];
    for (code, kind, first, payload) in cases {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = async {
            let stream = TcpStream::connect(address).await.unwrap();
            client_async_with_config(format!("ws://{address}/"), stream, Some(config(1000))).await
        };
        let server = async {
            use tokio::io::AsyncWriteExt;
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = read_head(&mut stream).await;
            stream.write_all(response(&head).replace("keep-alive, ", "").as_bytes()).await.unwrap();
            Raw { stream, masks: false }
        };
        let (client, mut raw) = tokio::join!(client, server);
        let (_sender, mut receiver) = adopt(client.unwrap().0);
        raw.send(first, &payload).await;
        assert_eq!(within(receiver.receive()).await.unwrap_err().kind(), kind);
        assert_eq!(raw.read_close().await, code);
    }
}

#[tokio::test]
async fn a_stuck_writer_does_not_keep_the_reader_from_reading() {
    let ((mut sender, mut receiver), mut server) = adopted().await;
    let writing = tokio::spawn(async move {
        for _ in 0..20 {
            sender.send(Frame::binary(bytes(1 << 20))).await.unwrap();
            sender.flush().await.unwrap();
        }
        sender
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(!writing.is_finished());
    for _ in 0..10 {
        server.send(Frame::text("hello")).await;
        let got = within(receiver.receive()).await.unwrap();
        assert_eq!(got, Some(Incoming::Frame(Frame::text("hello"))));
    }
    for _ in 0..20 {
        assert_eq!(server.frame().await.len(), 1 << 20);
    }
    within(writing).await.unwrap();
}
