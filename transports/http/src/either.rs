//! Two routes behind one door.

use bytes::Bytes;
use http::request::Parts;
use moorline_core::{Capabilities, CloseFrame, Frame, Incoming, Receiver, Sender, TransportError};

use crate::route::{Answer, Arrived, Halves, Host, Reply, Route, Socket};

/// One of two: what was learned about a request, or a half of a link.
#[derive(Debug)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Either<A, B> {
    Left(A),
    Right(B),
}

/// A request is for the one whose kind it is, and for the first one if it is nobody's.
impl<A: Route, B: Route> Route for (A, B) {
    type Accepted = Either<A::Accepted, B::Accepted>;
    type Sender<S: Socket> = Either<A::Sender<S>, B::Sender<S>>;
    type Receiver<S: Socket> = Either<A::Receiver<S>, B::Receiver<S>>;

    fn is_for(&self, request: &Parts) -> bool {
        self.0.is_for(request) || self.1.is_for(request)
    }

    fn answer(&self, request: &Parts, host: &Host) -> Answer<Self::Accepted> {
        if !self.0.is_for(request) && self.1.is_for(request) {
            self.1.answer(request, host).map(Either::Right)
        } else {
            self.0.answer(request, host).map(Either::Left)
        }
    }

    async fn respond(&self, request: Parts, body: Bytes, host: &Host) -> Reply {
        if !self.0.is_for(&request) && self.1.is_for(&request) {
            self.1.respond(request, body, host).await
        } else {
            self.0.respond(request, body, host).await
        }
    }

    fn link<S: Socket>(
        &self,
        arrived: Arrived<S, Self::Accepted>,
        host: &Host,
    ) -> Result<Halves<Self, S>, TransportError> {
        let Arrived { stream, read, request, accepted, address } = arrived;
        match accepted {
            Either::Left(accepted) => {
                let arrived = Arrived { stream, read, request, accepted, address };
                let (sender, receiver, peer) = self.0.link(arrived, host)?;
                Ok((Either::Left(sender), Either::Left(receiver), peer))
            }
            Either::Right(accepted) => {
                let arrived = Arrived { stream, read, request, accepted, address };
                let (sender, receiver, peer) = self.1.link(arrived, host)?;
                Ok((Either::Right(sender), Either::Right(receiver), peer))
            }
        }
    }

    /// What both can: the session does without the rest.
    fn capabilities(&self) -> Capabilities {
        let (one, other) = (self.0.capabilities(), self.1.capabilities());
        let mut both = Capabilities::default();
        both.binary = one.binary && other.binary;
        both.ping = one.ping && other.ping;
        both.close_codes = one.close_codes && other.close_codes;
        both.max_frame = match (one.max_frame, other.max_frame) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        both
    }

    fn close(&self, closed: bool) {
        self.0.close(closed);
        self.1.close(closed);
    }
}

impl<T> Answer<T> {
    /// The same with something else learned.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Upgrade { response, accepted } => {
                Answer::Upgrade { response, accepted: change(accepted) }
            }
            Self::Stream { response, accepted } => {
                Answer::Stream { response, accepted: change(accepted) }
            }
            Self::Body { limit, stranger, permit } => Answer::Body { limit, stranger, permit },
            Self::Refuse(response) => Answer::Refuse(response),
        }
    }
}

/// Calls a method of whichever it is.
macro_rules! either {
    ($self:ident, $half:ident => $call:expr) => {
        match $self {
            Either::Left($half) => $call,
            Either::Right($half) => $call,
        }
    };
}

impl<A: Sender, B: Sender> Sender for Either<A, B> {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        either!(self, half => half.send(frame).await)
    }

    async fn send_all(
        &mut self,
        frames: &mut (impl Iterator<Item = Frame> + Send),
    ) -> Result<(), TransportError> {
        either!(self, half => half.send_all(frames).await)
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        either!(self, half => half.flush().await)
    }

    async fn ping(&mut self) -> Result<(), TransportError> {
        either!(self, half => half.ping().await)
    }

    async fn close(&mut self, close: CloseFrame) -> Result<(), TransportError> {
        either!(self, half => half.close(close).await)
    }
}

impl<A: Receiver, B: Receiver> Receiver for Either<A, B> {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        either!(self, half => half.receive().await)
    }
}
