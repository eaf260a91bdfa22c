//! What a peer sends behind a handshake that was right.

use moorline_core::{
    Acceptor, CloseFrame, ConnectRequest, Frame, Incoming, Pending, Receiver, Sender, Transport,
    TransportErrorKind,
};
use moorline_websocket::{WebSocket, WebSocketAcceptor};

use crate::bytes_in::{Choices, bit, pieces};
use crate::http_request::accept_key;
use crate::in_memory::{End, Task, World, at_once};

/// The largest message, and the largest first one at a server.
const MAX: usize = 300;
const MAX_FIRST: usize = 100;

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Bits of the first byte: we are the client; the socket takes few bytes at a time; messages are echoed; the peer resets at
/// the end; we close at the end; we close after
/// the first message. The second byte decides the pieces. The rest is what the peer sends.
pub fn websocket_frames(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (settings, how) = (choices.byte(), choices.byte());
    let link = Link {
        client: bit(settings, 0),
        room: bit(settings, 1).then_some(7),
        echo: bit(settings, 2),
        end: if bit(settings, 3) { End::Reset } else { End::Close },
        close: bit(settings, 4),
        close_early: bit(settings, 5),
    };
    let input = choices.rest();
    let cut = link.run(input, how);
    // The pieces that input comes in make no difference.
    if how != 0 {
        let whole = link.run(input, 0);
        assert_eq!(cut, whole);
    }
}

/// How the link is.
struct Link {
    client: bool,
    room: Option<usize>,
    echo: bool,
    end: End,
    close: bool,
    close_early: bool,
}

/// What came out of a receiver.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    received: Vec<Incoming>,
    error: Option<TransportErrorKind>,
}

impl Link {
    fn run(&self, input: &[u8], how: u8) -> Outcome {
        let world = World::new(self.room);
        let outcome = if self.client {
            let (sender, receiver) = client(&world);
            self.play(&world, sender, receiver, input, how)
        } else {
            let (sender, receiver) = server(&world);
            self.play(&world, sender, receiver, input, how)
        };
        assert!(world.is_dropped(), "the socket outlives its link");
        outcome
    }

    fn play<S: Sender, R: Receiver>(
        &self,
        world: &World,
        sender: S,
        receiver: R,
        input: &[u8],
        how: u8,
    ) -> Outcome {
        let mut task = Task::new(self.talk(sender, receiver));
        let mut outcome = task.run_emptied(world);
        for piece in pieces(input, how) {
            world.send(piece);
            outcome = outcome.or_else(|| task.run_emptied(world));
        }
        world.end(self.end);
        let outcome = outcome.or_else(|| task.run_emptied(world)).expect("a link without end");
        self.check(&outcome, &answers(&world.received(), self.client));
        outcome
    }

    /// Receives to the end, and sends each message back.
    async fn talk<S: Sender, R: Receiver>(&self, mut sender: S, mut receiver: R) -> Outcome {
        let mut outcome = Outcome::default();
        let mut closed = false;
        loop {
            match receiver.receive().await {
                Ok(Some(incoming)) => {
                    outcome.received.push(incoming.clone());
                    match incoming {
                        // A peer that has gone is told by the receiver.
                        Incoming::Frame(frame) if self.echo && !self.close_early => {
                            if sender.send(frame).await.is_ok() {
                                let _ = sender.flush().await;
                            }
                        }
                        // What the peer sent before it hears of it still comes.
                        Incoming::Frame(_) if self.close_early && !closed => {
                            let _ = sender.close(CloseFrame::new(1000, "enough")).await;
                            closed = true;
                        }
                        Incoming::Frame(_) | Incoming::Activity => {}
                        Incoming::Close(_) => break,
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    outcome.error = Some(error.kind());
                    break;
                }
            }
        }
        let over = closed || matches!(outcome.received.last(), Some(Incoming::Close(_)));
        if self.close {
            let result = sender.close(CloseFrame::new(1000, "bye")).await;
            assert!(result.is_err() || !over, "closed twice");
            assert!(sender.send(Frame::text("more")).await.is_err(), "sent behind a close");
        }
        outcome
    }

    fn check(&self, outcome: &Outcome, answers: &[Answer]) {
        let frames = outcome.received.iter().filter_map(|incoming| match incoming {
            Incoming::Frame(frame) => Some(frame),
            _ => None,
        });
        let frames: Vec<&Frame> = frames.collect();
        for (at, frame) in frames.iter().enumerate() {
            let limit = if at == 0 && !self.client { MAX_FIRST } else { MAX };
            assert!(frame.len() <= limit, "{frame:?} is above {limit}");
            assert!(matches!(frame, Frame::Binary(_)) || frame.as_text().is_some(), "not UTF-8");
        }
        let echoed: Vec<&Frame> = answers
            .iter()
            .filter_map(|answer| match answer {
                Answer::Message(frame) => Some(frame),
                _ => None,
            })
            .collect();
        let echoes = if self.echo && !self.close_early { &frames[..] } else { &[] };
        assert!(echoes.starts_with(&echoed), "{echoed:?} for {frames:?}");
        let pongs = answers.iter().filter(|answer| matches!(answer, Answer::Pong)).count();
        let activity = |incoming: &&Incoming| matches!(incoming, Incoming::Activity);
        assert!(pongs <= outcome.received.iter().filter(activity).count(), "a pong to no ping");
        let protocol = matches!(
            outcome.error,
            Some(TransportErrorKind::Protocol | TransportErrorKind::TooLarge)
        );
        let close = answers.iter().find_map(|answer| match answer {
            Answer::Close(code) => Some(*code),
            _ => None,
        });
        if self.end == End::Close {
            assert_eq!(echoed.len(), echoes.len(), "an echo is missing");
            let closed_early = self.close_early && !frames.is_empty();
            if protocol && !closed_early {
                assert!(matches!(close, Some(Some(1002 | 1007 | 1009))), "{close:?}");
            }
            let closed = matches!(outcome.received.last(), Some(Incoming::Close(_)));
            let closes = closed || protocol || self.close || closed_early;
            assert_eq!(close.is_some(), closes, "{outcome:?}");
        }
    }
}

fn server(world: &World) -> (impl Sender + use<>, impl Receiver + use<>) {
    let acceptor = WebSocketAcceptor::new("localhost:4000", world.clone()).expect("an address");
    let mut acceptor = acceptor.max_frame(MAX).max_first_frame(MAX_FIRST);
    at_once(acceptor.listen()).expect("nobody else listens");
    let pending = at_once(acceptor.accept()).expect("it has come in");
    world.send(REQUEST);
    let shaken = Task::new(pending.handshake()).run_emptied(world).expect("it was asked");
    let (sender, receiver, _) = shaken.expect("the request is right");
    world.received();
    (sender, receiver)
}

fn client(world: &World) -> (impl Sender + use<>, impl Receiver + use<>) {
    let shop = WebSocket::<World>::new("ws://localhost:4000/", world.clone()).expect("an address");
    let mut request = ConnectRequest::default();
    request.max_frame = MAX;
    let mut task = Task::new(shop.connect(&request));
    assert!(task.run_emptied(world).is_none(), "open before the server has answered");
    let key = accept_key(&world.received());
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";
    world.send(format!("{head}Sec-WebSocket-Accept: {key}\r\n\r\n").as_bytes());
    task.run_emptied(world).expect("it was answered").expect("the response is right")
}

/// What we sent.
enum Answer {
    Message(Frame),
    Ping,
    Pong,
    Close(Option<u16>),
}

/// Reads what we sent, which is right (RFC 6455, section 5.2): no fragments, no reserved bits, masked by clients alone, in
/// the shortest form, and nothing behind a close. The end may be missing.
fn answers(sent: &[u8], masked: bool) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut rest = Choices::new(sent);
    while !rest.is_empty() {
        let (first, second) = (rest.byte(), rest.byte());
        assert!(!matches!(answers.last(), Some(Answer::Close(_))), "something behind a close");
        assert_eq!(first & 0xf0, 0x80, "a fragment, or a reserved bit");
        assert_eq!(second & 0x80 != 0, masked, "masked by the wrong end");
        let length = match second & 0x7f {
            126 => {
                let length = rest.two();
                assert!(length >= 126, "a length that is not in its shortest form");
                usize::from(length)
            }
            127 => panic!("longer than anything that came"),
            length => usize::from(length),
        };
        let key: [u8; 4] =
            if masked { rest.bytes(4).try_into().unwrap_or_default() } else { [0; 4] };
        let payload = rest.bytes(length);
        if payload.len() < length {
            break;
        }
        let payload: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b).collect();
        assert!(first & 8 == 0 || length <= 125, "a control frame that is too long");
        answers.push(match first & 0xf {
            1 => Answer::Message(Frame::Text(payload.into())),
            2 => Answer::Message(Frame::Binary(payload.into())),
            8 => Answer::Close(match payload[..] {
                [] => None,
                [high, low, ..] => Some(u16::from_be_bytes([high, low])),
                [_] => panic!("half a close code"),
            }),
            9 => Answer::Ping,
            10 => Answer::Pong,
            unknown => panic!("unknown kind of frame: {unknown}"),
        });
    }
    answers
}
