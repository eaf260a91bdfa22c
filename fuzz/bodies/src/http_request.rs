//! Both opening handshakes: the request that the door and the upgrade answer, and the response that a client reads.

use std::time::Duration;

use moorline_core::{
    Acceptor, ConnectRequest, Pending, Receiver, Transport, TransportError, TransportErrorKind,
};
use moorline_websocket::{HttpDoor, WebSocket, WebSocketAcceptor};

use crate::bytes_in::{Choices, bit, pieces};
use crate::in_memory::{End, Task, World, at_once};

/// Longer than any handshake may take.
const TOO_LONG: Duration = Duration::from_secs(11);

/// The heads of requests that are let in, where the input wants limits.
const MAX_HEAD: usize = 512;

/// What stands in an input for the key that a client wants to read.
const ACCEPT: &[u8] = b"{accept}";

/// Bits of the first byte: the input is a client's response; narrow limits; the socket takes few bytes at a time; the peer
/// resets, or (next bit) is silent at the end. The second byte decides the pieces. The rest is what the peer sends.
pub fn http_request(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (settings, how) = (choices.byte(), choices.byte());
    let world = World::new(bit(settings, 2).then_some(7));
    let peer = Script {
        world: world.clone(),
        end: match (bit(settings, 3), bit(settings, 4)) {
            (_, true) => None,
            (true, false) => Some(End::Reset),
            (false, false) => Some(End::Close),
        },
        how,
    };
    if bit(settings, 0) {
        response(&peer, choices.rest());
    } else {
        request(&peer, choices.rest(), bit(settings, 1));
    }
    assert!(world.is_dropped(), "the socket outlives its link");
}

/// What the peer does.
struct Script {
    world: World,
    end: Option<End>,
    how: u8,
}

impl Script {
    /// Sends it all, and ends. What the task ended with, and whether only time could end it.
    fn play<T>(&self, mut task: Task<'_, T>, input: &[u8]) -> (T, bool) {
        let mut output = task.run_emptied(&self.world);
        for piece in pieces(input, self.how) {
            self.world.send(piece);
            output = output.or_else(|| task.run_emptied(&self.world));
        }
        if let Some(end) = self.end {
            self.world.end(end);
            output = output.or_else(|| task.run_emptied(&self.world));
        }
        let late = output.is_none();
        self.world.pass(TOO_LONG);
        let output = output.or_else(|| task.run_emptied(&self.world));
        (output.expect("a handshake without end"), late)
    }
}

fn request(peer: &Script, input: &[u8], narrow: bool) {
    let world = &peer.world;
    let mut door = HttpDoor::new("localhost:4000", world.clone()).expect("an address");
    if narrow {
        door = door.path("/realtime").max_headers(8).max_header_bytes(MAX_HEAD);
    }
    let mut acceptor = WebSocketAcceptor::at(door).max_frame(64);
    at_once(acceptor.listen()).expect("nobody else listens");
    let pending = at_once(acceptor.accept()).expect("it has come in");
    let (shaken, late) = peer.play(Task::new(pending.handshake()), input);
    let sent = world.received();
    assert!(!late || matches!(&shaken, Err(error) if is(error, TransportErrorKind::TimedOut)));
    match shaken {
        Ok((_sender, mut receiver, known)) => {
            if peer.end != Some(End::Reset) {
                let answer = Answer::read(&sent).expect("an upgrade is answered");
                assert_eq!((answer.status, answer.body), (101, 0));
            }
            assert!(known.path.is_some(), "a request has a path");
            let body = known.header("transfer-encoding").or(known.header("content-length"));
            let nothing = |length: &str| length.bytes().all(|byte| b"0, ".contains(&byte));
            assert!(body.is_none_or(nothing), "an upgrade with a body");
            // What came behind the request is read as frames, to its end.
            let mut task =
                Task::new(async move { while let Ok(Some(_)) = receiver.receive().await {} });
            let ended = task.run_emptied(world).is_some();
            assert!(ended || peer.end.is_none(), "a link without end");
        }
        Err(error) => {
            let reset = peer.end == Some(End::Reset);
            let refused = is(&error, TransportErrorKind::Refused);
            assert!(
                refused
                    || is(&error, TransportErrorKind::TimedOut)
                    || is(&error, TransportErrorKind::Protocol)
                    || is(&error, TransportErrorKind::TooLarge)
                    || is(&error, TransportErrorKind::Broken)
                    || is(&error, TransportErrorKind::Closed),
                "{error}"
            );
            // hyper ends without a flush where a request or its body is not HTTP. A new socket takes an answer at once.
            if world.is_roomy() {
                let answer = Answer::read(&sent);
                assert!(answer.is_some() || !refused || reset, "refused without an answer");
                answer.iter().for_each(|answer| answer.check(&error));
            }
        }
    }
}

fn is(error: &TransportError, kind: TransportErrorKind) -> bool {
    error.kind() == kind
}

/// The head of an answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    length: Option<usize>,
    /// How much came behind it.
    body: usize,
}

impl Answer {
    fn check(&self, error: &TransportError) {
        assert!((400..=499).contains(&self.status), "{} for {error}", self.status);
        // To HEAD the answer is the head alone.
        assert!(self.body == 0 || Some(self.body) == self.length, "{self:?}");
    }

    /// Reads an answer that is HTTP; `None` when there is none.
    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(bytes).expect("an answer is HTTP");
        let httparse::Status::Complete(head) = parsed else { panic!("an answer in part") };
        let length = response.headers.iter().find(|header| header.name == "content-length");
        let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
        let status = response.code.expect("an answer has a status");
        Some(Self { status, length, body: bytes.len() - head })
    }
}

fn response(peer: &Script, input: &[u8]) {
    let world = &peer.world;
    let shop = WebSocket::new("ws://localhost:4000/shop", world.clone()).expect("an address");
    let mut request = ConnectRequest::default();
    (request.protocol, request.max_frame) = (Some("moorline.v1.bin"), 64);
    let mut task = Task::new(shop.connect(&request));
    assert!(task.run_emptied(world).is_none(), "open before the server has answered");
    let input = with_key(input, &world.received());
    for piece in pieces(&input, peer.how) {
        world.send(piece);
    }
    // A client has no time-out of its own, so the end has to come.
    world.end(peer.end.unwrap_or(End::Close));
    match task.run_emptied(world).expect("a handshake without end") {
        Ok((_sender, mut receiver)) => {
            // Empty lines before it are passed over.
            let line = input.trim_ascii_start();
            let head = std::str::from_utf8(&line[..12]).expect("an upgrade is ASCII");
            assert!(head.starts_with("HTTP/1.") && head.ends_with(" 101"), "{head}");
            let mut task =
                Task::new(async move { while let Ok(Some(_)) = receiver.receive().await {} });
            assert!(task.run_emptied(world).is_some(), "a link without end");
        }
        Err(error) => assert!(
            is(&error, TransportErrorKind::Refused)
                || is(&error, TransportErrorKind::Unavailable)
                || is(&error, TransportErrorKind::Protocol)
                || is(&error, TransportErrorKind::TooLarge)
                || is(&error, TransportErrorKind::Broken),
            "{error}"
        ),
    }
}

/// The input with the right key where it asks for one.
fn with_key(input: &[u8], request: &[u8]) -> Vec<u8> {
    let Some(at) = input.windows(ACCEPT.len()).position(|window| window == ACCEPT) else {
        return input.to_vec();
    };
    let key = accept_key(request);
    [&input[..at], key.as_bytes(), &input[at + ACCEPT.len()..]].concat()
}

/// What a server answers to a client's request with.
pub(crate) fn accept_key(request: &[u8]) -> String {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut parsed = httparse::Request::new(&mut headers);
    let complete = parsed.parse(request).expect("a request is HTTP").is_complete();
    assert!(complete, "a request in part");
    let name = "sec-websocket-key";
    let mut headers = parsed.headers.iter();
    let key = headers.find(|header| header.name.eq_ignore_ascii_case(name)).expect("it has a key");
    tungstenite::handshake::derive_accept_key(key.value)
}
