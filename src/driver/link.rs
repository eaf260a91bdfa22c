//! The two halves of a link, kept at work.
//!
//! A transport's methods are `async fn`s whose futures must be polled until they end. Each half therefore sits in a
//! future that owns it: one box for each half and link, none for a message.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::stream;
use moorline_core::machine::Transmit;
use moorline_core::{Incoming, Receiver, Sender, TransportError};
use pin_project_lite::pin_project;

/// A link, ready to be driven.
pub(crate) struct Link {
    pub(super) incoming: Pin<Box<dyn Stream<Item = Result<Incoming, TransportError>> + Send>>,
    pub(super) outgoing: Pin<Box<dyn BatchWriter>>,
}

impl Link {
    pub(crate) fn new(sender: impl Sender, receiver: impl Receiver) -> Self {
        Self {
            // Boxed, since each step moves the half into a future and back.
            incoming: Box::pin(stream::unfold(Box::new(receiver), |mut receiver| async {
                let incoming = receiver.receive().await.transpose()?;
                Some((incoming, receiver))
            })),
            outgoing: Box::pin(Writer { make: write, idle: Some(Box::new(sender)), busy: None }),
        }
    }
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
    for transmit in batch.drain(..) {
        match transmit {
            Transmit::Frame(frame) => sender.send(frame).await?,
            Transmit::Ping => sender.ping().await?,
            Transmit::Close(close) => return sender.close(close).await,
        }
    }
    sender.flush().await
}
