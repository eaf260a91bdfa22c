//! HTTP on one connection, until one of its requests takes the socket.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use bytes::{BufMut, Bytes, BytesMut};
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
    /// Until a request has taken the socket.
    http: Option<http1::Connection<Io<S>, Asked<R>>>,
    asked: Asked<R>,
}

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
        let settings = &requests.settings;
        let mut http = http1::Builder::new();
        http.header_read_timeout(None)
            .max_header_size(settings.max_header_bytes)
            .max_buf_size(settings.max_header_bytes.max(MIN_BUFFER));
        // hyper's own number needs no memory of the heap's.
        if settings.max_headers != MAX_HEADERS {
            http.max_headers(settings.max_headers);
        }
        let asked = Asked { address, requests, news: Arc::default() };
        let http = http.serve_connection(Io(stream), asked.clone());
        Self { http: Some(http), asked }
    }

    /// Whether a request is being answered.
    pub(crate) fn is_busy(&self) -> bool {
        self.asked.lock().busy
    }

    /// Waits for what happens next. After an error, and what takes, refuses or ends, nothing does.
    pub(crate) async fn next(&mut self) -> Result<Event<S, R::Accepted>, TransportError> {
        let over = poll_fn(|context| {
            let Some(http) = &mut self.http else { return Poll::Ready(Ok(None)) };
            let polled = http.poll_without_shutdown(context);
            let mut state = self.asked.lock();
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
                if let Some(http) = self.http.take() {
                    // Whether the peer still hears of it is its own affair.
                    let _ = http.into_parts().io.0.close().await;
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
        let Some(http) = self.http.take() else { return Event::Over };
        let parts = http.into_parts();
        let address = Some(self.asked.address);
        let (stream, read) = (parts.io.0, parts.read_buf);
        Event::Taken(Box::new(Arrived { stream, read, request, accepted, address }))
    }
}

/// What the requests of a connection have led to.
struct State<T> {
    news: News<T>,
    busy: bool,
    over: bool,
}

impl<T> Default for State<T> {
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
    news: Arc<Mutex<State<R::Accepted>>>,
}

impl<R: Route> Clone for Asked<R> {
    fn clone(&self) -> Self {
        let (requests, news) = (self.requests.clone(), self.news.clone());
        Self { address: self.address, requests, news }
    }
}

impl<R: Route> Asked<R> {
    fn lock(&self) -> MutexGuard<'_, State<R::Accepted>> {
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
            Answer::Body { limit, stranger } => {
                if !stranger {
                    self.tell(News::Asked);
                }
                self.lock().busy = true;
                parts.extensions.insert(self.address);
                let reply = self.requests.respond(parts, body, limit).await;
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
