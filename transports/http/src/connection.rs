//! HTTP on one connection, until one of its requests takes the socket.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::io::AsyncWriteExt;
use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use moorline_core::{BoxFuture, TransportError};

use crate::io::{Io, failure};
use crate::requests::{Requests, last, share};
use crate::route::{Answer, Arrived, Route, Socket};
use crate::settings::MAX_HEADERS;

/// hyper's least buffer.
const MIN_BUFFER: usize = 8192;

pub(crate) struct Connection<S, R: Route> {
    /// `None` once a request has taken the socket.
    state: Option<State<S, R>>,
    asked: Asked<R>,
}

enum State<S, R: Route> {
    Speaking(Box<Http<S, R>>),
    /// Nothing has come for a while: hyper's buffers are given back.
    Resting(S),
}

type Http<S, R> = http1::Connection<Io<Rewound<S>>, Asked<R>>;

/// What happens on a connection.
pub(crate) enum Event<S, T> {
    /// A request has taken the socket.
    Taken(Box<Arrived<S, T>>),
    /// A request of a link's has come. Its answer is an event of its own.
    Asked,
    /// A request was answered; more may come until that ends.
    Answered(BoxFuture<'static, ()>),
    /// A request was answered, and none comes after it.
    Refused(StatusCode),
    /// The peer has ended it.
    Over,
}

impl<S: Socket, R: Route> Connection<S, R> {
    pub(crate) fn new(stream: S, address: SocketAddr, requests: Arc<Requests<R>>) -> Self {
        let asked = Asked { address, requests, news: Arc::default() };
        let state = Some(speak(&asked, stream, Bytes::new()));
        Self { state, asked }
    }

    /// Gives back what an idle connection does not need, if nothing is under way.
    pub(crate) fn rest(&mut self) {
        let nothing = {
            let state = self.asked.lock();
            matches!(state.news, News::Nothing) && !state.busy && !state.over
        };
        if !nothing {
            return;
        }
        self.state = match self.state.take() {
            Some(State::Speaking(http)) => {
                let (stream, read) = parts(*http);
                Some(match read.is_empty() {
                    true => State::Resting(stream),
                    // The beginning of a request.
                    false => speak(&self.asked, stream, read),
                })
            }
            other => other,
        };
    }

    /// Whether a request is being answered.
    pub(crate) fn is_busy(&self) -> bool {
        self.asked.lock().busy
    }

    /// Waits for what happens next. After an error, and what takes, refuses or ends, nothing does.
    pub(crate) async fn next(&mut self) -> Result<Event<S, R::Accepted>, TransportError> {
        let over = poll_fn(|context| {
            let Self { state, asked } = self;
            if let Some(State::Resting(stream)) = state {
                let mut chunk = [0; 1024];
                let read = ready!(Pin::new(stream).poll_read(context, &mut chunk))?;
                let Some(State::Resting(stream)) = state.take() else {
                    return Poll::Ready(Ok(None));
                };
                if read > 0 {
                    *state = Some(speak(asked, stream, Bytes::copy_from_slice(&chunk[..read])));
                }
            }
            let Some(State::Speaking(http)) = state else { return Poll::Ready(Ok(None)) };
            let polled = http.poll_without_shutdown(context);
            let mut state = asked.lock();
            match (&state.news, polled) {
                (News::Upgrade(..) | News::Nothing | News::Refused(_), Poll::Pending) => {
                    Poll::Pending
                }
                (_, Poll::Ready(Err(error))) => Poll::Ready(Err(failure(error))),
                (_, polled) => {
                    state.over |= polled.is_ready();
                    Poll::Ready(Ok(Some(std::mem::take(&mut state.news))))
                }
            }
        });
        let Some(news) = over.await? else { return Ok(Event::Over) };
        Ok(match news {
            News::Asked => Event::Asked,
            News::Answered(linger) if !self.asked.lock().over => Event::Answered(linger),
            News::Answered(_) => Event::Over,
            News::Nothing => Event::Over,
            News::Refused(status) => {
                if let Some(State::Speaking(http)) = self.state.take() {
                    // Whether the peer still hears of it is its own affair.
                    let _ = parts(*http).0.close().await;
                }
                Event::Refused(status)
            }
            News::Upgrade(request, accepted) => self.take(*request, accepted),
            News::Stream(request, accepted, head) => {
                let mut event = self.take(*request, accepted);
                if let Event::Taken(arrived) = &mut event {
                    arrived.stream.write_all(&head).await?;
                    arrived.stream.flush().await?;
                }
                event
            }
        })
    }

    fn take(&mut self, request: Parts, accepted: R::Accepted) -> Event<S, R::Accepted> {
        let Some(State::Speaking(http)) = self.state.take() else { return Event::Over };
        let address = Some(self.asked.address);
        let (stream, read) = parts(*http);
        Event::Taken(Box::new(Arrived { stream, read, request, accepted, address }))
    }
}

/// Begins with HTTP on a stream of which that was read.
fn speak<S: Socket, R: Route>(asked: &Asked<R>, stream: S, read: Bytes) -> State<S, R> {
    let settings = &asked.requests.settings;
    let mut http = http1::Builder::new();
    http.header_read_timeout(None)
        .max_header_size(settings.max_header_bytes)
        .max_buf_size(settings.max_header_bytes.max(MIN_BUFFER));
    // hyper's own number needs no memory of the heap's.
    if settings.max_headers != MAX_HEADERS {
        http.max_headers(settings.max_headers);
    }
    let stream = Io(Rewound { read, stream });
    State::Speaking(Box::new(http.serve_connection(stream, asked.clone())))
}

/// The stream, and what was read of it and not understood.
fn parts<S: Socket, R: Route>(http: Http<S, R>) -> (S, Bytes) {
    let parts = http.into_parts();
    let Rewound { read, stream } = parts.io.0;
    let read = match (parts.read_buf.is_empty(), read.is_empty()) {
        (_, true) => parts.read_buf,
        (true, false) => read,
        (false, false) => [parts.read_buf, read].concat().into(),
    };
    (stream, read)
}

/// A stream of which something was read already.
struct Rewound<S> {
    read: Bytes,
    stream: S,
}

impl<S: Socket> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = self.read.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.read.split_to(count));
        Poll::Ready(Ok(count))
    }
}

impl<S: Socket> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

/// What the requests of a connection have led to.
struct Outcome<T> {
    news: News<T>,
    busy: bool,
    over: bool,
}

impl<T> Default for Outcome<T> {
    fn default() -> Self {
        Self { news: News::Nothing, busy: false, over: false }
    }
}

#[derive(Default)]
enum News<T> {
    #[default]
    Nothing,
    /// The response to it is being sent.
    Upgrade(Box<Parts>, T),
    /// The response's head is to be sent.
    Stream(Box<Parts>, T, Bytes),
    Asked,
    Answered(BoxFuture<'static, ()>),
    /// The response is being sent.
    Refused(StatusCode),
}

/// hyper's way to the requests.
struct Asked<R: Route> {
    address: SocketAddr,
    requests: Arc<Requests<R>>,
    news: Arc<Mutex<Outcome<R::Accepted>>>,
}

impl<R: Route> Clone for Asked<R> {
    fn clone(&self) -> Self {
        let (requests, news) = (self.requests.clone(), self.news.clone());
        Self { address: self.address, requests, news }
    }
}

impl<R: Route> Asked<R> {
    fn lock(&self) -> MutexGuard<'_, Outcome<R::Accepted>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, news: News<R::Accepted>) {
        let mut state = self.lock();
        state.busy = matches!(news, News::Asked);
        state.news = news;
    }

    async fn answer(self, request: Request<Incoming>) -> Response<String> {
        let (mut parts, body) = request.into_parts();
        let decision = self.requests.decide(&parts, body.is_end_stream());
        let shared = decision.shared;
        match decision.answer {
            Answer::Upgrade { response, accepted } => {
                self.tell(News::Upgrade(Box::new(parts), accepted));
                let (mut head, ()) = response.into_parts();
                head.status = StatusCode::SWITCHING_PROTOCOLS;
                head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                Response::from_parts(head, String::new())
            }
            Answer::Stream { mut response, accepted } => {
                share(response.headers_mut(), shared);
                last(response.headers_mut());
                self.tell(News::Stream(Box::new(parts), accepted, head(&response)));
                // The socket is taken from here.
                std::future::pending().await
            }
            Answer::Body { limit, stranger, permit } => {
                if !stranger {
                    self.tell(News::Asked);
                }
                self.lock().busy = true;
                parts.extensions.insert(self.address);
                let reply = self.requests.respond(parts, body, limit).await;
                drop(permit);
                let mut response = reply.response;
                share(response.headers_mut(), shared);
                match reply.linger {
                    Some(linger) => self.tell(News::Answered(linger)),
                    None => self.end(&mut response),
                }
                response
            }
            Answer::Refuse(mut response) => {
                share(response.headers_mut(), shared);
                self.end(&mut response);
                response
            }
        }
    }

    fn end(&self, response: &mut Response<String>) {
        last(response.headers_mut());
        self.tell(News::Refused(response.status()));
    }
}

impl<R: Route> Service<Request<Incoming>> for Asked<R> {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let asked = self.clone();
        Box::pin(async { Ok(asked.answer(request).await) })
    }
}

/// The head of a response whose body goes on to the connection's end (RFC 9112, section 6.3).
fn head(response: &Response<()>) -> Bytes {
    let mut head = BytesMut::with_capacity(256);
    head.put_slice(b"HTTP/1.1 ");
    head.put_slice(response.status().as_str().as_bytes());
    head.put_slice(b" ");
    let reason = response.status().canonical_reason().unwrap_or_default();
    head.put_slice(reason.as_bytes());
    head.put_slice(b"\r\n");
    for (name, value) in response.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.put_slice(part);
        }
    }
    head.put_slice(b"\r\n");
    head.freeze()
}
