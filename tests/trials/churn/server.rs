//! What runs in the server's process.

use std::io::stdin;
use std::time::Duration;

use moorline::server::HookError;
use moorline::{Binary, Codec, Heartbeat, Raw, Server, ServerConnection, Tokio, WebSocketAcceptor};

use crate::process::MARK;
use crate::trial::{descriptors, resident};

/// Says its address, and how it stands each time it is asked; ends when nobody can ask any more.
pub(crate) async fn serve(session: bool) {
    let server = if session { build(Binary) } else { build(Raw) };
    server.on_connect(async |connection| echo(&connection).await);
    // A client that leaves without a close is one; a server that fails is another matter.
    server.on_error(|error| eprintln!("the server: {error}"));
    server.start().await.unwrap();
    println!("{MARK}{}", server.local_address().unwrap());
    let asked = server.clone();
    let answer = move || {
        for _ in stdin().lines().map_while(Result::ok) {
            println!("{MARK}{} {} {}", asked.count(), descriptors(), resident());
        }
    };
    tokio::task::spawn_blocking(answer).await.unwrap();
    server.stop().await.unwrap();
}

fn build(codec: impl Codec) -> Server {
    let acceptor = WebSocketAcceptor::new("127.0.0.1:0", Tokio::current()).unwrap();
    Server::builder()
        // The closes that are resets would each keep their session for a while.
        .retention(Duration::ZERO)
        .acceptor(acceptor)
        .runtime(Tokio::current())
        .codec(codec)
        // The bare clients read only when they expect something, so they answer no ping.
        .heartbeat(Heartbeat::every(Duration::from_secs(3600)))
        .build()
}

async fn echo(connection: &ServerConnection) -> Result<(), HookError> {
    while let Some(message) = connection.next_message().await {
        connection.send(message).await?;
    }
    Ok(())
}
