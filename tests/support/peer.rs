//! A client of bare bytes (RFC 6455), which can leave in any way, and need not read.
#![allow(dead_code, reason = "each trial uses what it needs")]

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use moorline::{Binary, Codec, Message};
use moorline_core::Frame;
use moorline_core::wire::{Ack, Hello, Packet, VERSION};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const BINARY: u8 = 2;
const CLOSE: u8 = 8;

/// Enough for a batch of small messages.
const READ: usize = 512;

pub(crate) struct Peer {
    socket: BufReader<TcpStream>,
    session: bool,
    /// Messages taken.
    taken: u64,
}

impl Peer {
    /// A connection that is open; with a session, one that has been let in.
    pub(crate) async fn connect(server: SocketAddr, session: bool) -> Result<Self> {
        Self::connect_with(server, session, u64::from(u32::MAX)).await
    }

    /// As [`connect`](Self::connect), with a window of so many bytes in a session.
    pub(crate) async fn connect_with(
        server: SocketAddr,
        session: bool,
        window: u64,
    ) -> Result<Self> {
        let socket = TcpStream::connect(server).await?;
        socket.set_nodelay(true)?;
        let mut socket = BufReader::with_capacity(READ, socket);
        socket.write_all(REQUEST).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(socket.read_u8().await?);
        }
        if !answer.starts_with(b"HTTP/1.1 101 ") {
            return Err(wrong(String::from_utf8_lossy(&answer)));
        }
        let mut peer = Self { socket, session, taken: 0 };
        if session {
            let max_frame = u64::from(u32::MAX);
            let hello =
                Hello { version: VERSION, attempt: 1, window, max_frame, ..Hello::default() };
            peer.say(Packet::Hello(Box::new(hello))).await?;
            match peer.hear().await? {
                Packet::Ready(_) => {}
                other => return Err(wrong(other.name())),
            }
        }
        Ok(peer)
    }

    /// Sends so many bytes, and hears them back.
    pub(crate) async fn echo(&mut self, size: usize) -> Result<()> {
        let bytes = vec![7; size];
        if !self.session {
            self.write(BINARY, &bytes).await?;
            let (_, echo) = self.read().await?;
            return if echo == bytes { Ok(()) } else { Err(wrong("another echo")) };
        }
        self.say(Packet::Message(Message::from(bytes.clone()))).await?;
        if *self.message().await?.bytes() != bytes {
            return Err(wrong("another echo"));
        }
        self.acknowledge().await
    }

    /// Takes the next message of a session.
    pub(crate) async fn message(&mut self) -> Result<Message> {
        loop {
            match self.hear().await? {
                Packet::Ack(_) | Packet::Ping(_) => {}
                Packet::Message(message) => {
                    self.taken += 1;
                    return Ok(message);
                }
                other => return Err(wrong(format!("{other:?}"))),
            }
        }
    }

    /// Says how many were taken.
    pub(crate) async fn acknowledge(&mut self) -> Result<()> {
        self.say(Packet::Ack(Ack { numbered: self.taken, unnumbered: 0 })).await
    }

    /// Leaves as RFC 6455 says.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.write(CLOSE, &1000_u16.to_be_bytes()).await?;
        // Whatever comes before the other's close.
        while self.read().await?.0 != CLOSE {}
        Ok(())
    }

    /// Leaves without a word, with a FIN.
    pub(crate) fn end(self) {}

    /// Leaves with an RST.
    pub(crate) fn reset(self) -> Result<()> {
        self.socket.get_ref().set_zero_linger()
    }

    async fn say(&mut self, packet: Packet) -> Result<()> {
        let Ok(Frame::Binary(bytes)) = Binary.encode(packet) else { unreachable!("it is binary") };
        self.write(BINARY, &bytes).await
    }

    async fn hear(&mut self) -> Result<Packet> {
        let (_, payload) = self.read().await?;
        Binary.decode(Frame::binary(payload)).map_err(wrong)
    }

    /// Writes a frame. Its mask is zero: as good as any other for what is not a browser.
    async fn write(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        let mut frame = vec![0x80 | kind];
        match payload.len() {
            size @ ..=125 => frame.push(0x80 | size as u8),
            size @ ..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend((size as u16).to_be_bytes());
            }
            size => {
                frame.push(0x80 | 127);
                frame.extend((size as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.socket.write_all(&frame).await
    }

    /// The next frame's kind and payload.
    async fn read(&mut self) -> Result<(u8, Vec<u8>)> {
        let kind = self.socket.read_u8().await? & 0x0f;
        let size = match self.socket.read_u8().await? {
            126 => u64::from(self.socket.read_u16().await?),
            127 => self.socket.read_u64().await?,
            size => u64::from(size),
        };
        let mut payload = vec![0; usize::try_from(size).map_err(wrong)?];
        self.socket.read_exact(&mut payload).await?;
        Ok((kind, payload))
    }
}

fn wrong(what: impl ToString) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_string())
}
