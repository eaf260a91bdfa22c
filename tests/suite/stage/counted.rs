//! A runtime that knows how many tasks are alive.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use moorline::{Runtime, Time};
use moorline_core::{BoxFuture, Net, Timer};

/// Another runtime, with its tasks counted. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Counted<R> {
    inner: R,
    alive: Arc<AtomicUsize>,
}

impl<R> Counted<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, alive: Arc::default() }
    }

    /// How many tasks are alive.
    pub(crate) fn tasks(&self) -> impl Fn() -> usize + Send + Sync + 'static + use<R> {
        let alive = self.alive.clone();
        move || alive.load(Ordering::SeqCst)
    }
}

impl<R: Runtime> Runtime for Counted<R> {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.alive.fetch_add(1, Ordering::SeqCst);
        let one = One(self.alive.clone());
        let task = async move {
            let _one = one;
            task.await;
        };
        self.inner.spawn(name, Box::pin(task));
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.inner.spawn_blocking(work);
    }

    fn timer(&self) -> Pin<Box<dyn Timer>> {
        self.inner.timer()
    }

    fn now(&self) -> Time {
        self.inner.now()
    }
}

impl<R: Net> Net for Counted<R> {
    type Stream = R::Stream;
    type Listener = R::Listener;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.inner.resolve(host, port).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<R::Stream> {
        self.inner.connect(address).await
    }

    async fn bind(&self, address: SocketAddr) -> io::Result<R::Listener> {
        self.inner.bind(address).await
    }
}

/// One of those alive.
struct One(Arc<AtomicUsize>);

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
