//! A transport whose links end at a chosen frame, whatever carries them.

use std::sync::{Arc, Mutex};

use moorline_core::{
    BoxReceiver, BoxSender, BoxTransport, Capabilities, CloseFrame, ConnectRequest, Frame,
    Incoming, Receiver, Sender, Transport, TransportError, TransportErrorKind,
};
use moorline_memory::Direction;

/// Cuts the links of a client at frames counted over all of them. Cheap to clone; clones are the same.
#[derive(Clone)]
pub(crate) struct Scissors {
    inner: Arc<BoxTransport>,
    cuts: Arc<Mutex<Cuts>>,
}

/// Where to cut.
struct Cuts {
    way: Direction,
    /// In place of the frame, which is lost, or after it.
    before: bool,
    /// At which frames of that way, counted from 1; the next one last.
    at: Vec<u64>,
    passed: u64,
}

impl Scissors {
    pub(crate) fn new(
        transport: BoxTransport,
        way: Direction,
        before: bool,
        mut at: Vec<u64>,
    ) -> Self {
        at.sort_unstable_by(|one, other| other.cmp(one));
        let cuts = Arc::new(Mutex::new(Cuts { way, before, at, passed: 0 }));
        Self { inner: Arc::new(transport), cuts }
    }

    /// How many cuts are still to come.
    pub(crate) fn left(&self) -> usize {
        self.cuts.lock().unwrap().at.len()
    }

    /// A frame passes that way. Whether the link is cut here, and before it.
    fn passes(&self, way: Direction) -> Option<bool> {
        let mut cuts = self.cuts.lock().unwrap();
        if cuts.way != way {
            return None;
        }
        cuts.passed += 1;
        if cuts.at.last().is_none_or(|at| *at > cuts.passed) {
            return None;
        }
        cuts.at.pop();
        Some(cuts.before)
    }
}

fn cut() -> TransportError {
    TransportError::new(TransportErrorKind::Broken, "cut")
}

impl Transport for Scissors {
    type Sender = Half<BoxSender>;
    type Receiver = Half<BoxReceiver>;

    async fn connect(
        &self,
        request: &ConnectRequest,
    ) -> Result<(Self::Sender, Self::Receiver), TransportError> {
        let (sender, receiver) = self.inner.connect(request).await?;
        let half = || self.clone();
        Ok((Half { half: sender, scissors: half() }, Half { half: receiver, scissors: half() }))
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}

pub(crate) struct Half<T> {
    half: T,
    scissors: Scissors,
}

impl Sender for Half<BoxSender> {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        let cuts = self.scissors.passes(Direction::ToServer);
        if cuts != Some(true) {
            self.half.send(frame).await?;
        }
        if cuts.is_some() {
            // What came before has left.
            self.half.flush().await?;
            return Err(cut());
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        self.half.flush().await
    }

    async fn ping(&mut self) -> Result<(), TransportError> {
        self.half.ping().await
    }

    async fn close(&mut self, close: CloseFrame) -> Result<(), TransportError> {
        self.half.close(close).await
    }
}

impl Receiver for Half<BoxReceiver> {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        let incoming = self.half.receive().await?;
        if !matches!(incoming, Some(Incoming::Frame(_))) {
            return Ok(incoming);
        }
        match self.scissors.passes(Direction::ToClient) {
            Some(true) => Err(cut()),
            // It is delivered, and nothing after it.
            Some(false) => {
                self.half = BoxReceiver::new(Cut);
                Ok(incoming)
            }
            None => Ok(incoming),
        }
    }
}

/// What is left of a link.
struct Cut;

impl Receiver for Cut {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        Err(cut())
    }
}
