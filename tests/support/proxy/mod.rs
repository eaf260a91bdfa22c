//! A TCP proxy that does what networks and their boxes do wrong.
//!
//! It stands between the clients and one server, in this process, on a thread and a tokio runtime of its own: so its tasks
//! are not counted among those of the code under test, and dropping it ends all of them and joins the thread.
//!
//! Faults take effect at once: none of their methods returns before. They concern every link through the proxy; for faults
//! that strike a few clients only, give each few a proxy of their own. [`Proxy::heal`] lifts them all; what has been broken
//! stays broken, and what has been swallowed is lost.
#![allow(dead_code, reason = "each test binary uses the faults that it needs")]

mod front;
mod lane;
mod link;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use moorline::Direction;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;

use self::front::Front;
use self::link::Orders;

/// See the [module](self).
pub(crate) struct Proxy {
    front: Arc<Front>,
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _reserved: Reserved,
}

impl Proxy {
    /// A proxy in front of that address. Connects to it are refused until it is [opened](Self::open).
    pub(crate) fn new(server: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("tokio starts");
        let reserved = Reserved::new().expect("there is a free port");
        let address = reserved.address;
        let front = Arc::new(Front::new(runtime.handle().clone(), address, server));
        let (end, ended) = oneshot::channel();
        let accepting = front.clone();
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = ended => {}
                    () = accepting.accept() => {}
                }
            });
        };
        let thread = thread::Builder::new().name("proxy".into()).spawn(work);
        let thread = Some(thread.expect("a thread starts"));
        Self { front, address, end: Some(end), thread, _reserved: reserved }
    }

    /// Where clients connect to.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes connects in: the server listens.
    pub(crate) fn open(&self) {
        self.front.change(|faults| faults.served = true);
    }

    /// Refuses connects: the server listens no more. Links live on.
    pub(crate) fn close(&self) {
        self.front.change(|faults| faults.served = false);
    }

    /// How many links there are: those whose two sockets have not both been closed by their owners.
    pub(crate) fn links(&self) -> usize {
        self.front.links()
    }
}

/// Faults.
impl Proxy {
    /// Resets every link: both ends get an RST, and what was on its way is lost.
    pub(crate) fn reset(&self) {
        self.front.order(|orders| orders.broken = true);
        self.front.wait_for_the_broken();
    }

    /// Refuses connects: nobody listens here.
    pub(crate) fn refuse(&self) {
        self.front.change(|faults| faults.refused = true);
    }

    /// Resets every link, and refuses connects.
    pub(crate) fn cut(&self) {
        self.refuse();
        self.reset();
    }

    /// Answers every request with that status of HTTP, and ends its connection. Links live on.
    pub(crate) fn answer(&self, status: u16) {
        self.front.change(|faults| faults.status = Some(status));
    }

    /// Forwards nothing more, and keeps everything open, ends included. New connects hang. After [`heal`](Self::heal) all
    /// of it arrives.
    pub(crate) fn stall(&self) {
        self.front.change(|faults| faults.fresh.stalled = true);
        self.front.order(|orders| orders.stalled = true);
    }

    /// Takes everything in, ends included, and forwards none of it; on links that exist for good. New links are taken in
    /// and answered by nobody.
    pub(crate) fn blackhole(&self) {
        self.front.change(|faults| faults.fresh.lost = [true; 2]);
        self.front.order(|orders| orders.lost = [true; 2]);
    }

    /// As [`blackhole`](Self::blackhole), in one direction of the links that exist.
    pub(crate) fn half_open(&self, lost: Direction) {
        self.front.order(|orders| orders.lost[index(lost)] = true);
    }

    /// Ends one direction of the links that exist (a FIN), and swallows what is sent in it from now on.
    pub(crate) fn half_close(&self, ended: Direction) {
        self.front.order(|orders| orders.ended[index(ended)] = true);
    }

    /// Forwards so many bytes per second in each direction of each link.
    pub(crate) fn slow(&self, bytes_per_second: u32) {
        self.front.change(|faults| faults.fresh.bytes_per_second = Some(bytes_per_second));
        self.front.order(|orders| orders.bytes_per_second = Some(bytes_per_second));
    }

    /// Forwards byte by byte, each with a write of its own.
    pub(crate) fn one_byte(&self) {
        self.front.change(|faults| faults.fresh.one_byte = true);
        self.front.order(|orders| orders.one_byte = true);
    }

    pub(crate) fn heal(&self) {
        self.front.change(|faults| {
            faults.refused = false;
            faults.status = None;
            faults.fresh = Orders::default();
        });
        self.front.order(Orders::heal);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.front.shut();
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let joined = thread.join();
            // A panic of the proxy's is a test's failure, unless that has failed already.
            if !thread::panicking() {
                joined.expect("the proxy does not panic");
            }
        }
    }
}

const fn index(direction: Direction) -> usize {
    match direction {
        Direction::ToServer => 0,
        Direction::ToClient => 1,
    }
}

/// A free port of this host that stays ours. A socket is bound to it and does not listen: connects are refused, nobody is
/// given the port for a connection of his own, and a socket with `SO_REUSEADDR` can still be bound to it and listen.
pub(crate) struct Reserved {
    pub(crate) address: SocketAddr,
    _socket: TcpSocket,
}

impl Reserved {
    pub(crate) fn new() -> io::Result<Self> {
        let socket = bound((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self { address: socket.local_addr()?, _socket: socket })
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// How long the proxy's thread may take to do what it is told, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);
