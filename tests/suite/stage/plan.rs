//! How a test's clients and servers are configured: the product's defaults, and what the test changes.
//!
//! Durations are in the protocol's time; the stage scales them when it builds. The time-outs among the defaults are never
//! shorter than a busy machine needs: a test that is about one of them sets it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use moorline::server::{
    Admission, Authenticator, Channels, Middleware, QueryLimits, RateLimit, Refusal, SessionLimits,
    Throttle, TrustedProxies, Visitor,
};
use moorline::{
    AppStateMode, Backoff, Binary, Buffer, Client, Codec, Config, Connection, ConnectionId,
    Heartbeat, Server,
};
use moorline_core::{
    Acceptor, BoxFuture, BoxTransport, ConnectRequest, Peer, QueryEngine, Transport,
};

use super::erased::{AnyAcceptor, AnyAuthenticator, AnyCodec, Dressed};
use super::{RETENTION, SECOND, Stage};

type Credentials = Arc<dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync>;
type Ids = Arc<dyn Fn() -> ConnectionId + Send + Sync>;

/// One method for each field: `plan.window(1024)`.
macro_rules! setters {
    ($($name:ident: $type:ty,)*) => {
        $(
            #[allow(dead_code, reason = "whatever can be configured can be configured here")]
            pub(crate) fn $name(mut self, $name: $type) -> Self {
                self.$name = $name;
                self
            }
        )*
    };
}

/// How long a message waits for its first reader: longer than any test takes, so that a busy machine gives none up.
const UNHEARD_AFTER: Duration = Duration::from_secs(3_600);

/// How long a reader may make no progress, which a busy machine does not either.
const STALLED_AFTER: Duration = Duration::from_secs(3_600);

/// A client to be.
pub(crate) struct ClientPlan {
    stage: Stage,
    transport: BoxTransport,
    codec: Arc<dyn Codec>,
    room: Option<String>,
    query: Vec<(String, String)>,
    credentials: Option<Credentials>,
    backoff: Backoff,
    reconnect: bool,
    retry_first: bool,
    rejoin: bool,
    echo: bool,
    lazy: bool,
    app_state: AppStateMode,
    background_grace: Duration,
    heartbeat: Heartbeat,
    attempt_timeout: Duration,
    close_timeout: Duration,
    window: usize,
    queue: usize,
    max_frame: usize,
    unheard_after: Duration,
    buffer: Buffer,
    seed: u64,
}

impl ClientPlan {
    pub(super) fn new(stage: &Stage) -> Self {
        let (short, long) = Heartbeat::CLIENT_INTERVAL.into_inner();
        let interval = stage.time(short)..=stage.time(long);
        Self {
            transport: stage.inner.venue.transport(),
            codec: Arc::new(Binary),
            room: None,
            query: Vec::new(),
            credentials: None,
            backoff: stage.backoff(),
            reconnect: true,
            retry_first: true,
            rejoin: true,
            echo: true,
            lazy: false,
            app_state: AppStateMode::default(),
            background_grace: Config::BACKGROUND_GRACE,
            heartbeat: Heartbeat::between(interval)
                .timeout(stage.time(stage.time_out(Heartbeat::TIMEOUT))),
            attempt_timeout: stage.time_out(Config::ATTEMPT_TIMEOUT),
            close_timeout: stage.time_out(Config::CLOSE_TIMEOUT),
            window: Config::WINDOW,
            queue: Config::QUEUE,
            max_frame: ConnectRequest::MAX_FRAME,
            unheard_after: UNHEARD_AFTER,
            buffer: Buffer::off(),
            seed: stage.runtime().random() as u64,
            stage: stage.clone(),
        }
    }

    setters! {
        backoff: Backoff,
        reconnect: bool,
        retry_first: bool,
        rejoin: bool,
        echo: bool,
        lazy: bool,
        app_state: AppStateMode,
        background_grace: Duration,
        heartbeat: Heartbeat,
        attempt_timeout: Duration,
        close_timeout: Duration,
        window: usize,
        queue: usize,
        max_frame: usize,
        unheard_after: Duration,
        buffer: Buffer,
            seed: u64,
    }

    pub(crate) fn codec(mut self, codec: impl Codec) -> Self {
        self.codec = Arc::new(codec);
        self
    }

    /// Over that transport and not the stage's.
    pub(crate) fn over(mut self, transport: impl Transport) -> Self {
        self.transport = BoxTransport::new(transport);
        self
    }

    pub(crate) fn room(mut self, room: &str) -> Self {
        self.room = Some(room.to_owned());
        self
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn credentials<F>(mut self, fetch: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, String>> + Send + 'static,
    {
        self.credentials = Some(Arc::new(move || Box::pin(fetch())));
        self
    }

    pub(crate) fn build(self) -> Client {
        let time = |span| self.stage.time(span);
        let mut builder = Client::builder()
            .transport(self.transport)
            .runtime(self.stage.runtime())
            .codec(AnyCodec(self.codec))
            .backoff(self.backoff)
            .reconnect(self.reconnect)
            .retry_first(self.retry_first)
            .rejoin(self.rejoin)
            .echo(self.echo)
            .lazy(self.lazy)
            .app_state(self.app_state)
            .background_grace(time(self.background_grace))
            .heartbeat(self.heartbeat)
            .attempt_timeout(time(self.attempt_timeout))
            .close_timeout(time(self.close_timeout))
            .window(self.window)
            .queue(self.queue)
            .max_frame(self.max_frame)
            .unheard_after(time(self.unheard_after))
            .buffer(scaled(&self.stage, self.buffer))
            .seed(self.seed);
        for (name, value) in self.query {
            builder = builder.query(name, value);
        }
        match (self.room, self.credentials) {
            (None, None) => builder.build(),
            (Some(room), None) => builder.room(room).build(),
            (None, Some(fetch)) => builder.credentials(move || fetch()).build(),
            (Some(room), Some(fetch)) => builder.room(room).credentials(move || fetch()).build(),
        }
    }

    /// Builds it and begins to connect.
    pub(crate) fn start(self) -> Connection {
        self.build().start()
    }

    /// Builds it and waits until it is open.
    pub(crate) async fn connect(self) -> Connection {
        let stage = self.stage.clone();
        let client = self.build();
        stage.within("the client connects", client.connect()).await.unwrap()
    }
}

/// A server to be.
pub(crate) struct ServerPlan {
    stage: Stage,
    more: Vec<AnyAcceptor>,
    middleware: Vec<Arc<dyn Middleware>>,
    channels: Channels,
    queries: Option<Arc<dyn QueryEngine>>,
    query_limits: QueryLimits,
    codec: Option<Arc<dyn Codec>>,
    authenticator: Arc<dyn Authenticator>,
    ids: Option<Ids>,
    heartbeat: Heartbeat,
    handshakes: usize,
    handshake_timeout: Duration,
    close_timeout: Duration,
    drain_timeout: Duration,
    drain_over: Duration,
    spread: Duration,
    window: usize,
    queue: usize,
    max_frame: usize,
    unheard_after: Duration,
    retention: Duration,
    sessions: SessionLimits,
    buffer: Buffer,
    stalled_after: Duration,
    throttle: Throttle,
    rate_limit: Option<RateLimit>,
    address_rate_limit: Option<RateLimit>,
    connection_rate_limit: Option<RateLimit>,
    trusted_proxies: TrustedProxies,
    dress: Dress,
}

/// Changes what a server sees of a peer.
pub(crate) type Dress = Arc<dyn Fn(&mut Peer) + Send + Sync>;

impl ServerPlan {
    pub(super) fn new(stage: &Stage) -> Self {
        Self {
            more: Vec::new(),
            middleware: Vec::new(),
            channels: Channels::default(),
            queries: None,
            query_limits: QueryLimits::default(),
            codec: None,
            authenticator: Arc::new(anybody),
            ids: None,
            heartbeat: stage
                .heartbeat(Heartbeat::SERVER_INTERVAL, stage.time_out(Heartbeat::TIMEOUT)),
            handshakes: 10_000,
            handshake_timeout: stage.time_out(Config::HANDSHAKE_TIMEOUT),
            close_timeout: stage.time_out(Config::CLOSE_TIMEOUT),
            drain_timeout: 2 * stage.time_out(5 * SECOND),
            drain_over: Duration::ZERO,
            spread: Backoff::SPREAD,
            window: Config::WINDOW,
            queue: Config::QUEUE,
            max_frame: ConnectRequest::MAX_FRAME,
            unheard_after: UNHEARD_AFTER,
            retention: Duration::ZERO,
            sessions: SessionLimits::default(),
            buffer: Buffer::off(),
            stalled_after: STALLED_AFTER,
            throttle: Throttle::new(),
            rate_limit: None,
            address_rate_limit: None,
            connection_rate_limit: None,
            trusted_proxies: TrustedProxies::default(),
            dress: Arc::new(|_| {}),
            stage: stage.clone(),
        }
    }

    setters! {
        heartbeat: Heartbeat,
        handshakes: usize,
        handshake_timeout: Duration,
        close_timeout: Duration,
        drain_timeout: Duration,
        drain_over: Duration,
        spread: Duration,
        window: usize,
        queue: usize,
        max_frame: usize,
        unheard_after: Duration,
        retention: Duration,
        sessions: SessionLimits,
        buffer: Buffer,
        stalled_after: Duration,
        channels: Channels,
        throttle: Throttle,
        trusted_proxies: TrustedProxies,
        query_limits: QueryLimits,
    }

    pub(crate) fn queries(mut self, engine: impl QueryEngine) -> Self {
        self.queries = Some(Arc::new(engine));
        self
    }

    pub(crate) fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.middleware.push(Arc::new(middleware));
        self
    }

    pub(crate) fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    pub(crate) fn address_rate_limit(mut self, limit: RateLimit) -> Self {
        self.address_rate_limit = Some(limit);
        self
    }

    pub(crate) fn connection_rate_limit(mut self, limit: RateLimit) -> Self {
        self.connection_rate_limit = Some(limit);
        self
    }

    /// Has the server see its peers so.
    pub(crate) fn dress(mut self, dress: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        self.dress = Arc::new(dress);
        self
    }

    pub(crate) fn codec(mut self, codec: impl Codec) -> Self {
        self.codec = Some(Arc::new(codec));
        self
    }

    /// Lets links in there too.
    pub(crate) fn add_acceptor(mut self, acceptor: impl Acceptor) -> Self {
        self.more.push(AnyAcceptor::new(acceptor));
        self
    }

    pub(crate) fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Arc::new(authenticator);
        self
    }

    pub(crate) fn ids(mut self, draw: impl Fn() -> ConnectionId + Send + Sync + 'static) -> Self {
        self.ids = Some(Arc::new(draw));
        self
    }

    /// Builds it; it does not run yet.
    pub(crate) fn build(self) -> Server {
        let time = |span| self.stage.time(span);
        let mut builder = Server::builder()
            .acceptor(Dressed(self.stage.inner.venue.acceptor(), self.dress))
            .runtime(self.stage.runtime())
            .authenticator(AnyAuthenticator(self.authenticator))
            .heartbeat(self.heartbeat)
            .handshakes(self.handshakes)
            .handshake_timeout(time(self.handshake_timeout))
            .close_timeout(time(self.close_timeout))
            .drain_timeout(time(self.drain_timeout))
            .drain_over(time(self.drain_over))
            .spread(time(self.spread))
            .window(self.window)
            .queue(self.queue)
            .max_frame(self.max_frame)
            .unheard_after(time(self.unheard_after))
            .retention(time(self.retention))
            .sessions(self.sessions)
            .buffer(scaled(&self.stage, self.buffer))
            .stalled_after(time(self.stalled_after))
            .channels(self.channels.grace(time(self.channels.grace)))
            .throttle(self.throttle)
            .rate_limit(self.rate_limit)
            .address_rate_limit(self.address_rate_limit)
            .connection_rate_limit(self.connection_rate_limit)
            .trusted_proxies(self.trusted_proxies)
            .query_limits(self.query_limits);
        for middleware in self.middleware {
            builder = builder.add_middleware(middleware);
        }
        for acceptor in self.more {
            builder = builder.add_acceptor(acceptor);
        }
        match (self.codec.map(AnyCodec), self.ids, self.queries) {
            (None, None, None) => builder.build(),
            (Some(codec), None, None) => builder.codec(codec).build(),
            (None, Some(draw), None) => builder.ids(move || draw()).build(),
            (Some(codec), Some(draw), None) => builder.codec(codec).ids(move || draw()).build(),
            (None, None, Some(engine)) => builder.queries(engine).build(),
            (Some(codec), None, Some(engine)) => builder.codec(codec).queries(engine).build(),
            (_, Some(_), Some(_)) => unreachable!("no test has both"),
        }
    }

    /// Builds it and waits until it runs.
    pub(crate) async fn run(self) -> Server {
        let stage = self.stage.clone();
        let server = self.build();
        stage.run(&server).await;
        server
    }
}

/// A buffer whose age is this stage's; the default one outlasts every outage.
fn scaled(stage: &Stage, buffer: Buffer) -> Buffer {
    let age = if buffer.age == Buffer::AGE { RETENTION } else { buffer.age };
    buffer.age(stage.time(age))
}

async fn anybody(_: Arc<Visitor>) -> Result<Admission, Refusal> {
    Ok(Admission::anonymous())
}

impl Stage {
    /// Runs a server in a task, and waits until it takes links in. The stage stops it when the test is over.
    pub(crate) async fn run(&self, server: &Server) {
        let running = server.clone();
        self.spawn(async move { running.run().await.unwrap() });
        self.until("the server runs", || server.is_running()).await;
        self.inner.servers.lock().unwrap().push(server.clone());
    }
}
