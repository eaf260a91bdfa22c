//! The two halves of a link, kept at work.
//!
//! A transport's methods are `async fn`s whose futures must be polled until they end. Each half therefore sits in a
//! future that owns it: one box for each half and link, none for a message.

use std::future::Future;
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll};

use moorline_core::machine::Transmit;
use moorline_core::{Incoming, Receiver, Sender, TransportError};
use pin_project_lite::pin_project;

/// A link, ready to be driven.
pub(crate) struct Link {
    pub(super) incoming: Pin<Box<dyn FrameReader>>,
    pub(super) outgoing: Pin<Box<dyn BatchWriter>>,
}

impl Link {
    pub(crate) fn new(sender: impl Sender, receiver: impl Receiver) -> Self {
        Self {
            // Boxed, since each step moves the half into a future and back.
            incoming: Box::pin(Reader { make: read, idle: Some(Box::new(receiver)), busy: None }),
            outgoing: Box::pin(Writer { make: write, idle: Some(Box::new(sender)), busy: None }),
        }
    }
}

/// Reads one frame at a time.
pub(super) trait FrameReader: Send {
    /// What comes next. Not polled any more after the end.
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Incomings>;
}

type Incomings = Result<Option<Incoming>, TransportError>;

pin_project! {
    struct Reader<R, F, M> {
        make: M,
        idle: Option<Box<R>>,
        #[pin]
        busy: Option<F>,
    }
}

impl<R, F, M> FrameReader for Reader<R, F, M>
where
    R: Receiver,
    F: Future<Output = (Box<R>, Incomings)> + Send,
    M: Fn(Box<R>) -> F + Send,
{
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Incomings> {
        let mut this = self.project();
        if let Some(receiver) = this.idle.take() {
            this.busy.set(Some((this.make)(receiver)));
        }
        let Some(busy) = this.busy.as_mut().as_pin_mut() else { return Poll::Pending };
        let Poll::Ready((receiver, incoming)) = busy.poll(context) else { return Poll::Pending };
        this.busy.set(None);
        *this.idle = Some(receiver);
        Poll::Ready(incoming)
    }
}

async fn read<R: Receiver>(mut receiver: Box<R>) -> (Box<R>, Incomings) {
    let incoming = receiver.receive().await;
    (receiver, incoming)
}

/// Writes one batch at a time.
pub(super) trait BatchWriter: Send {
    /// Begins to write `batch`, which is left empty. Only after the batch before was done.
    fn begin(self: Pin<&mut Self>, batch: &mut Vec<Transmit>);

    /// Goes on writing. `Ready` when the batch is written and flushed; its memory is given back.
    fn poll_written(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        batch: &mut Vec<Transmit>,
    ) -> Poll<Result<(), TransportError>>;
}

pin_project! {
    struct Writer<S, F, M> {
        make: M,
        idle: Option<Box<S>>,
        #[pin]
        busy: Option<F>,
    }
}

type Written<S> = (Box<S>, Vec<Transmit>, Result<(), TransportError>);

impl<S, F, M> BatchWriter for Writer<S, F, M>
where
    S: Sender,
    F: Future<Output = Written<S>> + Send,
    M: Fn(Box<S>, Vec<Transmit>) -> F + Send,
{
    fn begin(self: Pin<&mut Self>, batch: &mut Vec<Transmit>) {
        let mut this = self.project();
        let sender =
            this.idle.take().expect("the machine sends no batch before the last is written");
        this.busy.set(Some((this.make)(sender, std::mem::take(batch))));
    }

    fn poll_written(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        batch: &mut Vec<Transmit>,
    ) -> Poll<Result<(), TransportError>> {
        let mut this = self.project();
        let Some(busy) = this.busy.as_mut().as_pin_mut() else { return Poll::Pending };
        let Poll::Ready((sender, memory, result)) = busy.poll(context) else {
            return Poll::Pending;
        };
        this.busy.set(None);
        *this.idle = Some(sender);
        *batch = memory;
        Poll::Ready(result)
    }
}

async fn write<S: Sender>(mut sender: Box<S>, mut batch: Vec<Transmit>) -> Written<S> {
    let result = write_all(&mut *sender, &mut batch).await;
    batch.clear();
    (sender, batch, result)
}

async fn write_all<S: Sender>(
    sender: &mut S,
    batch: &mut Vec<Transmit>,
) -> Result<(), TransportError> {
    let mut batch = batch.drain(..);
    loop {
        let mut other = None;
        let mut frames = iter::from_fn(|| match batch.next() {
            Some(Transmit::Frame(frame)) => Some(frame),
            next => {
                other = next;
                None
            }
        });
        sender.send_all(&mut frames).await?;
        match other {
            Some(Transmit::Ping) => sender.ping().await?,
            Some(Transmit::Close(close)) => return sender.close(close).await,
            Some(Transmit::Frame(_)) | None => return sender.flush().await,
        }
    }
}
