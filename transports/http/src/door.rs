//! The listening socket.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use moorline_core::{Net, NetListener, TransportError, TransportErrorKind};

use crate::settings::{HANDSHAKE_TIMEOUT, MAX_HEADER_BYTES, MAX_HEADERS, Settings};

/// Listens at one address, and takes connections in. See the [crate](crate).
pub struct HttpDoor<N: Net> {
    pub(crate) net: Arc<N>,
    host: String,
    port: u16,
    pub(crate) settings: Arc<Settings>,
    listener: Option<N::Listener>,
}

impl<N: Net> HttpDoor<N> {
    /// The largest head of a request in bytes by default.
    pub const MAX_HEADER_BYTES: usize = MAX_HEADER_BYTES;
    /// The most headers of a request by default.
    pub const MAX_HEADERS: usize = MAX_HEADERS;
    /// How long a request may take by default.
    pub const HANDSHAKE_TIMEOUT: Duration = HANDSHAKE_TIMEOUT;

    /// A door at `address`, such as `127.0.0.1:8080`, `[::]:8080` or `localhost:0`. Port 0 is any free port, chosen by
    /// the first [`listen`](Self::listen) and kept from then on. Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// [`Configuration`](TransportErrorKind::Configuration) when the address is not a host and a port.
    pub fn new(address: impl AsRef<str>, net: N) -> Result<Self, TransportError> {
        let (host, port) = split(address.as_ref())?;
        let settings = Arc::new(Settings::default());
        Ok(Self { net: Arc::new(net), host, port, settings, listener: None })
    }

    /// Lets only requests for this path in, such as `/realtime`; others get 404. Any path by default.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        self.set(|settings| settings.path = Some(path.into()))
    }

    /// Lets pages of this origin in, such as `https://app.example`; may be called more than once. Pages of the server's
    /// own host (the `Host` header's), and what sends no `Origin` and so is not a browser, always come in.
    #[must_use]
    pub fn allow_origin(self, origin: impl Into<String>) -> Self {
        self.set(|settings| settings.origins.list(&origin.into()))
    }

    /// Lets pages of every origin in. Then any page in the world can use its visitor's cookies here.
    #[must_use]
    pub fn allow_any_origin(self) -> Self {
        self.set(|settings| settings.origins.any = true)
    }

    /// The largest head of a request in bytes; beyond it 431. [`MAX_HEADER_BYTES`](Self::MAX_HEADER_BYTES) by default.
    #[must_use]
    pub fn max_header_bytes(self, bytes: usize) -> Self {
        self.set(|settings| settings.max_header_bytes = bytes)
    }

    /// The most headers of a request; beyond it 431. [`MAX_HEADERS`](Self::MAX_HEADERS) by default.
    #[must_use]
    pub fn max_headers(self, headers: usize) -> Self {
        self.set(|settings| settings.max_headers = headers)
    }

    /// Speaks TLS, and nothing else.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(self, tls: moorline_socket::TlsServer) -> Self {
        self.set(|settings| settings.tls = Some(tls))
    }

    /// How long a request may take from the connection's acceptance to its answer, TLS included.
    /// [`HANDSHAKE_TIMEOUT`](Self::HANDSHAKE_TIMEOUT) by default.
    #[must_use]
    pub fn handshake_timeout(self, limit: Duration) -> Self {
        self.set(|settings| settings.handshake_timeout = limit)
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Begins to listen. Does nothing if it does already.
    ///
    /// # Errors
    ///
    /// When the address is taken or not ours, or the host is unknown.
    pub async fn listen(&mut self) -> Result<(), TransportError> {
        if self.listener.is_some() {
            return Ok(());
        }
        let mut failed = None;
        for address in self.net.resolve(&self.host, self.port).await? {
            match self.net.bind(address).await {
                Ok(listener) => {
                    self.port = listener.local_address()?.port();
                    self.listener = Some(listener);
                    return Ok(());
                }
                Err(error) => failed = Some(error),
            }
        }
        let nothing = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        Err(failed.unwrap_or_else(nothing).into())
    }

    /// Waits for the next connection, and for nothing that its peer does: where it comes from, too.
    ///
    /// # Errors
    ///
    /// [`Configuration`](TransportErrorKind::Configuration) when it does not listen, or cannot any more: final. Every
    /// other error is [retryable](TransportError::is_retryable): out of descriptors or memory, or one connection that
    /// broke before it was taken.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has taken no connection.
    pub async fn accept(&mut self) -> Result<(N::Stream, SocketAddr), TransportError> {
        let Some(listener) = &mut self.listener else {
            let message = "accept without listen";
            return Err(TransportError::new(TransportErrorKind::Configuration, message));
        };
        listener.accept().await.map_err(accept_error)
    }

    /// Stops listening. Connections that have been taken live on.
    pub fn close(&mut self) {
        self.listener = None;
    }

    /// Where it listens; `None` while it does not.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.listener.as_ref()?.local_address().ok()
    }
}

impl<N: Net> fmt::Debug for HttpDoor<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDoor")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("settings", &self.settings)
            .field("listening", &self.listener.is_some())
            .finish_non_exhaustive()
    }
}

fn split(address: &str) -> Result<(String, u16), TransportError> {
    let wrong = |why: &str| {
        let message = format!("{address:?} {why}; wanted is a host and a port: 127.0.0.1:8080");
        TransportError::new(TransportErrorKind::Configuration, message)
    };
    if address.contains("://") {
        return Err(wrong("is a URL"));
    }
    let (host, port) = address.rsplit_once(':').ok_or_else(|| wrong("has no port"))?;
    let port = port.parse().map_err(|_| wrong("has no valid port"))?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(|| wrong("has an open bracket"))?,
        None if host.contains(':') => return Err(wrong("has an IPv6 address without brackets")),
        None => host,
    };
    if host.is_empty() {
        return Err(wrong("has no host"));
    }
    Ok((host.to_owned(), port))
}

/// A listening socket itself breaks in two ways only; all else passes.
fn accept_error(error: io::Error) -> TransportError {
    let kind = match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => {
            TransportErrorKind::Configuration
        }
        _ => TransportErrorKind::Unavailable,
    };
    TransportError::new(kind, error.to_string()).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(split("127.0.0.1:0").unwrap(), ("127.0.0.1".to_owned(), 0));
        assert_eq!(split("[::1]:8080").unwrap(), ("::1".to_owned(), 8080));
        assert_eq!(split("localhost:80").unwrap(), ("localhost".to_owned(), 80));
    }

    #[test]
    fn a_wrong_address_is_a_wrong_configuration() {
        for wrong in ["", "localhost", ":80", "::1:80", "[::1:80", "h:99999", "http://h:80"] {
            let error = split(wrong).unwrap_err();
            assert_eq!(error.kind(), TransportErrorKind::Configuration, "{wrong}");
        }
    }

    #[test]
    fn out_of_descriptors_passes() {
        #[cfg(unix)]
        assert!(accept_error(io::Error::from_raw_os_error(24)).is_retryable());
        assert!(accept_error(io::ErrorKind::ConnectionAborted.into()).is_retryable());
        assert!(!accept_error(io::ErrorKind::InvalidInput.into()).is_retryable());
    }
}
