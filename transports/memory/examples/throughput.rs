//! How long a message of 32 bytes takes one way over a memory link, on one thread.
//!
//! `cargo run --release -p moorline-memory --example throughput`

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::future::try_join;
use moorline_core::{
    Acceptor, BoxFuture, ConnectRequest, Frame, Pending, Receiver, Runtime, Sender, Time, Timer,
    Transport, TransportError,
};
use moorline_memory::Network;

const MESSAGES: usize = 5_000_000;

fn main() -> Result<(), TransportError> {
    futures_executor::block_on(async {
        let network = Network::new(Still);
        let mut acceptor = network.acceptor("bench");
        acceptor.listen().await?;
        let transport = network.transport("bench");
        let (mut sender, _at_client) = transport.connect(&ConnectRequest::default()).await?;
        let (_to_client, mut receiver, _) = acceptor.accept().await?.handshake().await?;
        let frame = Frame::Binary(bytes::Bytes::from_static(&[7; 32]));

        for batch in [1, 16, 64, 256] {
            let start = Instant::now();
            for _ in 0..MESSAGES / batch {
                for _ in 0..batch {
                    sender.send(frame.clone()).await?;
                }
                for _ in 0..batch {
                    receiver.receive().await?;
                }
            }
            report(&format!("batches of {batch}"), start);
        }

        let start = Instant::now();
        let sending = async {
            for _ in 0..MESSAGES {
                sender.send(frame.clone()).await?;
            }
            Ok(())
        };
        let receiving = async {
            for _ in 0..MESSAGES {
                receiver.receive().await?;
            }
            Ok::<_, TransportError>(())
        };
        try_join(sending, receiving).await?;
        report("two futures, a full queue in turn", start);
        Ok(())
    })
}

fn report(what: &str, start: Instant) {
    println!("{what}: {} ns a message", start.elapsed().as_nanos() / MESSAGES as u128);
}

/// A runtime that need not do anything: links without latency ask nothing of it.
#[derive(Debug)]
struct Still;

impl Runtime for Still {
    fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {}
    fn spawn_blocking(&self, _: Box<dyn FnOnce() + Send>) {}
    fn timer(&self) -> Pin<Box<dyn Timer>> {
        Box::pin(Never)
    }
    fn now(&self) -> Time {
        Time::ZERO
    }
}

struct Never;

impl Timer for Never {
    fn reset(self: Pin<&mut Self>, _: Time) {}
}

impl Future for Never {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
