//! A transport of one's own: Unix-domain sockets, for two programs on one machine. It needs `moorline-core` alone (and a runtime's
//! sockets, here tokio's).
//!
//! ```text
//! cargo run --example custom_transport
//! ```
//!
//! A frame is a kind (text, binary, close), its length in four bytes, and its bytes. `tests/custom_transport.rs` plays the
//! conformance kit against it.

use std::path::PathBuf;

use moorline::{Client, Server, Tokio};
use moorline_core::{
    Acceptor, CloseFrame, ConnectRequest, Frame, Incoming, Peer, Pending, Receiver, Sender,
    Transport, TransportError, TransportErrorKind,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

pub(crate) struct Unix(pub(crate) PathBuf);
pub(crate) struct UnixSender(BufWriter<OwnedWriteHalf>);
pub(crate) struct UnixReceiver(BufReader<OwnedReadHalf>, usize);

fn halves(stream: UnixStream, max_frame: usize) -> (UnixSender, UnixReceiver) {
    let (read, write) = stream.into_split();
    (UnixSender(BufWriter::new(write)), UnixReceiver(BufReader::new(read), max_frame))
}

impl Transport for Unix {
    type Sender = UnixSender;
    type Receiver = UnixReceiver;

    async fn connect(
        &self,
        request: &ConnectRequest,
    ) -> Result<(UnixSender, UnixReceiver), TransportError> {
        let stream = UnixStream::connect(&self.0).await;
        let stream = stream.map_err(|error| TransportError::unreachable(error.to_string()))?;
        Ok(halves(stream, request.max_frame))
    }
}

impl UnixSender {
    async fn put(&mut self, kind: u8, payload: &[u8]) -> Result<(), TransportError> {
        self.0.write_u8(kind).await?;
        self.0.write_u32(payload.len() as u32).await?;
        Ok(self.0.write_all(payload).await?)
    }
}

impl Sender for UnixSender {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        let kind = if matches!(frame, Frame::Text(_)) { 0 } else { 1 };
        self.put(kind, frame.payload()).await
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        Ok(self.0.flush().await?)
    }

    async fn close(&mut self, close: CloseFrame) -> Result<(), TransportError> {
        let payload = [&close.code.to_be_bytes(), close.reason.as_bytes()].concat();
        self.put(2, &payload).await?;
        self.flush().await
    }
}

impl Receiver for UnixReceiver {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        let Ok(kind) = self.0.read_u8().await else { return Ok(None) };
        let length = self.0.read_u32().await? as usize;
        if length > self.1 {
            let message = format!("a frame of {length} bytes");
            return Err(TransportError::new(TransportErrorKind::TooLarge, message));
        }
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await?;
        let wrong = || TransportError::new(TransportErrorKind::Protocol, "not one of our frames");
        Ok(Some(match (kind, payload) {
            (0, text) => {
                Incoming::Frame(Frame::text(String::from_utf8(text).map_err(|_| wrong())?))
            }
            (1, bytes) => Incoming::Frame(Frame::binary(bytes)),
            (2, close) => {
                let (code, reason) = close.split_first_chunk().ok_or_else(wrong)?;
                let reason = String::from_utf8_lossy(reason);
                Incoming::Close(CloseFrame::new(u16::from_be_bytes(*code), reason))
            }
            _ => return Err(wrong()),
        }))
    }
}

/// The server's side. A frame of a client's may have a megabyte and an envelope.
pub(crate) struct UnixAcceptor(pub(crate) PathBuf, pub(crate) Option<UnixListener>);
pub(crate) struct UnixPending(UnixStream);

impl Acceptor for UnixAcceptor {
    type Pending = UnixPending;

    async fn listen(&mut self) -> Result<(), TransportError> {
        self.1 = Some(UnixListener::bind(&self.0)?);
        Ok(())
    }

    async fn accept(&mut self) -> Result<UnixPending, TransportError> {
        let listener = self.1.as_ref().ok_or_else(TransportError::closed)?;
        Ok(UnixPending(listener.accept().await?.0))
    }

    fn close(&mut self) {
        if self.1.take().is_some() {
            // Whoever comes finds nobody; what else became of the file is not ours.
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

impl Drop for UnixAcceptor {
    fn drop(&mut self) {
        self.close();
    }
}

impl Pending for UnixPending {
    type Sender = UnixSender;
    type Receiver = UnixReceiver;

    async fn handshake(self) -> Result<(UnixSender, UnixReceiver, Peer), TransportError> {
        let (sender, receiver) = halves(self.0, ConnectRequest::MAX_FRAME);
        Ok((sender, receiver, Peer::new("unix")))
    }
}

#[allow(dead_code, reason = "the test of the kit has another one")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("moorline-{}.sock", std::process::id()));
    let server = Server::builder()
        .acceptor(UnixAcceptor(path.clone(), None))
        .runtime(Tokio::current())
        .build();
    server.on_connect(async |connection| {
        while let Some(message) = connection.next_message().await {
            connection.send(message).await?;
        }
        Ok(())
    });
    server.start().await?;

    let client = Client::builder().transport(Unix(path)).runtime(Tokio::current()).build();
    let connection = client.connect().await?;
    connection.send("hello by a socket of our own").await?;
    if let Some(message) = connection.next_message().await {
        println!("{message}");
    }
    server.stop().await?;
    Ok(())
}
