//! TLS by rustls, with ring as its provider: given by hand, so that it does not depend on what else a program links.

use std::fmt;
use std::io;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::{TlsAcceptor, TlsConnector};
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use moorline_core::{TransportError, TransportErrorKind};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::Stream;

/// The protocol that is spoken within, as TLS names it (RFC 7301).
const ALPN: &[u8] = b"http/1.1";

/// How much a client that is refused may still send, in bytes: its first request, written before it knew.
const LATE: u64 = 64 * 1024;

/// Whom a client trusts, and who it is.
#[derive(Clone)]
pub struct TlsClient {
    roots: Arc<RootCertStore>,
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Trusts the authorities that browsers do, as of the release of `webpki-roots`: the same on every machine. The default.
    #[must_use]
    pub fn web_roots() -> Self {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        Self::of(roots)
    }

    /// Trusts the authorities that this machine does.
    ///
    /// # Errors
    ///
    /// [`Configuration`](TransportErrorKind::Configuration) when it has none that can be read.
    pub fn system_roots() -> Result<Self, TransportError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(found.certs);
        if taken == 0 {
            return Err(wrong(&format!("this system trusts no authority: {:?}", found.errors)));
        }
        Ok(Self::of(roots))
    }

    /// Trusts these authorities and no other: certificates as PEM.
    ///
    /// # Errors
    ///
    /// [`Configuration`](TransportErrorKind::Configuration) when there is none, or one cannot be read.
    pub fn own_roots(pem: impl AsRef<[u8]>) -> Result<Self, TransportError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(pem.as_ref())? {
            roots.add(certificate).map_err(|error| wrong(&error.to_string()))?;
        }
        Ok(Self::of(roots))
    }

    /// Everything as that configuration says, such as a verifier of one's own.
    #[must_use]
    pub fn from_config(config: Arc<ClientConfig>) -> Self {
        Self { roots: Arc::new(RootCertStore::empty()), config }
    }

    /// Shows a certificate to servers that ask for one: its chain, and its key, as PEM. Not after
    /// [`from_config`](Self::from_config), which has its own.
    ///
    /// # Errors
    ///
    /// [`Configuration`](TransportErrorKind::Configuration) when they cannot be read, or do not fit each other.
    pub fn certificate(
        self,
        chain_pem: impl AsRef<[u8]>,
        key_pem: impl AsRef<[u8]>,
    ) -> Result<Self, TransportError> {
        let chain = certificates(chain_pem.as_ref())?;
        let key = key(key_pem.as_ref())?;
        let config = client_config(&self.roots)
            .with_client_auth_cert(chain, key)
            .map_err(|error| wrong(&error.to_string()))?;
        Ok(Self { config: spoken(config), ..self })
    }

    fn of(roots: RootCertStore) -> Self {
        let roots = Arc::new(roots);
        let config = spoken(client_config(&roots).with_no_client_auth());
        Self { roots, config }
    }

    pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        host: &str,
    ) -> Result<Stream<S>, TransportError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| wrong(&format!("{host:?} is not a name that a certificate can have")))?;
        let secured = TlsConnector::from(self.config.clone()).connect(name, stream).await;
        secured.map(Stream::tls).map_err(|error| failure(error, host))
    }
}

/// Who a server is.
#[derive(Clone)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
}

impl TlsServer {
    /// A server with that certificate: its chain, its own first, and its key, as PEM.
    ///
    /// # Errors
    ///
    /// [`Configuration`](TransportErrorKind::Configuration) when they cannot be read, or do not fit each other.
    pub fn from_pem(
        chain_pem: impl AsRef<[u8]>,
        key_pem: impl AsRef<[u8]>,
    ) -> Result<Self, TransportError> {
        let chain = certificates(chain_pem.as_ref())?;
        let key = key(key_pem.as_ref())?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring can do what is safe")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| wrong(&error.to_string()))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { config: Arc::new(config) })
    }

    /// Everything as that configuration says, such as clients that must show a certificate.
    #[must_use]
    pub const fn from_config(config: Arc<ServerConfig>) -> Self {
        Self { config }
    }

    /// Shakes hands with a client. No time limit: one that is refused has its socket until it closes it, or has sent 64 KiB.
    ///
    /// # Errors
    ///
    /// [`Untrusted`](TransportErrorKind::Untrusted), [`Protocol`](TransportErrorKind::Protocol) or
    /// [`Broken`](TransportErrorKind::Broken).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the socket.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<Stream<S>, TransportError> {
        match TlsAcceptor::from(self.config.clone()).accept(stream).into_fallible().await {
            Ok(secured) => Ok(Stream::tls(secured)),
            Err((error, stream)) => {
                part(stream).await;
                Err(failure(error, "a client"))
            }
        }
    }
}

/// Waits for a refused client to leave. A socket that is closed with something unread resets the connection, and the client would
/// not read why it was refused.
async fn part<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    if stream.close().await.is_ok() {
        let _ = futures_util::io::copy(stream.take(LATE), &mut futures_util::io::sink()).await;
    }
}

fn client_config(
    roots: &Arc<RootCertStore>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring can do what is safe")
        .with_root_certificates(roots.clone())
}

fn spoken(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![ALPN.to_vec()];
    Arc::new(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| wrong(&format!("a certificate: {error}")))?;
    if read.is_empty() { Err(wrong("there is no certificate in the PEM")) } else { Ok(read) }
}

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TransportError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| wrong(&format!("the key: {error}")))
}

fn wrong(why: &str) -> TransportError {
    TransportError::new(TransportErrorKind::Configuration, format!("TLS: {why}"))
}

/// What went wrong in a handshake with that peer.
fn failure(error: io::Error, peer: &str) -> TransportError {
    let told = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (kind, what) = match told {
        Some(rustls::Error::InvalidCertificate(why)) => {
            (TransportErrorKind::Untrusted, format!("{peer} is not trusted: {why}"))
        }
        Some(rustls::Error::NoCertificatesPresented) => {
            (TransportErrorKind::Untrusted, format!("{peer} shows no certificate"))
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            (TransportErrorKind::Untrusted, format!("{peer} refuses TLS with this end: {alert:?}"))
        }
        Some(other) => (TransportErrorKind::Protocol, format!("TLS with {peer}: {other}")),
        None => (TransportErrorKind::Broken, format!("TLS with {peer}: {error}")),
    };
    TransportError::new(kind, what).with_source(error)
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsServer {
    /// Leaves the key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}
