//! The one call.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use moorline_core::{Acceptor, BoxTransport, ConnectRequest, Runtime, Transport};

use crate::checks::{Check, Need, Open, all};
use crate::failure::Failure;
use crate::play::Play;
use crate::report::Report;
use crate::runner::{Job, run};
use crate::site::{Raw, RawStream, Site};

type MakeTransport<A, T> = Arc<dyn Fn(&A) -> T + Send + Sync>;
type Gauge = (&'static str, Box<dyn Fn() -> usize + Send + Sync>);

/// Runs the whole contract of [`Transport`] and [`Acceptor`] against one implementation.
///
/// Each check has an acceptor of its own, which listens at a place of its own. What is not declared is not checked, and the
/// report says so.
#[must_use = "run() runs the checks"]
pub struct TransportKit<A, T> {
    runtime: Arc<dyn Runtime>,
    acceptor: Arc<dyn Fn() -> A + Send + Sync>,
    transport: MakeTransport<A, T>,
    refusing: Option<MakeTransport<A, BoxTransport>>,
    raw: Option<Raw<A>>,
    gauges: Vec<Gauge>,
    trusts_text: Option<&'static str>,
    bound: usize,
    patience: Duration,
    quiet: Duration,
}

impl<A: Acceptor, T: Transport> TransportKit<A, T> {
    /// How many bytes one direction of a link may hold by default, its system's buffers included: Linux gives a TCP
    /// connection up to 10 MiB.
    pub const BOUND: usize = 16 << 20;
    /// How long what must happen may take by default.
    pub const PATIENCE: Duration = Duration::from_secs(10);
    /// After how long what has not happened does not happen, by default.
    pub const QUIET: Duration = Duration::from_millis(300);

    /// A kit. `runtime` runs the checks. `acceptor` makes an acceptor that does not listen yet, each at a place of its own,
    /// such as port 0 (or all at one place, if one can listen there after another). `transport` makes a transport to such an
    /// acceptor, once that listens.
    pub fn new(
        runtime: impl Runtime,
        acceptor: impl Fn() -> A + Send + Sync + 'static,
        transport: impl Fn(&A) -> T + Send + Sync + 'static,
    ) -> Self {
        Self {
            runtime: Arc::new(runtime),
            acceptor: Arc::new(acceptor),
            transport: Arc::new(transport),
            refusing: None,
            raw: None,
            gauges: Vec::new(),
            trusts_text: None,
            bound: Self::BOUND,
            patience: Self::PATIENCE,
            quiet: Self::QUIET,
        }
    }

    /// Makes a transport that the acceptor refuses for good: with a wrong path, say.
    pub fn refusing<R: Transport>(
        mut self,
        refusing: impl Fn(&A) -> R + Send + Sync + 'static,
    ) -> Self {
        self.refusing = Some(Arc::new(move |acceptor| BoxTransport::new(refusing(acceptor))));
        self
    }

    /// Opens the stream of bytes beneath the transport, for peers that do not speak its language.
    pub fn raw<S: RawStream, F: Future<Output = io::Result<S>> + Send + 'static>(
        mut self,
        open: impl Fn(&A) -> F + Send + Sync + 'static,
    ) -> Self {
        self.raw = Some(Arc::new(move |acceptor| {
            let opening = open(acceptor);
            Box::pin(async move { Ok(Box::new(opening.await?) as Box<dyn RawStream>) })
        }));
        self
    }

    /// Counts something that may not be left behind: tasks, links, descriptors. May be called more than once.
    pub fn gauge(
        mut self,
        name: &'static str,
        count: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Self {
        self.gauges.push((name, Box::new(count)));
        self
    }

    /// Both ends are one's own, so text is not checked; why.
    pub fn trusts_text(mut self, why: &'static str) -> Self {
        self.trusts_text = Some(why);
        self
    }

    /// How many bytes one direction may hold; [`BOUND`](Self::BOUND) by default.
    pub fn bound(mut self, bytes: usize) -> Self {
        self.bound = bytes;
        self
    }

    /// How long what must happen may take; [`PATIENCE`](Self::PATIENCE) by default.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// After how long what has not happened does not happen; [`QUIET`](Self::QUIET) by default. Longer than the transport's
    /// latency.
    pub fn quiet(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    /// Runs all checks, one after another, each in a task of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the check that is running to its limit.
    pub async fn run(self) -> Report {
        let acceptor = (self.acceptor)();
        let server = acceptor.capabilities();
        drop(acceptor);
        let largest = server.max_frame.unwrap_or(usize::MAX).min(ConnectRequest::MAX_FRAME);
        let play = Play {
            runtime: self.runtime.clone(),
            patience: self.patience,
            quiet: self.quiet,
            bound: self.bound,
            largest,
            binary: server.binary,
            close_codes: server.close_codes,
        };
        let lacks = |need: Need| -> Option<String> {
            match need {
                Need::Binary if !server.binary => Some("it declares no binary".into()),
                Need::Ping if !server.ping => Some("it declares no ping".into()),
                Need::CloseCodes if !server.close_codes => {
                    Some("it declares no close codes".into())
                }
                Need::Largest if server.max_frame.is_none() => {
                    Some("it declares no largest frame".into())
                }
                Need::Utf8 => self.trusts_text.map(Into::into),
                Need::Refusal if self.refusing.is_none() => {
                    Some("no `refusing` was declared".into())
                }
                Need::Raw if self.raw.is_none() => Some("no `raw` was declared".into()),
                Need::Gauge if self.gauges.is_empty() => Some("no `gauge` was declared".into()),
                _ => None,
            }
        };
        let checks: Vec<(Check<A, T>, Option<String>)> = all()
            .into_iter()
            .map(|check| {
                let lacks = lacks(check.needs);
                (check, lacks)
            })
            .collect();
        let Self { acceptor, transport, refusing, raw, gauges, .. } = self;
        let gauges = Arc::new(gauges);
        let jobs = checks.into_iter().map(|(check, lacks)| {
            let Check { name, must, run, .. } = check;
            let (acceptor, transport) = (acceptor.clone(), transport.clone());
            let (refusing, raw, gauges) = (refusing.clone(), raw.clone(), gauges.clone());
            let play = play.clone();
            let open: Open<A, T> = Box::new(move || {
                let mut acceptor = acceptor();
                let (transport, refusing) = (transport.clone(), refusing.clone());
                let (raw, gauges, play) = (raw.clone(), gauges.clone(), play.clone());
                Box::pin(async move {
                    let listening = play.within("it listens", acceptor.listen()).await?;
                    listening.map_err(|error| Failure::new(format!("a listen failed: {error}")))?;
                    let transport = Arc::new(transport(&acceptor));
                    let refusing = refusing.map(|refusing| refusing(&acceptor));
                    Ok(Site { play, acceptor, transport, refusing, raw, gauges })
                })
            });
            let run = match lacks {
                Some(why) => Err(why),
                None => Ok(Box::new(move || run(open)) as crate::runner::Run),
            };
            Job { name, must, run }
        });
        let jobs = jobs.collect();
        Report { entries: run(&play, jobs).await }
    }
}

impl<A, T> fmt::Debug for TransportKit<A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gauges: Vec<_> = self.gauges.iter().map(|(name, _)| name).collect();
        f.debug_struct("TransportKit")
            .field("runtime", &self.runtime)
            .field("gauges", &gauges)
            .field("bound", &self.bound)
            .field("patience", &self.patience)
            .field("quiet", &self.quiet)
            .finish_non_exhaustive()
    }
}
