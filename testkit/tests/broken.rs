//! A wrong transport is caught, at the check that names its fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use moorline_core::{
    CloseFrame, ConnectRequest, Frame, Runtime, Sender, Transport, TransportError,
};
use moorline_memory::{MemoryAcceptor, MemoryTransport, Network};
use moorline_testkit::{Report, TransportKit};
use moorline_tokio::Tokio;

const PLACE: &str = "kit";

/// What a client's sender does wrong.
#[derive(Clone)]
enum Fault {
    None,
    /// Every fifth frame goes out behind the next one.
    Reorders,
    /// A close throws away what was not flushed.
    DropsTheLast,
    /// What is flushed at once goes out as one frame.
    Merges,
    IgnoresClose,
    /// A full link blocks the thread, until the flag is set.
    Blocks(Arc<AtomicBool>),
    /// Each link has a task that never ends; they are counted.
    LeaksATask(Tokio, Arc<AtomicUsize>),
}

struct Broken(MemoryTransport, Fault);

type MemorySender = <MemoryTransport as Transport>::Sender;

struct BrokenSender {
    inner: MemorySender,
    fault: Fault,
    held: Vec<Frame>,
    count: usize,
}

impl Transport for Broken {
    type Sender = BrokenSender;
    type Receiver = <MemoryTransport as Transport>::Receiver;

    async fn connect(
        &self,
        request: &ConnectRequest,
    ) -> Result<(BrokenSender, Self::Receiver), TransportError> {
        let (inner, receiver) = self.0.connect(request).await?;
        if let Fault::LeaksATask(runtime, alive) = &self.1 {
            alive.fetch_add(1, Ordering::SeqCst);
            runtime.spawn("leak", Box::pin(std::future::pending()));
        }
        let fault = self.1.clone();
        Ok((BrokenSender { inner, fault, held: Vec::new(), count: 0 }, receiver))
    }
}

impl BrokenSender {
    async fn send_held(&mut self) -> Result<(), TransportError> {
        for frame in self.held.drain(..) {
            self.inner.send(frame).await?;
        }
        Ok(())
    }
}

impl Sender for BrokenSender {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        self.count += 1;
        match &self.fault {
            Fault::Reorders if self.count % 5 == 0 => {
                self.held.push(frame);
                Ok(())
            }
            Fault::Reorders => {
                self.inner.send(frame).await?;
                self.send_held().await
            }
            Fault::DropsTheLast | Fault::Merges => {
                self.held.push(frame);
                // So that it waits when nobody reads.
                if self.held.len() > 50 { self.flush().await } else { Ok(()) }
            }
            Fault::Blocks(over) => {
                let over = over.clone();
                let mut sending = Box::pin(self.inner.send(frame));
                loop {
                    if let Some(sent) = sending.as_mut().now_or_never() {
                        return sent;
                    }
                    if over.load(Ordering::SeqCst) {
                        return Err(TransportError::closed());
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            _ => self.inner.send(frame).await,
        }
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        if matches!(self.fault, Fault::Merges) && self.held.len() > 1 {
            let merged: Vec<u8> =
                self.held.drain(..).flat_map(|frame| frame.into_payload()).collect();
            self.inner.send(Frame::Text(Bytes::from(merged))).await?;
        }
        self.send_held().await?;
        self.inner.flush().await
    }

    async fn ping(&mut self) -> Result<(), TransportError> {
        self.inner.ping().await
    }

    async fn close(&mut self, close: CloseFrame) -> Result<(), TransportError> {
        match &self.fault {
            Fault::IgnoresClose => return Ok(()),
            Fault::DropsTheLast => self.held.clear(),
            _ => self.send_held().await?,
        }
        self.inner.close(close).await
    }
}

async fn play(fault: Fault) -> Report {
    let network = Network::new(Tokio::current());
    let clients = network.clone();
    let acceptor = move || -> MemoryAcceptor { network.acceptor(PLACE) };
    let leaked = match &fault {
        Fault::LeaksATask(_, alive) => Some(alive.clone()),
        _ => None,
    };
    let transport = move |_: &MemoryAcceptor| Broken(clients.transport(PLACE), fault.clone());
    let mut kit = TransportKit::new(Tokio::current(), acceptor, transport)
        .trusts_text("both ends are one process")
        .bound(2 * Network::CAPACITY)
        .patience(Duration::from_secs(1))
        .quiet(Duration::from_millis(50));
    if let Some(leaked) = leaked {
        kit = kit.gauge("tasks", move || leaked.load(Ordering::SeqCst));
    }
    kit.run().await
}

fn on_tokio(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().expect("tokio starts").block_on(test);
}

/// Plays the kit, and sees which check fails first.
fn fails_first(fault: Fault, check: &str) {
    on_tokio(async {
        let report = play(fault).await;
        assert_eq!(report.failed().first(), Some(&check), "{report}");
    });
}

#[test]
fn r53_one_without_a_fault_passes() {
    on_tokio(async { play(Fault::None).await.assert() });
}

#[test]
fn r53_one_that_reorders_is_caught() {
    fails_first(Fault::Reorders, "frames_arrive_in_order");
}

#[test]
fn r53_one_that_drops_the_last_frame_is_caught() {
    fails_first(Fault::DropsTheLast, "a_close_comes_after_all_frames");
}

#[test]
fn r53_one_that_merges_frames_is_caught() {
    fails_first(Fault::Merges, "frames_are_not_merged_or_split");
}

#[test]
fn r53_one_that_ignores_close_is_caught() {
    fails_first(Fault::IgnoresClose, "a_close_arrives");
}

#[test]
fn r53_one_that_blocks_for_ever_is_caught() {
    let over = Arc::new(AtomicBool::new(false));
    on_tokio(async {
        let report = play(Fault::Blocks(over.clone())).await;
        over.store(true, Ordering::SeqCst);
        let failed = report.failed();
        assert_eq!(failed.first(), Some(&"a_reader_that_stops_stops_the_writer"), "{report}");
        assert!(report.to_string().contains("blocks its thread"), "{report}");
    });
}

#[test]
fn r53_one_that_leaks_a_task_is_caught() {
    on_tokio(async {
        let fault = Fault::LeaksATask(Tokio::current(), Arc::default());
        let report = play(fault).await;
        assert!(report.failed().contains(&"nothing_is_left_behind"), "{report}");
        assert!(report.to_string().contains("tasks"), "{report}");
    });
}
