//! Where a client connects to (RFC 6455, section 3; RFC 9110, section 4.2).

use http::Uri;
use moorline_core::{TransportError, TransportErrorKind};

/// An address of HTTP or of a WebSocket, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// To look up: without the brackets of IPv6.
    pub host: String,
    /// 80 or 443 if none is given.
    pub port: u16,
    /// By TLS.
    pub secure: bool,
    /// As the header `Host` has it.
    pub authority: String,
    /// The path with its query.
    pub target: String,
}

impl Address {
    /// Takes a URL apart whose scheme is `plain` (`ws`), or that with an `s` for TLS, in any case of letters.
    ///
    /// # Errors
    ///
    /// [`Configuration`](TransportErrorKind::Configuration) when it is none, or has a fragment or credentials. The URL itself is
    /// not in the error: its query may carry a token.
    pub fn parse(url: &str, plain: &str) -> Result<Self, TransportError> {
        let wrong = |why: &str| wrong(plain, why);
        let (scheme, _) = url.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let lower = scheme.to_ascii_lowercase();
        let (secure, default) = match lower.strip_prefix(plain) {
            Some("") => (false, 80),
            Some("s") if cfg!(feature = "rustls") => (true, 443),
            Some("s") => {
                return Err(wrong(&format!("{lower} needs TLS: switch on the feature `rustls`")));
            }
            _ => return Err(wrong(&format!("its scheme is {scheme:?}"))),
        };
        if url.contains('#') {
            return Err(wrong("it has a fragment"));
        }
        let uri: Uri = url.parse().map_err(|error| wrong("it is no URL").with_source(error))?;
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it has credentials in it: send them as a header instead"));
        }
        let bare = authority.host();
        let host = bare.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(bare);
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        let port = match authority.as_str()[bare.len()..].strip_prefix(':') {
            None | Some("") => default,
            Some(port) => match port.parse() {
                Ok(port) if port != 0 => port,
                _ => return Err(wrong(&format!("its port is {port:?}"))),
            },
        };
        let authority = if port == default { bare.to_owned() } else { format!("{bare}:{port}") };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let slash = if target.starts_with('/') { "" } else { "/" };
        let target = format!("{slash}{target}");
        Ok(Self { host: host.to_owned(), port, secure, authority, target })
    }
}

fn wrong(plain: &str, why: &str) -> TransportError {
    let message = format!("not an address such as {plain}://host:port/path: {why}");
    TransportError::new(TransportErrorKind::Configuration, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> (String, u16, String, String) {
        let Address { host, port, authority, target, .. } = Address::parse(url, "ws").unwrap();
        (host, port, authority, target)
    }

    #[test]
    fn an_address_is_taken_apart() {
        let parts = |host: &str, port, authority: &str, target: &str| {
            (host.to_owned(), port, authority.to_owned(), target.to_owned())
        };
        assert_eq!(parse("ws://example.com"), parts("example.com", 80, "example.com", "/"));
        assert_eq!(parse("WS://h:8080/a/b?c=d"), parts("h", 8080, "h:8080", "/a/b?c=d"));
        assert_eq!(parse("ws://[::1]:90/x"), parts("::1", 90, "[::1]:90", "/x"));
        assert_eq!(parse("ws://h?token=1"), parts("h", 80, "h", "/?token=1"));
    }

    #[test]
    #[cfg(feature = "rustls")]
    fn a_secure_address_has_its_own_port() {
        let address = Address::parse("WSS://h/a", "ws").unwrap();
        assert!(address.secure);
        assert_eq!((address.port, &*address.authority), (443, "h"));
        assert_eq!(Address::parse("wss://h:80", "ws").unwrap().authority, "h:80");
    }

    #[test]
    #[cfg(not(feature = "rustls"))]
    fn a_secure_address_names_the_feature() {
        assert!(Address::parse("wss://h", "ws").unwrap_err().to_string().contains("`rustls`"));
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong_and_not_its_secrets() {
        for (url, why) in [
            ("http://h", "scheme"),
            ("h:80", "scheme"),
            ("", "scheme"),
            ("ws://", "URL"),
            ("ws:///path", "URL"),
            ("ws://:80", "host"),
            ("ws://h:99999", "port"),
            ("ws://h:0", "port"),
            ("ws://user:secret@h/", "credentials"),
            ("ws://h/#secret", "fragment"),
            ("ws://h/?secret=a b", "URL"),
        ] {
            let error = Address::parse(url, "ws").unwrap_err();
            assert_eq!(error.kind(), TransportErrorKind::Configuration, "{url}");
            assert!(error.to_string().contains(why), "{url}: {error}");
            assert!(!error.to_string().contains("secret"), "{url}: {error}");
        }
    }
}
