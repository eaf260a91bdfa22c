//! One connection that has come in: its request is read and answered.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, poll_fn, ready};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
#[cfg(feature = "rustls")]
use futures_io::AsyncRead;
use futures_io::AsyncWrite;
use futures_util::future::{Either, select};
use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use moorline_core::{Net, Peer, TransportError, TransportErrorKind};
use moorline_socket::Stream;

use crate::io::Io;
use crate::route::{Answer, Route, refusal};
use crate::settings::{MAX_HEADERS, Settings};

/// hyper's least buffer.
const MIN_BUFFER: usize = 8192;

/// A connection that has come in, and whose request has not been read. Dropping it closes its socket.
pub struct HttpPending<N: Net> {
    pub(crate) stream: N::Stream,
    pub(crate) address: SocketAddr,
    pub(crate) settings: Arc<Settings>,
    pub(crate) net: Arc<N>,
}

impl<N: Net> HttpPending<N> {
    /// Where the peer's connection comes from.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads the request and has it answered by `route`, within the door's limits.
    ///
    /// # Errors
    ///
    /// - [`Refused`](TransportErrorKind::Refused): the route or the door has refused it, and said so.
    /// - [`Protocol`](TransportErrorKind::Protocol), [`TooLarge`](TransportErrorKind::TooLarge): it was not HTTP, or its
    ///   head was beyond the limits; the peer was told as far as it could be.
    /// - [`Untrusted`](TransportErrorKind::Untrusted): the client refuses the door's certificate, or shows none that it must.
    /// - [`TimedOut`](TransportErrorKind::TimedOut): it did not come in time.
    /// - [`Broken`](TransportErrorKind::Broken), [`Closed`](TransportErrorKind::Closed): the peer has gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the socket.
    pub async fn handshake<R: Route>(
        self,
        route: R,
    ) -> Result<Arrived<Stream<N::Stream>, R::Accepted>, TransportError> {
        let mut timer = self.net.timer();
        timer.as_mut().reset(self.net.now() + self.settings.handshake_timeout);
        match select(pin!(self.answer(route)), timer).await {
            Either::Left((arrived, _)) => arrived,
            Either::Right(((), _)) => {
                Err(TransportError::new(TransportErrorKind::TimedOut, "no request came in time"))
            }
        }
    }

    async fn answer<R: Route>(
        self,
        route: R,
    ) -> Result<Arrived<Stream<N::Stream>, R::Accepted>, TransportError> {
        let Self { stream, address, settings, net: _ } = self;
        let stream = secure(stream, &settings).await?;
        let mut http = http1::Builder::new();
        http.header_read_timeout(None)
            .max_header_size(settings.max_header_bytes)
            .max_buf_size(settings.max_header_bytes.max(MIN_BUFFER));
        // hyper's own number needs no memory of the heap's.
        if settings.max_headers != MAX_HEADERS {
            http.max_headers(settings.max_headers);
        }
        let once = Once { route, settings, outcome: Cell::new(Outcome::Nothing) };
        let connection = http.serve_connection(Io(stream), once);
        let mut parts = connection.without_shutdown().await.map_err(failure)?;
        match parts.service.outcome.take() {
            Outcome::Accepted(request, accepted) => Ok(Arrived {
                stream: parts.io.0,
                read: parts.read_buf,
                request: *request,
                accepted,
                address,
            }),
            Outcome::Refused(status) => {
                #[cfg(feature = "tracing")]
                tracing::debug!(%address, %status, "refused");
                // Whether the peer still hears of it is its own affair.
                let _ = poll_fn(|context| Pin::new(&mut parts.io.0).poll_close(context)).await;
                Err(TransportError::refused(format!("answered with {status}")))
            }
            Outcome::Nothing => Err(TransportError::closed()),
        }
    }
}

#[cfg(feature = "rustls")]
async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    settings: &Settings,
) -> Result<Stream<S>, TransportError> {
    match &settings.tls {
        Some(tls) => tls.accept(stream).await,
        None => Ok(Stream::plain(stream)),
    }
}

#[cfg(not(feature = "rustls"))]
#[allow(clippy::unused_async, reason = "the other one is")]
async fn secure<S>(stream: S, _settings: &Settings) -> Result<Stream<S>, TransportError> {
    Ok(Stream::plain(stream))
}

impl<N: Net> fmt::Debug for HttpPending<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPending").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A connection that has left HTTP.
#[non_exhaustive]
pub struct Arrived<S, T> {
    /// The socket, bare.
    pub stream: S,
    /// What was read of it beyond the request.
    pub read: Bytes,
    /// The request.
    pub request: Parts,
    /// What the route learned.
    pub accepted: T,
    /// Where it comes from.
    pub address: SocketAddr,
}

impl<S, T> Arrived<S, T> {
    /// What is known of the peer. A header's value that is not UTF-8 is told as far as it is.
    #[must_use]
    pub fn peer(&self, transport: &'static str) -> Peer {
        let mut peer = Peer::new(transport);
        peer.address = Some(self.address.to_string());
        let path = self.request.uri.path_and_query().map_or("/", |path| path.as_str());
        peer.path = Some(path.to_owned());
        let header = |(name, value): (&http::HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        peer.headers = self.request.headers.iter().map(header).collect();
        peer
    }
}

impl<S, T> fmt::Debug for Arrived<S, T> {
    /// Leaves the request out: it may carry credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrived").field("address", &self.address).finish_non_exhaustive()
    }
}

#[derive(Default)]
enum Outcome<T> {
    #[default]
    Nothing,
    Accepted(Box<Parts>, T),
    Refused(StatusCode),
}

/// Answers the only request of a connection.
struct Once<R: Route> {
    route: R,
    settings: Arc<Settings>,
    outcome: Cell<Outcome<R::Accepted>>,
}

impl<R: Route> Once<R> {
    fn decide(&self, request: &Parts) -> Answer<R::Accepted> {
        if self.settings.path.as_deref().is_some_and(|path| path != request.uri.path()) {
            return Answer::Refuse(refusal(StatusCode::NOT_FOUND, "there is nothing here"));
        }
        if !self.settings.origins.allow(&request.headers) {
            return Answer::Refuse(refusal(StatusCode::FORBIDDEN, "this origin is not allowed"));
        }
        self.route.answer(request)
    }
}

impl<R: Route> Service<Request<Incoming>> for Once<R> {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let answer = match self.decide(&parts) {
            // What comes behind its head would be the body or the next protocol's, as it happens to be read.
            Answer::Upgrade { .. } if !body.is_end_stream() => {
                Answer::Refuse(refusal(StatusCode::BAD_REQUEST, "an upgrade has no body"))
            }
            answer => answer,
        };
        ready(Ok(match answer {
            Answer::Upgrade { response, accepted } => {
                self.outcome.set(Outcome::Accepted(Box::new(parts), accepted));
                let (mut head, ()) = response.into_parts();
                head.status = StatusCode::SWITCHING_PROTOCOLS;
                head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                Response::from_parts(head, String::new())
            }
            Answer::Refuse(mut response) => {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                self.outcome.set(Outcome::Refused(response.status()));
                response
            }
        }))
    }
}

fn failure(error: hyper::Error) -> TransportError {
    let kind = if error.is_parse_too_large() {
        TransportErrorKind::TooLarge
    } else if error.is_parse() {
        TransportErrorKind::Protocol
    } else {
        TransportErrorKind::Broken
    };
    TransportError::new(kind, error.to_string()).with_source(error)
}
