//! A transport under test, and the faults that can be done to it.

use moorline::Network;
use moorline_core::{BoxTransport, TransportErrorKind};
use moorline_memory::Direction;

use super::erased::AnyAcceptor;

/// One place that servers listen at and clients connect to. What each fault does: [`Network`].
pub(crate) trait Venue: Send + Sync {
    fn transport(&self) -> BoxTransport;
    fn acceptor(&self) -> AnyAcceptor;
    fn links(&self) -> usize;
    fn cut(&self);
    fn reset(&self);
    fn partition(&self);
    fn half_open(&self, lost: Direction);
    fn refuse(&self, kind: TransportErrorKind);
    fn heal(&self);
}

/// The endpoint of the network in memory.
pub(crate) const PLACE: &str = "shop";

/// The transport in memory.
pub(crate) struct Memory(pub(crate) Network);

impl Venue for Memory {
    fn transport(&self) -> BoxTransport {
        BoxTransport::new(self.0.transport(PLACE))
    }

    fn acceptor(&self) -> AnyAcceptor {
        AnyAcceptor::new(self.0.acceptor(PLACE))
    }

    fn links(&self) -> usize {
        self.0.links(PLACE)
    }

    fn cut(&self) {
        self.0.cut(PLACE);
    }

    fn reset(&self) {
        self.0.reset(PLACE);
    }

    fn partition(&self) {
        self.0.partition(PLACE);
    }

    fn half_open(&self, lost: Direction) {
        self.0.half_open(PLACE, lost);
    }

    fn refuse(&self, kind: TransportErrorKind) {
        self.0.refuse(PLACE, kind);
    }

    fn heal(&self) {
        self.0.heal(PLACE);
    }
}
