//! Proxies: HTTP's CONNECT (RFC 9110, section 9.3.6) and SOCKS5 (RFC 1928 and 1929).

use std::fmt;
use std::io;
use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use moorline_core::{TransportError, TransportErrorKind};

/// The largest head of an HTTP proxy's answer, in bytes.
const MAX_HEAD: usize = 8 * 1024;

/// A proxy to go through: HTTP's CONNECT or SOCKS5. It looks the host up, so names that only it knows work.
///
/// ```
/// use moorline_socket::Proxy;
///
/// let proxy = Proxy::new("http://proxy.example:3128")?.credentials("ali", "sesame")?;
/// let socks = Proxy::new("socks5://127.0.0.1:1080")?;
/// # Ok::<_, moorline_core::TransportError>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Socks5,
}

impl Proxy {
    /// A proxy at `http://host:port` (3128 by default) or `socks5://host:port` (1080).
    ///
    /// # Errors
    ///
    /// [`Configuration`](TransportErrorKind::Configuration) when it is neither. Credentials are given by
    /// [`credentials`](Self::credentials), not in the address.
    pub fn new(url: &str) -> Result<Self, TransportError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let (kind, default) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Kind::Http, 3128),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            _ => return Err(wrong(&format!("its scheme is {scheme:?}"))),
        };
        let place = rest.strip_suffix('/').unwrap_or(rest);
        if place.contains('@') {
            return Err(wrong("it has credentials in it: give them by `credentials`"));
        }
        if place.contains(['/', '?', '#']) {
            return Err(wrong("it has a path"));
        }
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let port = match port {
            None => default,
            Some(port) => port.parse().map_err(|_| wrong(&format!("its port is {port:?}")))?,
        };
        if host.is_empty() || port == 0 {
            return Err(wrong("it has no host, or the port 0"));
        }
        Ok(Self { kind, host: host.to_owned(), port, credentials: None })
    }

    /// Says who one is: by Basic authentication, or by SOCKS5's user name and password. Neither hides them from who sees
    /// the traffic to the proxy.
    ///
    /// # Errors
    ///
    /// [`Configuration`](TransportErrorKind::Configuration) when one of them is longer than 255 bytes, or the user's name has
    /// a colon (which Basic cannot say).
    pub fn credentials(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Result<Self, TransportError> {
        let (user, password) = (user.into(), password.into());
        if user.len() > 255 || password.len() > 255 || user.is_empty() {
            return Err(wrong("its user name or password has no byte, or more than 255"));
        }
        if self.kind == Kind::Http && user.contains(':') {
            return Err(wrong("its user name has a colon"));
        }
        self.credentials = Some((user, password));
        Ok(self)
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Asks it, over a connection to it, for one to that port of that host.
    pub(crate) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        host: &str,
        port: u16,
    ) -> Result<(), TransportError> {
        match self.kind {
            Kind::Http => self.connect(stream, host, port).await,
            Kind::Socks5 => self.socks(stream, host, port).await,
        }
    }

    async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        host: &str,
        port: u16,
    ) -> Result<(), TransportError> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some((user, password)) = &self.credentials {
            let token = BASE64_STANDARD.encode(format!("{user}:{password}"));
            request.push_str(&format!("Proxy-Authorization: Basic {token}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let head = read_head(stream).await?;
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let status = match response.parse(&head) {
            Ok(_) => response.code.unwrap_or(0),
            Err(error) => return Err(protocol(&format!("it answered no HTTP: {error}"))),
        };
        let kind = match status {
            200..=299 => return Ok(()),
            408 | 425 | 429 | 500.. => TransportErrorKind::Unavailable,
            _ => TransportErrorKind::Refused,
        };
        let why = if status == 407 { ": it wants (other) credentials" } else { "" };
        Err(TransportError::new(kind, format!("the proxy answered with {status}{why}")))
    }

    async fn socks<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        host: &str,
        port: u16,
    ) -> Result<(), TransportError> {
        let method = if self.credentials.is_some() { 2 } else { 0 };
        say(stream, &[5, 1, method]).await?;
        let [version, chosen] = hear(stream).await?;
        if version != 5 {
            return Err(protocol(&format!("it speaks SOCKS {version}")));
        }
        if chosen != method {
            return Err(TransportError::refused("the proxy wants (other) credentials"));
        }
        if let Some((user, password)) = &self.credentials {
            let mut words = vec![1];
            for word in [user, password] {
                words.push(word.len() as u8);
                words.extend_from_slice(word.as_bytes());
            }
            say(stream, &words).await?;
            let [_, status] = hear(stream).await?;
            if status != 0 {
                return Err(TransportError::refused("the proxy refuses the credentials"));
            }
        }
        let mut request = vec![5, 1, 0];
        match host.parse() {
            Ok(IpAddr::V4(ip)) => {
                request.push(1);
                request.extend(ip.octets());
            }
            Ok(IpAddr::V6(ip)) => {
                request.push(4);
                request.extend(ip.octets());
            }
            Err(_) if host.len() > 255 => return Err(wrong("the host's name is too long")),
            Err(_) => {
                request.extend([3, host.len() as u8]);
                request.extend_from_slice(host.as_bytes());
            }
        }
        request.extend(port.to_be_bytes());
        say(stream, &request).await?;
        let [_, status, _, kind] = hear(stream).await?;
        if status != 0 {
            return Err(socks_failure(status));
        }
        // Where it is connected from, which nobody needs.
        let left = match kind {
            1 => 4,
            4 => 16,
            3 => usize::from(hear::<_, 1>(stream).await?[0]),
            _ => return Err(protocol("it answered with an address of no kind")),
        };
        let mut bound = vec![0; left + 2];
        stream.read_exact(&mut bound).await.map_err(broken)
    }
}

impl fmt::Debug for Proxy {
    /// Leaves the password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("kind", &self.kind)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.credentials.as_ref().map(|(user, _)| user))
            .finish()
    }
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, words: &[u8]) -> Result<(), TransportError> {
    stream.write_all(words).await.map_err(broken)?;
    stream.flush().await.map_err(broken)
}

async fn hear<S: AsyncRead + Unpin, const N: usize>(
    stream: &mut S,
) -> Result<[u8; N], TransportError> {
    let mut words = [0; N];
    stream.read_exact(&mut words).await.map_err(broken)?;
    Ok(words)
}

/// Byte by byte: what comes behind it is the host's.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, TransportError> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(protocol(&format!("the head of its answer is above {MAX_HEAD} bytes")));
        }
        head.extend(hear::<_, 1>(stream).await?);
    }
    Ok(head)
}

fn socks_failure(status: u8) -> TransportError {
    let (kind, what) = match status {
        1 => (TransportErrorKind::Unavailable, "failed"),
        2 => (TransportErrorKind::Refused, "does not allow it"),
        3 => (TransportErrorKind::Unreachable, "does not reach the network"),
        4 => (TransportErrorKind::Unreachable, "does not reach the host"),
        5 => (TransportErrorKind::Unreachable, "was refused by the host"),
        6 => (TransportErrorKind::TimedOut, "took too long"),
        _ => (TransportErrorKind::Refused, "cannot do that"),
    };
    TransportError::new(kind, format!("the proxy {what} (SOCKS5 status {status})"))
}

fn wrong(why: &str) -> TransportError {
    let message = format!("not a proxy such as http://host:port or socks5://host:port: {why}");
    TransportError::new(TransportErrorKind::Configuration, message)
}

fn protocol(why: &str) -> TransportError {
    TransportError::new(TransportErrorKind::Protocol, format!("the proxy: {why}"))
}

fn broken(error: io::Error) -> TransportError {
    TransportError::new(TransportErrorKind::Broken, format!("the proxy: {error}"))
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let parse = |url| {
            let Proxy { kind, host, port, .. } = Proxy::new(url).unwrap();
            (kind, host, port)
        };
        assert_eq!(parse("http://proxy"), (Kind::Http, "proxy".to_owned(), 3128));
        assert_eq!(parse("HTTP://proxy:80/"), (Kind::Http, "proxy".to_owned(), 80));
        assert_eq!(parse("socks5://[::1]:9"), (Kind::Socks5, "::1".to_owned(), 9));
        assert_eq!(parse("socks5h://h"), (Kind::Socks5, "h".to_owned(), 1080));
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong() {
        for (url, why) in [
            ("proxy:80", "scheme"),
            ("https://h", "scheme"),
            ("http://ali:sesame@h", "credentials"),
            ("http://h/path", "path"),
            ("http://:80", "host"),
            ("http://h:x", "port"),
        ] {
            let error = Proxy::new(url).unwrap_err();
            assert_eq!(error.kind(), TransportErrorKind::Configuration, "{url}");
            assert!(error.to_string().contains(why), "{url}: {error}");
            assert!(!error.to_string().contains("sesame"), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let proxy = Proxy::new("http://h").unwrap().credentials("ali", "sesame").unwrap();
        let shown = format!("{proxy:?}");
        assert!(shown.contains("ali") && !shown.contains("sesame"), "{shown}");
    }
}
