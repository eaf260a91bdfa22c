//! moorline on [async-std]: tasks, time and TCP.
//!
//! **Legacy.** async-std is discontinued (RUSTSEC-2025-0052) and names smol as its successor. This crate is for programs that
//! still stand on it; new ones take `moorline-smol`, which has the same timer and sockets.
//!
//! ```
//! use std::time::Duration;
//! use moorline_async_std::AsyncStd;
//! use moorline_core::Runtime;
//!
//! async_std::task::block_on(async {
//!     let start = AsyncStd.now();
//!     let mut timer = AsyncStd.timer();
//!     timer.as_mut().reset(start + Duration::from_millis(5));
//!     timer.await;
//!     assert!(AsyncStd.now() >= start + Duration::from_millis(5));
//! });
//! ```
//!
//! [async-std]: https://docs.rs/async-std

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use moorline_async_io::{AsyncIoListener, AsyncIoStream};
use moorline_core::{BoxFuture, Net, Runtime, Time, Timer};

/// async-std's global executor. All values mean the same one, which starts at the first task and lives as long as the process:
/// a thread for each processor, or as many as the environment variable `ASYNC_STD_THREAD_COUNT` says.
///
/// [`spawn`](Runtime::spawn) ignores the task's name.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncStd;

impl Runtime for AsyncStd {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        async_std::task::spawn(task);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        async_std::task::spawn_blocking(work);
    }

    fn timer(&self) -> Pin<Box<dyn Timer>> {
        moorline_async_io::timer()
    }

    fn now(&self) -> Time {
        moorline_async_io::now()
    }
}

impl Net for AsyncStd {
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
