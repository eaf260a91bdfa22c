//! Links as they live: what goes together, what is said to be alive, what a broken connection costs, what a proxy does.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

mod support;

use std::time::{Duration, Instant};

use moorline_core::{
    ConnectRequest, Frame, Incoming, Receiver, Sender, Transport, TransportErrorKind,
};
use moorline_sse::{EventStreams, Sse};
use moorline_tokio::Tokio;
use support::{Server, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

fn sse(address: &str) -> Sse<Tokio> {
    Sse::new(format!("http://{address}/"), Tokio::current()).unwrap()
}

async fn next_frame(receiver: &mut impl Receiver) -> Frame {
    loop {
        match receiver.receive().await.unwrap() {
            Some(Incoming::Frame(frame)) => return frame,
            Some(Incoming::Activity) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn r51_what_is_flushed_within_the_debounce_goes_together() {
    let debounce = Duration::from_secs(1);
    let mut server = serve(EventStreams::new().debounce(debounce)).await;
    let connect = ConnectRequest::default();
    let client = sse(&server.address.clone());
    let (link, connected) = tokio::join!(server.links.recv(), client.connect(&connect));
    let ((mut sender, _receiver, _), (_up, mut down)) = (link.unwrap(), connected.unwrap());
    let begun = Instant::now();
    for at in 0..3 {
        sender.send(Frame::text(at.to_string())).await.unwrap();
        sender.flush().await.unwrap();
        next_frame(&mut down).await;
        let took = begun.elapsed();
        // The first one at once, each other one when the last is long enough ago.
        assert!(took >= debounce * at && (at > 0 || took < debounce), "{at}: {took:?}");
    }
}

#[tokio::test]
async fn r51_a_stream_that_says_nothing_says_so_in_raw() {
    let streams = EventStreams::new().raw().keep_alive(Duration::from_millis(50));
    let mut server = serve(streams).await;
    let raw = Sse::raw(format!("http://{}/", server.address), Tokio::current()).unwrap();
    let connect = ConnectRequest::default();
    let (link, connected) = tokio::join!(server.links.recv(), raw.connect(&connect));
    let ((_sender, mut receiver, peer), (mut up, mut down)) = (link.unwrap(), connected.unwrap());
    assert_eq!(peer.transport, "sse");
    tokio::spawn(async move { receiver.receive().await });
    for _ in 0..3 {
        let alive = timeout(Duration::from_secs(5), down.receive()).await.unwrap().unwrap();
        assert_eq!(alive, Some(Incoming::Activity));
    }
    let error = up.send(Frame::text("up?")).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Configuration);
}

#[tokio::test]
async fn r51_a_raw_reader_that_comes_back_says_which_event_it_had() {
    let mut server = serve(EventStreams::new().raw_whole_events()).await;
    let raw = Sse::raw(format!("http://{}/", server.address), Tokio::current()).unwrap();
    let raw = raw.whole_events();
    let connect = ConnectRequest::default();
    for (had, next) in [(None, "1"), (Some("1"), "2"), (Some("2"), "3")] {
        let (link, connected) = tokio::join!(server.links.recv(), raw.connect(&connect));
        let ((mut sender, _receiver, peer), (_up, mut down)) = (link.unwrap(), connected.unwrap());
        assert_eq!(peer.header("last-event-id"), had);
        let event = format!(r#"{{"event":"news","data":"number {next}","id":"{next}"}}"#);
        sender.send(Frame::text(event.clone())).await.unwrap();
        sender.flush().await.unwrap();
        let heard = timeout(Duration::from_secs(5), next_frame(&mut down)).await.unwrap();
        assert_eq!(heard, Frame::text(event));
    }
}

/// A proxy that breaks the connection of each first POST of a batch after it was carried, before its answer.
async fn breaker(to: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut broken = false;
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&to).await.unwrap();
            let once = !std::mem::replace(&mut broken, true);
            tokio::spawn(async move {
                let (mut from, mut to_client) = client.into_split();
                let (mut back, mut to_server) = server.into_split();
                let up = tokio::spawn(async move { copy(&mut from, &mut to_server).await });
                if once {
                    // The answer to the first POST of all passes, that to the next does not.
                    let mut answer = vec![0; 4096];
                    let read = back.read(&mut answer).await.unwrap();
                    to_client.write_all(&answer[..read]).await.unwrap();
                    let _ = back.read(&mut answer).await;
                } else {
                    let _ = copy(&mut back, &mut to_client).await;
                }
                up.abort();
            });
        }
    });
    address
}

#[tokio::test]
async fn r51_a_post_whose_answer_is_lost_is_sent_again_and_taken_once() {
    let mut server = serve(EventStreams::new()).await;
    let client = sse(&breaker(server.address.clone()).await);
    let connect = ConnectRequest::default();
    let (link, connected) = tokio::join!(server.links.recv(), client.connect(&connect));
    let ((_sender, mut receiver, _), (mut up, _down)) = (link.unwrap(), connected.unwrap());
    for at in 0..3 {
        up.send(Frame::text(at.to_string())).await.unwrap();
        up.flush().await.unwrap();
    }
    for at in 0..3 {
        assert_eq!(next_frame(&mut receiver).await, Frame::text(at.to_string()));
    }
}

/// A proxy that holds an event stream back until it is over.
async fn buffering(server: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, to) = (listener.local_addr().unwrap().to_string(), server.address.clone());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&to).await.unwrap();
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let read = client.read(&mut request).await.unwrap();
                server.write_all(&request[..read]).await.unwrap();
                if request.starts_with(b"GET") {
                    let mut whole = Vec::new();
                    server.read_to_end(&mut whole).await.unwrap();
                    client.write_all(&whole).await.unwrap();
                } else {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn r51_behind_a_proxy_that_holds_a_stream_back_no_link_comes_about() {
    let server = serve(EventStreams::new()).await;
    let client = sse(&buffering(&server).await);
    let request = ConnectRequest::default();
    let connecting = client.connect(&request);
    assert!(timeout(Duration::from_millis(500), connecting).await.is_err(), "it connected");
}

/// A proxy that passes an answer on in blocks of 4 KiB.
async fn blocks(server: &Server) -> String {
    const BLOCK: usize = 4096;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, to) = (listener.local_addr().unwrap().to_string(), server.address.clone());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&to).await.unwrap();
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let read = client.read(&mut request).await.unwrap();
                server.write_all(&request[..read]).await.unwrap();
                if !request.starts_with(b"GET") {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
                let mut block = [0; BLOCK];
                while server.read_exact(&mut block).await.is_ok() {
                    client.write_all(&block).await.unwrap();
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn r51_a_padding_gets_through_a_proxy_that_passes_blocks_on() {
    let mut server = serve(EventStreams::new().padding(4096)).await;
    let client = sse(&blocks(&server).await);
    let connect = ConnectRequest::default();
    let (link, connected) = tokio::join!(
        async {
            let (sender, mut receiver, peer) = server.links.recv().await.unwrap();
            // As a server does: it receives from the beginning.
            let receiving = tokio::spawn(async move { next_frame(&mut receiver).await });
            (sender, receiving, peer)
        },
        timeout(Duration::from_secs(10), client.connect(&connect))
    );
    let ((mut sender, receiving, _), (mut up, mut down)) = (link, connected.unwrap().unwrap());
    for at in 0..5 {
        sender.send(Frame::text(at.to_string())).await.unwrap();
        sender.flush().await.unwrap();
        let came = timeout(Duration::from_secs(10), next_frame(&mut down)).await.unwrap();
        assert_eq!(came, Frame::text(at.to_string()));
    }
    up.send(Frame::text("up")).await.unwrap();
    up.flush().await.unwrap();
    assert_eq!(receiving.await.unwrap(), Frame::text("up"));
}

#[tokio::test]
async fn addresses_and_headers_are_checked() {
    for wrong in ["ws://h/", "h:80", "http://", "http://user:secret@h/", "http://h/#part"] {
        let error = Sse::new(wrong, Tokio::current()).unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Configuration, "{wrong}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    for own in ["Host", "Content-Type", "Last-Event-ID", "Moorline-Link", "Accept", "a b"] {
        assert!(sse("127.0.0.1:1").header(own, "x").is_err(), "{own}");
    }
    assert!(sse("127.0.0.1:1").header("authorization", "Bearer 0").is_ok());
}

#[tokio::test]
async fn a_peer_is_known_by_its_first_post() {
    let mut server = serve(EventStreams::new()).await;
    let url = format!("http://{}/shop?lang=en", server.address);
    let client = Sse::new(url, Tokio::current()).unwrap().header("x-token", "t").unwrap();
    let connect = ConnectRequest::default();
    let (link, connected) = tokio::join!(server.links.recv(), client.connect(&connect));
    let (_link, peer) = (connected.unwrap(), link.unwrap().2);
    assert_eq!((peer.transport, peer.path.as_deref()), ("sse", Some("/shop?lang=en")));
    assert_eq!(peer.header("x-token"), Some("t"));
    assert!(peer.address.unwrap().starts_with("127.0.0.1:"));
}
