//! A runtime of one's own: an executor that the application runs itself, on the threads that it likes. Timers and sockets are those
//! of `moorline-async-io`, which any program on async-io may use; what is left to write is where tasks run.
//!
//! ```text
//! cargo run --all-features --example custom_runtime
//! ```

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use moorline::{Client, Runtime, Server, Time, WebSocket, WebSocketAcceptor};
use moorline_async_io::{AsyncIoListener, AsyncIoStream};
use moorline_core::{BoxFuture, Net, Timer};
use smol::Executor;

/// The application's executor. Clones are the same one.
#[derive(Clone, Debug)]
struct Own(Arc<Executor<'static>>);

impl Runtime for Own {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        self.0.spawn(task).detach();
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

/// Only transports with sockets ask for these.
impl Net for Own {
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let executor = Arc::new(Executor::new());
    // All tasks, moorline's and our own, run on this thread.
    smol::block_on(executor.run(talk(Own(executor.clone()))))
}

async fn talk(runtime: Own) -> Result<(), Box<dyn std::error::Error>> {
    let acceptor = WebSocketAcceptor::new("127.0.0.1:0", runtime.clone())?;
    let server = Server::builder().acceptor(acceptor).runtime(runtime.clone()).build();
    server.on_connect(async |connection| {
        while let Some(message) = connection.next_message().await {
            connection.send(message).await?;
        }
        Ok(())
    });
    server.start().await?;

    let address = server.local_address().ok_or("it does not listen")?;
    let transport = WebSocket::new(format!("ws://{address}/"), runtime.clone())?;
    let connection =
        Client::builder().transport(transport).runtime(runtime).build().connect().await?;
    connection.send("hello on an executor of our own").await?;
    if let Some(message) = connection.next_message().await {
        println!("{message}");
    }
    connection.close();
    server.stop().await?;
    Ok(())
}
