//! How much clients may send, by connection and by address (R37).
//!
//! Nothing is counted where there is no limit. Where there is one, a message costs a comparison of two times; that of an
//! address is behind the address's own lock.

mod address;
mod bucket;
mod meter;
mod sources;
mod tally;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use moorline_core::machine::Refusal;
use moorline_core::{Peer, Time};

use self::address::Key;
pub use self::address::{AddressError, ProxyHeader, TrustedProxies};
use self::bucket::Rate;
pub(crate) use self::sources::Source;
use self::sources::Sources;
pub(super) use self::tally::{Tally, Told};

/// How many refusals in a row are told, in times of the burst, before a connection is closed that goes on all the same.
const PATIENCE: u64 = 10;

/// The code of all that is refused here.
const CODE: &str = "rate_limit_exceeded";

/// How much may come in a time, and how much at once (R37): a bucket that fills by so many each second, and holds a burst.
///
/// Counted is what a client sends to the application or for others: messages, publications, requests, joins, profiles,
/// queries, questions for members. Signs of life, acknowledgements, answers and leaves are not.
///
/// ```
/// use moorline::server::RateLimit;
///
/// let chat = RateLimit::per_second(5).burst(20).bytes(16 * 1024, 256 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    messages: Rate,
    bytes: Option<Rate>,
}

impl RateLimit {
    /// So many each second, and at first as many at once; at least 1.
    #[must_use]
    pub const fn per_second(count: u32) -> Self {
        Self::every(count, Duration::from_secs(1))
    }

    /// So many each minute, and at first as many at once; at least 1.
    #[must_use]
    pub const fn per_minute(count: u32) -> Self {
        Self::every(count, Duration::from_secs(60))
    }

    /// So many in that time, and at first as many at once; at least 1.
    #[must_use]
    pub const fn every(count: u32, period: Duration) -> Self {
        Self { messages: Rate::new(count as u64, period), bytes: None }
    }

    /// How many may come at once after a silence; at least 1. Default: as many as in the time that the limit was given for. It
    /// should be no less than a client's [`Buffer`](crate::Buffer) holds, which it sends at once when it comes back.
    #[must_use]
    pub const fn burst(mut self, count: u32) -> Self {
        self.messages = self.messages.burst(count as u64);
        self
    }

    /// So many bytes each second too, and so many at once; at least 1 each. A message counts with its length and 64 bytes, as
    /// everywhere. One that is larger than the burst passes after a silence, and is paid for by the next ones. Default: no limit.
    /// Of connections no bytes are counted.
    #[must_use]
    pub const fn bytes(mut self, per_second: u64, burst: u64) -> Self {
        self.bytes = Some(Rate::new(per_second, Duration::from_secs(1)).burst(burst));
        self
    }
}

/// What a server limits.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) connection: Option<RateLimit>,
    pub(super) address: Option<RateLimit>,
    pub(super) connections: Option<RateLimit>,
    pub(super) proxies: TrustedProxies,
}

/// The limits of a server, and what is known of each address.
pub(super) struct RateLimits {
    settings: Settings,
    sources: Sources,
}

impl RateLimits {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, sources: Sources::new() }
    }

    /// Whether messages are counted.
    pub(super) const fn count_messages(&self) -> bool {
        self.settings.connection.is_some() || self.settings.address.is_some()
    }

    /// Where a client comes from.
    pub(super) fn address(&self, peer: &Peer) -> Option<IpAddr> {
        self.settings.proxies.client(peer)
    }

    /// What is counted for a client that comes from there; `None` when nothing is.
    pub(super) fn source(
        &self,
        peer: &Peer,
        address: Option<IpAddr>,
        now: Time,
    ) -> Option<Arc<Source>> {
        if self.settings.address.is_none() && self.settings.connections.is_none() {
            return None;
        }
        Some(self.sources.get(Key::of(peer, address)?, now))
    }

    /// Whether one more link may come from there.
    pub(super) fn connect(&self, source: Option<&Source>, now: Time) -> Result<(), Refusal> {
        let wait = match (source, &self.settings.connections) {
            (Some(source), Some(limit)) => source.connect(limit, now),
            _ => None,
        };
        match wait {
            None => Ok(()),
            Some(wait) => {
                Err(Refusal::for_now(CODE, "too many connections from this address", wait))
            }
        }
    }
}
