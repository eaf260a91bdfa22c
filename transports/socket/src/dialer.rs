use moorline_core::{Net, TransportError};

use crate::dial::dial;
use crate::{Proxy, Stream};

/// A client's way to a host. By default it is direct, and TLS trusts the roots that browsers ship.
#[derive(Clone, Debug, Default)]
pub struct Dialer {
    proxy: Option<Proxy>,
    #[cfg(feature = "rustls")]
    tls: Option<crate::TlsClient>,
}

impl Dialer {
    /// Goes through that proxy, which also looks the host up.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Trusts, and is, what that says.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(mut self, tls: crate::TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Opens a connection to that port of that host, which is asked for anew. No time limit.
    ///
    /// # Errors
    ///
    /// - [`Unreachable`](moorline_core::TransportErrorKind::Unreachable),
    ///   [`TimedOut`](moorline_core::TransportErrorKind::TimedOut): no address answered, at the host or the proxy.
    /// - [`Refused`](moorline_core::TransportErrorKind::Refused),
    ///   [`Unavailable`](moorline_core::TransportErrorKind::Unavailable): the proxy does not want to, for good or for now.
    /// - [`Untrusted`](moorline_core::TransportErrorKind::Untrusted): TLS does not know who answers.
    /// - [`Protocol`](moorline_core::TransportErrorKind::Protocol), [`Broken`](moorline_core::TransportErrorKind::Broken):
    ///   the proxy or TLS answered something else, or the connection broke.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the sockets.
    pub async fn dial<N: Net>(
        &self,
        net: &N,
        host: &str,
        port: u16,
        secure: bool,
    ) -> Result<Stream<N::Stream>, TransportError> {
        let stream = match &self.proxy {
            None => dial(net, host, port).await?,
            Some(proxy) => {
                let mut stream = dial(net, proxy.host(), proxy.port()).await?;
                proxy.ask(&mut stream, host, port).await?;
                stream
            }
        };
        if secure { self.secure(stream, host).await } else { Ok(Stream::plain(stream)) }
    }

    #[cfg(feature = "rustls")]
    async fn secure<S>(&self, stream: S, host: &str) -> Result<Stream<S>, TransportError>
    where
        S: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin,
    {
        match &self.tls {
            Some(tls) => tls.connect(stream, host).await,
            None => crate::TlsClient::web_roots().connect(stream, host).await,
        }
    }

    #[cfg(not(feature = "rustls"))]
    #[allow(clippy::unused_async, reason = "the other one is")]
    async fn secure<S>(&self, _stream: S, _host: &str) -> Result<Stream<S>, TransportError> {
        use moorline_core::TransportErrorKind::Configuration;
        Err(TransportError::new(Configuration, "TLS needs the feature `rustls` of moorline"))
    }
}
