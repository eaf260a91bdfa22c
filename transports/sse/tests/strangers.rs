//! What no client of moorline's would send: each is refused with its error, and nobody else notices.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

mod support;

use std::time::Duration;

use moorline_core::{Frame, Incoming, Receiver, TransportErrorKind};
use moorline_sse::EventStreams;
use support::{serve, serve_at, serve_small};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

#[tokio::test]
async fn a_guessed_ticket_is_refused() {
    let server = serve(EventStreams::new()).await;
    let (link, ticket) = server.open().await;
    for guess in
        ["", "a", "AAAAAAAAAAAAAAAAAAAAAA", &link, &format!("{ticket}A"), &"x".repeat(2000)]
    {
        let answer = server.get(guess).await;
        assert_eq!(answer.status, 404, "{guess}: {}", answer.body);
        assert!(answer.body.contains("ticket"), "{}", answer.body);
    }
    assert_eq!(server.get(&ticket).await.status, 200);
}

#[tokio::test]
async fn a_ticket_is_good_once() {
    let server = serve(EventStreams::new()).await;
    let (_, ticket) = server.open().await;
    let first = server.get(&ticket).await;
    assert_eq!(first.status, 200);
    assert_eq!(server.get(&ticket).await.status, 404);
    drop(first);
    assert_eq!(server.get(&ticket).await.status, 404);
}

#[tokio::test]
async fn another_links_token_is_none_after_that_link_and_a_ticket_is_no_token() {
    let mut server = serve(EventStreams::new()).await;
    let (link, ticket) = server.open().await;
    assert_eq!(server.batch(&ticket, 1, "data: a\n\n").await.status, 404);
    let _stream = server.get(&ticket).await;
    assert_eq!(server.batch(&link, 1, "data: a\n\n").await.status, 204);
    drop(server.links.recv().await);
    let refused = server.batch(&link, 2, "data: b\n\n").await;
    assert_eq!((refused.status, refused.body.contains("no such link")), (404, true));
}

#[tokio::test]
async fn r51_batches_come_in_their_order_and_once() {
    let mut server = serve(EventStreams::new()).await;
    let (link, ticket) = server.open().await;
    let _stream = server.get(&ticket).await;
    let (_sender, mut receiver, _) = server.links.recv().await.unwrap();
    assert_eq!(server.batch(&link, 3, "data: 3\n\n").await.status, 409);
    for _ in 0..3 {
        assert_eq!(server.batch(&link, 1, "data: 1\n\n").await.status, 204);
    }
    assert_eq!(server.batch(&link, 2, "data: 2\n\n").await.status, 204);
    for number in ["1", "2"] {
        let came = receiver.receive().await.unwrap();
        assert_eq!(came, Some(Incoming::Frame(Frame::text(number))));
    }
    for wrong in ["Moorline-Batch: x\r\n", "Moorline-Batch: -1\r\n", ""] {
        let headers = format!("Moorline-Link: {link}\r\n{wrong}");
        assert_eq!(server.post(&headers, "").await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_form_of_another_site_and_a_foreign_page_are_refused() {
    let server = serve(EventStreams::new()).await;
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let form = format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(server.say(form.as_bytes()).await.status, 415, "{kind}");
    }
    let none = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(server.say(none.as_bytes()).await.status, 415);
    let foreign = server.post("Origin: https://evil.example\r\n", "").await;
    assert_eq!(foreign.status, 403, "{}", foreign.body);
    assert!(!foreign.head.contains("access-control"), "{}", foreign.head);
    let (_, ticket) = server.open().await;
    let stream = format!(
        "GET /?ticket={ticket} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\nOrigin: https://evil.example\r\n\r\n"
    );
    assert_eq!(server.say(stream.as_bytes()).await.status, 403);
    // That has not used the ticket up.
    assert_eq!(server.get(&ticket).await.status, 200);
}

#[tokio::test]
async fn a_page_that_is_let_in_may_read_the_answers_and_brings_no_credentials() {
    let listed = |door: moorline_sse::HttpDoor<_>| door.allow_origin("https://app.example");
    let any = |door: moorline_sse::HttpDoor<_>| door.allow_any_origin();
    let origin = "Origin: https://app.example\r\n";
    for (server, allowed) in [
        (serve_at(listed, EventStreams::new()).await, "https://app.example"),
        (serve_at(any, EventStreams::new()).await, "*"),
    ] {
        let answer = server.post(origin, "").await;
        assert_eq!(answer.status, 200);
        let preflight = format!(
            "OPTIONS / HTTP/1.1\r\nHost: h\r\n{origin}Access-Control-Request-Method: POST\r\n\r\n"
        );
        let preflight = server.say(preflight.as_bytes()).await;
        assert_eq!(preflight.status, 204);
        assert!(
            preflight.head.contains("access-control-allow-headers: content-type, moorline-link")
        );
        for head in [&answer.head, &preflight.head] {
            let line = format!("access-control-allow-origin: {allowed}\r\n");
            assert!(head.contains(&line), "{head}");
            assert!(!head.contains("credentials"), "{head}");
        }
    }
}

#[tokio::test]
async fn bodies_are_bounded() {
    let server = serve(EventStreams::new()).await;
    // A stranger's, and one of a link that is known.
    assert_eq!(server.post("", &"x".repeat(25_000)).await.status, 413);
    let (link, ticket) = server.open().await;
    let _stream = server.get(&ticket).await;
    assert_eq!(server.batch(&link, 1, &"x".repeat(300_000)).await.status, 413);
    let endless = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: text/event-stream\r\nMoorline-Link: {link}\r\nMoorline-Batch: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let mut request = endless.into_bytes();
    for _ in 0..300 {
        request.extend_from_slice(b"400\r\n");
        request.extend_from_slice(&[b'x'; 1024]);
        request.extend_from_slice(b"\r\n");
    }
    assert_eq!(server.say(&request).await.status, 413);
    // A million comments are a body as any.
    assert_eq!(server.batch(&link, 1, &":\n".repeat(1_000_000)).await.status, 413);
    // It was all refused: the first batch is still due.
    assert_eq!(server.batch(&link, 1, "data: a\n\n").await.status, 204);
}

#[tokio::test]
async fn what_is_no_frame_ends_its_link_and_no_other() {
    let mut server = serve(EventStreams::new()).await;
    let (other, ticket) = server.open().await;
    let _other_stream = server.get(&ticket).await;
    let (_other_sender, mut other_receiver, _) = server.links.recv().await.unwrap();
    let long = format!("data: {}\n\n", "x".repeat(100_001));
    for (batch, kind) in [
        ("event: binary\ndata: ?\n\n", TransportErrorKind::Protocol),
        ("event: close\ndata: bye\n\n", TransportErrorKind::Protocol),
        (&*long, TransportErrorKind::TooLarge),
    ] {
        let (link, ticket) = server.open().await;
        let _stream = server.get(&ticket).await;
        let (_sender, mut receiver, _) = server.links.recv().await.unwrap();
        assert_eq!(server.batch(&link, 1, batch).await.status, 204);
        assert_eq!(receiver.receive().await.unwrap_err().kind(), kind);
    }
    assert_eq!(server.batch(&other, 1, "data: still here\n\n").await.status, 204);
    let came = other_receiver.receive().await.unwrap();
    assert_eq!(came, Some(Incoming::Frame(Frame::text("still here"))));
}

#[tokio::test]
async fn what_comes_behind_the_request_for_a_stream_ends_the_link() {
    let mut server = serve(EventStreams::new()).await;
    let (_, ticket) = server.open().await;
    let mut stream = server.get(&ticket).await.stream;
    let (_sender, mut receiver, _) = server.links.recv().await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(receiver.receive().await.unwrap_err().kind(), TransportErrorKind::Protocol);
}

#[tokio::test]
async fn other_requests_are_answered_by_their_status() {
    let server = serve(EventStreams::new()).await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n\r\n", 406),
        ("GET / HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n", 400),
        ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 405),
        ("DELETE / HTTP/1.1\r\nHost: h\r\n\r\n", 405),
    ] {
        assert_eq!(server.say(request.as_bytes()).await.status, status, "{request}");
    }
}

#[tokio::test]
async fn many_that_wait_for_their_stream_are_bounded() {
    let server = serve(EventStreams::new()).await;
    for _ in 0..1024 {
        server.open().await;
    }
    let busy = server.post("", "").await;
    assert_eq!(busy.status, 503);
    assert!(busy.head.contains("retry-after: 1"), "{}", busy.head);
}

#[tokio::test]
async fn what_comes_before_the_first_frame_is_small_where_that_is_wanted() {
    let mut server = serve_small(EventStreams::new(), 1000).await;
    let (link, ticket) = server.open().await;
    let _stream = server.get(&ticket).await;
    let (_sender, mut receiver, _) = server.links.recv().await.unwrap();
    let large = format!("data: {}\n\n", "x".repeat(50_000));
    assert_eq!(server.batch(&link, 1, &large).await.status, 413);
    let first = format!("data: {}\n\n", "x".repeat(1000));
    assert_eq!(server.batch(&link, 1, &first).await.status, 204);
    assert_eq!(server.batch(&link, 2, &large).await.status, 204);
    for size in [1000, 50_000] {
        let Some(Incoming::Frame(frame)) = receiver.receive().await.unwrap() else {
            panic!("a frame comes")
        };
        assert_eq!(frame.len(), size);
    }
    // And one that is too large by a little is so for the receiver.
    let (link, ticket) = server.open().await;
    let _stream = server.get(&ticket).await;
    let (_sender, mut receiver, _) = server.links.recv().await.unwrap();
    let first = format!("data: {}\n\n", "x".repeat(1001));
    assert_eq!(server.batch(&link, 1, &first).await.status, 204);
    assert_eq!(receiver.receive().await.unwrap_err().kind(), TransportErrorKind::TooLarge);
}

#[tokio::test]
async fn bodies_are_read_of_two_posts_at_once_only() {
    let mut server = serve(EventStreams::new()).await;
    let (link, ticket) = server.open().await;
    let _stream = server.get(&ticket).await;
    let _link = server.links.recv().await.unwrap();
    let slow = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: text/event-stream\r\nMoorline-Link: {link}\r\nMoorline-Batch: 1\r\nContent-Length: 100000\r\n\r\nd"
    );
    let mut slow_ones = Vec::new();
    for _ in 0..2 {
        let mut stream = tokio::net::TcpStream::connect(&server.address).await.unwrap();
        stream.write_all(slow.as_bytes()).await.unwrap();
        slow_ones.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.say(slow.as_bytes()).await.status, 429);
    drop(slow_ones);
    // Once the server has seen them go.
    let free = async { while server.batch(&link, 1, "data: a\n\n").await.status != 204 {} };
    timeout(Duration::from_secs(20), free).await.unwrap();
}

#[tokio::test]
async fn few_connections_of_a_link_are_kept() {
    let mut server = serve(EventStreams::new()).await;
    let (link, ticket) = server.open().await;
    let _stream = server.get(&ticket).await;
    let _link = server.links.recv().await.unwrap();
    let mut kept = Vec::new();
    for _ in 0..20 {
        let answer = server.batch(&link, 0, "").await;
        assert_eq!(answer.status, 204);
        kept.push(answer);
    }
    let closed = kept.iter().filter(|answer| answer.head.contains("connection: close")).count();
    assert!((14..20).contains(&closed), "{closed} of 20 are closed");
}

#[tokio::test]
async fn what_a_page_says_last_is_heard_though_its_stream_was_reset() {
    // It has 100 ms for that, which a busy machine may miss.
    for _ in 0..5 {
        if says_good_bye().await {
            return;
        }
    }
    panic!("it is never heard");
}

/// Whether what is said right after the stream was reset is heard.
async fn says_good_bye() -> bool {
    let mut server = serve(EventStreams::new()).await;
    let (link, ticket) = server.open().await;
    let stream = server.get(&ticket).await.stream;
    let (_sender, mut receiver, _) = server.links.recv().await.unwrap();
    let receiving = tokio::spawn(async move { receiver.receive().await });
    // Closed with a linger of zero, the system resets it.
    stream.set_zero_linger().unwrap();
    drop(stream);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let said = server.batch(&link, 1, "data: good bye\n\n").await.status == 204;
    let heard = receiving.await.unwrap();
    said && matches!(heard, Ok(Some(Incoming::Frame(frame))) if frame == Frame::text("good bye"))
}

#[tokio::test]
async fn a_small_message_does_not_hold_its_whole_batch() {
    let mut server = serve(EventStreams::new()).await;
    let (link, ticket) = server.open().await;
    let _stream = server.get(&ticket).await;
    let (_sender, mut receiver, _) = server.links.recv().await.unwrap();
    let batch = format!("data: small\n\n:{}\n", "x".repeat(50_000));
    assert_eq!(server.batch(&link, 1, &batch).await.status, 204);
    let Some(Incoming::Frame(frame)) = receiver.receive().await.unwrap() else {
        panic!("a frame comes")
    };
    let memory = frame.into_payload().try_into_mut().expect("nobody else has it");
    assert!(memory.capacity() <= 20, "{}", memory.capacity());
}

#[tokio::test]
async fn a_third_post_under_way_is_refused() {
    let mut server = serve(EventStreams::new()).await;
    let (link, ticket) = server.open().await;
    let _stream = server.get(&ticket).await;
    // Held, and not read: its inbox fills up.
    let _link = server.links.recv().await.unwrap();
    let body = format!("data: {}\n\n", "x".repeat(70_000));
    assert_eq!(server.batch(&link, 1, &body).await.status, 204);
    let waits = || timeout(Duration::from_millis(300), server.batch(&link, 2, &body));
    let (one, two) = tokio::join!(waits(), waits());
    assert!(one.is_err() && two.is_err(), "they wait for room");
    let three = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.batch(&link, 2, &body).await.status
    };
    let (_, _, status) = tokio::join!(waits(), waits(), three);
    assert_eq!(status, 429);
}
