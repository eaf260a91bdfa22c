//! What moorline's runtimes on [async-io] share: its timer and its TCP.
//!
//! smol and async-std run tasks in ways of their own and have time and sockets from async-io, so here is all of a runtime but
//! its tasks. A runtime of your own on async-executor takes them from here too, and has nothing left to write but `spawn`:
//!
//! ```
//! use std::future::Future;
//! use std::io;
//! use std::net::SocketAddr;
//! use std::pin::Pin;
//!
//! use moorline_async_io::{AsyncIoListener, AsyncIoStream};
//! use moorline_core::{BoxFuture, Net, Runtime, Time, Timer};
//!
//! /// A thread for each task.
//! #[derive(Clone, Debug)]
//! struct Threads;
//!
//! impl Runtime for Threads {
//!     fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
//!         std::thread::spawn(|| async_io::block_on(task));
//!     }
//!     fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
//!         std::thread::spawn(work);
//!     }
//!     fn timer(&self) -> Pin<Box<dyn Timer>> {
//!         moorline_async_io::timer()
//!     }
//!     fn now(&self) -> Time {
//!         moorline_async_io::now()
//!     }
//! }
//!
//! impl Net for Threads {
//!     type Stream = AsyncIoStream;
//!     type Listener = AsyncIoListener;
//!     async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
//!         moorline_async_io::resolve(host, port).await
//!     }
//!     async fn connect(&self, address: SocketAddr) -> io::Result<AsyncIoStream> {
//!         AsyncIoStream::connect(address).await
//!     }
//!     async fn bind(&self, address: SocketAddr) -> io::Result<AsyncIoListener> {
//!         AsyncIoListener::bind(address)
//!     }
//! }
//! # async_io::block_on(async {
//! # let mut listener = Threads.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
//! # let address = moorline_core::NetListener::local_address(&listener).unwrap();
//! # Threads.connect(address).await.unwrap();
//! # moorline_core::NetListener::accept(&mut listener).await.unwrap();
//! # });
//! ```
//!
//! [async-io]: https://docs.rs/async-io

mod clock;
mod net;
mod timer;

pub use clock::now;
pub use net::{AsyncIoListener, AsyncIoStream, resolve};
pub use timer::timer;
