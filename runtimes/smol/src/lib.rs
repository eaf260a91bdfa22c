//! moorline on [smol]: tasks, time and TCP.
//!
//! ```
//! use std::time::Duration;
//! use moorline_core::Runtime;
//! use moorline_smol::Smol;
//!
//! smol::block_on(async {
//!     let start = Smol.now();
//!     let mut timer = Smol.timer();
//!     timer.as_mut().reset(start + Duration::from_millis(5));
//!     timer.await;
//!     assert!(Smol.now() >= start + Duration::from_millis(5));
//! });
//! ```
//!
//! Tasks run on smol's global executor, which `smol::spawn` uses too: one thread, or as many as the environment variable
//! `SMOL_THREADS` says. A program with an executor of its own writes a runtime of about thirty lines around it, with timer and
//! sockets from [`moorline_async_io`]; its page has one.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use moorline_async_io::{AsyncIoListener, AsyncIoStream};
use moorline_core::{BoxFuture, Net, Runtime, Time, Timer};

/// smol's global executor. All values mean the same one, which starts at the first task and lives as long as the process.
///
/// [`spawn`](Runtime::spawn) ignores the task's name. Nothing else need run: `smol::block_on`, or any other way to wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Smol;

impl Runtime for Smol {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        smol::spawn(task).detach();
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        smol::unblock(work).detach();
    }

    fn timer(&self) -> Pin<Box<dyn Timer>> {
        moorline_async_io::timer()
    }

    fn now(&self) -> Time {
        moorline_async_io::now()
    }
}

impl Net for Smol {
    type Stream = AsyncIoStream;
    type Listener = AsyncIoListener;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        moorline_async_io::resolve(host, port).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<AsyncIoStream> {
        AsyncIoStream::connect(address).await
    }

    async fn bind(&self, address: SocketAddr) -> io::Result<AsyncIoListener> {
        AsyncIoListener::bind(address)
    }
}
