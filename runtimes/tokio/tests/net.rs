//! TCP on the loopback.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but does not see their helpers"
)]

use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use futures_executor::block_on;
use futures_util::FutureExt;
use futures_util::future::join;
use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use moorline_core::{Net, NetListener};
use moorline_tokio::{Tokio, TokioListener, TokioStream};

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn pair(runtime: &Tokio) -> (TokioListener, TokioStream, TokioStream) {
    let mut listener = runtime.bind(anywhere()).await.unwrap();
    let address = listener.local_address().unwrap();
    let (client, accepted) = join(runtime.connect(address), listener.accept()).await;
    let (client, (server, peer)) = (client.unwrap(), accepted.unwrap());
    assert_eq!(peer, client.inner().local_addr().unwrap());
    (listener, client, server)
}

async fn talk(runtime: &Tokio) {
    let (_listener, mut client, mut server) = pair(runtime).await;
    assert!(client.inner().nodelay().unwrap() && server.inner().nodelay().unwrap());

    let written = client.write_vectored(&[IoSlice::new(b"good "), IoSlice::new(b"day")]).await;
    assert_eq!(written.unwrap(), 8);
    client.write_all(b"!").await.unwrap();
    client.flush().await.unwrap();
    client.close().await.unwrap();
    let mut heard = String::new();
    server.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "good day!");

    // The other direction is still open.
    server.write_all(b"bye").await.unwrap();
    drop(server);
    heard.clear();
    client.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "bye");
}

#[tokio::test]
async fn both_ends_talk_and_close() {
    talk(&Tokio::current()).await;
}

#[test]
fn sockets_work_outside_the_runtime() {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let runtime = Tokio::from_handle(tokio.handle().clone());
    block_on(async {
        talk(&runtime).await;
        assert!(runtime.resolve("localhost", 80).await.is_ok());
    });
}

#[tokio::test]
async fn a_name_has_addresses_with_the_port() {
    let runtime = Tokio::current();
    let addresses = runtime.resolve("localhost", 4711).await.unwrap();
    assert!(!addresses.is_empty());
    assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 4711));
    let literal = runtime.resolve("127.0.0.1", 1).await.unwrap();
    assert_eq!(literal, [SocketAddr::from(([127, 0, 0, 1], 1))]);
}

#[tokio::test]
async fn a_dropped_accept_loses_no_connection() {
    let runtime = Tokio::current();
    let mut listener = runtime.bind(anywhere()).await.unwrap();
    assert!(listener.accept().now_or_never().is_none());
    let mut client = runtime.connect(listener.local_address().unwrap()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    client.write_all(b"x").await.unwrap();
    server.read_exact(&mut [0]).await.unwrap();
}

#[tokio::test]
async fn a_dropped_listener_frees_its_port() {
    let runtime = Tokio::current();
    let listener = runtime.bind(anywhere()).await.unwrap();
    let address = listener.local_address().unwrap();
    assert_eq!(runtime.bind(address).await.unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(listener);
    assert_eq!(runtime.connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    runtime.bind(address).await.unwrap();
}

#[tokio::test]
async fn a_dropped_stream_ends_the_peers_reads() {
    let runtime = Tokio::current();
    let (_listener, client, mut server) = pair(&runtime).await;
    drop(client);
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(20), server.read(&mut byte));
    assert_eq!(read.await.unwrap().unwrap(), 0);
}
