//! A network of one connection, a clock that stands still, and an executor that polls only who was woken: what forgets
//! to wake is found, since it never ends.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use moorline_core::{BoxFuture, Net, NetListener, Runtime, Time, Timer};

/// Where everybody is.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4000);

/// The network, the clock, and the far end of the one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct World(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    now: Time,
    /// What waits for the clock.
    timers: Vec<Waker>,
    taken: bool,
    closed: bool,
    dropped: bool,
    incoming: Vec<u8>,
    end: Option<End>,
    reader: Option<Waker>,
    outgoing: Vec<u8>,
    /// How many bytes the socket takes before it has to be emptied.
    room: Option<usize>,
    left: usize,
    writer: Option<Waker>,
}

/// How what the far end sends ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Close,
    Reset,
}

impl World {
    /// A network whose socket takes `room` bytes at a time, or all.
    pub(crate) fn new(room: Option<usize>) -> Self {
        let inner = Inner { room, left: room.unwrap_or(0), ..Inner::default() };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// The far end sends.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let waker = {
            let mut inner = self.lock();
            inner.incoming.extend_from_slice(bytes);
            inner.reader.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// The far end sends no more.
    pub(crate) fn end(&self, end: End) {
        let wakers = {
            let mut inner = self.lock();
            inner.end = Some(end);
            [inner.reader.take(), inner.writer.take()]
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// The far end reads: the socket has room again.
    pub(crate) fn empty(&self) {
        let waker = {
            let mut inner = self.lock();
            inner.left = inner.room.unwrap_or(0);
            inner.writer.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Time passes.
    pub(crate) fn pass(&self, time: Duration) {
        let timers = {
            let mut inner = self.lock();
            inner.now += time;
            std::mem::take(&mut inner.timers)
        };
        timers.into_iter().for_each(Waker::wake);
    }

    /// All that has come to the far end since it was last asked.
    pub(crate) fn received(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().outgoing)
    }

    /// Whether the socket takes all at once.
    pub(crate) fn is_roomy(&self) -> bool {
        self.lock().room.is_none()
    }

    /// Whether the socket was dropped.
    pub(crate) fn is_dropped(&self) -> bool {
        self.lock().dropped
    }

    fn take(&self) -> Option<Socket> {
        let mut inner = self.lock();
        (!std::mem::replace(&mut inner.taken, true)).then(|| Socket(self.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime for World {
    fn spawn(&self, name: &'static str, _task: BoxFuture<'static, ()>) {
        panic!("no transport spawns a task: {name}");
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }

    fn timer(&self) -> Pin<Box<dyn Timer>> {
        Box::pin(Alarm { world: self.clone(), deadline: Time::MAX })
    }

    fn now(&self) -> Time {
        self.lock().now
    }
}

impl Net for World {
    type Stream = Socket;
    type Listener = Listener;

    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![ADDRESS])
    }

    async fn connect(&self, _address: SocketAddr) -> io::Result<Socket> {
        self.take().ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }

    async fn bind(&self, _address: SocketAddr) -> io::Result<Listener> {
        Ok(Listener(self.clone()))
    }
}

pub(crate) struct Listener(World);

impl NetListener for Listener {
    type Stream = Socket;

    async fn accept(&mut self) -> io::Result<(Socket, SocketAddr)> {
        match self.0.take() {
            Some(socket) => Ok((socket, ADDRESS)),
            None => std::future::pending().await,
        }
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(ADDRESS)
    }
}

struct Alarm {
    world: World,
    deadline: Time,
}

impl Future for Alarm {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.world.lock();
        if inner.now >= self.deadline {
            return Poll::Ready(());
        }
        inner.timers.push(context.waker().clone());
        Poll::Pending
    }
}

impl Timer for Alarm {
    fn reset(mut self: Pin<&mut Self>, deadline: Time) {
        self.deadline = deadline;
    }
}

/// The near end of the connection.
pub(crate) struct Socket(World);

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        let count = buffer.len().min(inner.incoming.len());
        if count > 0 {
            buffer[..count].copy_from_slice(&inner.incoming[..count]);
            inner.incoming.drain(..count);
            return Poll::Ready(Ok(count));
        }
        match inner.end {
            Some(End::Close) => Poll::Ready(Ok(0)),
            Some(End::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            None => {
                inner.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        assert!(!inner.closed, "written after it was closed");
        if inner.end == Some(End::Reset) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = if inner.room.is_some() { bytes.len().min(inner.left) } else { bytes.len() };
        if count == 0 && !bytes.is_empty() {
            inner.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        inner.left = inner.left.saturating_sub(count);
        inner.outgoing.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        for slice in slices {
            match self.as_mut().poll_write(context, slice) {
                Poll::Ready(Ok(count)) => written += count,
                other if written == 0 => return other,
                _ => break,
            }
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().closed = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.lock().dropped = true;
    }
}

/// A future, polled when it was woken.
pub(crate) struct Task<'a, T> {
    future: Option<Pin<Box<dyn Future<Output = T> + 'a>>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'a, T> Task<'a, T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self { future: Some(Box::pin(future)), woken: Arc::new(Woken(AtomicBool::new(true))) }
    }

    /// Polls until it waits for somebody to wake it; what it ended with.
    pub(crate) fn run(&mut self) -> Option<T> {
        let waker = Waker::from(self.woken.clone());
        let mut context = Context::from_waker(&waker);
        // More than any input is long: what wakes itself for ever stands still.
        for _ in 0..100_000 {
            let future = self.future.as_mut()?;
            if !self.woken.0.swap(false, Ordering::Relaxed) {
                return None;
            }
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                self.future = None;
                return Some(output);
            }
        }
        panic!("it is busy and gets nowhere");
    }

    /// Polls until it waits for something else than room in the socket.
    pub(crate) fn run_emptied(&mut self, world: &World) -> Option<T> {
        for _ in 0..100_000 {
            if let Some(output) = self.run() {
                return Some(output);
            }
            world.empty();
            if !self.woken.0.load(Ordering::Relaxed) {
                return None;
            }
        }
        panic!("it writes without end");
    }
}

/// What a future ends with that waits for nothing.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    Task::new(future).run().expect("it waits for nothing")
}
