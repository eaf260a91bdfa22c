//! Takes in what comes through the door.

use std::fmt;
use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_channel::mpsc;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use moorline_core::{
    Acceptor, BoxFuture, Capabilities, Net, Pending, Runtime, Time, TransportError,
    TransportErrorKind,
};
use moorline_socket::Stream;

use crate::HttpDoor;
use crate::connection::{Connection, Event};
use crate::requests::Requests;
use crate::route::{Arrived, Halves, Host, Route};

/// How many links may wait to be accepted that came on connections which had served other requests.
const WAITING: usize = 1024;

/// After how long a connection without requests needs hyper's buffers no more: 16 KiB, which others can have meanwhile.
const IDLE: Duration = Duration::from_millis(50);

/// A bare connection, or TLS over one.
pub(crate) type Bare<N> = Stream<<N as Net>::Stream>;

/// Takes links in at a door, as a route says.
///
/// # Errors
///
/// See [`HttpDoor::listen`] and [`HttpDoor::accept`]; the handshake's are those of [`HttpPending`].
pub struct HttpAcceptor<N: Net, R: Route> {
    door: HttpDoor<N>,
    route: R,
    host: Arc<Host>,
    late: Late<N, R>,
    arrivals: mpsc::Receiver<Found<N, R>>,
}

/// A request that becomes a link.
type Found<N, R> = Arrived<Bare<N>, <R as Route>::Accepted>;

/// Where links go that come on connections which had served other requests.
type Late<N, R> = Arc<Mutex<Arrivals<Found<N, R>>>>;

struct Arrivals<T> {
    sender: mpsc::Sender<T>,
    open: bool,
}

impl<T> Arrivals<T> {
    fn of(late: &Mutex<Self>) -> MutexGuard<'_, Self> {
        late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<N: Net, R: Route> HttpAcceptor<N, R> {
    /// Takes in at `address` (a host and a port: `127.0.0.1:8080`), on any path, with the defaults of [`HttpDoor`] and of the
    /// route.
    ///
    /// # Errors
    ///
    /// See [`HttpDoor::new`].
    pub fn new(address: impl AsRef<str>, net: N) -> Result<Self, TransportError>
    where
        R: Default,
    {
        Ok(Self::at(HttpDoor::new(address, net)?))
    }

    /// Takes in at this door, with the defaults of the route.
    #[must_use]
    pub fn at(door: HttpDoor<N>) -> Self
    where
        R: Default,
    {
        Self::of(door, R::default())
    }

    /// Takes in at this door what that route takes.
    #[must_use]
    pub fn of(door: HttpDoor<N>, route: R) -> Self {
        let (sender, arrivals) = mpsc::channel(WAITING);
        let late = Arrivals { sender, open: false };
        let host = Arc::new(Host::new(door.net.clone()));
        Self { door, route, host, late: Arc::new(Mutex::new(late)), arrivals }
    }

    /// The largest frame in bytes that its receivers take. [`ConnectRequest::MAX_FRAME`](moorline_core::ConnectRequest::MAX_FRAME)
    /// by default.
    #[must_use]
    pub fn max_frame(mut self, bytes: usize) -> Self {
        Arc::make_mut(&mut self.host).max_frame = bytes;
        self
    }

    /// The largest first frame in bytes, so that strangers cost little memory: a hello has at most 16 KiB. As
    /// [`max_frame`](Self::max_frame) by default, since in raw the first frame is like every other one.
    #[must_use]
    pub fn max_first_frame(mut self, bytes: usize) -> Self {
        Arc::make_mut(&mut self.host).max_first_frame = bytes;
        self
    }
}

impl<N: Net, R: Route> Acceptor for HttpAcceptor<N, R> {
    type Pending = HttpPending<N, R>;

    async fn listen(&mut self) -> Result<(), TransportError> {
        self.door.listen().await?;
        Arrivals::of(&self.late).open = true;
        self.route.close(false);
        Ok(())
    }

    async fn accept(&mut self) -> Result<HttpPending<N, R>, TransportError> {
        let Self { door, route, host, late, arrivals } = self;
        let settings = door.settings.clone();
        let accepted = match select(arrivals.next(), pin!(door.accept())).await {
            Either::Left((Some(arrived), _)) => Accepted::Late(Box::new(arrived)),
            // Its other end is held here.
            Either::Left((None, accepting)) => accepting.await.map(Accepted::Connection)?,
            Either::Right((connection, _)) => Accepted::Connection(connection?),
        };
        let requests = Requests { route: route.clone(), settings, host: host.clone() };
        Ok(HttpPending { accepted, requests: Arc::new(requests), late: late.clone() })
    }

    fn close(&mut self) {
        self.door.close();
        Arrivals::of(&self.late).open = false;
        self.route.close(true);
        while let Ok(late) = self.arrivals.try_recv() {
            drop(late);
        }
    }

    fn local_address(&self) -> Option<String> {
        self.door.local_address().map(|address| address.to_string())
    }

    fn capabilities(&self) -> Capabilities {
        self.route.capabilities()
    }
}

impl<N: Net, R: Route> Drop for HttpAcceptor<N, R> {
    fn drop(&mut self) {
        self.route.close(true);
    }
}

impl<N: Net, R: Route> fmt::Debug for HttpAcceptor<N, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAcceptor")
            .field("door", &self.door)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// A connection that has come in, and whose request has not been read. Dropping it closes its socket.
///
/// Not every one becomes a link: some requests only serve one, such as those by which a client of server-sent events sends. Then
/// the handshake fails as [`Closed`](TransportErrorKind::Closed), and the connection goes on in a task of its own, for as long as
/// the link that it serves.
///
/// # Errors
///
/// - [`Refused`](TransportErrorKind::Refused): the route or the door has refused it, and said so.
/// - [`Protocol`](TransportErrorKind::Protocol), [`TooLarge`](TransportErrorKind::TooLarge): it was not HTTP, or its
///   head was beyond the limits; the peer was told as far as it could be.
/// - [`Untrusted`](TransportErrorKind::Untrusted): the client refuses the door's certificate, or shows none that it must.
/// - [`TimedOut`](TransportErrorKind::TimedOut): it did not come in time.
/// - [`Broken`](TransportErrorKind::Broken), [`Closed`](TransportErrorKind::Closed): the peer has gone, or wanted no link.
pub struct HttpPending<N: Net, R: Route> {
    accepted: Accepted<N, R>,
    requests: Arc<Requests<R>>,
    late: Late<N, R>,
}

enum Accepted<N: Net, R: Route> {
    Connection((N::Stream, SocketAddr)),
    Late(Box<Found<N, R>>),
}

impl<N: Net, R: Route> HttpPending<N, R> {
    /// Where the peer's connection comes from.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.accepted {
            Accepted::Connection((_, address)) => Some(*address),
            Accepted::Late(arrived) => arrived.address,
        }
    }
}

impl<N: Net, R: Route> Pending for HttpPending<N, R> {
    type Sender = R::Sender<Bare<N>>;
    type Receiver = R::Receiver<Bare<N>>;

    async fn handshake(self) -> Result<Halves<R, Bare<N>>, TransportError> {
        let Self { accepted, requests, late } = self;
        let (stream, address) = match accepted {
            Accepted::Late(arrived) => return requests.route.link(*arrived, &requests.host),
            Accepted::Connection(connection) => connection,
        };
        let limit = requests.settings.handshake_timeout;
        let runtime = requests.host.runtime.clone();
        let mut timer = runtime.timer();
        timer.as_mut().reset(runtime.now() + limit);
        let first = pin!(first::<N, R>(stream, address, requests, late));
        match select(first, timer).await {
            Either::Left((link, _)) => link,
            Either::Right(((), _)) => {
                Err(TransportError::new(TransportErrorKind::TimedOut, "no request came in time"))
            }
        }
    }
}

impl<N: Net, R: Route> fmt::Debug for HttpPending<N, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPending").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// The first request of a connection.
async fn first<N: Net, R: Route>(
    stream: N::Stream,
    address: SocketAddr,
    requests: Arc<Requests<R>>,
    late: Late<N, R>,
) -> Result<Halves<R, Bare<N>>, TransportError> {
    let stream = requests.settings.secure(stream).await?;
    let mut connection = Connection::new(stream, address, requests.clone());
    let linger: BoxFuture<'static, ()> = match connection.next().await? {
        Event::Taken(arrived) => return requests.route.link(*arrived, &requests.host),
        Event::Refused(status) => {
            #[cfg(feature = "tracing")]
            tracing::debug!(%address, %status, "refused");
            return Err(TransportError::refused(format!("answered with {status}")));
        }
        Event::Over => return Err(TransportError::closed()),
        Event::Asked => Box::pin(pending()),
        Event::Answered(linger) => linger,
    };
    let task = further::<N, R>(connection, linger, late, requests.host.runtime.clone());
    requests.host.runtime.spawn("http requests", Box::pin(task));
    Err(TransportError::new(
        TransportErrorKind::Closed,
        "a request was answered, and wants no link",
    ))
}

/// Further requests of a connection, for as long as there is something that they can be for.
async fn further<N: Net, R: Route>(
    mut connection: Connection<Bare<N>, R>,
    mut linger: BoxFuture<'static, ()>,
    late: Late<N, R>,
    runtime: Arc<dyn Runtime>,
) {
    let mut idle = runtime.timer();
    let mut rests = false;
    loop {
        idle.as_mut().reset(if rests { Time::MAX } else { runtime.now() + IDLE });
        let event = {
            let mut next = pin!(connection.next());
            poll_fn(|context| {
                if let Poll::Ready(event) = next.as_mut().poll(context) {
                    return Poll::Ready(Next::Event(event));
                }
                if linger.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Next::Over);
                }
                idle.as_mut().poll(context).map(|()| Next::Idle)
            })
            .await
        };
        rests = matches!(event, Next::Idle);
        match event {
            Next::Event(Ok(Event::Answered(next))) => linger = next,
            Next::Event(Ok(Event::Asked)) => {}
            Next::Idle => connection.rest(),
            // Others may be served on the same connection: their request is answered first.
            Next::Over if connection.is_busy() => linger = Box::pin(pending()),
            Next::Event(Ok(Event::Taken(arrived))) => {
                let turned_away = {
                    let mut late = Arrivals::of(&late);
                    if late.open {
                        late.sender.try_send(*arrived).err().map(|error| error.into_inner())
                    } else {
                        Some(*arrived)
                    }
                };
                // Where too many wait, or nobody accepts any more, its socket is closed; not under the lock.
                drop(turned_away);
                return;
            }
            Next::Event(Ok(Event::Refused(_) | Event::Over) | Err(_)) | Next::Over => return,
        }
    }
}

/// What a connection waits for.
enum Next<S, T> {
    Event(Result<Event<S, T>, TransportError>),
    /// What it was kept for is over.
    Over,
    Idle,
}
