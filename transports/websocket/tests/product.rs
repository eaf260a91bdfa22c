//! The product over WebSocket: every codec, and a server that restarts.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use moorline::{Backoff, Binary, Client, Codec, Connection, Json, Raw, Server, Status, Tokio};
use moorline_websocket::{WebSocket, WebSocketAcceptor};

fn server(codec: Option<impl Codec>) -> Server {
    let acceptor = WebSocketAcceptor::new("127.0.0.1:0", Tokio::current()).unwrap();
    let builder = Server::builder().acceptor(acceptor).runtime(Tokio::current());
    let server = match codec {
        Some(codec) => builder.codec(codec).build(),
        None => builder.build(),
    };
    server.on_connect(async |connection| {
        while let Some(message) = connection.next_message().await {
            connection.send(message).await?;
        }
        Ok(())
    });
    server
}

async fn run(server: &Server) -> String {
    let running = server.clone();
    tokio::spawn(async move { running.run().await.unwrap() });
    loop {
        match server.local_address() {
            Some(address) => return format!("ws://{address}/realtime"),
            None => tokio::task::yield_now().await,
        }
    }
}

fn client(url: &str, codec: impl Codec) -> Client {
    Client::builder()
        .transport(WebSocket::new(url, Tokio::current()).unwrap())
        .runtime(Tokio::current())
        .codec(codec)
        .backoff(Backoff::exponential(Duration::from_millis(20)))
        .build()
}

async fn echo(connection: &Connection, text: &str) {
    connection.send(text.to_owned()).await.unwrap();
    let message = connection.next_message().await.unwrap();
    assert_eq!(message.text(), Some(text));
}

async fn all_echo(connection: &Connection) {
    for length in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        echo(connection, &"x".repeat(length)).await;
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it takes too long")
}

#[tokio::test]
async fn every_codec_echoes() {
    within(async {
        let sessions = server(None::<Raw>);
        let url = run(&sessions).await;
        all_echo(&client(&url, Binary).connect().await.unwrap()).await;
        all_echo(&client(&url, Json).connect().await.unwrap()).await;
        sessions.stop().await.unwrap();
        let raw = server(Some(Raw));
        let url = run(&raw).await;
        all_echo(&client(&url, Raw).connect().await.unwrap()).await;
        raw.stop().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_client_comes_back_when_the_server_restarts() {
    within(async {
        let server = server(None::<Raw>);
        let url = run(&server).await;
        let connection = client(&url, Binary).connect().await.unwrap();
        let lost = Arc::new(AtomicUsize::new(0));
        let count = lost.clone();
        connection.on_disconnect(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        echo(&connection, "before").await;
        server.stop().await.unwrap();
        assert_eq!(run(&server).await, url);
        while lost.load(Ordering::Relaxed) == 0 || connection.status() != Status::Open {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        echo(&connection, "after").await;
        assert_eq!(lost.load(Ordering::Relaxed), 1);
        assert!(connection.disconnect());
        server.stop().await.unwrap();
    })
    .await;
}
