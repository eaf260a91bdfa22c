//! What becomes of a request.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use http::header::{CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use moorline_core::{
    BoxFuture, Capabilities, ConnectRequest, Peer, Receiver, Runtime, Sender, TransportError,
};

/// A stream of bytes that links are made of.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Socket for S {}

/// What speaks HTTP first and carries links then. Its values are handles of one thing: each connection has a clone.
///
/// ```
/// use moorline_core::{Capabilities, Peer, TransportError};
/// use moorline_http::http::request::Parts;
/// use moorline_http::http::{Response, StatusCode, header::UPGRADE};
/// use moorline_http::{Answer, Arrived, Host, Route, Socket, refusal};
/// # use moorline_core::{CloseFrame, Frame, Incoming, Receiver, Sender};
/// # struct ShopSender<S>(S); struct ShopReceiver<S>(std::marker::PhantomData<S>);
/// # impl<S: Socket> Sender for ShopSender<S> {
/// #     async fn send(&mut self, _: Frame) -> Result<(), TransportError> { Ok(()) }
/// #     async fn close(&mut self, _: CloseFrame) -> Result<(), TransportError> { Ok(()) }
/// # }
/// # impl<S: Socket> Receiver for ShopReceiver<S> {
/// #     async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> { Ok(None) }
/// # }
///
/// /// Takes what wants to speak a protocol of our own.
/// #[derive(Clone)]
/// struct Shop;
///
/// impl Route for Shop {
///     type Accepted = ();
///     type Sender<S: Socket> = ShopSender<S>;
///     type Receiver<S: Socket> = ShopReceiver<S>;
///
///     fn is_for(&self, request: &Parts) -> bool {
///         request.headers.get(UPGRADE).is_some_and(|name| name == "shop/1")
///     }
///     fn answer(&self, request: &Parts, _host: &Host) -> Answer<()> {
///         if !self.is_for(request) {
///             return Answer::Refuse(refusal(StatusCode::UPGRADE_REQUIRED, "this is a shop"));
///         }
///         let mut response = Response::new(());
///         response.headers_mut().insert(UPGRADE, "shop/1".parse().expect("it is a token"));
///         Answer::Upgrade { response, accepted: () }
///     }
///     fn link<S: Socket>(
///         &self,
///         arrived: Arrived<S, ()>,
///         _host: &Host,
///     ) -> Result<(ShopSender<S>, ShopReceiver<S>, Peer), TransportError> {
///         let peer = arrived.peer("shop");
///         Ok((ShopSender(arrived.stream), ShopReceiver(std::marker::PhantomData), peer))
///     }
///     fn capabilities(&self) -> Capabilities {
///         Capabilities::default()
///     }
/// }
/// ```
pub trait Route: Clone + Send + Sync + 'static {
    /// What it learns about a request that becomes a link.
    type Accepted: Send + 'static;
    /// The half of a link that sends.
    type Sender<S: Socket>: Sender;
    /// The half of a link that receives.
    type Receiver<S: Socket>: Receiver;

    /// Whether the request is one of its kind, right or wrong. Only asked where several routes share a door.
    fn is_for(&self, request: &Parts) -> bool;

    /// What to do with a request, by its head.
    fn answer(&self, request: &Parts, host: &Host) -> Answer<Self::Accepted>;

    /// Answers a request whose [body](Answer::Body) has been read. Its extension of the type [`SocketAddr`] says where it comes
    /// from, if that is known. The future is dropped when the connection breaks.
    fn respond(
        &self,
        request: Parts,
        body: Bytes,
        host: &Host,
    ) -> impl Future<Output = Reply> + Send {
        let _ = (request, body, host);
        async { Reply::last(refusal(StatusCode::NOT_FOUND, "there is nothing here")) }
    }

    /// Makes the two halves of a link.
    ///
    /// # Errors
    ///
    /// When the link has ended before it began.
    fn link<S: Socket>(
        &self,
        arrived: Arrived<S, Self::Accepted>,
        host: &Host,
    ) -> Result<Halves<Self, S>, TransportError>;

    /// What its links can do.
    fn capabilities(&self) -> Capabilities;

    /// New links are refused from now on, those that are open live on; or taken in again.
    fn close(&self, closed: bool) {
        let _ = closed;
    }
}

/// What a route makes a link of.
pub type Halves<R, S> = (<R as Route>::Sender<S>, <R as Route>::Receiver<S>, Peer);

/// A place among those whose requests are answered at once.
pub type Permit = Box<dyn Any + Send>;

/// What becomes of a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer<T> {
    /// The socket leaves HTTP after this response. Its status becomes 101 whatever it says.
    Upgrade {
        /// The headers to send; `Connection: upgrade` is added.
        response: Response<()>,
        /// What was learned.
        accepted: T,
    },
    /// What the link sends is the response's body, up to the connection's end; what it receives is nothing.
    Stream {
        /// The head to send; `Connection: close` is added.
        response: Response<()>,
        /// What was learned.
        accepted: T,
    },
    /// The body is read, and [`Route::respond`] answers.
    Body {
        /// The largest body in bytes; beyond it 413.
        limit: usize,
        /// It is a stranger's: the handshake's time and place are its, too.
        stranger: bool,
        /// Dropped once the request has been answered, or given up.
        permit: Option<Permit>,
    },
    /// This response is sent, and the connection is closed.
    Refuse(Response<String>),
}

/// An answer to a request with a body.
pub struct Reply {
    pub(crate) response: Response<String>,
    pub(crate) linger: Option<BoxFuture<'static, ()>>,
}

impl Reply {
    /// That response, after which the connection is closed.
    #[must_use]
    pub const fn last(response: Response<String>) -> Self {
        Self { response, linger: None }
    }

    /// That response; the connection is kept for further requests until the future ends.
    pub fn keep(
        response: Response<String>,
        linger: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self { response, linger: Some(Box::pin(linger)) }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.response.status();
        f.debug_struct("Reply").field("status", &status).finish_non_exhaustive()
    }
}

/// What a route is told of where it stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Host {
    /// Tasks, timers and randomness.
    pub runtime: Arc<dyn Runtime>,
    /// The largest frame in bytes that a link takes.
    pub max_frame: usize,
    /// The largest first frame in bytes that a link takes.
    pub max_first_frame: usize,
}

impl Host {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime, max_frame: ConnectRequest::MAX_FRAME, max_first_frame: usize::MAX }
    }
}

/// A request that becomes a link.
#[non_exhaustive]
pub struct Arrived<S, T> {
    /// The stream, bare.
    pub stream: S,
    /// What was read of it beyond the request.
    pub read: Bytes,
    /// The request.
    pub request: Parts,
    /// What the route learned.
    pub accepted: T,
    /// Where it comes from, as far as is known.
    pub address: Option<SocketAddr>,
}

impl<S, T> Arrived<S, T> {
    /// What is known of the peer. A header's value that is not UTF-8 is told as far as it is.
    #[must_use]
    pub fn peer(&self, transport: &'static str) -> Peer {
        peer(transport, &self.request, self.address)
    }
}

impl<S, T> fmt::Debug for Arrived<S, T> {
    /// Leaves the request out: it may carry credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrived").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What a request says of its sender.
#[must_use]
pub fn peer(transport: &'static str, request: &Parts, address: Option<SocketAddr>) -> Peer {
    let mut peer = Peer::new(transport);
    peer.address = address.map(|address| address.to_string());
    let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
    peer.path = Some(path.to_owned());
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    peer.headers = request.headers.iter().map(header).collect();
    peer
}

/// A refusal with a line of text for people.
#[must_use]
pub fn refusal(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(format!("{text}\n"));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
