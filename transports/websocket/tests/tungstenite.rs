//! tokio-tungstenite at the other end, both ways.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

mod support;

use futures_util::{SinkExt, StreamExt};
use moorline_core::{Acceptor, CloseFrame, Frame, Incoming, Sender};
use support::*;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tungstenite::Message;

const SIZES: [usize; 8] = [0, 125, 126, 16_385, 65_535, 65_536, 200_000, 1 << 20];

async fn exchange(mut theirs: WebSocketStream<TcpStream>, mut ours: End) {
    for size in SIZES {
        let text = "ü".repeat(size / 2);
        let sent = theirs.send(Message::text(text.clone()));
        let (sent, got) = tokio::join!(sent, ours.frame());
        sent.unwrap();
        assert!(got == Frame::text(text));
        let (_, got) = tokio::join!(ours.send(Frame::binary(bytes(size))), theirs.next());
        assert!(got.unwrap().unwrap() == Message::binary(bytes(size)));
    }
    theirs.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(ours.receive().await.unwrap(), Some(Incoming::Activity));
    assert_eq!(theirs.next().await.unwrap().unwrap(), Message::Pong("are you there".into()));
    ours.sender.ping().await.unwrap();
    ours.sender.flush().await.unwrap();
    assert!(theirs.next().await.unwrap().unwrap().is_ping());
    theirs.flush().await.unwrap();
    assert_eq!(ours.receive().await.unwrap(), Some(Incoming::Activity));
    ours.sender.close(CloseFrame::new(4321, "bye")).await.unwrap();
    let Message::Close(Some(close)) = theirs.next().await.unwrap().unwrap() else {
        panic!("not a close")
    };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4321, "bye"));
    let ours = async {
        assert_eq!(ours.close().await, (4321, "bye".to_owned()));
        drop(ours);
    };
    tokio::join!(theirs.next(), ours);
}

#[tokio::test]
async fn tungstenites_client_and_our_server() {
    let mut acceptor = listening(acceptor()).await;
    let url = url(&acceptor, "/");
    let stream = TcpStream::connect(acceptor.local_address().unwrap()).await.unwrap();
    let client = tokio_tungstenite::client_async(url, stream);
    let (client, (server, _)) = tokio::join!(client, accept(&mut acceptor));
    within(exchange(client.unwrap().0, server)).await;
}

#[tokio::test]
async fn tungstenites_server_and_our_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        tokio_tungstenite::accept_async(stream).await.unwrap()
    };
    let (client, server) = tokio::join!(connect(&url), server);
    within(exchange(server, client.unwrap())).await;
}
