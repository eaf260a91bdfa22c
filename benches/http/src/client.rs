//! A client with as little in it as can be: frames made once, and a parser that only counts.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::servers::Speaks;

/// The types of moorline's binary packets that the load meets (`docs/protocol.md`).
const MESSAGE: u8 = 17;
const ACK: u8 = 18;

/// What stands beside messages, and is numbered as they are.
const STATE: std::ops::RangeInclusive<u8> = 28..=32;

/// An open WebSocket.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    speaks: Speaks,
    unread: Vec<u8>,
    /// Bytes of the message under way, fragments before this frame included.
    open_message: Option<u8>,
    received: u64,
    acknowledged: u64,
    heard_state: bool,
}

impl Client {
    pub(crate) async fn connect(address: std::net::SocketAddr, speaks: Speaks) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
        let mut client = Self {
            stream,
            speaks,
            unread: Vec::new(),
            open_message: None,
            received: 0,
            acknowledged: 0,
            heard_state: false,
        };
        if speaks == Speaks::Binary {
            client.shake_hands().await;
        }
        client
    }

    /// hello, and whatever comes back is ready.
    async fn shake_hands(&mut self) {
        use moorline_core::wire::{Binary, Codec, Hello, Packet, VERSION};
        let hello = Hello {
            version: VERSION,
            attempt: 1,
            window: 4 << 20,
            max_frame: 4 << 20,
            ..Hello::default()
        };
        let frame = Binary.encode(Packet::Hello(Box::new(hello))).unwrap();
        self.stream.write_all(&masked(frame.payload())).await.unwrap();
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer).await.unwrap();
        assert!(read > 2 && buffer[2] == 16, "the server answers hello with ready");
    }

    /// One message, as it goes out: the same bytes each time.
    pub(crate) fn message(&self, payload: usize) -> Vec<u8> {
        let body = vec![7; payload];
        match self.speaks {
            Speaks::Raw => masked(&body),
            // At least once, binary data.
            Speaks::Binary => masked(&[&[MESSAGE, 2 | 2 << 2], &body[..]].concat()),
        }
    }

    /// Reads once, and gives how many messages came to an end in it.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> usize {
        let read = self.stream.read(buffer).await.unwrap();
        assert!(read > 0, "the server closed");
        self.unread.extend_from_slice(&buffer[..read]);
        let (mut at, mut messages) = (0, 0);
        while let Some((end, opcode_and_fin, body)) = frame(&self.unread[at..]) {
            let first = self.unread.get(at + body).copied();
            let kind = *self.open_message.get_or_insert(first.unwrap_or(MESSAGE));
            if opcode_and_fin & 0x80 != 0 {
                self.open_message = None;
                let data = opcode_and_fin & 0x0f <= 2;
                let counts = self.speaks == Speaks::Raw || kind == MESSAGE;
                messages += usize::from(counts && data);
                if data && self.speaks == Speaks::Binary && STATE.contains(&kind) {
                    self.heard_state = true;
                    self.received += 1;
                }
            }
            at += end;
        }
        self.unread.drain(..at);
        self.received += messages as u64;
        messages
    }

    /// Reads until something has come that is counted: the answer to a join, say.
    pub(crate) async fn read_packet(&mut self) {
        let mut buffer = [0; 4096];
        while !std::mem::take(&mut self.heard_state) {
            self.read(&mut buffer).await;
        }
    }

    /// What acknowledges the messages read: moorline's own client sends it with each batch of messages.
    pub(crate) fn ack(&mut self) -> Option<Vec<u8>> {
        if self.speaks == Speaks::Raw || self.received == self.acknowledged {
            return None;
        }
        self.acknowledged = self.received;
        let mut body = vec![ACK];
        let mut count = self.received;
        while count >= 0x80 {
            body.push((count & 0x7f) as u8 | 0x80);
            count >>= 7;
        }
        body.push(count as u8);
        body.push(0);
        Some(masked(&body))
    }
}

/// A binary frame with the mask 0, which leaves the payload as it is.
pub(crate) fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The first whole frame of a server's: its length, its first byte, where its payload begins.
fn frame(bytes: &[u8]) -> Option<(usize, u8, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (header, len) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        len => (2, usize::from(len)),
    };
    (bytes.len() >= header + len).then_some((header + len, first, header))
}
