//! Where a client comes from: its own address, or what a proxy that is trusted says of it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use moorline_core::Peer;

/// How many hops of a header are looked at, from the nearest on: more proxies than any client stands behind.
const MAX_HOPS: usize = 16;

/// How many bytes of an address that is none of the internet's tell it from others.
const MAX_NAME: usize = 64;

/// The proxies that a server stands behind (R37), and the header in which they say for whom they speak. What anybody else writes
/// there is not believed.
///
/// ```
/// use moorline::server::TrustedProxies;
///
/// # fn main() -> Result<(), moorline::server::AddressError> {
/// let proxies = TrustedProxies::new(["10.0.0.0/8", "::1"])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    header: ProxyHeader,
}

/// The header in which proxies say for whom they speak.
///
/// It is one of the two and not whichever is there: a proxy that writes the one passes the other on as the client wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, which most write.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// An address, or a network as `10.0.0.0/8`, that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an IP address nor a network such as `10.0.0.0/8`")]
pub struct AddressError(pub String);

impl TrustedProxies {
    /// Proxies at those addresses, or in those networks (`10.0.0.0/8`, `fd00::/8`), which write `X-Forwarded-For`.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read.
    pub fn new<N: AsRef<str>>(networks: impl IntoIterator<Item = N>) -> Result<Self, AddressError> {
        let networks = networks.into_iter().map(|network| network.as_ref().parse());
        Ok(Self { networks: networks.collect::<Result<_, _>>()?, header: ProxyHeader::default() })
    }

    /// The same, which write that header. It must be the one that they set or add to, for every request.
    #[must_use]
    pub const fn header(mut self, header: ProxyHeader) -> Self {
        self.header = header;
        self
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// The address of the client itself: the peer's, or, where that is trusted, the nearest one in the header that is not.
    pub(super) fn client(&self, peer: &Peer) -> Option<IpAddr> {
        let mut address = parse(peer.address.as_deref()?)?;
        if !self.trust(address) {
            return Some(address);
        }
        let name = match self.header {
            ProxyHeader::XForwardedFor => "x-forwarded-for",
            ProxyHeader::Forwarded => "forwarded",
        };
        let values = peer.headers.iter().rev().filter(|(own, _)| own == name);
        let hops = values.flat_map(|(_, value)| value.rsplit(',')).take(MAX_HOPS);
        for hop in hops {
            let named = match self.header {
                ProxyHeader::XForwardedFor => Some(hop),
                ProxyHeader::Forwarded => forwarded_for(hop),
            };
            // What cannot be read was written by the hop before, which is the last that is known.
            let Some(next) = named.and_then(parse) else { break };
            address = next;
            if !self.trust(address) {
                break;
            }
        }
        Some(address)
    }
}

/// The `for` of one element of a `Forwarded` header.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address with or without a port, with or without brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = text.parse().ok().or_else(bare);
    let address = address.or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()))?;
    Some(address.to_canonical())
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    fn contains(&self, other: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.checked_shr(32 - bits).is_none_or(|rest| rest == 0)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.checked_shr(128 - bits).is_none_or(|rest| rest == 0)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| error())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => {
                bits.trim().parse().ok().filter(|bits| *bits <= most).ok_or_else(error)?
            }
            None => most,
        };
        Ok(Self { address, bits })
    }
}

/// Whom the connections of one address are counted for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    V4(u32),
    /// The first 64 bits: who has one such address has all of them.
    V6(u64),
    /// Of a transport with addresses of its own.
    Named(Box<str>),
}

impl Key {
    /// `None` where nothing is known of the peer's address: then it cannot be counted.
    pub(super) fn of(peer: &Peer, client: Option<IpAddr>) -> Option<Self> {
        Some(match client {
            Some(IpAddr::V4(address)) => Self::V4(address.to_bits()),
            Some(IpAddr::V6(address)) => Self::V6((address.to_bits() >> 64) as u64),
            None => {
                let name = peer.address.as_deref()?;
                let end =
                    (0..=MAX_NAME.min(name.len())).rev().find(|&at| name.is_char_boundary(at));
                Self::Named(name[..end.unwrap_or(0)].into())
            }
        })
    }
}

impl fmt::Debug for Key {
    /// Not the address: it is a person's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str, headers: &[(&str, &str)]) -> Peer {
        let mut peer = Peer::new("test");
        peer.address = Some(address.to_owned());
        peer.headers = headers.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        peer
    }

    fn client(proxies: &TrustedProxies, peer: &Peer) -> String {
        proxies.client(peer).map_or_else(String::new, |address| address.to_string())
    }

    #[test]
    fn addresses_are_read_with_and_without_ports_and_brackets() {
        for (text, address) in [
            ("1.2.3.4", "1.2.3.4"),
            (" 1.2.3.4:567 ", "1.2.3.4"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
        ] {
            assert_eq!(parse(text), Some(address.parse().unwrap()), "{text}");
        }
        for text in
            ["", "memory:17", "unknown", "_hidden", "1.2.3", "1.2.3.4:", "[::1", "1.2.3.4:99999"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn networks_are_read_and_contain_what_begins_like_them() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("10.1.2.3", "10.1.2.3"));
        assert!(!contains("10.1.2.3", "10.1.2.2"));
        assert!(contains("0.0.0.0/0", "255.255.255.255"));
        assert!(contains("::/0", "ffff::"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::1"));
        for wrong in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0/8",
            "proxy",
            "1.2.3.4/8/9",
        ] {
            assert_eq!(wrong.parse::<Network>(), Err(AddressError(wrong.to_owned())));
        }
    }

    #[test]
    fn a_header_is_believed_only_of_who_is_trusted() {
        let spoofed = [("x-forwarded-for", "9.9.9.9")];
        let none = TrustedProxies::default();
        assert_eq!(client(&none, &peer("10.0.0.1:80", &spoofed)), "10.0.0.1");
        let proxies = TrustedProxies::new(["10.0.0.0/8"]).unwrap();
        assert_eq!(client(&proxies, &peer("1.2.3.4:80", &spoofed)), "1.2.3.4");
        assert_eq!(client(&proxies, &peer("10.0.0.1:80", &spoofed)), "9.9.9.9");
        // Of the other header nothing is believed.
        assert_eq!(
            client(&proxies, &peer("10.0.0.1:80", &[("forwarded", "for=9.9.9.9")])),
            "10.0.0.1"
        );
    }

    #[test]
    fn the_nearest_hop_that_is_not_trusted_is_the_client() {
        let proxies = TrustedProxies::new(["10.0.0.0/8"]).unwrap();
        for (headers, expected) in [
            // Whatever the client wrote stands further left.
            (vec!["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            (vec!["6.6.6.6, 1.2.3.4, 10.0.0.7"], "1.2.3.4"),
            (vec!["6.6.6.6", "1.2.3.4, 10.0.0.7"], "1.2.3.4"),
            (vec!["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
            (vec!["1.2.3.4, nonsense"], "10.0.0.1"),
            (vec!["1.2.3.4, nonsense, 10.0.0.2"], "10.0.0.2"),
            (vec![""], "10.0.0.1"),
            (vec![], "10.0.0.1"),
        ] {
            let headers: Vec<_> = headers.iter().map(|value| ("x-forwarded-for", *value)).collect();
            assert_eq!(client(&proxies, &peer("10.0.0.1:80", &headers)), expected, "{headers:?}");
        }
        let proxies = proxies.header(ProxyHeader::Forwarded);
        for (value, expected) in [
            ("for=1.2.3.4;proto=https;by=10.0.0.1", "1.2.3.4"),
            (r#"for=6.6.6.6, For="[2001:db8::1]:4711""#, "2001:db8::1"),
            ("for=unknown", "10.0.0.1"),
            ("for=1.2.3.4, by=10.0.0.5", "10.0.0.1"),
        ] {
            assert_eq!(client(&proxies, &peer("10.0.0.1:80", &[("forwarded", value)])), expected);
        }
        // A header without end costs no more than a few hops.
        let endless = "10.0.0.2,".repeat(10_000) + "10.0.0.3";
        assert_eq!(
            client(
                &proxies.header(ProxyHeader::XForwardedFor),
                &peer("10.0.0.1:80", &[("x-forwarded-for", &endless)])
            ),
            "10.0.0.2"
        );
    }

    #[test]
    fn six_is_counted_by_its_first_half_and_names_are_short() {
        let key = |address: &str| {
            let peer = peer(address, &[]);
            Key::of(&peer, TrustedProxies::default().client(&peer))
        };
        assert!(key("[2001:db8::1]:80") == key("[2001:db8::ffff:2]:81"));
        assert!(key("[2001:db8::1]:80") != key("[2001:db8:0:1::1]:80"));
        assert!(key("1.2.3.4:80") == key("[::ffff:1.2.3.4]:81"));
        assert!(key("memory:1") != key("memory:2"));
        assert!(Key::of(&Peer::new("test"), None).is_none());
        let Some(Key::Named(name)) = key(&"é".repeat(500)) else { panic!("it is a name") };
        assert_eq!(name.len(), 64);
    }
}
