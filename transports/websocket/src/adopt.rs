//! Halves over a socket that somebody else has opened: tokio-tungstenite, async-tungstenite, or anything else that is a
//! `Stream` and a `Sink` of tungstenite's messages. For TLS, proxies and servers that this crate does not do.
//!
//! ```
//! use moorline_core::{ConnectRequest, Transport, TransportError};
//! use moorline_websocket::adopt::{AdoptedReceiver, AdoptedSender, adopt, config};
//! use tokio::net::TcpStream;
//! use tokio_tungstenite::{WebSocketStream, client_async_with_config};
//!
//! /// Connects through tokio-tungstenite.
//! struct Tunnelled(String);
//!
//! impl Transport for Tunnelled {
//!     type Sender = AdoptedSender<WebSocketStream<TcpStream>>;
//!     type Receiver = AdoptedReceiver<WebSocketStream<TcpStream>>;
//!     async fn connect(
//!         &self,
//!         request: &ConnectRequest,
//!     ) -> Result<(Self::Sender, Self::Receiver), TransportError> {
//!         let tunnel = TcpStream::connect(&self.0).await?;
//!         let url = format!("ws://{}/", self.0);
//!         let config = Some(config(request.max_frame));
//!         match client_async_with_config(url, tunnel, config).await {
//!             Ok((socket, _)) => Ok(adopt(socket)),
//!             Err(error) => Err(TransportError::unreachable(error.to_string()).with_source(error)),
//!         }
//!     }
//! }
//! ```
//!
//! Poll both halves in one task, as moorline's driver does: such a socket remembers one waker that waits to write.
//!
//! It costs more than [`WebSocket`](crate::WebSocket): the buffers are tungstenite's, and a write buffer that has grown stays
//! as it is. Open the socket with [`config`], and payloads above 16 KiB go out as fragments, so that it does not grow far.

mod meaning;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use moorline_core::{
    CloseFrame, Frame, Incoming, Receiver, Sender, TransportError, TransportErrorKind,
};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::Frame as Fragment;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Error, Message, Utf8Bytes};

use self::meaning::{close_code, ended, failure, outgoing, received};

/// tungstenite's read buffer: it is zeroed and held for each connection.
const READ_BUFFER: usize = 4096;

/// The largest piece of a message, and tungstenite's write buffer.
const PIECE: usize = 16 * 1024;

/// A socket of tungstenite's messages.
pub trait Socket:
    Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Send + Unpin + 'static
{
}

impl<T> Socket for T where
    T: Stream<Item = Result<Message, Error>>
        + Sink<Message, Error = Error>
        + Send
        + Unpin
        + 'static
{
}

/// How to open a socket that is to be adopted: small buffers, and messages of at most `max_frame` bytes.
#[must_use]
pub fn config(max_frame: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(PIECE)
        .max_write_buffer_size(4 * PIECE)
        .max_message_size(Some(max_frame))
        .max_frame_size(Some(max_frame))
}

/// The halves of a socket that is open.
#[must_use]
pub fn adopt<T: Socket>(socket: T) -> (AdoptedSender<T>, AdoptedReceiver<T>) {
    let socket = Shared(Arc::new(Mutex::new(socket)));
    (
        AdoptedSender { socket: socket.clone() },
        AdoptedReceiver { socket, ending: None, over: false },
    )
}

/// A socket is polled under its lock, and nobody waits holding that; it knows who waits to read and who to write.
struct Shared<T>(Arc<Mutex<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Socket> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_send(
        &self,
        context: &mut Context<'_>,
        message: &mut Option<Message>,
    ) -> Poll<Result<(), Error>> {
        let mut socket = self.lock();
        ready!(Pin::new(&mut *socket).poll_ready(context))?;
        Poll::Ready(match message.take() {
            Some(message) => Pin::new(&mut *socket).start_send(message),
            None => Ok(()),
        })
    }

    async fn send(&self, message: Message) -> Result<(), TransportError> {
        let mut message = Some(message);
        poll_fn(|context| self.poll_send(context, &mut message)).await.map_err(failure)
    }
}

/// The half of an adopted socket that sends. As [`WebSocketSender`](crate::WebSocketSender), except that payloads above
/// 16 KiB are sent in fragments.
///
/// # Errors
///
/// Text that is not UTF-8 fails as [`Protocol`](TransportErrorKind::Protocol).
///
/// # Cancel safety
///
/// A `send` that is dropped before its end may have sent a part of its frame: drop the half with it.
pub struct AdoptedSender<T> {
    socket: Shared<T>,
}

impl<T: Socket> Sender for AdoptedSender<T> {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        let kind = if matches!(frame, Frame::Text(_)) { Data::Text } else { Data::Binary };
        if frame.len() > PIECE {
            return self.send_in_pieces(kind, frame.into_payload()).await;
        }
        self.socket
            .send(match frame {
                Frame::Binary(payload) => Message::Binary(payload),
                Frame::Text(payload) => {
                    Message::Text(Utf8Bytes::try_from(payload).map_err(|error| {
                        let message = "text to send is not UTF-8";
                        TransportError::new(TransportErrorKind::Protocol, message)
                            .with_source(error)
                    })?)
                }
            })
            .await
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        let flushed = poll_fn(|context| Pin::new(&mut *self.socket.lock()).poll_flush(context));
        flushed.await.map_err(failure)
    }

    async fn ping(&mut self) -> Result<(), TransportError> {
        self.socket.send(Message::Ping(Bytes::new())).await
    }

    async fn close(&mut self, close: CloseFrame) -> Result<(), TransportError> {
        self.socket.send(Message::Close(outgoing(close))).await?;
        self.flush().await
    }
}

impl<T: Socket> AdoptedSender<T> {
    async fn send_in_pieces(
        &self,
        mut kind: Data,
        mut payload: Bytes,
    ) -> Result<(), TransportError> {
        while !payload.is_empty() {
            let piece = payload.split_to(payload.len().min(PIECE));
            let fragment = Fragment::message(piece, OpCode::Data(kind), payload.is_empty());
            self.socket.send(Message::Frame(fragment)).await?;
            kind = Data::Continue;
        }
        Ok(())
    }
}

impl<T> fmt::Debug for AdoptedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdoptedSender").finish_non_exhaustive()
    }
}

/// The half of an adopted socket that receives. As [`WebSocketReceiver`](crate::WebSocketReceiver); its limit is the
/// socket's own [configuration](config), and a ping is answered when `receive` is called again.
pub struct AdoptedReceiver<T> {
    socket: Shared<T>,
    ending: Option<Result<CloseFrame, TransportError>>,
    over: bool,
}

type Received = Result<Option<Incoming>, TransportError>;

impl<T: Socket> AdoptedReceiver<T> {
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Received> {
        let mut socket = self.socket.lock();
        while !self.over && self.ending.is_none() {
            let incoming = match ready!(Pin::new(&mut *socket).poll_next(context)) {
                None => {
                    self.over = true;
                    break;
                }
                Some(Ok(Message::Text(text))) => Incoming::Frame(Frame::Text(text.into())),
                Some(Ok(Message::Binary(payload))) => Incoming::Frame(Frame::Binary(payload)),
                // tungstenite writes a ping's answer when it is read from again.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Incoming::Activity,
                Some(Ok(Message::Frame(_))) => continue,
                Some(Ok(Message::Close(close))) => {
                    self.ending = Some(Ok(received(close)));
                    continue;
                }
                Some(Err(error)) => match close_code(&error) {
                    None => {
                        self.over = true;
                        return Poll::Ready(ended(error));
                    }
                    Some(code) => {
                        let close = CloseFrame::new(code, error.to_string());
                        // Where it cannot be sent, the peer learns it from the end.
                        let _ = Pin::new(&mut *socket).start_send(Message::Close(outgoing(close)));
                        self.ending = Some(Err(failure(error)));
                        continue;
                    }
                },
            };
            return Poll::Ready(Ok(Some(incoming)));
        }
        if self.ending.is_some() {
            let _ = ready!(Pin::new(&mut *socket).poll_flush(context));
        }
        self.over = true;
        Poll::Ready(match self.ending.take() {
            Some(Ok(close)) => Ok(Some(Incoming::Close(close))),
            Some(Err(error)) => Err(error),
            None => Ok(None),
        })
    }
}

impl<T: Socket> Receiver for AdoptedReceiver<T> {
    async fn receive(&mut self) -> Received {
        poll_fn(|context| self.poll_receive(context)).await
    }
}

impl<T> fmt::Debug for AdoptedReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdoptedReceiver").finish_non_exhaustive()
    }
}
