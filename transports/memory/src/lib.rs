//! moorline's transport in memory: a [`Network`] of named endpoints, for tests and for ends that
//! live in one process.
//!
//! It is a real transport: links of two bounded queues with backpressure, a close that arrives last,
//! a ping that the other end answers by itself. And it breaks on demand, the same way for the same
//! seed: see [Faults](#faults).
//!
//! ```
//! use moorline_core::{
//!     Acceptor, CloseFrame, ConnectRequest, Frame, Incoming, Pending, Receiver, Sender, Transport,
//! };
//! use moorline_memory::Network;
//! # use std::{pin::Pin, task::{Context, Poll}};
//! # use moorline_core::{BoxFuture, Runtime, Time, Timer, TransportErrorKind};
//! # #[derive(Debug)] struct Still;
//! # impl Runtime for Still {
//! #     fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {}
//! #     fn spawn_blocking(&self, _: Box<dyn FnOnce() + Send>) {}
//! #     fn timer(&self) -> Pin<Box<dyn Timer>> { Box::pin(Never) }
//! #     fn now(&self) -> Time { Time::ZERO }
//! # }
//! # struct Never;
//! # impl Timer for Never { fn reset(self: Pin<&mut Self>, _: Time) {} }
//! # impl Future for Never {
//! #     type Output = ();
//! #     fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> { Poll::Pending }
//! # }
//! # let runtime = Still;
//! # futures_executor::block_on(async {
//!
//! let network = Network::new(runtime);
//! let mut acceptor = network.acceptor("shop");
//! acceptor.listen().await?;
//!
//! // A client connects; the server takes its link in.
//! let shop = network.transport("shop");
//! let (mut to_server, mut at_client) = shop.connect(&ConnectRequest::default()).await?;
//! let (mut to_client, mut at_server, peer) = acceptor.accept().await?.handshake().await?;
//! assert_eq!(peer.path.as_deref(), Some("shop"));
//!
//! // Frames travel both ways, in order.
//! to_server.send(Frame::text("tea, please")).await?;
//! assert_eq!(at_server.receive().await?, Some(Incoming::Frame(Frame::text("tea, please"))));
//! to_client.send(Frame::text("coming")).await?;
//!
//! // The network fails: what had not been received is lost, and nobody can connect.
//! network.cut("shop");
//! assert!(at_client.receive().await.is_err());
//! assert_eq!(
//!     shop.connect(&ConnectRequest::default()).await.unwrap_err().kind(),
//!     TransportErrorKind::Unreachable,
//! );
//! network.heal("shop");
//! shop.connect(&ConnectRequest::default()).await?;
//! # Ok::<_, moorline_core::TransportError>(())
//! # }).unwrap();
//! ```
//!
//! # Names
//!
//! An endpoint is a name. A server listens at it ([`Network::acceptor`]), any number of clients
//! connect to it ([`Network::transport`]), and faults are set for it. Each may come first. An
//! acceptor that is closed or dropped and listens again, there or in another value, is a server's
//! restart.
//!
//! # Faults
//!
//! All are methods of [`Network`] that take effect at once, for every link to that name. Whatever
//! they do, each end receives an unmodified prefix of what the other one has sent.
//!
//! | method | links that exist | connects | ends by |
//! | --- | --- | --- | --- |
//! | [`cut`](Network::cut) | break | fail, unreachable | heal |
//! | [`reset`](Network::reset) | break | work | itself |
//! | [`cut_after`](Network::cut_after), [`cut_before`](Network::cut_before) | one breaks at an exact frame | work | itself, heal |
//! | [`partition`](Network::partition) | stand still, silently | hang | heal, and all arrives |
//! | [`half_open`](Network::half_open) | lose one direction, silently | work | the link's end |
//! | [`refuse`](Network::refuse) | live on | fail with that kind | heal |
//! | [`slow`](Network::slow) | have that bandwidth | work, as slow | heal |
//! | [`hang_handshakes`](Network::hang_handshakes) | live on | succeed; the server's handshake hangs | heal, for new links |
//! | [`duplicate_connects`](Network::duplicate_connects) | live on | come in twice, the first one dead | heal, for new links |
//!
//! # Bounds
//!
//! Each direction of a link holds [`Network::CAPACITY`] bytes, or as many as
//! [`NetworkBuilder::capacity`] says, or one frame if that is larger. A frame counts as its payload
//! and [`Network::FRAME_OVERHEAD`]. At most [`Network::BACKLOG`] links wait for an acceptor. A link
//! that has carried nothing holds no buffer; queues that have grown give their memory back when they
//! run empty.
//!
//! # Time and chance
//!
//! Without [latency](NetworkBuilder::latency) and [`slow`](Network::slow) links use no timer and
//! never ask for the time, and neither starts a task ever. All chance comes from
//! [`NetworkBuilder::seed`]: the same calls in the same order give the same times of arrival.

mod acceptor;
mod builder;
mod fault;
mod halves;
mod link;
mod network;
mod pace;
mod pipe;
mod transport;

pub use acceptor::{MemoryAcceptor, MemoryPending};
pub use builder::NetworkBuilder;
pub use fault::Direction;
pub use halves::{MemoryReceiver, MemorySender};
pub use network::Network;
pub use transport::MemoryTransport;
