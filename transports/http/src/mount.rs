//! A route inside somebody else's HTTP server.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::StreamExt;
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Body;
use hyper::upgrade::OnUpgrade;
use moorline_core::{
    Acceptor, BoxFuture, Capabilities, Pending, Runtime, TransportError, TransportErrorKind,
};

use crate::mounted::{Mounted, MountedBody, pipe};
use crate::requests::{Requests, share};
use crate::route::{Answer, Arrived, Halves, Host, Route, refusal};
use crate::settings::Settings;

/// How many links may wait to be accepted; beyond it 503.
const WAITING: usize = 1024;

/// A route inside an HTTP server that is not ours: a [`tower_service::Service`], and one of hyper's. Cheap to clone.
///
/// It answers every request that it is given; which path leads to it is the router's affair. The server must let connections be
/// upgraded for WebSockets (axum does; with hyper by itself: `with_upgrades`). A request's extension of the type
/// [`SocketAddr`], if there is one, is the peer's address.
///
/// While the [`MountedAcceptor`] does not listen it answers 503.
pub struct HttpService<R: Route> {
    shared: Arc<Shared<R>>,
}

/// What the service takes in. Give it to a server.
pub struct MountedAcceptor<R: Route> {
    shared: Arc<Shared<R>>,
    arrivals: mpsc::Receiver<MountedPending<R>>,
}

struct Shared<R: Route> {
    requests: Arc<Requests<R>>,
    arrivals: Mutex<Arrivals<R>>,
}

struct Arrivals<R: Route> {
    sender: mpsc::Sender<MountedPending<R>>,
    listening: bool,
}

/// The two ends of a mounted route: one for the HTTP server that it is mounted in, and one for moorline's.
///
/// Its settings are those that an [`HttpDoor`](crate::HttpDoor) has: see [`Mount`].
#[derive(Clone, Debug)]
#[must_use = "build() gives the two ends"]
pub struct Mount {
    settings: Settings,
    host: Host,
}

impl Mount {
    /// Of a server that runs on this runtime.
    pub fn new(runtime: impl Runtime) -> Self {
        Self { settings: Settings::default(), host: Host::new(Arc::new(runtime)) }
    }

    /// See [`HttpDoor::allow_origin`](crate::HttpDoor::allow_origin).
    pub fn allow_origin(mut self, origin: impl AsRef<str>) -> Self {
        self.settings.origins.list(origin.as_ref());
        self
    }

    /// See [`HttpDoor::allow_any_origin`](crate::HttpDoor::allow_any_origin).
    pub fn allow_any_origin(mut self) -> Self {
        self.settings.origins.any = true;
        self
    }

    /// See [`HttpAcceptor::max_frame`](crate::HttpAcceptor::max_frame).
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.host.max_frame = bytes;
        self
    }

    /// See [`HttpAcceptor::max_first_frame`](crate::HttpAcceptor::max_first_frame).
    pub fn max_first_frame(mut self, bytes: usize) -> Self {
        self.host.max_first_frame = bytes;
        self
    }

    /// The two ends.
    pub fn build<R: Route>(self, route: R) -> (HttpService<R>, MountedAcceptor<R>) {
        let (sender, arrivals) = mpsc::channel(WAITING);
        let (settings, host) = (Arc::new(self.settings), Arc::new(self.host));
        let shared = Arc::new(Shared {
            requests: Arc::new(Requests { route, settings, host }),
            arrivals: Mutex::new(Arrivals { sender, listening: false }),
        });
        (HttpService { shared: shared.clone() }, MountedAcceptor { shared, arrivals })
    }
}

impl<R: Route> Shared<R> {
    async fn answer<B>(self: Arc<Self>, mut request: Request<B>) -> Response<MountedBody>
    where
        B: Body<Data = Bytes>,
    {
        let upgrade = hyper::upgrade::on(&mut request);
        let (parts, body) = request.into_parts();
        let decision = self.requests.decide(&parts, body.is_end_stream());
        let mut response = match decision.answer {
            Answer::Upgrade { response, accepted } => {
                let link = self.link(parts, accepted, Stream::Upgrade(upgrade));
                let (mut head, ()) = response.into_parts();
                head.status = StatusCode::SWITCHING_PROTOCOLS;
                head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                self.arrive(link, Response::from_parts(head, MountedBody::empty()))
            }
            Answer::Stream { response, accepted } => {
                let (stream, body) = pipe();
                let link = self.link(parts, accepted, Stream::Body(stream));
                self.arrive(link, response.map(|()| body))
            }
            Answer::Body { limit, permit, .. } => {
                let reply = self.requests.respond(parts, body, limit).await;
                drop(permit);
                reply.response.map(MountedBody::text)
            }
            Answer::Refuse(response) => response.map(MountedBody::text),
        };
        share(response.headers_mut(), decision.shared);
        response
    }

    fn link(&self, request: Parts, accepted: R::Accepted, stream: Stream) -> MountedPending<R> {
        let address = request.extensions.get::<SocketAddr>().copied();
        let read = Bytes::new();
        let arrived = Arrived { stream, read, request, accepted, address };
        MountedPending { arrived, requests: self.requests.clone() }
    }

    fn arrive(
        &self,
        link: MountedPending<R>,
        response: Response<MountedBody>,
    ) -> Response<MountedBody> {
        let sent = {
            let mut arrivals = self.lock();
            if arrivals.listening {
                arrivals.sender.try_send(link).map_err(drop_later)
            } else {
                Err(link)
            }
        };
        // A link that is turned away ends here, and not under the lock.
        match sent {
            Ok(()) => response,
            Err(_turned_away) => unavailable(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arrivals<R>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drop_later<T>(error: mpsc::TrySendError<T>) -> T {
    error.into_inner()
}

fn unavailable() -> Response<MountedBody> {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "no links are taken in now").map(MountedBody::text)
}

impl<R: Route, B> tower_service::Service<Request<B>> for HttpService<R>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<MountedBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        hyper::service::Service::call(self, request)
    }
}

impl<R: Route, B> hyper::service::Service<Request<B>> for HttpService<R>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<MountedBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let shared = self.shared.clone();
        Box::pin(async { Ok(shared.answer(request).await) })
    }
}

impl<R: Route> Clone for HttpService<R> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<R: Route> fmt::Debug for HttpService<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService").finish_non_exhaustive()
    }
}

impl<R: Route> Acceptor for MountedAcceptor<R> {
    type Pending = MountedPending<R>;

    async fn listen(&mut self) -> Result<(), TransportError> {
        self.shared.requests.route.close(false);
        self.shared.lock().listening = true;
        Ok(())
    }

    async fn accept(&mut self) -> Result<MountedPending<R>, TransportError> {
        // Its other end is held here.
        self.arrivals.next().await.ok_or_else(TransportError::closed)
    }

    fn close(&mut self) {
        self.shared.lock().listening = false;
        self.shared.requests.route.close(true);
        while let Ok(pending) = self.arrivals.try_recv() {
            drop(pending);
        }
    }

    fn capabilities(&self) -> Capabilities {
        self.shared.requests.route.capabilities()
    }
}

impl<R: Route> Drop for MountedAcceptor<R> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<R: Route> fmt::Debug for MountedAcceptor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MountedAcceptor")
            .field("listening", &self.shared.lock().listening)
            .finish_non_exhaustive()
    }
}

enum Stream {
    /// The response that leaves HTTP is being sent.
    Upgrade(OnUpgrade),
    Body(Mounted),
}

/// A link that has come in by a mounted route.
pub struct MountedPending<R: Route> {
    arrived: Arrived<Stream, R::Accepted>,
    requests: Arc<Requests<R>>,
}

impl<R: Route> Pending for MountedPending<R> {
    type Sender = R::Sender<Mounted>;
    type Receiver = R::Receiver<Mounted>;

    async fn handshake(self) -> Result<Halves<R, Mounted>, TransportError> {
        let Self { arrived, requests } = self;
        let Arrived { stream, read, request, accepted, address } = arrived;
        let stream = match stream {
            Stream::Body(stream) => stream,
            Stream::Upgrade(upgrade) => {
                let upgraded = upgrade.await.map_err(|error| {
                    let message = "the server around it did not upgrade the connection";
                    TransportError::new(TransportErrorKind::Broken, message).with_source(error)
                })?;
                Mounted::upgraded(upgraded)
            }
        };
        let arrived = Arrived { stream, read, request, accepted, address };
        requests.route.link(arrived, &requests.host)
    }
}

impl<R: Route> fmt::Debug for MountedPending<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MountedPending")
            .field("address", &self.arrived.address)
            .finish_non_exhaustive()
    }
}
