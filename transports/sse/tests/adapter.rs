//! The adapter of `reqwest_eventsource`.
#![cfg(feature = "reqwest-eventsource")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

mod support;

use std::time::Duration;

use moorline_core::{
    ConnectRequest, Frame, Incoming, Receiver, Sender, Transport, TransportErrorKind,
};
use moorline_sse::{EventStreams, ReqwestEvents};
use reqwest_eventsource::EventSource;
use support::serve;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

fn events(url: String) -> ReqwestEvents<impl Fn() -> EventSource + Send + Sync + 'static> {
    ReqwestEvents::new(move || EventSource::get(&url))
}

#[tokio::test]
async fn it_reads_events_and_the_end_is_one() {
    let mut server = serve(EventStreams::new().raw_whole_events()).await;
    let news = events(format!("http://{}/", server.address)).whole_events();
    let connect = ConnectRequest::default();
    let (link, connected) = tokio::join!(server.links.recv(), async {
        let connecting = news.connect(&connect);
        timeout(Duration::from_secs(10), connecting).await.unwrap()
    });
    let ((mut sender, receiver, _), (mut up, mut down)) = (link.unwrap(), connected.unwrap());
    let event = r#"{"event":"tea","data":"one\ntwo","id":"7"}"#;
    sender.send(Frame::text(event)).await.unwrap();
    sender.flush().await.unwrap();
    assert_eq!(down.receive().await.unwrap(), Some(Incoming::Frame(Frame::text(event))));
    assert!(up.send(Frame::text("up?")).await.is_err());
    drop((sender, receiver));
    assert_eq!(down.receive().await.unwrap(), None);
}

/// A server of one answer, which counts how often it was asked.
async fn host(answer: &'static str) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, asked)
}

#[tokio::test]
async fn its_own_retries_are_off_and_a_refusal_is_one() {
    for (answer, kind) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", TransportErrorKind::Refused),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", TransportErrorKind::Unavailable),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", TransportErrorKind::Refused),
    ] {
        let (url, asked) = host(answer).await;
        let error = events(url).connect(&ConnectRequest::default()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1, "it has tried again");
    }
}

#[tokio::test]
async fn a_panic_is_an_error_of_the_link() {
    let news = ReqwestEvents::new(|| panic!("as when a URL is none"));
    let error = news.connect(&ConnectRequest::default()).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Broken);
}
