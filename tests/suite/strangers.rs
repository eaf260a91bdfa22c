//! What breaks the protocol gets its documented error and close code, and costs nobody else anything.

use moorline::{Json, Message};
use moorline_core::Frame;
use moorline_core::wire::{Ack, Binary, Codec, ErrorPacket, Hello, Packet};

use crate::stage::stranger::{Farewell, Heard, Stranger};
use crate::stage::{Journal, Stage};

behaviours![
    garbage_is_no_hello,
    a_hello_that_cannot_be_read_is_a_bad_packet,
    a_hello_of_more_than_16_kib_is_too_large,
    another_version_is_not_spoken_here,
    a_stranger_that_does_not_begin_with_hello_is_sent_away,
    a_second_hello_is_a_bad_packet,
    garbage_on_an_open_connection_is_a_bad_packet,
    more_than_the_window_is_refused,
    more_acknowledged_than_sent_is_a_bad_packet,
    a_frame_over_the_servers_limit_is_too_large,
    a_peer_gets_no_more_than_its_window_until_it_acknowledges,
    an_error_that_the_server_tells_is_heard_and_the_connection_stays,
    a_stranger_that_vanishes_leaves_nothing,
    a_client_survives_a_server_that_speaks_garbage,
];

/// Sees that a server still serves.
async fn still_serves(stage: &Stage) {
    let connection = stage.client().connect().await;
    connection.send("echo").await.unwrap();
    assert_eq!(stage.texts(&connection, 1).await, ["echo"]);
}

/// The error's code, the close packet's and the link's.
fn codes(farewell: &Farewell) -> (Option<&str>, Option<u16>, Option<u16>) {
    let close = farewell.close.as_ref().map(|close| close.code);
    (farewell.error.as_deref(), close, farewell.link.as_ref().map(|close| close.code))
}

fn message(size: usize) -> Frame {
    Binary.encode(Packet::Message(Message::from(vec![0; size]))).unwrap()
}

async fn greeted(stage: &Stage) -> Stranger {
    let mut stranger = stage.stranger().await;
    stranger.greet(1 << 18).await;
    stranger
}

async fn garbage_is_no_hello(stage: Stage) {
    let _server = stage.echo().await;
    let frames = [
        Frame::text("GET / HTTP/1.1"),
        Frame::text(""),
        Frame::binary(vec![]),
        Frame::binary(vec![0]),
        Frame::binary(vec![255; 1_000]),
    ];
    for frame in frames {
        let mut stranger = stage.stranger().await;
        stranger.send(frame).await;
        // No codec is known in which an error could be told: the link's close alone tells.
        let farewell = stranger.farewell().await;
        assert_eq!(codes(&farewell), (None, None, Some(1002)));
        assert_eq!(farewell.link.unwrap().reason, "hello_expected");
    }
    still_serves(&stage).await;
}

async fn a_hello_that_cannot_be_read_is_a_bad_packet(stage: Stage) {
    let _server = stage.echo().await;
    let frames = [
        Frame::text("{"),
        Frame::text("{}"),
        Frame::text(r#"{"type":"hello"}"#),
        Frame::text(r#"{"type":"nonsense"}"#),
        Frame::binary(vec![1]),
        Frame::binary(vec![1, 0xff, 0xff]),
    ];
    for frame in frames {
        let mut stranger = stage.stranger().await;
        stranger.send(frame.clone()).await;
        let farewell = stranger.farewell().await;
        assert_eq!(codes(&farewell), (Some("bad_packet"), Some(1002), Some(1002)), "{frame:?}");
    }
    still_serves(&stage).await;
}

async fn a_hello_of_more_than_16_kib_is_too_large(stage: Stage) {
    let _server = stage.echo().await;
    for codec in [&Binary as &dyn Codec, &Json] {
        let hello = Hello { version: 1, room: Some("x".repeat(16 * 1024)), ..Hello::default() };
        let mut stranger = stage.stranger().await;
        stranger.send(codec.encode(Packet::Hello(Box::new(hello))).unwrap()).await;
        let farewell = stranger.farewell().await;
        let (error, _, link) = codes(&farewell);
        assert_eq!(link, Some(1009));
        let told = error.map(str::to_owned).unwrap_or(farewell.link.unwrap().reason);
        assert_eq!(told, "too_large");
    }
    still_serves(&stage).await;
}

async fn another_version_is_not_spoken_here(stage: Stage) {
    let _server = stage.echo().await;
    for frame in [Frame::text(r#"{"type":"hello","version":2}"#), Frame::binary(vec![2, 0, 0])] {
        let mut stranger = stage.stranger().await;
        stranger.send(frame).await;
        let farewell = stranger.farewell().await;
        assert_eq!(codes(&farewell), (Some("unsupported_version"), Some(1008), Some(1008)));
    }
    still_serves(&stage).await;
}

async fn a_stranger_that_does_not_begin_with_hello_is_sent_away(stage: Stage) {
    let _server = stage.echo().await;
    let mut stranger = stage.stranger().await;
    stranger.send(Json.encode(Packet::Ping(1)).unwrap()).await;
    let farewell = stranger.farewell().await;
    assert_eq!(codes(&farewell), (Some("hello_expected"), Some(1002), Some(1002)));
    still_serves(&stage).await;
}

async fn a_second_hello_is_a_bad_packet(stage: Stage) {
    let _server = stage.echo().await;
    let mut stranger = greeted(&stage).await;
    let hello = Hello { version: 1, window: 1, max_frame: 1_000, ..Hello::default() };
    stranger.say(&Packet::Hello(Box::new(hello))).await;
    let farewell = stranger.farewell().await;
    assert_eq!(codes(&farewell), (Some("bad_packet"), Some(1002), Some(1002)));
    still_serves(&stage).await;
}

async fn garbage_on_an_open_connection_is_a_bad_packet(stage: Stage) {
    let server = stage.echo().await;
    for frame in [Frame::binary(vec![200, 1, 2]), Frame::text("text"), Frame::binary(vec![])] {
        let mut stranger = greeted(&stage).await;
        let journal = Journal::of(&server.connections()[0]);
        stranger.send(frame).await;
        let farewell = stranger.farewell().await;
        assert_eq!(codes(&farewell), (Some("bad_packet"), Some(1002), Some(1002)));
        stage.reads(&journal, "error Protocol bad_packet").await;
        drop(stranger);
        stage.reads(&journal, "disconnect TransportError").await;
        stage.until("it is gone", || server.count() == 0).await;
    }
    still_serves(&stage).await;
}

async fn more_than_the_window_is_refused(stage: Stage) {
    let server = stage.server().window(10_000).run().await;
    let mut stranger = greeted(&stage).await;
    for _ in 0..20 {
        // It may have been refused already.
        let _ended = stranger.try_send(message(1_000)).await;
    }
    let farewell = stranger.farewell().await;
    assert_eq!(codes(&farewell), (Some("window_exceeded"), Some(1008), Some(1008)));
    drop(stranger);
    stage.until("it is gone", || server.count() == 0).await;
}

async fn more_acknowledged_than_sent_is_a_bad_packet(stage: Stage) {
    let _server = stage.echo().await;
    let mut stranger = greeted(&stage).await;
    stranger.say(&Packet::Ack(Ack { numbered: 1, unnumbered: 0 })).await;
    let farewell = stranger.farewell().await;
    assert_eq!(codes(&farewell), (Some("bad_packet"), Some(1002), Some(1002)));
    still_serves(&stage).await;
}

async fn a_frame_over_the_servers_limit_is_too_large(stage: Stage) {
    let _server = stage.server().max_frame(5_000).run().await;
    let mut stranger = greeted(&stage).await;
    stranger.send(message(4_000)).await;
    stranger.send(message(6_000)).await;
    let farewell = stranger.farewell().await;
    assert_eq!(codes(&farewell), (Some("too_large"), Some(1009), Some(1009)));
}

async fn a_peer_gets_no_more_than_its_window_until_it_acknowledges(stage: Stage) {
    let server = stage.server().run().await;
    let mut stranger = stage.stranger().await;
    // A window of one byte lets one message at a time be under way.
    stranger.greet(1).await;
    for n in 0..5 {
        server.emit(n.to_string()).unwrap();
    }
    for n in 0..5 {
        let heard = stranger.hear().await;
        let Heard::Packet(Packet::Message(message)) = heard else { panic!("{heard:?}") };
        assert_eq!(message.to_string(), n.to_string());
        let mut more = Box::pin(stranger.hear());
        assert!(stage.waits(&mut more).await, "not before it is acknowledged");
        drop(more);
        stranger.acknowledge(n + 1).await;
    }
}

async fn an_error_that_the_server_tells_is_heard_and_the_connection_stays(stage: Stage) {
    let mut host = stage.host().await;
    let connection = stage.client().build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    let mut link = host.accept().await;
    link.welcome().await;
    let details = Some("[1]".into());
    let error = ErrorPacket { code: "odd".to_owned(), message: "hm".to_owned(), details };
    link.say(&Packet::Error(error)).await;
    stage.reads(&journal, "error Peer odd").await;
    assert!(connection.is_connected());
}

async fn a_stranger_that_vanishes_leaves_nothing(stage: Stage) {
    let server = stage.echo().await;
    let before = stage.tasks();
    drop(stage.stranger().await);
    let half_said = stage.stranger().await;
    drop(half_said);
    drop(greeted(&stage).await);
    stage.until("all are gone", || server.count() == 0 && stage.links() == 0).await;
    stage.until("so are their tasks", || stage.tasks() == before).await;
}

async fn a_client_survives_a_server_that_speaks_garbage(stage: Stage) {
    let mut host = stage.host().await;
    let connection = stage.client().build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    let mut before_ready = host.accept().await;
    before_ready.send(Frame::text("garbage")).await;
    stage.reads(&journal, "error Connect bad_packet").await;
    let mut open = host.accept().await;
    open.welcome().await;
    open.send(Frame::binary(vec![200])).await;
    stage.reads(&journal, "error Protocol bad_packet").await;
    let farewell = open.farewell().await;
    assert_eq!(codes(&farewell), (Some("bad_packet"), Some(1002), Some(1002)));
    drop(open);
    stage.reads(&journal, "disconnect TransportError").await;
    host.accept().await.welcome().await;
    stage.until("it is back", || journal.count("connect") == 2).await;
}
