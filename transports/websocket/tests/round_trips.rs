//! Messages of every size and form arrive as they were sent.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

mod support;

use moorline_core::{Acceptor, Frame, Incoming, Receiver, Sender};
use support::*;

const SIZES: [usize; 12] =
    [0, 1, 125, 126, 16_384, 16_385, 65_535, 65_536, 65_537, 131_072, 300_000, 1 << 20];

#[tokio::test]
async fn messages_of_every_size_go_both_ways() {
    let (mut client, mut server) = link().await;
    for size in SIZES {
        for frame in [Frame::binary(bytes(size)), Frame::text("é".repeat(size / 2))] {
            let (sent, got) = (client.send(frame.clone()), server.frame());
            assert!(tokio::join!(sent, got).1 == frame, "{frame:?} to the server");
            let (sent, got) = (server.send(frame.clone()), client.frame());
            assert!(tokio::join!(sent, got).1 == frame, "{frame:?} to the client");
        }
    }
}

#[tokio::test]
async fn a_batch_of_all_sizes_keeps_its_order() {
    let (client, server) = link().await;
    for (mut from, mut to) in [(client.sender, server.receiver), (server.sender, client.receiver)] {
        let frames: Vec<_> = SIZES
            .iter()
            .rev()
            .chain(&SIZES)
            .flat_map(|&size| {
                [Frame::binary(bytes(size)), Frame::text("x".repeat(size)), Frame::binary(bytes(3))]
            })
            .collect();
        let sent = frames.clone();
        let send = async {
            for frame in sent {
                from.send(frame).await.unwrap();
            }
            from.flush().await.unwrap();
        };
        let receive = async {
            for frame in &frames {
                let got = to.receive().await.unwrap();
                assert!(got == Some(Incoming::Frame(frame.clone())), "{frame:?}");
            }
        };
        within(async { tokio::join!(send, receive) }).await;
    }
}

#[tokio::test]
async fn many_small_messages_in_one_write_come_out_one_by_one() {
    let (mut client, mut server) = link().await;
    for at in 0..5000 {
        client.sender.send(Frame::text(at.to_string())).await.unwrap();
    }
    client.sender.flush().await.unwrap();
    for at in 0..5000 {
        assert_eq!(server.frame().await, Frame::text(at.to_string()));
    }
}

#[tokio::test]
async fn fragments_become_one_message() {
    let (mut raw, mut server) = Raw::client().await;
    let text = "größer als gedacht: €, 🎈";
    // Cut everywhere, also within characters.
    for cut in 0..=text.len() {
        let (head, tail) = text.as_bytes().split_at(cut);
        raw.send(TEXT, head).await;
        raw.send(CONTINUE, b"").await;
        raw.send(LAST | CONTINUE, tail).await;
        assert_eq!(server.frame().await, Frame::text(text));
    }
    raw.send(BINARY, &bytes(70_000)).await;
    raw.send(CONTINUE, &bytes(3)).await;
    raw.send(LAST | CONTINUE, &bytes(200_000)).await;
    let wanted = [bytes(70_000), bytes(3), bytes(200_000)].concat();
    assert!(server.frame().await == Frame::binary(wanted));
}

#[tokio::test]
async fn r50_bytes_may_come_one_by_one() {
    let (mut raw, mut server) = Raw::client().await;
    raw.stream.set_nodelay(true).unwrap();
    let mut input = frame(TEXT, "gr\u{f6}".as_bytes(), true);
    input.extend(frame(LAST | PING, b"alive?", true));
    input.extend(frame(LAST | CONTINUE, "ße".as_bytes(), true));
    input.extend(frame(LAST | BINARY, &bytes(300), true));
    let write = async {
        for byte in input {
            raw.write(&[byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(raw.read().await, (LAST | PONG, b"alive?".to_vec()));
    };
    let read = async {
        assert_eq!(server.receive().await.unwrap(), Some(Incoming::Activity));
        assert_eq!(server.frame().await, Frame::text("größe"));
        assert_eq!(server.frame().await, Frame::binary(bytes(300)));
    };
    tokio::join!(write, read);
}

#[tokio::test]
async fn a_ping_between_fragments_is_answered_between_them() {
    for (mut raw, mut end) in [Raw::client().await, Raw::server().await] {
        raw.send(TEXT, b"one, ").await;
        raw.send(LAST | PING, b"still there?").await;
        assert_eq!(end.receive().await.unwrap(), Some(Incoming::Activity));
        assert_eq!(raw.read().await, (LAST | PONG, b"still there?".to_vec()));
        raw.send(LAST | CONTINUE, b"two").await;
        assert_eq!(end.frame().await, Frame::text("one, two"));
    }
}

#[tokio::test]
async fn a_ping_of_ours_comes_back_as_activity() {
    let (mut client, mut server) = link().await;
    client.sender.ping().await.unwrap();
    client.sender.flush().await.unwrap();
    assert_eq!(server.receive().await.unwrap(), Some(Incoming::Activity));
    assert_eq!(client.receive().await.unwrap(), Some(Incoming::Activity));
}

#[tokio::test]
async fn what_comes_in_one_packet_with_the_handshake_is_not_lost() {
    use tokio::io::AsyncWriteExt;
    let mut acceptor = listening(acceptor()).await;
    let address = acceptor.local_address().unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut bytes = request("/", "").into_bytes();
    bytes.extend(frame(LAST | TEXT, b"early", true));
    bytes.extend(&frame(LAST | TEXT, b"bird", true)[..5]);
    stream.write_all(&bytes).await.unwrap();
    let (mut server, _) = accept(&mut acceptor).await;
    assert_eq!(server.frame().await, Frame::text("early"));
    stream.write_all(&frame(LAST | TEXT, b"bird", true)[5..]).await.unwrap();
    assert_eq!(server.frame().await, Frame::text("bird"));
}

#[tokio::test]
async fn r50_a_small_message_after_a_large_burst_holds_no_more_than_four_times_its_size() {
    const SMALL: usize = 1400;
    let (mut client, mut server) = link().await;
    // The thread's spare memory grows with what a burst leaves over after a read.
    for _ in 0..4 {
        for _ in 0..40 {
            client.sender.send(Frame::binary(vec![1; 1500])).await.unwrap();
        }
        client.sender.flush().await.unwrap();
        for _ in 0..40 {
            server.frame().await;
        }
    }
    for _ in 0..4 {
        client.sender.send(Frame::binary(vec![2; SMALL])).await.unwrap();
    }
    client.sender.flush().await.unwrap();
    for at in 0..4 {
        // Each by itself: what is left over is the receiver's until the last is taken.
        let payload = server.frame().await.into_payload();
        if let Ok(memory) = payload.try_into_mut() {
            assert!(memory.capacity() <= 4 * SMALL, "message {at} holds {}", memory.capacity());
        } else {
            assert!(at < 3, "somebody else has a part of the last one");
        }
    }
}
