//! The client's opening handshake (RFC 6455, section 4.1).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use futures_io::{AsyncRead, AsyncWrite};
use http::{HeaderName, HeaderValue};
use moorline_core::{TransportError, TransportErrorKind};
use moorline_socket::{Address, answered};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

/// The largest head of a response in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The most headers of a response.
const MAX_HEADERS: usize = 100;

/// What is asked for.
pub(crate) struct Offer<'a> {
    pub(crate) address: &'a Address,
    pub(crate) headers: &'a [(HeaderName, HeaderValue)],
    pub(crate) protocols: Vec<&'a str>,
}

/// Shakes hands; what came behind the response.
pub(crate) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    offer: &Offer<'_>,
) -> Result<Vec<u8>, TransportError> {
    let key = generate_key();
    write_all(stream, &request(offer, &key)).await.map_err(gone)?;
    let (mut head, end) = read_head(stream).await?;
    let rest = head.split_off(end);
    check(&head, offer, &derive_accept_key(key.as_bytes()))?;
    Ok(rest)
}

fn request(offer: &Offer<'_>, key: &str) -> Vec<u8> {
    let Address { authority, target, .. } = offer.address;
    let mut request = format!(
        "GET {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    )
    .into_bytes();
    if !offer.protocols.is_empty() {
        let protocols = offer.protocols.join(", ");
        request.extend_from_slice(format!("Sec-WebSocket-Protocol: {protocols}\r\n").as_bytes());
    }
    for (name, value) in offer.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            request.extend_from_slice(part);
        }
    }
    request.extend_from_slice(b"\r\n");
    request
}

async fn write_all<S: AsyncWrite + Unpin>(stream: &mut S, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|context| Pin::new(&mut *stream).poll_write(context, bytes)).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    poll_fn(|context| Pin::new(&mut *stream).poll_flush(context)).await
}

/// Reads to the end of the head, and a little beyond it; where the head ends.
async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> Result<(Vec<u8>, usize), TransportError> {
    let mut head = Vec::new();
    loop {
        let old = head.len();
        let read = poll_fn(|context| {
            let mut chunk = [0; 1024];
            let read = Pin::new(&mut *stream).poll_read(context, &mut chunk);
            read.map_ok(|read| head.extend_from_slice(&chunk[..read]))
        });
        read.await.map_err(gone)?;
        if head.len() == old {
            return Err(gone(io::ErrorKind::UnexpectedEof.into()));
        }
        let from = old.saturating_sub(3);
        if let Some(at) = head[from..].windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok((head, from + at + 4));
        }
        if head.len() > MAX_HEAD {
            let message = "the response's head is too large";
            return Err(TransportError::new(TransportErrorKind::TooLarge, message));
        }
    }
}

fn check(head: &[u8], offer: &Offer<'_>, accept: &str) -> Result<(), TransportError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let status = match response.parse(head) {
        Ok(httparse::Status::Complete(_)) => response.code.unwrap_or(0),
        Ok(httparse::Status::Partial) => return Err(protocol("the response is not HTTP")),
        Err(error) => return Err(protocol("the response is not HTTP").with_source(error)),
    };
    let values = |name: &str| {
        let headers = response.headers.iter();
        let named = headers.filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value).collect::<Vec<_>>()
    };
    if status != 101 {
        return Err(answered(status, values("retry-after").first().copied()));
    }
    if !has_token(&values("upgrade"), "websocket") || !has_token(&values("connection"), "upgrade") {
        return Err(protocol("the response does not upgrade to WebSocket"));
    }
    if values("sec-websocket-accept") != [accept.as_bytes()] {
        return Err(protocol("the response's Sec-WebSocket-Accept is wrong"));
    }
    if !values("sec-websocket-extensions").is_empty() {
        return Err(protocol("the response has an extension that was not offered"));
    }
    let offered =
        |chosen: &&[u8]| offer.protocols.iter().any(|offered| offered.as_bytes() == *chosen);
    if !values("sec-websocket-protocol").iter().all(offered) {
        return Err(protocol("the response has a subprotocol that was not offered"));
    }
    Ok(())
}

/// Whether a header that is a list has this token.
pub(crate) fn has_token(values: &[&[u8]], token: &str) -> bool {
    values.iter().any(|value| {
        value
            .split(|&byte| byte == b',')
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

fn protocol(message: &str) -> TransportError {
    TransportError::new(TransportErrorKind::Protocol, message)
}

/// The server went away in the middle of the handshake.
fn gone(error: io::Error) -> TransportError {
    let message = format!("in the handshake: {error}");
    TransportError::new(TransportErrorKind::Broken, message).with_source(error)
}
