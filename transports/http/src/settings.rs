//! What a door lets in.

use std::time::Duration;

#[cfg(feature = "rustls")]
use futures_io::{AsyncRead, AsyncWrite};
use moorline_core::TransportError;
use moorline_socket::Stream;

use crate::origin::Origins;

/// The bytes of a request's head by default: browsers send cookies of up to 4 KiB each, and other servers take as much.
pub(crate) const MAX_HEADER_BYTES: usize = 16 * 1024;

/// The headers of a request by default: browsers send about 20, proxies add a few. It is hyper's own default, too.
pub(crate) const MAX_HEADERS: usize = 100;

/// The time for a request by default: a slow phone needs a second or two.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) path: Option<String>,
    pub(crate) origins: Origins,
    pub(crate) max_header_bytes: usize,
    pub(crate) max_headers: usize,
    pub(crate) handshake_timeout: Duration,
    #[cfg(feature = "rustls")]
    pub(crate) tls: Option<moorline_socket::TlsServer>,
}

impl Settings {
    #[cfg(feature = "rustls")]
    pub(crate) async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<Stream<S>, TransportError> {
        match &self.tls {
            Some(tls) => tls.accept(stream).await,
            None => Ok(Stream::plain(stream)),
        }
    }

    #[cfg(not(feature = "rustls"))]
    #[allow(clippy::unused_async, reason = "the other one is")]
    pub(crate) async fn secure<S>(&self, stream: S) -> Result<Stream<S>, TransportError> {
        Ok(Stream::plain(stream))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: None,
            origins: Origins::default(),
            max_header_bytes: MAX_HEADER_BYTES,
            max_headers: MAX_HEADERS,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            #[cfg(feature = "rustls")]
            tls: None,
        }
    }
}
