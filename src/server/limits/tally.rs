//! What one connection has sent.

use std::sync::Arc;
use std::time::Duration;

use moorline_core::Time;
use moorline_core::machine::{Exchange, Refusal};
use moorline_core::wire::Packet;

use super::bucket::Bucket;
use super::meter::{Meter, Weight};
use super::{CODE, PATIENCE, RateLimit, RateLimits, Source};

/// How many packets beside its joins a client may say at its open without being counted: its profile, and some queries.
const RESTORES: usize = 64;

/// See the [module](self).
#[derive(Debug, Default)]
pub(in crate::server) struct Tally {
    meter: Meter,
    source: Option<Arc<Source>>,
    /// What was refused, less what would have been let through since.
    refused: Bucket,
    /// How much of what stands beside its messages a client may still say again, which is not counted.
    restores: usize,
    /// The same, since something was lost on the way to it.
    regains: usize,
    flooded: bool,
}

/// What becomes of a message that is too many.
#[derive(Debug)]
pub(in crate::server) enum Told {
    Refused(Refusal),
    /// It is one of far too many: the connection is to be closed. Told once.
    Flooded,
    /// It comes after that.
    Nothing,
}

impl Tally {
    /// The client has come, or come back; from there.
    pub(in crate::server) fn come(&mut self, source: Option<Arc<Source>>) {
        self.source = source;
    }

    /// It is open: at first a client says again what stood when it was lost, which may be as many joins as it may have.
    pub(in crate::server) fn opened(&mut self, channels: usize) {
        self.restores = channels.saturating_add(RESTORES);
    }

    /// Something was lost on the way to the client, which is on so many channels and asks so many queries: once it hears of that
    /// it asks for them again, whatever else it says meanwhile.
    pub(in crate::server) fn lost(&mut self, channels: usize, queries: usize) {
        self.regains = channels + queries + RESTORES;
    }

    /// One more message, with what it costs in bytes.
    pub(in crate::server) fn count(
        &mut self,
        limits: &RateLimits,
        exchange: &Exchange,
        size: usize,
        now: Time,
    ) -> Result<(), Told> {
        if self.flooded {
            return Err(Told::Nothing);
        }
        if !is_counted(exchange) || self.restores(exchange) {
            return Ok(());
        }
        let weight = Weight { messages: count_of(exchange), bytes: size as u64 };
        let (own, shared) = (limits.settings.connection.as_ref(), limits.settings.address.as_ref());
        if let Some(limit) = own {
            if let Some(wait) = self.meter.wait(limit, weight, now) {
                return Err(self.refuse(
                    limit,
                    wait,
                    "too many messages from this connection",
                    now,
                ));
            }
        }
        // The address is asked last: what it lets through has been taken from it.
        if let (Some(limit), Some(source)) = (shared, &self.source) {
            if let Some(wait) = source.take(limit, weight, now) {
                return Err(self.refuse(limit, wait, "too many messages from this address", now));
            }
        }
        if let Some(limit) = own {
            self.meter.take(limit, weight, now);
        }
        Ok(())
    }

    fn refuse(&mut self, limit: &RateLimit, wait: Duration, text: &str, now: Time) -> Told {
        let patience = limit.messages.burst(limit.messages.burst.saturating_mul(PATIENCE));
        if self.refused.wait(&patience, 1, now).is_some() {
            self.flooded = true;
            return Told::Flooded;
        }
        self.refused.take(&patience, 1, now);
        Told::Refused(Refusal::for_now(CODE, text, wait))
    }

    /// Whether it is part of what a client says again as it comes back, before its first message, or after a loss.
    fn restores(&mut self, exchange: &Exchange) -> bool {
        let says_again = match exchange {
            Exchange::State(packet) => {
                let packet = &**packet;
                let is_join = matches!(packet, Packet::Join(_) | Packet::Members(_));
                is_join || matches!(packet, Packet::Profile(_) | Packet::Query(_))
            }
            _ => false,
        };
        self.restores = if says_again { self.restores.saturating_sub(1) } else { 0 };
        if self.restores > 0 || !says_again {
            return says_again;
        }
        let is_profile =
            matches!(exchange, Exchange::State(packet) if matches!(**packet, Packet::Profile(_)));
        let left = self.regains.checked_sub(count_of(exchange) as usize);
        match left.filter(|_| !is_profile) {
            Some(left) => self.regains = left,
            None => return false,
        }
        true
    }
}

/// As how many messages it counts: each query of a batch is one.
fn count_of(exchange: &Exchange) -> u64 {
    match exchange {
        Exchange::State(packet) => match &**packet {
            Packet::Query(query) => query.ask.len().max(1) as u64,
            _ => 1,
        },
        _ => 1,
    }
}

/// Whether it is anything that a client does by itself, and that costs others something.
fn is_counted(exchange: &Exchange) -> bool {
    match exchange {
        Exchange::None | Exchange::Request(_) | Exchange::Publish(_) => true,
        Exchange::State(packet) => match &**packet {
            // What was joined is counted already, and who leaves makes room.
            Packet::Leave(_) => false,
            _ => true,
        },
        Exchange::Response(_) | Exchange::Failure(..) => false,
    }
}
