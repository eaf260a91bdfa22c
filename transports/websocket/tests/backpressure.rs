//! A peer that does not read makes sends wait, and nothing else.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use moorline_core::{Acceptor, CloseFrame, Frame, Incoming, Receiver, Sender};
use support::*;

/// Sends until nothing is taken any more; how many frames that took.
async fn fill(end: &mut End, frame: &Frame) -> usize {
    for sent in 0..100_000 {
        let send = async {
            end.sender.send(frame.clone()).await?;
            end.sender.flush().await
        };
        match tokio::time::timeout(Duration::from_secs(1), send).await {
            Ok(result) => result.unwrap(),
            Err(_) => return sent,
        }
    }
    panic!("memory grows without bound");
}

#[tokio::test]
async fn a_peer_that_never_reads_makes_a_send_wait() {
    for size in [100, 16 * 1024, 1 << 20] {
        let (_raw, mut server) = Raw::client().await;
        let sent = fill(&mut server, &Frame::binary(bytes(size))).await;
        // Some megabytes stand in the sockets' own buffers.
        assert!(sent * size < 64 << 20, "{sent} of {size}");
        let (_raw, mut client) = Raw::server().await;
        fill(&mut client, &Frame::binary(bytes(size))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_writer_does_not_keep_the_reader_from_reading_and_answering() {
    for (mut raw, mut end) in [Raw::client().await, Raw::server().await] {
        let frame = Frame::binary(bytes(100_000));
        let sent = fill(&mut end, &frame).await;
        let End { mut sender, mut receiver } = end;
        let last = Frame::text("last");
        let writing = tokio::spawn(async move {
            sender.send(last).await.unwrap();
            sender.flush().await.unwrap();
            sender
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        for round in 0..100_u8 {
            raw.send(LAST | PING, &[round]).await;
            raw.send(LAST | TEXT, b"hello").await;
            let got = within(receiver.receive()).await.unwrap();
            assert_eq!(got, Some(Incoming::Activity));
            let got = within(receiver.receive()).await.unwrap();
            assert_eq!(got, Some(Incoming::Frame(Frame::text("hello"))));
        }
        assert!(!writing.is_finished());
        // Now the peer reads: all of it comes, and the answer to the latest ping.
        let (mut frames, mut pongs, mut text) = (0, Vec::new(), false);
        while pongs.last() != Some(&99) || !text {
            let (first, payload) = raw.read().await;
            match first & 15 {
                BINARY => {
                    assert!(payload == bytes(100_000));
                    frames += 1;
                }
                TEXT => text = payload == b"last",
                PONG => pongs.push(payload[0]),
                other => panic!("opcode {other}"),
            }
        }
        assert!(frames >= sent, "{frames} of {sent}");
        assert!(pongs.is_sorted());
        within(writing).await.unwrap();
    }
}

#[tokio::test]
async fn a_peer_that_only_pings_and_never_reads_costs_no_memory() {
    let (mut raw, mut server) = Raw::client().await;
    let counted = Arc::new(AtomicUsize::new(0));
    let count = counted.clone();
    let reading = tokio::spawn(async move {
        while let Ok(Some(Incoming::Activity)) = server.receiver.receive().await {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    // 20 MB of pings; what waits to be answered is bounded, so all of them are read.
    let pings = frame(LAST | PING, &[0; 125], true).repeat(1000);
    for _ in 0..150 {
        raw.write(&pings).await;
    }
    within(async {
        while counted.load(Ordering::Relaxed) < 150_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    reading.abort();
}

#[tokio::test]
async fn a_close_waits_behind_what_was_sent() {
    let (mut raw, mut server) = Raw::client().await;
    let large = Frame::binary(bytes(8 << 20));
    server.sender.send(large).await.unwrap();
    let closing = tokio::spawn(async move {
        server.sender.close(CloseFrame::new(1001, "done")).await.unwrap();
        server
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!closing.is_finished());
    assert!(raw.read().await.1 == bytes(8 << 20));
    assert_eq!(raw.read_close().await, 1001);
    within(closing).await.unwrap();
}

#[tokio::test]
async fn a_close_is_answered_even_behind_a_stuck_write() {
    let (mut raw, mut server) = Raw::client().await;
    fill(&mut server, &Frame::binary(bytes(1 << 20))).await;
    raw.send(LAST | CLOSE, &1001_u16.to_be_bytes()).await;
    let End { sender, mut receiver } = server;
    let receiving = tokio::spawn(async move { receiver.receive().await });
    let read = async {
        loop {
            let (first, payload) = raw.read().await;
            if first == LAST | CLOSE {
                return payload;
            }
        }
    };
    assert_eq!(within(read).await, 1001_u16.to_be_bytes());
    let received = within(receiving).await.unwrap().unwrap();
    assert_eq!(received, Some(Incoming::Close(CloseFrame::new(1001, ""))));
    drop(sender);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_directions_flow_at_full_speed_at_once() {
    // Both ends send more than the sockets hold, and read meanwhile.
    let (client, server) = link().await;
    let run = |end: End| async move {
        let End { mut sender, mut receiver } = end;
        let send = async {
            for _ in 0..40 {
                sender.send(Frame::binary(bytes(1 << 20))).await.unwrap();
                sender.send(Frame::text("small")).await.unwrap();
            }
            sender.flush().await.unwrap();
        };
        let receive = async {
            for _ in 0..40 {
                let got = receiver.receive().await.unwrap();
                assert!(matches!(got, Some(Incoming::Frame(frame)) if frame.len() == 1 << 20));
                let got = receiver.receive().await.unwrap();
                assert_eq!(got, Some(Incoming::Frame(Frame::text("small"))));
            }
        };
        tokio::join!(send, receive);
    };
    within(async { tokio::join!(run(client), run(server)) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_in_two_tasks_both_wake() {
    let mut acceptor = listening(acceptor()).await;
    let url = url(&acceptor, "/");
    let (client, (server, _)) = tokio::join!(connect(&url), accept(&mut acceptor));
    acceptor.close();
    let mut client = client.unwrap();
    let End { mut sender, mut receiver } = server;
    // The server's halves echo from two tasks, by way of a queue without a bound.
    let (queue, mut queued) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(Some(incoming)) = receiver.receive().await {
            if let Incoming::Frame(frame) = incoming {
                queue.send(frame).unwrap();
            }
        }
    });
    tokio::spawn(async move {
        while let Some(frame) = queued.recv().await {
            sender.send(frame).await.unwrap();
            sender.flush().await.unwrap();
        }
    });
    for at in 0..30 {
        client.send(Frame::binary(bytes(200_000 + at))).await;
        client.sender.ping().await.unwrap();
        client.sender.flush().await.unwrap();
    }
    let mut frames = 0;
    while frames < 30 {
        match client.receive().await.unwrap() {
            Some(Incoming::Frame(frame)) => {
                assert_eq!(frame.len(), 200_000 + frames);
                frames += 1;
            }
            Some(Incoming::Activity) => {}
            other => panic!("{other:?}"),
        }
    }
}
