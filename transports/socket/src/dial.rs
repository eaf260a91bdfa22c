//! A TCP connection to a name (RFC 8305, Happy Eyeballs).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use moorline_core::{Net, TransportError, TransportErrorKind};

/// How long an attempt has the field to itself (RFC 8305, section 8).
const STAGGER: Duration = Duration::from_millis(250);

/// Asks for the host's addresses anew, and connects to the first that answers: one address family after the other, the next
/// one as soon as an attempt fails or has taken too long.
pub(crate) async fn dial<N: Net>(
    net: &N,
    host: &str,
    port: u16,
) -> Result<N::Stream, TransportError> {
    let found = net.resolve(host, port).await.map_err(|error| {
        TransportError::unreachable(format!("{host} was not found: {error}")).with_source(error)
    })?;
    let mut addresses = interleave(found);
    let Some(first) = addresses.pop_front() else {
        return Err(TransportError::unreachable(format!("{host} has no address")));
    };
    let connected = if addresses.is_empty() {
        net.connect(first).await
    } else {
        race(net, first, addresses).await
    };
    connected.map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::TimedOut => TransportErrorKind::TimedOut,
            _ => TransportErrorKind::Unreachable,
        };
        TransportError::new(kind, format!("{host}:{port}: {error}")).with_source(error)
    })
}

async fn race<N: Net>(
    net: &N,
    first: SocketAddr,
    mut addresses: VecDeque<SocketAddr>,
) -> io::Result<N::Stream> {
    let mut timer = net.timer();
    timer.as_mut().reset(net.now() + STAGGER);
    let mut attempts = FuturesUnordered::new();
    attempts.push(net.connect(first));
    poll_fn(|context| {
        loop {
            let failed = match attempts.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(stream))) => return Poll::Ready(Ok(stream)),
                Poll::Ready(Some(Err(error))) => Some(error),
                Poll::Ready(None) | Poll::Pending => None,
            };
            if failed.is_none() && timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            match (addresses.pop_front(), failed) {
                (Some(next), _) => {
                    attempts.push(net.connect(next));
                    timer.as_mut().reset(net.now() + STAGGER);
                }
                (None, Some(error)) if attempts.is_empty() => return Poll::Ready(Err(error)),
                (None, _) => timer.as_mut().reset(moorline_core::Time::MAX),
            }
        }
    })
    .await
}

/// The resolver's order within each family, and the families by turns, the resolver's first one first.
fn interleave(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut interleaved = VecDeque::with_capacity(first.len() + second.len());
    let mut second = second.into_iter();
    for address in first {
        interleaved.push_back(address);
        interleaved.extend(second.next());
    }
    interleaved.extend(second);
    interleaved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let addresses = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|address| address.parse().unwrap()).collect()
        };
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"]);
        let wanted = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"]);
        assert_eq!(Vec::from(interleave(found)), wanted);
    }
}
