//! How a server is built.

#![allow(unused_braces, reason = "the bodies of typed-builder's setters have them")]

use std::sync::Arc;
use std::time::Duration;

use moorline_core::wire::Codec;
use moorline_core::{
    Acceptor, Backoff, Buffer, Config, ConnectRequest, ConnectionId, Heartbeat, QueryEngine,
    Runtime,
};
use typed_builder::TypedBuilder;

use super::channels::Channels;
use super::door::{Door, Doors};
use super::hooks::Hooks;
use super::hub::Hub;
use super::limits::{self, RateLimit, RateLimits, TrustedProxies};
use super::middleware::Middleware;
use super::queries::{Queries, QueryLimits};
use super::registry::Registry;
use super::run::Life;
use super::sessions::{SessionLimits, Sessions};
use super::throttle::{Throttle, Throttling};
use super::{Authenticator, Core, Ids, Limits, Server};

/// How many handshakes may be in flight by default (R33): a whole office that comes back at once.
const HANDSHAKES: usize = 10_000;

/// How long a stop waits by default: the closing time-out of every connection fits in.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What a [`Server`] is built from: `Server::builder()` sets one after the other, and `build()` makes the server. The
/// acceptor and the runtime have no default; leaving one out does not compile.
#[derive(TypedBuilder)]
#[builder(
    build_method(into = Server, doc = "Makes the server. Nothing happens until it runs."),
    builder_type(vis = "pub", name = ServerBuilder, doc = "Builds a [`Server`]; see [`ServerSettings`]."),
    builder_method(vis = "pub(crate)"),
    mutators(
        /// Adds another way in: another transport, or another address. A session may come back over any of them.
        #[allow(unreachable_pub, reason = "the builder that it belongs to is public")]
        pub fn add_acceptor(&mut self, acceptor: impl Acceptor) {
            self.more.0.push(Box::new(acceptor));
        }

        /// Adds what stands between clients and the application, behind that added before.
        #[allow(unreachable_pub, reason = "the builder that it belongs to is public")]
        pub fn add_middleware(&mut self, middleware: impl Middleware) {
            self.middleware.push(Arc::new(middleware));
        }
    )
)]
pub struct ServerSettings<A: Acceptor> {
    #[builder(setter(doc = "Where links come in. Required."))]
    acceptor: A,
    #[builder(via_mutators)]
    more: Doors,
    #[builder(via_mutators)]
    middleware: Vec<Arc<dyn Middleware>>,
    #[builder(setter(
        doc = "What gives it tasks and time. Required.",
        fn transform<R: Runtime>(runtime: R) -> Arc<dyn Runtime> {
            Arc::new(runtime)
        }
    ))]
    runtime: Arc<dyn Runtime>,
    #[builder(default, setter(
        doc = "Speaks this codec alone. Default: `Binary` and `Json`, told apart by the first frame.",
        fn transform<C: Codec>(codec: C) -> Option<Arc<dyn Codec>> {
            Some(Arc::new(codec))
        }
    ))]
    codec: Option<Arc<dyn Codec>>,
    #[builder(default, setter(
        doc = "Decides who may come in. Default: everybody.",
        fn transform<T: Authenticator>(authenticator: T) -> Option<Arc<dyn Authenticator>> {
            Some(Arc::new(authenticator))
        }
    ))]
    authenticator: Option<Arc<dyn Authenticator>>,
    #[builder(default = random_ids(), setter(
        doc = "Draws the id of each connection; one that is taken is drawn again. Default: 20 random URL-safe \
               characters.",
        fn transform<F>(draw: F) -> Ids
        where
            F: Fn() -> ConnectionId + Send + Sync + 'static,
        {
            Arc::new(move |_: &Arc<dyn Runtime>| draw())
        }
    ))]
    ids: Ids,
    #[builder(
        default,
        setter(doc = "What clients may do with channels, and within which limits.")
    )]
    channels: Channels,
    #[builder(default, setter(
        doc = "Answers the queries of its clients (R42). Default: nobody does, and each fails with `no_engine`.",
        fn transform<E: QueryEngine>(engine: E) -> Option<Arc<dyn QueryEngine>> {
            Some(Arc::new(engine))
        }
    ))]
    queries: Option<Arc<dyn QueryEngine>>,
    #[builder(default, setter(doc = "How many queries clients may ask."))]
    query_limits: QueryLimits,
    #[builder(default = Heartbeat::server(), setter(doc = "How signs of life are asked for."))]
    heartbeat: Heartbeat,
    #[builder(default = HANDSHAKES, setter(
        doc = "How many links may be in their handshake at once; the others wait. Default: 10 000."
    ))]
    handshakes: usize,
    #[builder(default = Config::HANDSHAKE_TIMEOUT, setter(
        doc = "How long the transport's handshake may take, and then the client's hello and the authenticator \
               together. Default: 10 s."
    ))]
    handshake_timeout: Duration,
    #[builder(default = Config::CLOSE_TIMEOUT, setter(
        doc = "How long closing one connection may take. Default: 5 s."
    ))]
    close_timeout: Duration,
    #[builder(default = DRAIN_TIMEOUT, setter(
        doc = "How long a stop waits for the connections to close, after the last one was told to. Default: 10 s."
    ))]
    drain_timeout: Duration,
    #[builder(
        default,
        setter(
            doc = "Over what time a stop tells its connections to close, one after another, so that their clients need not be \
               let in elsewhere all at once. Default: 0, all at once."
        )
    )]
    drain_over: Duration,
    #[builder(default = Backoff::SPREAD, setter(
        doc = "Over what time a stop spreads the clients' return. Default: 5 s."
    ))]
    spread: Duration,
    #[builder(default = Config::WINDOW, setter(
        doc = "How many bytes of messages may wait to be taken, for each connection. Default: 256 KiB."
    ))]
    window: usize,
    #[builder(default = Config::QUEUE, setter(
        doc = "How many bytes of messages may wait to be sent, for each connection. Default: 256 KiB."
    ))]
    queue: usize,
    #[builder(default = ConnectRequest::MAX_FRAME, setter(
        doc = "The largest frame in bytes. Default: 1 MiB and 4 KiB."
    ))]
    max_frame: usize,
    #[builder(default = Config::RETENTION, setter(
        doc = "How long a session whose link is lost waits for its client, with all that is sent to it meanwhile; zero \
               keeps none. Default: 2 minutes."
    ))]
    retention: Duration,
    #[builder(default, setter(doc = "How many sessions may wait, and how much they may hold."))]
    sessions: SessionLimits,
    #[builder(
        default,
        setter(doc = "What becomes of messages that are sent to a client that is away.")
    )]
    buffer: Buffer,
    #[builder(default = Config::STALLED_AFTER, setter(
        doc = "How long a client, for which a broadcast found no room, may take nothing before its link is dropped; \
               zero is for ever. Default: 60 s."
    ))]
    stalled_after: Duration,
    #[builder(default = Config::UNHEARD_AFTER, setter(
        doc = "How long a message waits for somebody to listen. Default: 30 s."
    ))]
    unheard_after: Duration,
    #[builder(
        default,
        setter(
            doc = "When the server has too much to do, and what it does without then. Default: never, nothing."
        )
    )]
    throttle: Throttle,
    #[builder(default, setter(
        doc = "How much each connection may send. What is too much is refused with `rate_limit_exceeded`. Default: no limit.",
        fn transform<L: Into<Option<RateLimit>>>(limit: L) -> Option<RateLimit> {
            limit.into()
        }
    ))]
    rate_limit: Option<RateLimit>,
    #[builder(default, setter(
        doc = "How much all connections of one address may send together; of IPv6 the first 64 bits are one. Default: no \
               limit.",
        fn transform<L: Into<Option<RateLimit>>>(limit: L) -> Option<RateLimit> {
            limit.into()
        }
    ))]
    address_rate_limit: Option<RateLimit>,
    #[builder(default, setter(
        doc = "How many connections one address may make; others are refused for a while before anything is asked of them. \
               Default: no limit.",
        fn transform<L: Into<Option<RateLimit>>>(limit: L) -> Option<RateLimit> {
            limit.into()
        }
    ))]
    connection_rate_limit: Option<RateLimit>,
    #[builder(
        default,
        setter(
            doc = "Proxies that this server stands behind: what they say of a client's address is believed. Default: none, an \
               address is the peer's own."
        )
    )]
    trusted_proxies: TrustedProxies,
}

impl Server {
    /// Builds a server: any transport, any runtime. See [`ServerSettings`].
    pub fn builder<A: Acceptor>() -> ServerBuilder<A> {
        ServerSettings::builder()
    }
}

impl<A: Acceptor> From<ServerSettings<A>> for Server {
    fn from(settings: ServerSettings<A>) -> Self {
        let mut config = Config::server();
        config.heartbeat = settings.heartbeat;
        config.handshake_timeout = settings.handshake_timeout;
        config.close_timeout = settings.close_timeout;
        config.window = settings.window;
        config.queue = settings.queue;
        config.max_frame = settings.max_frame;
        config.unheard_after = settings.unheard_after;
        config.retention = settings.retention;
        config.buffer = settings.buffer;
        config.stalled_after = settings.stalled_after;
        if let Some(codec) = settings.codec {
            config.codecs = vec![codec];
        }
        let limits = Limits {
            // Each acceptor takes up a place while it waits.
            handshakes: settings.handshakes.max(1 + settings.more.0.len()),
            drain_timeout: settings.drain_timeout,
            drain_over: settings.drain_over,
            spread: settings.spread,
        };
        let rates = limits::Settings {
            connection: settings.rate_limit,
            address: settings.address_rate_limit,
            connections: settings.connection_rate_limit,
            proxies: settings.trusted_proxies,
        };
        let hooks = Arc::new(Hooks::default());
        let mut doors: Vec<Box<dyn Door>> = vec![Box::new(settings.acceptor)];
        doors.extend(settings.more.0);
        Self {
            core: Arc::new(Core {
                config: Arc::new(config),
                settings: limits,
                runtime: settings.runtime.clone(),
                authenticator: settings.authenticator,
                ids: settings.ids,
                registry: Arc::new(Registry::default()),
                sessions: Arc::new(Sessions::new(settings.sessions)),
                hooks: hooks.clone(),
                hub: Arc::new(Hub::new(settings.channels, settings.runtime.clone(), hooks)),
                queries: Queries::new(settings.queries, settings.query_limits),
                middleware: settings.middleware,
                limits: RateLimits::new(rates),
                throttling: Throttling::new(settings.throttle),
                life: Life::new(doors),
            }),
        }
    }
}

/// 120 random bits as 20 characters of the URL-safe alphabet (RFC 4648, section 5).
fn random_ids() -> Ids {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    Arc::new(|runtime| {
        let mut bits = runtime.random();
        let mut id = String::with_capacity(20);
        for _ in 0..20 {
            id.push(char::from(ALPHABET[(bits & 63) as usize]));
            bits >>= 6;
        }
        ConnectionId::new(id).expect("20 characters are an id")
    })
}
