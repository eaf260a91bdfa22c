//! How a client is built.

#![allow(unused_braces, reason = "the bodies of typed-builder's setters have them")]

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use moorline_core::wire::{Binary, Codec};
use moorline_core::{
    AppStateMode, Backoff, Buffer, Config, ConnectRequest, Heartbeat, Runtime, Transport,
};
use serde::Serialize;
use typed_builder::TypedBuilder;

use super::Client;
use super::role::{Credentials, attempts};

/// What a [`Client`] is built from: `Client::builder()` sets one after the other, and `build()` makes the client. The
/// transport and the runtime have no default; leaving one out does not compile.
#[derive(TypedBuilder)]
#[builder(
    build_method(into = Client, doc = "Makes the client. Nothing happens until it connects."),
    builder_type(vis = "pub", name = ClientBuilder, doc = "Builds a [`Client`]; see [`ClientSettings`]."),
    builder_method(vis = "pub(crate)"),
    mutators(
        /// Adds a parameter that the server's authenticator and hooks see.
        #[allow(unreachable_pub, reason = "the builder that it belongs to is public")]
        pub fn query(&mut self, name: impl Into<String>, value: impl Into<String>) {
            self.query.push((name.into(), value.into()));
        }
    )
)]
pub struct ClientSettings<T: Transport> {
    /// Where to, and over what.
    #[builder(setter(doc = "Where to, and over what. Required."))]
    transport: T,
    /// What runs it.
    #[builder(setter(
        doc = "What gives it tasks and time. Required.",
        fn transform<R: Runtime>(runtime: R) -> Arc<dyn Runtime> {
            Arc::new(runtime)
        }
    ))]
    runtime: Arc<dyn Runtime>,
    #[builder(
        default = Arc::new(Binary),
        setter(
            doc = "What it speaks: `Binary` (the default), `Json`, `Raw`, or your own.",
            fn transform<C: Codec>(codec: C) -> Arc<dyn Codec> {
                Arc::new(codec)
            }
        )
    )]
    codec: Arc<dyn Codec>,
    #[builder(default, setter(
        doc = "Fetches credentials, any value that serde writes as JSON, afresh for each attempt. An error fails the \
               attempt, and the next one asks again.",
        fn transform<F, Fut, C, E>(fetch: F) -> Option<Credentials>
        where
            F: Fn() -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<C, E>> + Send + 'static,
            C: Serialize,
            E: Display,
        {
            let fetch = Arc::new(fetch);
            Some(Arc::new(move || {
                let fetched = fetch();
                Box::pin(async move {
                    let value = fetched.await.map_err(|error| error.to_string())?;
                    serde_json::to_vec(&value).map(Into::into).map_err(|error| error.to_string())
                })
            }))
        }
    ))]
    credentials: Option<Credentials>,
    #[builder(default, setter(strip_option, into, doc = "The room to enter."))]
    room: Option<String>,
    #[builder(via_mutators)]
    query: Vec<(String, String)>,
    #[builder(default, setter(doc = "When to try again."))]
    backoff: Backoff,
    #[builder(
        default = true,
        setter(doc = "Whether to connect again after a loss. Default: true.")
    )]
    reconnect: bool,
    #[builder(
        default = true,
        setter(doc = "Whether to try again when the first connect fails. Default: true.")
    )]
    retry_first: bool,
    #[builder(
        default = true,
        setter(
            doc = "Whether the channels that it was on are joined again when a new session begins (R29). Where it is off, they \
               are to be joined anew after each `Recovery::Fresh` and each `connect`. Default: true."
        )
    )]
    rejoin: bool,
    #[builder(
        default = true,
        setter(
            doc = "Whether this end hears what it publishes on channels itself, where neither the channel nor the call says \
               otherwise: see `Channel::echo` (R27). Default: true."
        )
    )]
    echo: bool,
    #[builder(
        default = false,
        setter(
            doc = "Whether a connection opens itself at its first use, and not at once (R2): `start` then gives a handle that \
               is closed until something is sent. Default: false."
        )
    )]
    lazy: bool,
    #[builder(
        default,
        setter(
            doc = "What a connection does while the application is in the background (R49): stays as it is (`Automatic`, the \
               default), or is closed after `background_grace` (`Manual`); see `Connection::set_app_state`."
        )
    )]
    app_state: AppStateMode,
    #[builder(default = Config::BACKGROUND_GRACE, setter(
        doc = "How long the background leaves a connection open, and a ping by hand there, in the mode `Manual`. Default: \
               30 s."
    ))]
    background_grace: Duration,
    #[builder(default = Heartbeat::client(), setter(doc = "How signs of life are asked for."))]
    heartbeat: Heartbeat,
    #[builder(default = Config::ATTEMPT_TIMEOUT, setter(
        doc = "How long one attempt may take. Default: 20 s."
    ))]
    attempt_timeout: Duration,
    #[builder(default = Config::CLOSE_TIMEOUT, setter(
        doc = "How long closing may take. Default: 5 s."
    ))]
    close_timeout: Duration,
    #[builder(default = Config::WINDOW, setter(
        doc = "How many bytes of messages may wait to be taken. Default: 256 KiB."
    ))]
    window: usize,
    #[builder(default = Config::QUEUE, setter(
        doc = "How many bytes of messages may wait to be sent. Default: 256 KiB."
    ))]
    queue: usize,
    #[builder(default = ConnectRequest::MAX_FRAME, setter(
        doc = "The largest frame in bytes. Default: 1 MiB and 4 KiB."
    ))]
    max_frame: usize,
    #[builder(
        default,
        setter(
            doc = "What becomes of messages that are sent while the connection is lost. Default: they wait for up to 2 \
               minutes."
        )
    )]
    buffer: Buffer,
    #[builder(default = Config::UNHEARD_AFTER, setter(
        doc = "How long a message waits for somebody to listen. Default: 30 s."
    ))]
    unheard_after: Duration,
    #[builder(
        default,
        setter(strip_option, doc = "Decides every random choice. Default: the runtime's.")
    )]
    seed: Option<u64>,
}

impl Client {
    /// Builds a client: any transport, any runtime. See [`ClientSettings`].
    pub fn builder<T: Transport>() -> ClientBuilder<T> {
        ClientSettings::builder()
    }
}

impl<T: Transport> From<ClientSettings<T>> for Client {
    fn from(settings: ClientSettings<T>) -> Self {
        let mut config = Config::client();
        config.heartbeat = settings.heartbeat;
        config.backoff = settings.backoff;
        config.reconnect = settings.reconnect;
        config.retry_first = settings.retry_first;
        config.rejoin = settings.rejoin;
        config.echo = settings.echo;
        config.lazy = settings.lazy;
        config.app_state = settings.app_state;
        config.background_grace = settings.background_grace;
        config.attempt_timeout = settings.attempt_timeout;
        config.close_timeout = settings.close_timeout;
        config.window = settings.window;
        config.queue = settings.queue;
        config.max_frame = settings.max_frame;
        config.unheard_after = settings.unheard_after;
        config.buffer = settings.buffer;
        config.room = settings.room;
        config.query = settings.query;
        let mut request = ConnectRequest::default();
        request.max_frame = settings.max_frame;
        request.protocol = settings.codec.protocol();
        config.codecs = vec![settings.codec];
        Self {
            config: Arc::new(config),
            runtime: settings.runtime,
            attempts: attempts(settings.transport, request, settings.credentials),
            seed: settings.seed,
        }
    }
}
