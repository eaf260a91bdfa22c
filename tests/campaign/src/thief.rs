//! A network that repeats: what a client says first on a link comes again later, on a link of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use moorline::{Binary, Codec, Json, Network, Sim, Transport, TransportError};
use moorline_core::wire::Packet;
use moorline_core::{CloseFrame, ConnectRequest, Frame, Incoming, Receiver, Sender};
use moorline_memory::{MemoryReceiver, MemorySender, MemoryTransport};

use crate::log::{Entry, Log};
use crate::world::{PLACE, SECOND};

/// A client's transport whose hellos are overheard.
pub(crate) struct Overheard {
    sim: Sim,
    own: MemoryTransport,
    log: Log,
    rng: Mutex<Rng>,
}

impl Overheard {
    pub(crate) fn new(sim: &Sim, network: &Network, log: &Log, rng: Rng) -> Self {
        let own = network.transport(PLACE);
        Self { sim: sim.clone(), own, log: log.clone(), rng: Mutex::new(rng) }
    }
}

impl Transport for Overheard {
    type Sender = FirstWords;
    type Receiver = Answers;

    async fn connect(
        &self,
        request: &ConnectRequest,
    ) -> Result<(FirstWords, Answers), TransportError> {
        let (own, receiver) = self.own.connect(request).await?;
        let (hello, answered) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let (repeats, after) = {
            let mut rng = self.rng.lock().unwrap();
            (rng.u32(..6) == 0, Duration::from_millis(rng.u64(100..60_000)))
        };
        if repeats {
            let said = Said { hello: hello.clone(), answered: answered.clone() };
            let (sim, log) = (self.sim.clone(), self.log.clone());
            self.sim.spawn(repeat(sim, self.own.clone(), log, said, after));
        }
        Ok((FirstWords { own, hello }, Answers { own: receiver, answered }))
    }
}

/// What was said on a link, and whether the server has answered it.
struct Said {
    hello: Arc<Mutex<Option<Frame>>>,
    answered: Arc<AtomicBool>,
}

/// Says again what was said, when it is late.
async fn repeat(sim: Sim, transport: MemoryTransport, log: Log, said: Said, after: Duration) {
    sim.sleep(after).await;
    let Some(hello) = said.hello.lock().unwrap().take() else { return };
    // One that the server has never seen it cannot tell from the client's own.
    if !said.answered.load(Ordering::Relaxed) {
        return;
    }
    let heard = sim.timeout(20 * SECOND, async {
        let (mut sender, mut receiver) =
            transport.connect(&ConnectRequest::default()).await.ok()?;
        sender.send(hello).await.ok()?;
        sender.flush().await.ok()?;
        match receiver.receive().await.ok()?? {
            Incoming::Frame(frame @ Frame::Text(_)) => Json.decode(frame).ok(),
            Incoming::Frame(frame) => Binary.decode(frame).ok(),
            _ => None,
        }
    });
    if let Ok(Some(Packet::Ready(ready))) = heard.await {
        if !matches!(ready.recovery, moorline_core::wire::Recovery::Fresh) {
            log.write(Entry::Accused("an old attempt was given the session".to_owned()));
        }
    }
}

/// A sender whose first frame is remembered.
pub(crate) struct FirstWords {
    own: MemorySender,
    hello: Arc<Mutex<Option<Frame>>>,
}

impl Sender for FirstWords {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        self.hello.lock().unwrap().get_or_insert_with(|| frame.clone());
        self.own.send(frame).await
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        self.own.flush().await
    }

    async fn close(&mut self, close: CloseFrame) -> Result<(), TransportError> {
        self.own.close(close).await
    }
}

/// A receiver that remembers whether anything came.
pub(crate) struct Answers {
    own: MemoryReceiver,
    answered: Arc<AtomicBool>,
}

impl Receiver for Answers {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        let incoming = self.own.receive().await;
        if let Ok(Some(Incoming::Frame(_))) = &incoming {
            self.answered.store(true, Ordering::Relaxed);
        }
        incoming
    }
}
