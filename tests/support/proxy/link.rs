//! One link: two sockets, and what is ordered to be wrong between them.

use std::future::pending;
use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::lane::{End, HELD, Lane};

/// What is wrong with a link. Directions: 0 is to the server, 1 to the client.
#[derive(Clone, Copy, Default)]
pub(super) struct Orders {
    pub(super) broken: bool,
    pub(super) stalled: bool,
    pub(super) lost: [bool; 2],
    pub(super) ended: [bool; 2],
    pub(super) bytes_per_second: Option<u32>,
    pub(super) one_byte: bool,
}

impl Orders {
    /// Lifts what can be lifted.
    pub(super) fn heal(&mut self) {
        let Self { broken, lost, ended, .. } = *self;
        *self = Self { broken, lost, ended, ..Self::default() };
    }
}

type Receiver = watch::Receiver<Orders>;

/// Forwards between a client and the server until the link is over.
pub(super) async fn forward(mut client: TcpStream, server: SocketAddr, orders: Receiver) {
    let mut upstream = None;
    let over = tokio::select! {
        biased;
        () = broken(orders.clone()) => End::Reset,
        over = converse(&mut client, &mut upstream, server, orders) => over,
    };
    if over == End::Reset {
        for socket in [Some(client), upstream].into_iter().flatten() {
            // With this, closing it sends an RST.
            let _ = socket.set_zero_linger();
        }
    }
}

/// Answers the client's request with a status, and ends the connection.
pub(super) async fn answer(mut client: TcpStream, status: u16, orders: Receiver) {
    let answer = async {
        let mut request = BytesMut::new();
        while !request.ends_with(b"\r\n\r\n") {
            if !matches!(read(&client, &mut request).await, Some(1..)) {
                return;
            }
        }
        let answer =
            format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = client.write_all(answer.as_bytes()).await;
    };
    tokio::select! {
        () = broken(orders) => {}
        () = answer => {}
    }
}

async fn broken(mut orders: Receiver) {
    if orders.wait_for(|orders| orders.broken).await.is_err() {
        pending::<()>().await;
    }
}

async fn converse(
    client: &mut TcpStream,
    upstream: &mut Option<TcpStream>,
    server: SocketAddr,
    mut orders: Receiver,
) -> End {
    let mut held = BytesMut::new();
    if !admitted(client, &mut held, &mut orders).await {
        return End::Fin;
    }
    let Ok(connected) = TcpStream::connect(server).await else { return End::Reset };
    let server = upstream.insert(connected);
    // Small writes are forwarded as they come.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let mut up = Lane::new(0, from_client, to_server, held);
    let mut down = Lane::new(1, from_server, to_client, BytesMut::new());
    loop {
        let now = *orders.borrow_and_update();
        for end in [up.settle(&now, &down).await, down.settle(&now, &up).await] {
            if end == Some(End::Reset) {
                return End::Reset;
            }
        }
        if up.is_over() && down.is_over() {
            return End::Fin;
        }
        tokio::select! {
            Ok(()) = orders.changed() => {}
            () = up.step(&now) => {}
            () = down.step(&now) => {}
        }
    }
}

/// Waits until the link may go on to the server. `false` when the client is gone before.
async fn admitted(client: &TcpStream, held: &mut BytesMut, orders: &mut Receiver) -> bool {
    loop {
        let now = *orders.borrow_and_update();
        let swallows = now.lost[0];
        if !now.stalled && !swallows {
            return true;
        }
        tokio::select! {
            Ok(()) = orders.changed() => {}
            count = read(client, held), if held.len() < HELD => match count {
                None | Some(0) => return false,
                Some(_) if swallows => held.clear(),
                Some(_) => {}
            }
        }
    }
}

/// Reads some bytes. `None` when the socket is broken.
pub(super) async fn read(from: &TcpStream, into: &mut BytesMut) -> Option<usize> {
    loop {
        from.readable().await.ok()?;
        match from.try_read_buf(into) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            result => return result.ok(),
        }
    }
}
