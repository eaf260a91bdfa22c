//! How links end, and who hears what of it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

mod support;

use std::time::Duration;

use moorline_core::{CloseFrame, Frame, Incoming, Receiver, Sender, TransportErrorKind};
use support::*;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_close_arrives_after_all_frames_with_its_code_and_reason() {
    let (client, server) = link().await;
    for (mut closing, mut closed) in [(client, server), {
        let (client, server) = link().await;
        (server, client)
    }] {
        closing.sender.send(Frame::text("the last")).await.unwrap();
        closing.sender.close(CloseFrame::new(4001, "bye €")).await.unwrap();
        assert_eq!(closed.frame().await, Frame::text("the last"));
        assert_eq!(closed.close().await, (4001, "bye €".to_owned()));
        // The answer is the other end's close.
        assert_eq!(closing.close().await, (4001, "bye €".to_owned()));
        let error = closing.sender.send(Frame::text("too late")).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Closed);
        let error = closed.sender.close(CloseFrame::new(1000, "")).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Closed);
    }
}

#[tokio::test]
async fn both_may_close_at_once() {
    let (mut client, mut server) = link().await;
    client.sender.close(CloseFrame::new(4001, "")).await.unwrap();
    server.sender.close(CloseFrame::new(4002, "")).await.unwrap();
    assert_eq!(client.close().await.0, 4002);
    assert_eq!(server.close().await.0, 4001);
}

#[tokio::test]
async fn a_close_is_answered_before_it_comes_out() {
    for (mut raw, mut end) in [Raw::client().await, Raw::server().await] {
        raw.send(LAST | CLOSE, b"\x03\xe8see you").await;
        assert_eq!(end.close().await, (1000, "see you".to_owned()));
        assert_eq!(raw.read().await, (LAST | CLOSE, b"\x03\xe8see you".to_vec()));
        drop(end);
        raw.read_end().await;
    }
}

#[tokio::test]
async fn a_close_without_a_code_is_1005() {
    let (mut raw, mut server) = Raw::client().await;
    raw.send(LAST | CLOSE, b"").await;
    assert_eq!(server.close().await, (1005, String::new()));
    assert_eq!(raw.read().await, (LAST | CLOSE, Vec::new()));
}

#[tokio::test]
async fn codes_that_may_not_be_sent_are_left_out() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
        let (mut raw, mut server) = Raw::client().await;
        server.sender.close(CloseFrame::new(code, "why")).await.unwrap();
        assert_eq!(raw.read().await, (LAST | CLOSE, Vec::new()), "{code}");
    }
}

#[tokio::test]
async fn a_reason_that_is_too_long_is_cut() {
    let (mut raw, mut server) = Raw::client().await;
    let reason = "é".repeat(100);
    server.sender.close(CloseFrame { code: 1000, reason }).await.unwrap();
    let (_, payload) = raw.read().await;
    assert_eq!(payload[2..], *"é".repeat(61).as_bytes());
}

#[tokio::test]
async fn what_comes_behind_a_close_is_not_delivered() {
    let (mut raw, mut server) = Raw::client().await;
    let mut input = frame(LAST | CLOSE, &1000_u16.to_be_bytes(), true);
    input.extend(frame(LAST | TEXT, b"ghost", true));
    raw.write(&input).await;
    assert_eq!(server.close().await.0, 1000);
    assert_eq!(server.receive().await.unwrap(), None);
}

#[tokio::test]
async fn a_ping_after_our_close_is_not_answered() {
    let (mut raw, mut server) = Raw::client().await;
    server.sender.close(CloseFrame::new(1000, "")).await.unwrap();
    assert_eq!(raw.read_close().await, 1000);
    raw.send(LAST | PING, b"?").await;
    raw.send(LAST | TEXT, b"was on its way").await;
    raw.send(LAST | CLOSE, &1000_u16.to_be_bytes()).await;
    assert_eq!(server.receive().await.unwrap(), Some(Incoming::Activity));
    assert_eq!(server.frame().await, Frame::text("was on its way"));
    assert_eq!(server.close().await.0, 1000);
    drop(server);
    raw.read_end().await;
}

#[tokio::test]
async fn an_end_without_a_close_is_none() {
    let (raw, mut server) = Raw::client().await;
    drop(raw);
    assert_eq!(server.receive().await.unwrap(), None);
    // In the middle of a message, too: it was never whole.
    let (mut raw, mut server) = Raw::client().await;
    raw.write(&frame(LAST | BINARY, &bytes(1000), true)[..500]).await;
    drop(raw);
    assert_eq!(server.receive().await.unwrap(), None);
}

#[tokio::test]
async fn a_half_closed_socket_still_takes_what_is_sent() {
    let (mut raw, mut server) = Raw::client().await;
    raw.stream.shutdown().await.unwrap();
    assert_eq!(server.receive().await.unwrap(), None);
    server.send(Frame::text("still")).await;
    assert_eq!(raw.read().await, (LAST | TEXT, b"still".to_vec()));
}

#[tokio::test]
async fn a_reset_is_a_broken_link() {
    let (raw, mut server) = Raw::client().await;
    #[allow(deprecated, reason = "zero seconds never block: the reset is what is wanted")]
    raw.stream.set_linger(Some(Duration::ZERO)).unwrap();
    drop(raw);
    assert_eq!(server.error().await, TransportErrorKind::Broken);
    // The sender hears of it as well, by the second write at the latest.
    let send = async {
        loop {
            server.sender.send(Frame::text("anybody?")).await?;
            server.sender.flush().await?;
        }
    };
    let error: moorline_core::TransportError = match within(send).await {
        Ok(()) => unreachable!("it never ends well"),
        Err(error) => error,
    };
    assert_eq!(error.kind(), TransportErrorKind::Broken);
}

#[tokio::test]
async fn the_socket_lives_as_long_as_one_half() {
    let (mut raw, server) = Raw::client().await;
    let End { mut sender, receiver } = server;
    drop(receiver);
    sender.send(Frame::text("one half is left")).await.unwrap();
    sender.flush().await.unwrap();
    assert_eq!(raw.read().await.1, b"one half is left");
    drop(sender);
    raw.read_end().await;

    let (mut raw, server) = Raw::client().await;
    let End { sender, mut receiver } = server;
    drop(sender);
    raw.send(LAST | PING, b"").await;
    assert_eq!(within(receiver.receive()).await.unwrap(), Some(Incoming::Activity));
    assert_eq!(raw.read().await.0, LAST | PONG);
    drop(receiver);
    raw.read_end().await;
}

#[tokio::test]
async fn dropping_futures_in_the_middle_releases_the_socket() {
    let (mut raw, server) = Raw::client().await;
    let End { mut sender, mut receiver } = server;
    let reading = tokio::spawn(async move { receiver.receive().await.map(|_| ()) });
    let writing = tokio::spawn(async move {
        loop {
            sender.send(Frame::binary(bytes(1 << 20))).await.unwrap();
            sender.flush().await.unwrap();
        }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    writing.abort();
    reading.abort();
    let mut rest = Vec::new();
    // It ends, in whatever way.
    let _ = within(tokio::io::AsyncReadExt::read_to_end(&mut raw.stream, &mut rest)).await;
}
