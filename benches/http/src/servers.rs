//! The servers that are compared: each echoes every message, on one thread.

use std::process::ExitCode;

use fastwebsockets::{Frame, OpCode, Role, WebSocket};
use futures_util::{FutureExt, SinkExt, StreamExt};
use moorline::{Codec, Raw, Server, Tokio, WebSocketAcceptor};
use moorline_core::{Acceptor, Incoming, Pending, Receiver, Sender};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// A server to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// tokio-tungstenite as its examples write it.
    Tungstenite,
    /// The same with a read buffer of 4 KiB.
    TungsteniteSmall,
    /// The same with the default buffer, flushing once for all messages that are there.
    TungsteniteBatch,
    FastWebSockets,
    /// moorline's transport without client, server, driver or machine.
    MoorlineTransport,
    MoorlineRaw,
    MoorlineBinary,
}

/// What a server speaks inside its WebSocket messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Raw,
    Binary,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Tungstenite,
        Self::TungsteniteSmall,
        Self::TungsteniteBatch,
        Self::FastWebSockets,
        Self::MoorlineTransport,
        Self::MoorlineRaw,
        Self::MoorlineBinary,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tungstenite => "tokio-tungstenite",
            Self::TungsteniteSmall => "tokio-tungstenite-4k",
            Self::TungsteniteBatch => "tokio-tungstenite-batch",
            Self::FastWebSockets => "fastwebsockets",
            Self::MoorlineTransport => "moorline-transport",
            Self::MoorlineRaw => "moorline-raw",
            Self::MoorlineBinary => "moorline-binary",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(crate) const fn speaks(self) -> Speaks {
        match self {
            Self::MoorlineBinary => Speaks::Binary,
            _ => Speaks::Raw,
        }
    }
}

/// Serves until it is killed; prints its address first.
pub(crate) fn serve(kind: Kind) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match kind {
            Kind::MoorlineTransport => transport().await,
            Kind::MoorlineRaw => moorline(Some(Raw)).await,
            Kind::MoorlineBinary => moorline::<Raw>(None).await,
            _ => others(kind).await,
        }
    });
    ExitCode::SUCCESS
}

async fn others(kind: Kind) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            // A client that goes away ends its task.
            let _gone = match kind {
                Kind::FastWebSockets => fastwebsockets(stream).await,
                _ => tungstenite(stream, kind).await,
            };
        });
    }
}

async fn tungstenite(stream: TcpStream, kind: Kind) -> Option<()> {
    let config = match kind {
        Kind::TungsteniteSmall => WebSocketConfig::default().read_buffer_size(4096),
        _ => WebSocketConfig::default(),
    };
    let socket = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await.ok()?;
    let (mut sink, mut stream) = socket.split();
    while let Some(message) = stream.next().await {
        let message = message.ok().filter(|message| !message.is_close())?;
        if kind != Kind::TungsteniteBatch {
            sink.send(message).await.ok()?;
            continue;
        }
        sink.feed(message).await.ok()?;
        while let Some(Some(Ok(message))) = stream.next().now_or_never() {
            sink.feed(message).await.ok()?;
        }
        sink.flush().await.ok()?;
    }
    Some(())
}

async fn fastwebsockets(mut stream: TcpStream) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let request = String::from_utf8(request).ok()?;
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
    let accept = derive_accept_key(key.trim().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.ok()?;
    let mut socket = WebSocket::after_handshake(stream, Role::Server);
    socket.set_auto_close(true);
    socket.set_auto_pong(true);
    loop {
        let frame = socket.read_frame().await.ok()?;
        match frame.opcode {
            // A frame of its own: the one that was read still says that it is masked.
            OpCode::Text | OpCode::Binary => {
                let echo = Frame::new(true, frame.opcode, None, frame.payload);
                socket.write_frame(echo).await.ok()?;
            }
            OpCode::Close => return Some(()),
            _ => {}
        }
    }
}

async fn transport() {
    let mut acceptor = WebSocketAcceptor::new("127.0.0.1:0", Tokio::current()).unwrap();
    Acceptor::listen(&mut acceptor).await.unwrap();
    println!("{}", Acceptor::local_address(&acceptor).unwrap());
    loop {
        let pending = acceptor.accept().await.unwrap();
        tokio::spawn(async move {
            let Ok((mut sender, mut receiver, _)) = pending.handshake().await else { return };
            while let Ok(Some(incoming)) = receiver.receive().await {
                let mut next = Some(incoming);
                while let Some(Incoming::Frame(frame)) = next {
                    if sender.send(frame).await.is_err() {
                        return;
                    }
                    next = receiver.receive().now_or_never().and_then(|more| more.ok().flatten());
                }
                if sender.flush().await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn moorline<C: Codec>(codec: Option<C>) {
    let acceptor = WebSocketAcceptor::new("127.0.0.1:0", Tokio::current()).unwrap();
    let builder = Server::builder().acceptor(acceptor).runtime(Tokio::current());
    // Room for 64 messages of 16 KiB in flight, which is more than the default window.
    let builder = builder.window(4 << 20).queue(4 << 20);
    let server = match codec {
        Some(codec) => builder.codec(codec).build(),
        None => builder.build(),
    };
    server.on_connect(async |connection| {
        while let Some(message) = connection.next_message().await {
            connection.send(message).await?;
        }
        Ok(())
    });
    let printing = async {
        while server.local_address().is_none() {
            tokio::task::yield_now().await;
        }
        println!("{}", server.local_address().unwrap());
    };
    let (result, ()) = futures_util::future::join(server.run(), printing).await;
    result.unwrap();
}
